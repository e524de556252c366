//! What the participants of the models wait for: a real ring, or where three of them meet, a stand-in that is two
//! counters, published and taken. Message n is the n-th. The rings have models of their own.

use std::sync::Arc;

use crate::layout::shared as at;
use crate::park::Poll;
use crate::ring::models::{look, receiver, ring, sender};
use crate::ring::{Claim, Kind, Receiver, Sender, Shared, Side};
use crate::sync::Ordering;

/// Which queue, and the capacity of a ring.
#[derive(Clone, Copy)]
pub(super) enum Queue {
    Ring(Kind, u64),
    Counters,
}

impl Queue {
    pub(super) fn memory(self) -> Arc<Shared> {
        let Queue::Ring(kind, capacity) = self else {
            let mem = ring(Kind::Spsc, 1);
            mem.word(at::TAIL).store(0, Ordering::Relaxed);
            mem.word(at::HEAD).store(0, Ordering::Relaxed);
            return mem;
        };
        ring(kind, capacity)
    }

    pub(super) fn tail(self, mem: &Shared, i: usize) -> Tail {
        match self {
            Queue::Ring(kind, _) => Tail::Ring(sender(mem, kind, i)),
            Queue::Counters => Tail::Counter,
        }
    }

    pub(super) fn head(self, mem: &Shared, i: usize) -> Head {
        match self {
            Queue::Ring(kind, _) => Head::Ring(receiver(mem, kind, i)),
            Queue::Counters => Head::Counter,
        }
    }
}

/// What differs between the ends.
pub(super) trait End {
    const SIDE: Side;
    fn poll(&self, mem: &Shared) -> Poll;
    fn before_sleep(&mut self, _mem: &Shared) -> bool {
        false
    }
}

/// Where messages are put.
pub(super) enum Tail {
    Ring(Sender),
    /// There is always room, and one producer.
    Counter,
}

impl Tail {
    pub(super) fn put(&mut self, mem: &Shared, values: &[u64]) -> Option<()> {
        match self {
            Tail::Ring(sender) => {
                let mut claim = sender.claim(mem, values.len() as u32).ok()?;
                for value in values {
                    assert!(mem.write_payload(claim.position(), 0, &value.to_ne_bytes()));
                    sender.publish(mem, &mut claim, 8, *value as u32);
                }
            }
            Tail::Counter => mem.word(at::TAIL).store(*values.last()?, Ordering::Release),
        }
        Some(())
    }
}

impl End for Tail {
    const SIDE: Side = Side::Producers;

    fn poll(&self, mem: &Shared) -> Poll {
        match self {
            Tail::Ring(sender) => sender.poll(mem).into(),
            Tail::Counter => Poll::Ready,
        }
    }
}

/// Where messages are taken.
pub(super) enum Head {
    Ring(Receiver),
    Counter,
}

/// A message that a consumer has claimed.
pub(super) enum Claimed {
    Slot(Claim),
    Number(u64),
}

/// The next message of the counters, if it is published.
fn next(mem: &Shared) -> Option<u64> {
    let head = mem.word(at::HEAD).load(Ordering::Acquire);
    (mem.word(at::TAIL).load(Ordering::Acquire) > head).then_some(head + 1)
}

impl Head {
    pub(super) fn claim(&mut self, mem: &Shared) -> Option<Claimed> {
        if let Head::Ring(receiver) = self {
            return receiver.claim(mem, 1).ok().map(Claimed::Slot);
        }
        loop {
            let number = next(mem)?;
            let head = mem.word(at::HEAD);
            if head.compare_exchange(number - 1, number, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(Claimed::Number(number));
            }
        }
    }

    /// Reads and acknowledges it.
    pub(super) fn finish(&mut self, mem: &Shared, claimed: Claimed) -> Option<u64> {
        match (self, claimed) {
            (Head::Ring(receiver), Claimed::Slot(mut claim)) => {
                let value = look(mem, receiver, &mut claim);
                receiver.release(mem, &mut claim);
                value
            }
            (_, Claimed::Slot(_)) => None,
            (_, Claimed::Number(number)) => Some(number),
        }
    }
}

impl End for Head {
    const SIDE: Side = Side::Consumers;

    fn poll(&self, mem: &Shared) -> Poll {
        match self {
            Head::Ring(receiver) => receiver.poll(mem).into(),
            Head::Counter => next(mem).map_or(Poll::Nothing, |_| Poll::Ready),
        }
    }

    fn before_sleep(&mut self, mem: &Shared) -> bool {
        match self {
            Head::Ring(receiver) => receiver.before_sleep(mem),
            Head::Counter => false,
        }
    }
}
