//! Becoming another process: fork(2), setsid(2), umask(2), waitpid(2), pidfd_open(2), `_exit`. `daemon` is the only caller.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{check, errno};
use crate::error::OsError;

/// 0 in the child, its pid in the parent.
///
/// The caller makes sure that the process has one thread: then the child may do whatever the parent might.
pub(crate) fn fork() -> Result<i32, OsError> {
    // SAFETY: with a single thread no lock is held by a thread that the child lacks.
    let result = unsafe { libc::fork() };
    check("fork", result, String::new)
}

/// Makes the calling process the leader of a new session, without a controlling terminal.
pub(crate) fn new_session() -> Result<(), OsError> {
    // SAFETY: setsid has no preconditions.
    let result = unsafe { libc::setsid() };
    check("setsid", result, String::new).map(drop)
}

/// Sets the permission bits that files and directories are not created with.
pub(crate) fn set_umask(mask: u32) {
    // SAFETY: umask takes an integer and cannot fail.
    unsafe { libc::umask(mask) };
}

/// Waits for the end of a child: its wait status, or none if the kernel has reaped it (SIGCHLD ignored).
pub(crate) fn wait(child: i32) -> Option<i32> {
    let mut status = 0;
    loop {
        // SAFETY: the status is stored where it belongs.
        let result = unsafe { libc::waitpid(child, &mut status, 0) };
        if result != -1 {
            return Some(status);
        }
        if errno() != libc::EINTR {
            return None;
        }
    }
}

/// A descriptor of a child, which can be read once it has ended. Linux 5.3.
pub(crate) fn watch(child: i32) -> Result<OwnedFd, OsError> {
    // SAFETY: integers only.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) };
    let number = check("pidfd_open", result as i32, || child.to_string())?;
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Waits until `first` can be read, or nobody has the other end of `second` any more. Is it the first?
pub(crate) fn wait_for_either(first: BorrowedFd<'_>, second: BorrowedFd<'_>) -> bool {
    let fd = |fd: BorrowedFd<'_>, events| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // A hang-up is told without being asked for.
    let mut both = [fd(first, libc::POLLIN), fd(second, 0)];
    loop {
        // SAFETY: as many as the array has.
        let result = unsafe { libc::poll(both.as_mut_ptr(), both.len() as libc::nfds_t, -1) };
        if result != -1 || errno() != libc::EINTR {
            return both[0].revents != 0;
        }
    }
}

/// Ends the process at once: what was registered for its exit is for the process that it was forked from.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(status) }
}
