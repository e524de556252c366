//! The channel of this repository, as `library` is: see `rivals`.

use super::library::{Batch, Consumer, Error, Kind, Options, Producer, WakeMode};

use crate::ends::{self, Between, InPlaceRx, InPlaceTx};
use crate::rivals::lane_name;
use crate::spec::{Rival, Spec, Work};

pub struct Ours;

pub struct Tx(Producer);

pub struct Rx {
    consumer: Consumer,
    batch: Batch,
}

/// Creates a lane's channel; its name.
pub fn create(spec: &Spec, lane: usize) -> Result<String, Error> {
    let name = lane_name(spec, lane);
    let kind =
        if matches!(spec.rival, Rival::OursSpsc | Rival::UnsafeSpsc) { Kind::Spsc } else { Kind::Mpmc };
    let options = Options::new().kind(kind).capacity(spec.capacity as u64).message_size(spec.size as u64);
    let options = if spec.fences { options.wake_mode(WakeMode::Fence) } else { options };
    options.create(&name).map(|_| name)
}

fn options(spec: &Spec) -> Options {
    let options = Options::new().existing();
    if spec.work == Work::InPlace {
        // SAFETY: the channel is between processes of this program, which follow the protocol.
        unsafe { options.trust_peers() }
    } else {
        options
    }
}

pub fn tx(spec: &Spec, lane: usize) -> Tx {
    Tx(options(spec).producer(lane_name(spec, lane)).expect("a producer"))
}

pub fn rx(spec: &Spec, lane: usize) -> Rx {
    Rx { consumer: options(spec).consumer(lane_name(spec, lane)).expect("a consumer"), batch: Batch::new() }
}

/// Participants that do nothing, half of them producers.
pub fn bystanders(spec: &Spec) -> (Vec<Producer>, Vec<Consumer>) {
    let consumers = spec.bystanders / 2;
    let producers = (consumers..spec.bystanders).map(|_| tx(spec, 0).0).collect();
    (producers, (0..consumers).map(|_| rx(spec, 0).consumer).collect())
}

impl Between for Ours {
    type Tx<const N: usize> = Tx;
    type Rx<const N: usize> = Rx;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx {
        tx(spec, lane)
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx {
        rx(spec, lane)
    }
}

impl<const N: usize> ends::Tx<N> for Tx {
    #[inline]
    fn send(&mut self, message: &[u8; N]) {
        self.0.send(message).expect("send");
    }

    #[inline]
    fn send_batch(&mut self, messages: &[[u8; N]]) {
        self.0.send_batch(messages).expect("send_batch");
    }
}

impl<const N: usize> ends::Rx<N> for Rx {
    #[inline]
    fn recv(&mut self, message: &mut [u8; N]) {
        let received = self.consumer.recv_into(message).expect("recv_into");
        assert_eq!(received.len, N);
    }

    #[inline]
    fn recv_batch(&mut self, most: usize, mut each: impl FnMut(&[u8])) {
        self.consumer.recv_batch(&mut self.batch, most).expect("recv_batch");
        self.batch.iter().for_each(|message| each(message.data));
    }
}

impl InPlaceTx for Tx {
    fn send_in_place(&mut self, fill: impl FnOnce(&mut [u8])) {
        let size = self.0.message_size();
        let mut grant = self.0.reserve(size).expect("reserve");
        fill(grant.as_mut_slice().expect("trusted peers"));
        grant.commit();
    }
}

impl InPlaceRx for Rx {
    fn recv_in_place<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> T {
        let lease = self.consumer.lease().expect("lease");
        let result = read(lease.as_slice().expect("trusted peers"));
        lease.ack();
        result
    }
}
