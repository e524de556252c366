//! The channel of this repository, many messages to a slot.

use semring::{BulkConsumer, BulkProducer, Kind, Options};

use crate::ends::{self, Between};
use crate::rivals::lane_name;
use crate::spec::{Rival, Spec, Work};

pub struct Bulk;

pub struct Tx<const N: usize>(BulkProducer<[u8; N]>);
pub struct Rx<const N: usize>(BulkConsumer<[u8; N]>);

/// The name of the type of what is sent.
const TYPE: &str = "message";

fn per_slot(spec: &Spec) -> usize {
    if let Work::Batches(batch) = spec.work { batch } else { 1 }
}

/// As many messages as everybody has room for, in fewer slots. Whoever comes first creates the channel.
fn options(spec: &Spec) -> Options {
    let kind = if spec.rival == Rival::BulkSpsc { Kind::Spsc } else { Kind::Mpmc };
    Options::new().kind(kind).capacity((spec.capacity / per_slot(spec)) as u64)
}

impl Between for Bulk {
    type Tx<const N: usize> = Tx<N>;
    type Rx<const N: usize> = Rx<N>;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx<N> {
        let name = lane_name(spec, lane);
        Tx(options(spec).bulk_producer(name, TYPE, per_slot(spec)).expect("a producer"))
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx<N> {
        let name = lane_name(spec, lane);
        Rx(options(spec).bulk_consumer(name, TYPE, per_slot(spec)).expect("a consumer"))
    }
}

impl<const N: usize> ends::Tx<N> for Tx<N> {
    fn send(&mut self, message: &[u8; N]) {
        self.send_batch(std::slice::from_ref(message));
    }

    #[inline]
    fn send_batch(&mut self, messages: &[[u8; N]]) {
        self.0.send(messages).expect("send");
    }
}

impl<const N: usize> ends::Rx<N> for Rx<N> {
    fn recv(&mut self, message: &mut [u8; N]) {
        let values = self.0.recv().expect("recv");
        assert_eq!(values.len(), 1, "one message to a slot, unless there are batches");
        *message = values[0];
    }

    #[inline]
    fn recv_batch(&mut self, _most: usize, mut each: impl FnMut(&[u8])) {
        self.0.recv().expect("recv").iter().for_each(|message| each(message));
    }
}
