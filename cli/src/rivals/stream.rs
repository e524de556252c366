//! Byte streams: pipe, FIFO, Unix stream socket. Messages have one size, so they need no length.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2};

use super::{Rx, Tx, fresh_name};

/// An end of a stream.
pub struct Stream(File);

impl From<OwnedFd> for Stream {
    fn from(end: OwnedFd) -> Self {
        Stream(end.into())
    }
}

/// A pipe(2): the end that reads, the end that writes.
///
/// # Errors
/// Those of the system call.
pub fn pipe() -> io::Result<[OwnedFd; 2]> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok([read, write])
}

/// Two connected sockets, socketpair(2).
///
/// # Errors
/// Those of the system call.
pub fn socket() -> io::Result<[OwnedFd; 2]> {
    let (read, write) = UnixStream::pair()?;
    Ok([read.into(), write.into()])
}

/// A fifo(7) among the temporary files, opened by its name: the end that reads, the end that writes.
///
/// # Errors
/// Those of the system calls; nothing is left then either.
pub fn fifo() -> io::Result<[OwnedFd; 2]> {
    let path = std::env::temp_dir().join(fresh_name());
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // A reader that would wait for a writer could not be followed by one.
    let reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path);
    let writer = OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path);
    remove_file(&path)?;
    let ends = [reader?.into(), writer?.into()];
    for end in &ends {
        fcntl(end, FcntlArg::F_SETFL(OFlag::empty()))?;
    }
    Ok(ends)
}

impl Tx for Stream {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.write_all(message)
    }
}

impl Rx for Stream {
    #[inline]
    fn recv(&mut self, message: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(message)
    }
}
