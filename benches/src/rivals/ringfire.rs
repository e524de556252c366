//! ringfire: its SPMC ring with back-pressure, so that nothing is lost, and a reader that spins.

use std::path::PathBuf;

use ringfire::{BusySpin, FlowControl, RingConsumer, RingProducer, RingProducerBuilder};

use super::{lane_name, patiently};
use crate::ends::{self, Between};
use crate::spec::Spec;

pub struct Ringfire;

pub struct Tx<const N: usize>(RingProducer<[u8; N]>);
pub struct Rx<const N: usize>(RingConsumer<[u8; N]>);

fn path(spec: &Spec, lane: usize) -> PathBuf {
    PathBuf::from(&spec.dir).join(lane_name(spec, lane))
}

impl Between for Ringfire {
    type Tx<const N: usize> = Tx<N>;
    type Rx<const N: usize> = Rx<N>;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx<N> {
        let builder = RingProducerBuilder::new(spec.capacity as u64)
            .flow_control(FlowControl::LosslessBackpressure)
            .max_readers(1);
        Tx(builder.build(path(spec, lane)).expect("a ringfire producer"))
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx<N> {
        let open = || RingConsumer::builder().start_from_oldest().attach(path(spec, lane));
        Rx(patiently("ringfire consumer", open))
    }
}

impl<const N: usize> ends::Tx<N> for Tx<N> {
    #[inline]
    fn send(&mut self, message: &[u8; N]) {
        self.0.push(message);
    }

    #[inline]
    fn send_batch(&mut self, messages: &[[u8; N]]) {
        self.0.push_batch(messages);
    }
}

impl<const N: usize> ends::Rx<N> for Rx<N> {
    #[inline]
    fn recv(&mut self, message: &mut [u8; N]) {
        *message = self.0.recv_blocking(&mut BusySpin::new());
    }

    #[inline]
    fn recv_batch(&mut self, most: usize, mut each: impl FnMut(&[u8])) {
        let mut messages = [[0; N]; 32];
        let most = most.min(messages.len());
        loop {
            let received = self.0.recv_batch(&mut messages[..most]);
            if received > 0 {
                messages[..received].iter().for_each(|message| each(message));
                return;
            }
            std::hint::spin_loop();
        }
    }
}
