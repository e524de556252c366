//! iceoryx2: publish-subscribe without overflow, polled; samples are loaned and read in place.

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

use super::{lane_name, patiently};
use crate::ends::{self, Between};
use crate::spec::Spec;

pub struct Iceoryx2;

/// An end keeps its node alive.
pub struct Tx<const N: usize> {
    publisher: Publisher<ipc::Service, [u8; N], ()>,
    _node: Node<ipc::Service>,
}

pub struct Rx<const N: usize> {
    subscriber: Subscriber<ipc::Service, [u8; N], ()>,
    _node: Node<ipc::Service>,
}

type Factory<const N: usize> =
    iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8; N], ()>;

/// What the names of all shared memory of a sample begin with.
pub fn prefix(spec: &Spec) -> String {
    format!("{}_", spec.name)
}

fn service<const N: usize>(spec: &Spec, lane: usize) -> (Node<ipc::Service>, Factory<N>) {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    config.global.set_root_path(&Path::new(spec.dir.as_bytes()).expect("a path"));
    config.global.prefix = FileName::new(prefix(spec).as_bytes()).expect("a file name");
    let node = NodeBuilder::new().config(&config).create::<ipc::Service>().expect("a node");
    let name: ServiceName = lane_name(spec, lane).as_str().try_into().expect("a service name");
    let service = patiently("iceoryx2 service", || {
        node.service_builder(&name)
            .publish_subscribe::<[u8; N]>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(spec.capacity)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(1)
            .open_or_create()
    });
    (node, service)
}

impl Between for Iceoryx2 {
    type Tx<const N: usize> = Tx<N>;
    type Rx<const N: usize> = Rx<N>;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx<N> {
        let (_node, service) = service::<N>(spec, lane);
        let publisher = service
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .expect("a publisher");
        Tx { publisher, _node }
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx<N> {
        let (_node, service) = service::<N>(spec, lane);
        let subscriber =
            service.subscriber_builder().buffer_size(spec.capacity).create().expect("a subscriber");
        Rx { subscriber, _node }
    }
}

impl<const N: usize> ends::Tx<N> for Tx<N> {
    fn send(&mut self, message: &[u8; N]) {
        let sample = self.publisher.loan_uninit().expect("a loan");
        sample.write_payload(*message).send().expect("send");
    }
}

impl<const N: usize> ends::Rx<N> for Rx<N> {
    fn recv(&mut self, message: &mut [u8; N]) {
        loop {
            if let Some(sample) = self.subscriber.receive().expect("receive") {
                *message = *sample;
                return;
            }
            std::hint::spin_loop();
        }
    }
}
