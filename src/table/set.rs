//! The semaphore set of a table: how far it is, the lock for opening and removing, and the stripes that writers take.
//!
//! ```text
//! 0        IDENT      0 new, BUILDING or READY; changed only under LOCK
//! 1        LOCK       0 free, 1 held; with SEM_UNDO
//! 2 ..     stripes    0 free, 1 held; with SEM_UNDO
//! ```
//!
//! Linux makes a set of zeroes, and every one of these is valid at zero. The kernel gives back what a dead process
//! held, after the last of its stores: address space goes before semaphore undo.

use std::time::Instant;

use super::layout::MAX_STRIPES;
use crate::error::Result;
use crate::os;
use crate::pair::{self, Held, Set as _, Stages, lost};

const LOCK: u16 = 1;
/// Semaphores besides the stripes.
const FIXED: usize = 2;
const MOST: usize = FIXED + MAX_STRIPES;

/// A set that was verified to be a table's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    id: os::sem::SetId,
}

/// Processes that hold something of a table.
pub(crate) struct Holders {
    pub(crate) lock: Option<i32>,
    /// Each with its stripe.
    pub(crate) writers: Vec<(usize, i32)>,
}

impl pair::Set for Set {
    type Lock = Held;
    const STAGES: Stages = Stages::TABLE;

    fn verify(id: i32, name: &str, trusted: impl Fn(u32) -> bool) -> Result<Self> {
        let plausible = |nsems: usize| nsems > FIXED + 1 && (nsems - FIXED).is_power_of_two();
        let oddity = |values: &[u16]| pair::oddity_of_flags(Self::STAGES, "a stripe's", values);
        pair::verify::<MOST>(id, name, trusted, plausible, oddity).map(|id| Set { id })
    }

    fn set_id(&self) -> os::sem::SetId {
        self.id
    }

    fn take_lock(&self, deadline: Option<Instant>) -> Result<Held> {
        Held::take(self.id(), LOCK, deadline)
    }
}

impl Set {
    /// Semaphores of a table with so many stripes. An even number, as a channel never has.
    pub(crate) fn size(stripes: usize) -> usize {
        FIXED + stripes
    }

    /// Who holds what at this moment.
    ///
    /// # Errors
    /// `Removed`, `PermissionDenied`.
    pub(crate) fn holders(&self) -> Result<Holders> {
        let mut values = [0; MOST];
        os::sem::values(self.id, &mut values).map_err(lost)?;
        let holder = |semaphore: usize| os::sem::pid(self.id(), semaphore as u16).map_err(lost);
        let held = |&semaphore: &usize| values[semaphore] != 0;
        let writers = (FIXED..self.id.len()).filter(held).map(|s| Ok((s - FIXED, holder(s)?)));
        let lock = held(&LOCK.into()).then(|| holder(LOCK.into())).transpose()?;
        Ok(Holders { lock, writers: writers.collect::<Result<_>>()? })
    }

    /// Takes a stripe; errors as [`pair::Set::take_lock`].
    pub(crate) fn stripe(&self, stripe: usize, deadline: Option<Instant>) -> Result<Held> {
        Held::take(self.id(), (FIXED + stripe) as u16, deadline)
    }

    /// Takes a stripe if it is free now.
    pub(crate) fn try_stripe(&self, stripe: usize) -> Result<Option<Held>> {
        Held::try_take(self.id(), (FIXED + stripe) as u16)
    }
}
