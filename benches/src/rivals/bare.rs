//! The limit: the same bytes through the same number of cache lines, and nothing else. No queue that anybody could use:
//! one producer, one consumer, nobody sleeps, nobody may die.
//!
//! A slot is a flag, 0 while it is the producer's, and the bytes behind it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ends::{self, Between, InPlaceRx, InPlaceTx};
use crate::spec::{Spec, Work};
use crate::stage::{Memory, shared_memory};

/// Before the bytes of a slot.
const FLAG: usize = 8;

pub struct Bare;

/// Both ends: the slots, and how many were passed.
struct Slots {
    words: &'static [AtomicU64],
    stride: usize,
    size: usize,
    count: usize,
    passed: usize,
}

/// Bytes from slot to slot. Large messages begin on a line, as ours do.
fn stride(spec: &Spec) -> usize {
    (spec.size + FLAG).next_multiple_of(64)
}

/// One slot there and one back in a dialogue, otherwise as many as in a channel.
fn count(spec: &Spec) -> usize {
    if matches!(spec.work, Work::RoundTrip(_)) { 1 } else { spec.capacity }
}

pub fn memory(spec: &Spec) -> std::io::Result<OwnedFd> {
    shared_memory(stride(spec) * count(spec))
}

impl Slots {
    fn open(spec: &Spec, lane: usize) -> Self {
        let (stride, count) = (stride(spec), count(spec));
        let words = Memory::map(spec.fds[lane], stride * count).words();
        Slots { words, stride, size: spec.size, count, passed: 0 }
    }

    fn flag(&self) -> &'static AtomicU64 {
        &self.words[self.passed % self.count * self.stride / 8]
    }

    /// Waits until the next slot's flag says so.
    fn wait(&self, flag: u64) {
        while self.flag().load(Ordering::Acquire) != flag {
            std::hint::spin_loop();
        }
    }

    fn pass(&mut self, flag: u64) {
        self.flag().store(flag, Ordering::Release);
        self.passed = self.passed.wrapping_add(1);
    }

    fn bytes(&self) -> *mut u8 {
        self.flag().as_ptr().wrapping_add(1).cast()
    }
}

pub struct Tx(Slots);
pub struct Rx(Slots);

impl Tx {
    pub fn open(spec: &Spec, lane: usize) -> Self {
        Tx(Slots::open(spec, lane))
    }
}

impl Rx {
    pub fn open(spec: &Spec, lane: usize) -> Self {
        Rx(Slots::open(spec, lane))
    }
}

impl InPlaceTx for Tx {
    #[inline(always)]
    fn send_in_place(&mut self, fill: impl FnOnce(&mut [u8])) {
        self.0.wait(0);
        // SAFETY: within the slot, which is the producer's until the flag is set.
        fill(unsafe { std::slice::from_raw_parts_mut(self.0.bytes(), self.0.size) });
        self.0.pass(1);
    }
}

impl InPlaceRx for Rx {
    #[inline(always)]
    fn recv_in_place<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> T {
        self.0.wait(1);
        // SAFETY: within the slot, which is the consumer's until the flag is cleared.
        let result = read(unsafe { std::slice::from_raw_parts(self.0.bytes(), self.0.size) });
        self.0.pass(0);
        result
    }
}

impl<const N: usize> ends::Tx<N> for Tx {
    #[inline]
    fn send(&mut self, message: &[u8; N]) {
        self.send_in_place(|bytes| bytes.copy_from_slice(message));
    }
}

impl<const N: usize> ends::Rx<N> for Rx {
    #[inline]
    fn recv(&mut self, message: &mut [u8; N]) {
        self.recv_in_place(|bytes| message.copy_from_slice(bytes));
    }
}

impl Between for Bare {
    type Tx<const N: usize> = Tx;
    type Rx<const N: usize> = Rx;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx {
        Tx::open(spec, lane)
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx {
        Rx::open(spec, lane)
    }
}
