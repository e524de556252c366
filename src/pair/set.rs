//! The semaphore set of a pair, as far as all kinds agree: it is verified before anything is changed, it says how far
//! the pair is, and it has a lock.

use std::time::Instant;

use libc::{EACCES, EIDRM, EINVAL};

use super::stage::{Stage, Stages};
use crate::error::{Error, OsError, Result};
use crate::os;
use crate::os::sem::SetId;

/// A set that was verified to be one kind's.
pub(crate) trait Set: Copy {
    /// The lock, held by us; given back on drop.
    type Lock;
    /// What its first semaphore says.
    const STAGES: Stages;

    /// Reads, and only reads, whether the set of that id is one of this kind. `trusted` judges the creator's uid.
    ///
    /// # Errors
    /// `Removed` if it is gone meanwhile, `Foreign` with what gives it away, `PermissionDenied`.
    fn verify(id: i32, name: &str, trusted: impl Fn(u32) -> bool) -> Result<Self>;

    /// The kernel's id of the set, and its size.
    fn set_id(&self) -> SetId;

    /// Takes the lock.
    ///
    /// # Errors
    /// `LockBusy` with the holder after the deadline, `Removed`.
    fn take_lock(&self, deadline: Option<Instant>) -> Result<Self::Lock>;

    /// The kernel's id of the set.
    fn id(&self) -> i32 {
        self.set_id().id()
    }

    /// Removes the set: everybody who sleeps on it wakes.
    fn remove(&self) -> Result<()> {
        match os::sem::remove(self.id()).map_err(lost) {
            Err(Error::Removed) => Ok(()),
            other => other,
        }
    }
}

/// What a failed call on a verified set means. The set is gone: EIDRM for a waiter, EINVAL for whoever comes later.
pub(crate) fn lost(e: OsError) -> Error {
    if matches!(e.errno, EIDRM | EINVAL) { Error::Removed } else { Error::Os(e) }
}

/// Verifies a set of a format whose sets have `plausible` sizes up to `N`, and no oddity in their values. See
/// [`Set::verify`].
pub(crate) fn verify<const N: usize>(
    id: i32,
    name: &str,
    trusted: impl Fn(u32) -> bool,
    plausible: impl Fn(usize) -> bool,
    oddity: impl Fn(&[u16]) -> Option<String>,
) -> Result<SetId> {
    let foreign = |detail: String| Error::Foreign { name: name.into(), detail };
    let denied = |e: OsError| match e.errno {
        EACCES => {
            let detail = format!("no right to read its semaphore set ({e})");
            Error::PermissionDenied { name: name.into(), detail }
        }
        _ => lost(e),
    };
    let stat = os::sem::stat(id).map_err(denied)?;
    if stat.nsems > N || !plausible(stat.nsems) {
        return Err(foreign(format!("a semaphore set of {}", stat.nsems)));
    }
    if !trusted(stat.cuid) {
        return Err(foreign(format!("created by uid {}, which is neither ours nor root's", stat.cuid)));
    }
    let mut values = [0; N];
    os::sem::values(stat.set_id(), &mut values).map_err(denied)?;
    match values.get(..stat.nsems).and_then(oddity) {
        Some(detail) => Err(foreign(detail)),
        None => Ok(stat.set_id()),
    }
}

/// What gives a foreign set away where all behind IDENT and LOCK are 0 or 1, and 0 while it is new. `what` they are, for
/// people; `None` if everything is as one of that format could be.
pub(crate) fn oddity_of_flags(stages: Stages, what: &str, values: &[u16]) -> Option<String> {
    let [ident, lock, flags @ ..] = values else { return Some("too small".into()) };
    let Some(stage) = stages.stage(*ident) else { return Some(Stages::other(*ident)) };
    if *lock > 1 {
        return Some(format!("its lock semaphore is {lock}"));
    }
    let most = u16::from(stage != Stage::New);
    flags.iter().find(|&&value| value > most).map(|value| format!("{what} semaphore is {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: u16 = 0;
    const BUILDING: u16 = 0x3d71;
    const READY: u16 = 0x6ae9;

    #[test]
    fn sets_of_flags_that_are_not_ours_are_told() {
        let oddity = |values: &[u16]| oddity_of_flags(Stages::TABLE, "a flag's", values);
        for fine in [[NEW, 0, 0, 0], [NEW, 1, 0, 0], [BUILDING, 1, 0, 1], [READY, 0, 1, 1]] {
            assert_eq!(oddity(&fine), None, "{fine:?}");
        }
        let odd = [
            (vec![READY], "too small"),
            (vec![8, 0, 0], &Stages::other(8)),
            (vec![READY, 2, 0], "its lock semaphore is 2"),
            (vec![READY, 0, 0, 2], "a flag's semaphore is 2"),
            (vec![NEW, 0, 0, 1], "a flag's semaphore is 1"),
        ];
        for (values, expected) in odd {
            assert_eq!(oddity(&values).as_deref(), Some(expected), "{values:?}");
        }
    }
}
