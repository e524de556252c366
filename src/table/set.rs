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

use libc::{EACCES, EAGAIN, EIDRM, EINVAL};

use super::layout::MAX_STRIPES;
use crate::error::{Error, OsError, Result};
use crate::os;
use crate::os::sem::{NOWAIT, UNDO, Waited, sembuf};

const IDENT: u16 = 0;
const LOCK: u16 = 1;
/// Semaphores besides the stripes.
const FIXED: usize = 2;

/// How far the pair of set and segment is. Other numbers than a channel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Stage {
    New = 0,
    Building = 0x3d71,
    Ready = 0x6ae9,
}

/// A set that was verified to be a table's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    id: os::sem::SetId,
}

/// A semaphore taken, LOCK or a stripe; given back on drop, and by the kernel when we die.
#[must_use = "dropping it gives it back"]
pub(crate) struct Held {
    set: Set,
    semaphore: u16,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set.give_back(self.semaphore);
    }
}

/// The set is gone: EIDRM for a waiter, EINVAL for whoever comes later.
fn lost(e: OsError) -> Error {
    if matches!(e.errno, EIDRM | EINVAL) { Error::Removed } else { Error::Os(e) }
}

impl Set {
    /// Semaphores of a table with so many stripes. An even number, as a channel never has.
    pub(crate) fn size(stripes: usize) -> usize {
        FIXED + stripes
    }

    /// Reads, and only reads, whether the set of that id is a table's. `trusted` judges the creator's uid.
    ///
    /// # Errors
    /// `Removed` if it is gone meanwhile, `Foreign` with what gives it away, `PermissionDenied`.
    pub(crate) fn verify(id: i32, name: &str, trusted: impl Fn(u32) -> bool) -> Result<Set> {
        let foreign = |detail: String| Error::Foreign { name: name.into(), detail };
        let denied = |e: OsError| match e.errno {
            EACCES => Error::PermissionDenied {
                name: name.into(),
                detail: format!("no right to read its semaphore set ({e})"),
            },
            _ => lost(e),
        };
        let stat = os::sem::stat(id).map_err(denied)?;
        let stripes = stat.nsems.wrapping_sub(FIXED);
        if !stripes.is_power_of_two() || !(2..=MAX_STRIPES).contains(&stripes) {
            return Err(foreign(format!("a semaphore set of {}", stat.nsems)));
        }
        if !trusted(stat.cuid) {
            return Err(foreign(format!("created by uid {}, which is neither ours nor root's", stat.cuid)));
        }
        let set = Set { id: stat.set_id() };
        let mut values = [0; FIXED + MAX_STRIPES];
        os::sem::values(set.id, &mut values).map_err(denied)?;
        match oddity(&values) {
            Some(detail) => Err(foreign(detail)),
            None => Ok(set),
        }
    }

    pub(crate) fn id(&self) -> i32 {
        self.id.id()
    }

    pub(crate) fn stripes(&self) -> usize {
        self.id.len() - FIXED
    }

    /// How far the pair is.
    ///
    /// # Errors
    /// `Removed`, also if no table of ours would say so: it is not the set that was verified.
    pub(crate) fn stage(&self) -> Result<Stage> {
        stage(os::sem::value(self.id(), IDENT).map_err(lost)?).ok_or(Error::Removed)
    }

    /// Moves the stage; under LOCK.
    pub(crate) fn set_stage(&self, stage: Stage) -> Result<()> {
        let now = os::sem::value(self.id(), IDENT).map_err(lost)?;
        match stage as i32 - i32::from(now) {
            0 => Ok(()),
            step => os::sem::op(self.id(), &[sembuf(IDENT, step as i16, NOWAIT)]).map_err(lost),
        }
    }

    /// Takes LOCK.
    ///
    /// # Errors
    /// `LockBusy` with the holder after the deadline, `Removed`.
    pub(crate) fn lock(&self, deadline: Option<Instant>) -> Result<Held> {
        self.take(LOCK, deadline)
    }

    /// Takes a stripe; errors as [`Set::lock`].
    pub(crate) fn stripe(&self, stripe: usize, deadline: Option<Instant>) -> Result<Held> {
        self.take((FIXED + stripe) as u16, deadline)
    }

    /// Takes a stripe if it is free now.
    pub(crate) fn try_stripe(&self, stripe: usize) -> Result<Option<Held>> {
        let semaphore = (FIXED + stripe) as u16;
        let ops = [sembuf(semaphore, 0, NOWAIT), sembuf(semaphore, 1, UNDO)];
        let taken = os::sem::try_op(self.id(), &ops).map_err(lost)?;
        Ok(taken.then_some(Held { set: *self, semaphore }))
    }

    fn take(&self, semaphore: u16, deadline: Option<Instant>) -> Result<Held> {
        let ops = [sembuf(semaphore, 0, 0), sembuf(semaphore, 1, UNDO)];
        match os::sem::wait(self.id(), &ops, deadline, &|| false).map_err(lost)? {
            Waited::Done => Ok(Held { set: *self, semaphore }),
            _ => Err(Error::LockBusy { holder: os::sem::pid(self.id(), semaphore).map_err(lost)? }),
        }
    }

    /// Never waits. Of one that somebody else has zeroed only our undo is taken back, or the kernel would release the next
    /// holder's at our end. Nothing to report: it fails only if the set is gone.
    fn give_back(&self, semaphore: u16) {
        let down = sembuf(semaphore, -1, UNDO | NOWAIT);
        if os::sem::op_quietly(self.id(), &[down]) == Err(EAGAIN) {
            let _gone = os::sem::op_quietly(self.id(), &[sembuf(semaphore, 1, 0), down]);
        }
    }

    /// Removes the set: everybody who waits on it wakes.
    pub(crate) fn remove(&self) -> Result<()> {
        match os::sem::remove(self.id()).map_err(lost) {
            Ok(()) | Err(Error::Removed) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

fn stage(ident: u16) -> Option<Stage> {
    [Stage::New, Stage::Building, Stage::Ready].into_iter().find(|&stage| stage as u16 == ident)
}

/// What gives a foreign set away; `None` if everything is as one of ours could be.
fn oddity(values: &[u16]) -> Option<String> {
    let [ident, lock, stripes @ ..] = values else { return Some("too small".into()) };
    let Some(stage) = stage(*ident) else { return Some(format!("its first semaphore is {ident:#x}")) };
    if *lock > 1 {
        return Some(format!("its lock semaphore is {lock}"));
    }
    let most = u16::from(stage != Stage::New);
    stripes.iter().find(|&&v| v > most).map(|v| format!("a stripe's semaphore is {v}"))
}
