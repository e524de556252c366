//! Taking a pair away, whole or what is left of one.

use libc::{EIDRM, EINVAL, EPERM};

use super::set::Set;
use crate::error::{Error, Result};
use crate::os;

/// Removes a pair, under its lock: the set first, which wakes every sleeper, and which the kernel refuses whoever is not
/// its owner, while nothing has changed yet; then `mark`, which tells those who are awake; the segment. Killed in
/// between, the next opener finds an orphan or the mark, and finishes the work.
///
/// # Errors
/// `PermissionDenied`.
pub(crate) fn remove<S: Set>(name: &str, set: &S, segment: i32, mark: impl FnOnce()) -> Result<()> {
    set.remove().map_err(|e| removal_denied(name, e))?;
    mark();
    discard_segment(segment)
}

/// What a removal that the kernel refused means: EPERM is for whoever is neither owner, creator nor root.
pub(crate) fn removal_denied(name: &str, e: Error) -> Error {
    match e {
        Error::Os(e) if e.errno == EPERM => {
            Error::PermissionDenied { name: name.into(), detail: e.to_string() }
        }
        e => e,
    }
}

/// Removes a segment by its id; one that is gone already is as good.
pub(super) fn discard_segment(id: i32) -> Result<()> {
    match os::shm::remove(id) {
        Err(e) if !matches!(e.errno, EIDRM | EINVAL) => Err(Error::Os(e)),
        _ => Ok(()),
    }
}
