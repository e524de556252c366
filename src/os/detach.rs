//! Becoming another process: fork(2), setsid(2), umask(2), waitpid(2), `_exit`. `daemon` is the only caller.
#![allow(unsafe_code)]

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

/// Waits for the end of a child. How it ended is not asked: whoever calls is told by other means.
pub(crate) fn wait(child: i32) {
    loop {
        // SAFETY: the status may be NULL: it is not stored then.
        let result = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        // Anything but EINTR: it is reaped, or the kernel did that (SIGCHLD ignored).
        if result != -1 || errno() != libc::EINTR {
            return;
        }
    }
}

/// Ends the process at once: what was registered for its exit is for the process that it was forked from.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(status) }
}
