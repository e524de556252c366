//! The libc calls of the crate, one thin wrapper each: arguments in, a value or an [`OsError`] out.
//!
//! Nothing here decides anything: no retries (but those of [`sem::wait`] and after EINTR), no names, no layout. `segment`,
//! `sem`, `channel` and `daemon` call it. Together with the file that turns a channel's offsets into pointers it is the
//! only place where unsafe code is allowed. Under loom none of it is compiled: the models bring their own kernel.
#![allow(unsafe_code)]

pub(crate) mod attached;
pub(crate) mod clock;
pub(crate) mod descriptor;
pub(crate) mod detach;
pub(crate) mod guarded;
pub(crate) mod mapping;
pub(crate) mod process;
pub(crate) mod remedy;
pub(crate) mod sem;
pub(crate) mod shm;
pub(crate) mod start_time;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod user;

use crate::error::OsError;
use std::io;

/// The calling thread's `errno`.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Runs `work` so that the thread's `errno` is afterwards what it was: a signal handler must not change it under the
/// code that it interrupts.
pub(crate) fn keeping_errno(work: impl FnOnce()) {
    // SAFETY: no preconditions.
    let errno = unsafe { libc::__errno_location() }.cast::<std::cell::Cell<libc::c_int>>();
    // SAFETY: the C library's promise: this thread's own, for as long as the thread lives.
    let errno = unsafe { &*errno };
    let before = errno.get();
    work();
    errno.set(before);
}

/// The error of a call that failed with `errno`, with the remedy that fits.
pub(crate) fn failed(call: &'static str, arguments: String, errno: i32) -> OsError {
    OsError { call, arguments, errno, remedy: remedy::of(call, errno) }
}

/// The same of an operation of std on a file.
pub(crate) fn failure(call: &'static str, path: &std::path::Path, error: &io::Error) -> OsError {
    failed(call, path.display().to_string(), error.raw_os_error().unwrap_or(0))
}

/// Turns the -1 of a C call into an error. Reads `errno` first: formatting the arguments may allocate, and that
/// may change it.
pub(crate) fn check(
    call: &'static str,
    result: libc::c_int,
    arguments: impl FnOnce() -> String,
) -> Result<i32, OsError> {
    if result != -1 {
        return Ok(result);
    }
    let errno = errno();
    Err(failed(call, arguments(), errno))
}

/// The key of an IPC object. libc names the field `__key` or `__ipc_perm_key`, depending on the C library and its
/// version; for the kernel it is the first word of the structure on every architecture.
fn key_of(perm: &libc::ipc_perm) -> i32 {
    // SAFETY: `perm` is a valid reference to a structure that begins with an aligned `key_t`.
    unsafe { std::ptr::from_ref(perm).cast::<libc::key_t>().read() }
}

/// The mode of an IPC object: 9 permission bits and, for segments, `SHM_DEST` and `SHM_LOCKED`.
#[allow(clippy::unnecessary_cast)] // 16 bits wide on some architectures, 32 on others
fn mode_of(perm: &libc::ipc_perm) -> u32 {
    perm.mode as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_read_before_the_arguments_are_formatted() {
        // SAFETY: closing a descriptor that cannot exist changes nothing but errno.
        let result = unsafe { libc::close(-1) };
        let e = check("close", result, || {
            // SAFETY: as above, with a call that fails differently.
            unsafe { libc::kill(1, 10_000) };
            "-1".into()
        })
        .expect_err("close(-1) fails");
        assert_eq!((e.call, e.errno, e.arguments.as_str()), ("close", libc::EBADF, "-1"));
        assert_eq!(check("close", 7, String::new), Ok(7));
    }
}
