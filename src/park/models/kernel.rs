//! What the kernel does for the models: wake semaphores and leases.
//!
//! Calls on one wake semaphore are ordered, posts of different ones are not: less than semop(2) promises. What touches
//! the leases (a snapshot, a leave, a death, a registration) is one step for all of it, as in the kernel. A sleep
//! that no token ends is a deadlock, which loom reports: a lost wake-up.

use loom::sync::{Condvar, Mutex, MutexGuard};

use crate::park::Slept;
use crate::ring::probe::mutant;
use crate::ring::{Index, Side};

#[derive(Default)]
struct Semaphore {
    tokens: Mutex<u32>,
    raised: Condvar,
}

impl Semaphore {
    fn value(&self) -> MutexGuard<'_, u32> {
        self.tokens.lock().unwrap()
    }

    fn v(&self) {
        *self.value() += 1;
        self.raised.notify_one(); // its owner: nobody else waits here
    }
}

/// Who lives, one bitmap a side: the leases and, counted, the numbers of producers and consumers.
#[derive(Clone, Copy)]
pub(super) struct Leases([u64; 2]);

impl Leases {
    pub(super) fn count(self, side: Side) -> u32 {
        self.0[side as usize].count_ones()
    }

    pub(super) fn hold(self, index: Index) -> bool {
        (self.0[0] | self.0[1]) & index.bit() != 0
    }
}

/// A channel's semaphore set.
pub(super) struct Kernel {
    leases: Mutex<Leases>,
    wake: Vec<Semaphore>,
}

impl Kernel {
    /// Of living producers, living consumers behind them, and one vacant index.
    pub(super) fn new(producers: usize, consumers: usize) -> Self {
        let producing = (1 << producers) - 1;
        let alive = (1 << (producers + consumers)) - 1;
        Kernel {
            leases: Mutex::new(Leases([producing, alive & !producing])),
            wake: (0..producers + consumers + 1).map(|_| Semaphore::default()).collect(),
        }
    }

    /// V on the semaphores of the bitmap.
    pub(super) fn post(&self, who: u64) {
        for (i, semaphore) in self.wake.iter().enumerate() {
            if who >> i & 1 == 1 {
                semaphore.v();
            }
        }
    }

    /// P. A `timed` one ends at once without a token: its caller may come here as late as a limit would end it.
    pub(super) fn sleep(&self, me: Index, timed: bool) -> Slept {
        let semaphore = &self.wake[me.get()];
        let mut tokens = semaphore.value();
        while *tokens == 0 {
            if timed {
                return Slept::TimedOut;
            }
            tokens = semaphore.raised.wait(tokens).unwrap();
        }
        *tokens -= 1;
        Slept::Woken
    }

    /// One snapshot of the leases and of the own tokens, which are taken, and how many there were.
    pub(super) fn look(&self, me: Index) -> (Leases, u32) {
        let leases = self.leases.lock().unwrap();
        let tokens = std::mem::take(&mut *self.wake[me.get()].value());
        (*leases, tokens)
    }

    /// The leases alone.
    pub(super) fn leases(&self) -> Leases {
        *self.leases.lock().unwrap()
    }

    /// Presence is withdrawn and everybody posted, in one step; a death does the same.
    pub(super) fn leave(&self, me: Index, side: Side) {
        if mutant("posted before leaving") {
            self.post(u64::MAX);
        }
        let mut leases = self.leases.lock().unwrap();
        leases.0[side as usize] &= !me.bit();
        if !mutant("leaver posts nobody") && !mutant("posted before leaving") {
            self.post(u64::MAX);
        }
    }

    pub(super) fn register(&self, me: Index, side: Side) {
        self.leases.lock().unwrap().0[side as usize] |= me.bit();
    }
}
