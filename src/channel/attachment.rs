//! A channel as this process has it: the pair, and the ring's view of its segment. Shared by all handles of the process
//! that came from one opening.

use std::ops::Deref;

use crate::layout::{LINE, shared};
use crate::pair::{self, header};
use crate::ring::{Kind, Shared, Side};
use crate::sync::{AtomicU64, Ordering};

use super::header::{Header, WakeMode};
use super::options::Recheck;
use super::set::Set;

/// An opened channel.
pub(crate) struct Attachment {
    pub(crate) trusted: bool,
    pub(crate) recheck: Recheck,
    mem: Shared,
    pair: pair::Attachment<Set, Header>,
}

impl Deref for Attachment {
    type Target = pair::Attachment<Set, Header>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.pair
    }
}

impl Attachment {
    /// `mem` must be a view of the pair's mapping.
    pub(super) fn new(
        pair: pair::Attachment<Set, Header>,
        mem: Shared,
        trusted: bool,
        recheck: Recheck,
    ) -> Self {
        Self { trusted, recheck, mem, pair }
    }

    /// The ring's memory.
    #[inline]
    pub(crate) fn mem(&self) -> &Shared {
        &self.mem
    }

    /// Says that the channel is being removed, also to those who sleep.
    pub(crate) fn mark_dead(&self) {
        header::mark_dead(&self.mapping);
        for side in [Side::Producers, Side::Consumers] {
            self.changes(side).fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_spsc(&self) -> bool {
        self.header.kind == Kind::Spsc
    }

    #[inline]
    pub(crate) fn fences(&self) -> bool {
        self.header.wake == WakeMode::Fence
    }

    /// Participants of that side that ever began to register. It is never lowered: who loaded it before that would take a
    /// failure for somebody who came and went.
    #[inline]
    pub(crate) fn joins(&self, side: Side) -> &AtomicU64 {
        self.mem.word(shared::JOINS + 8 * side as usize)
    }

    /// Those of [`joins`](Self::joins) whose registration failed; raised under LOCK.
    #[inline]
    pub(crate) fn failed(&self, side: Side) -> &AtomicU64 {
        self.mem.word(shared::FAILED + 8 * side as usize)
    }

    /// Changes among the participants of that side that its peers should look at.
    #[inline]
    pub(crate) fn changes(&self, side: Side) -> &AtomicU64 {
        changes(&self.mem, side)
    }

    /// A word of the counters' line.
    #[inline]
    pub(crate) fn counter(&self, offset: usize) -> &AtomicU64 {
        self.mem.word(offset)
    }

    /// Consumers that have given a message back.
    #[inline]
    pub(crate) fn given(&self) -> &AtomicU64 {
        self.mem.word(shared::GIVEN)
    }

    /// How many indices were ever used, clamped to what there is.
    pub(crate) fn used(&self) -> usize {
        let used = self.counter(shared::USED).load(Ordering::Relaxed);
        used.min(self.mem.geometry().participants() as u64) as usize
    }
}

/// [`Attachment::changes`] in a copy of its memory.
#[inline(always)]
pub(super) fn changes(mem: &Shared, side: Side) -> &AtomicU64 {
    mem.word(shared::CHANGES + LINE * side as usize)
}
