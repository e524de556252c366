//! What the kernel offers to carry messages between two processes, all behind the same two traits. `semring bench`
//! and, beside other rivals, the package of benchmarks measure against it.
//!
//! All but the System V queue are descriptors: processes inherit them, and what they stand for goes with the last one.
//! A name that has to exist, of a FIFO or a POSIX queue, is gone before its creation returns.

pub mod mmap;
pub mod posix_mq;
pub mod stream;
pub mod sysv_mq;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The sending end.
pub trait Tx {
    /// Sends all of a message, waiting for room.
    ///
    /// # Errors
    /// What the kernel says, and who receives being gone.
    fn send(&mut self, message: &[u8]) -> io::Result<()>;
}

/// The receiving end.
pub trait Rx {
    /// Receives a message of exactly this length, waiting for it.
    ///
    /// # Errors
    /// What the kernel says, a message of another length, and who sends being gone.
    fn recv(&mut self, message: &mut [u8]) -> io::Result<()>;
}

/// Lets the processes that are started from now on inherit a descriptor.
///
/// # Errors
/// Those of fcntl(2).
pub fn inheritable(fd: &OwnedFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// A name that no other object has, unless its maker had our process id and was killed while it made it.
fn fresh_name() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    format!("semring-bench-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}

/// Makes a call again that a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// The error of an end that received a message of another length than it asked for.
pub fn wrong_length(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes instead"))
}
