//! crossbeam's two queues between threads: ArrayQueue, which never blocks, and the bounded channel, which does.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use crossbeam_queue::ArrayQueue;
use crossbeam_utils::Backoff;

use crate::ends::{self, Within};
use crate::spec::Spec;

pub struct Queue;

pub struct QueueEnd<const N: usize>(Arc<ArrayQueue<[u8; N]>>);

impl Within for Queue {
    type Tx<const N: usize> = QueueEnd<N>;
    type Rx<const N: usize> = QueueEnd<N>;

    fn lane<const N: usize>(spec: &Spec) -> (Vec<QueueEnd<N>>, Vec<QueueEnd<N>>) {
        let queue = Arc::new(ArrayQueue::new(spec.capacity));
        let ends = |count| (0..count).map(|_| QueueEnd(Arc::clone(&queue))).collect();
        (ends(spec.producers), ends(spec.consumers))
    }
}

impl<const N: usize> ends::Tx<N> for QueueEnd<N> {
    #[inline]
    fn send(&mut self, message: &[u8; N]) {
        let backoff = Backoff::new();
        let mut message = *message;
        while let Err(back) = self.0.push(message) {
            message = back;
            backoff.snooze();
        }
    }
}

impl<const N: usize> ends::Rx<N> for QueueEnd<N> {
    #[inline]
    fn recv(&mut self, message: &mut [u8; N]) {
        let backoff = Backoff::new();
        loop {
            if let Some(received) = self.0.pop() {
                *message = received;
                return;
            }
            backoff.snooze();
        }
    }
}

pub struct Channel;

pub struct Tx<const N: usize>(Sender<[u8; N]>);
pub struct Rx<const N: usize>(Receiver<[u8; N]>);

impl Within for Channel {
    type Tx<const N: usize> = Tx<N>;
    type Rx<const N: usize> = Rx<N>;

    fn lane<const N: usize>(spec: &Spec) -> (Vec<Tx<N>>, Vec<Rx<N>>) {
        let (sender, receiver) = bounded(spec.capacity);
        let senders = (0..spec.producers).map(|_| Tx(sender.clone())).collect();
        (senders, (0..spec.consumers).map(|_| Rx(receiver.clone())).collect())
    }
}

impl<const N: usize> ends::Tx<N> for Tx<N> {
    #[inline]
    fn send(&mut self, message: &[u8; N]) {
        // A consumer that has seen its end may be gone before the others have seen theirs, but not all of them.
        self.0.send(*message).expect("a receiver");
    }
}

impl<const N: usize> ends::Rx<N> for Rx<N> {
    #[inline]
    fn recv(&mut self, message: &mut [u8; N]) {
        *message = self.0.recv().expect("a sender that has sent the end");
    }
}
