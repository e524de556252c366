//! A pair as this process has it: the verified set, the mapped segment, and private copies of all that was checked.

use std::time::Duration;

use super::header;
use super::layout::header::STATE;
use super::set::{Set, lost};
use crate::error::{Error, Result};
use crate::os::process::Generation;
use crate::os::{sem, shm};
use crate::segment::Mapping;

/// An opened pair.
pub(crate) struct Attachment<S, H> {
    pub(crate) name: String,
    pub(crate) set: S,
    pub(crate) segment_id: i32,
    pub(crate) header: H,
    pub(crate) mapping: Mapping,
    pub(crate) lock_timeout: Duration,
    pub(super) generation: Generation,
}

impl<S, H> Attachment<S, H> {
    /// Are we the process that opened it, not a child of it?
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.generation.is_current()
    }

    /// The process that opened it.
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// Refuses use in a child of the process that opened it.
    #[inline]
    pub(crate) fn check_fork(&self) -> Result<()> {
        if self.is_ours() { Ok(()) } else { Err(Error::Forked) }
    }

    /// Is it live, or is somebody removing it?
    pub(crate) fn check_live(&self) -> Result<()> {
        header::check_live(header::word(&self.mapping, STATE)) // SYNC(state)
    }
}

impl<S: Set, H> Attachment<S, H> {
    /// What the kernel says of the segment, and of the set.
    ///
    /// # Errors
    /// `Removed`.
    pub(crate) fn stats(&self) -> Result<(shm::Stat, sem::Stat)> {
        let set = sem::stat(self.set.id()).map_err(lost)?;
        Ok((shm::stat(self.segment_id).map_err(lost)?, set))
    }
}
