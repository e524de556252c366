//! A channel as this process has it: the verified set, the mapped segment, and private copies of all that was checked.
//! Shared by all handles of the process that came from one opening.

use crate::error::{Error, Result};
use crate::layout::{LINE, shared};
use crate::os::process::Generation;
use crate::ring::{Kind, Shared, Side};
use crate::segment::Mapping;
use crate::sync::{AtomicU64, Ordering};

use super::header::{self, Header, WakeMode};
use super::set::Set;

/// An opened channel.
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) set: Set,
    pub(crate) segment_id: i32,
    pub(crate) header: Header,
    pub(crate) trusted: bool,
    pub(crate) lock_timeout: std::time::Duration,
    mem: Shared,
    mapping: Mapping,
    generation: Generation,
}

impl Attachment {
    /// Binds what was verified together. `mem` must be a view of `mapping`.
    #[allow(clippy::too_many_arguments)] // called in one place, with everything that opening a channel found out
    pub(super) fn new(
        name: String,
        set: Set,
        segment_id: i32,
        header: Header,
        mem: Shared,
        mapping: Mapping,
        trusted: bool,
        lock_timeout: std::time::Duration,
    ) -> Result<Self> {
        let generation = Generation::current()?;
        Ok(Self { name, set, segment_id, header, trusted, lock_timeout, mem, mapping, generation })
    }

    /// The ring's memory.
    #[inline]
    pub(crate) fn mem(&self) -> &Shared {
        &self.mem
    }

    /// Refuses use in a child of the process that opened the channel.
    #[inline]
    pub(crate) fn check_fork(&self) -> Result<()> {
        if self.generation.is_current() { Ok(()) } else { Err(Error::Forked) }
    }

    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.generation.is_current()
    }

    /// Is the channel live, or is somebody removing it?
    pub(crate) fn check_live(&self) -> Result<()> {
        header::check_live(&self.mapping)
    }

    pub(crate) fn mark_dead(&self) {
        header::mark_dead(&self.mapping);
    }

    pub(crate) fn is_spsc(&self) -> bool {
        self.header.kind == Kind::Spsc
    }

    #[inline]
    pub(crate) fn fences(&self) -> bool {
        self.header.wake == WakeMode::Fence
    }

    /// Participants of that side that ever registered.
    #[inline]
    pub(crate) fn joins(&self, side: Side) -> &AtomicU64 {
        self.mem.word(shared::JOINS + 8 * side as usize)
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
