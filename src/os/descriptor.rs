//! What std does not offer for file descriptors: dup2(2) onto a number, the close-on-exec flag, flock(2).
#![allow(unsafe_code)]

use super::{check, errno, failed};
use crate::error::OsError;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Makes number `to` another descriptor of the same open file; what it was before is closed.
pub(crate) fn duplicate_onto(from: BorrowedFd<'_>, to: RawFd) -> Result<(), OsError> {
    let from = from.as_raw_fd();
    // SAFETY: integers only. The caller redirects a standard stream, which no value owns.
    let result = unsafe { libc::dup2(from, to) };
    check("dup2", result, || format!("{from}, {to}")).map(drop)
}

/// Whether an open descriptor lacks FD_CLOEXEC; false for a number that is not open.
pub(crate) fn survives_exec(number: RawFd) -> bool {
    // SAFETY: F_GETFD takes no argument and changes nothing.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC == 0
}

/// Closes a descriptor that no value of this process owns.
pub(crate) fn close(number: RawFd) {
    // SAFETY: an integer; that nobody owns it is the caller's business, see `daemon::descriptors`.
    unsafe { libc::close(number) };
}

/// Takes the exclusive flock(2) of an open file, if nobody has it. It belongs to the open file: processes that inherit
/// the descriptor hold it together, until the last of them closes it or ends.
pub(crate) fn try_lock(file: BorrowedFd<'_>) -> Result<bool, OsError> {
    loop {
        // SAFETY: integers only.
        let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        match errno() {
            _ if result == 0 => return Ok(true),
            libc::EWOULDBLOCK => return Ok(false),
            libc::EINTR => {}
            other => return Err(failed("flock", "LOCK_EX | LOCK_NB".into(), other)),
        }
    }
}
