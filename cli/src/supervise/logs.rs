//! The output of a service: from a FIFO into a file that is rotated by its size (`file`).
//!
//! The service has the FIFO open for reading, too, so it gets no SIGPIPE while no supervisor lives: what it writes stays in
//! the pipe, and when that is full it waits. A disk that is full costs lines, which are counted; it stops nobody.
//!
//! The FIFO is the service's own, whoever else writes the same log, now or by the next configuration: so none takes it away
//! from under another. It belongs to the service's user, who may open /dev/stdout and /dev/stderr by it.

mod file;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::config::Log;
use file::LogFile;

/// What the pipe is to hold, if the system allows it.
const PIPE: i32 = 1 << 20;
/// Most that is copied before others have their turn.
const CHUNK: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct Pump {
    fifo: PathBuf,
    reader: File,
    file: LogFile,
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Pump {
    /// The log of the service with that [`tag`](super::tag), which runs as `uid`.
    pub(crate) fn open(log: &Log, tag: u64, uid: u32) -> io::Result<Self> {
        let fifo = suffixed(&log.path, &format!(".{:08x}.pipe", tag as u32));
        match mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(named(&fifo, errno.into())),
        }
        let reader = open_fifo(&fifo, O_NONBLOCK)?;
        if reader.metadata()?.uid() != uid {
            fchown(&reader, Some(uid), None).map_err(|error| named(&fifo, error))?;
        }
        let _as_large_as_it_may_be = fcntl(&reader, FcntlArg::F_SETPIPE_SZ(PIPE));
        Ok(Pump { fifo, reader, file: LogFile::new(log) })
    }

    /// Where the service writes: its standard output and its standard error.
    pub(crate) fn output(&self) -> io::Result<(Stdio, Stdio)> {
        let writer = open_fifo(&self.fifo, 0)?;
        Ok((writer.try_clone()?.into(), writer.into()))
    }

    /// Is this the log that is wanted, and can it still be found?
    pub(crate) fn is_of(&self, log: &Log) -> bool {
        self.file.is_of(log) && self.fifo.exists()
    }

    /// Copies what is there, but no more than one chunk; whether there may be more.
    pub(crate) fn copy(&mut self) -> bool {
        let mut buffer = [0; CHUNK];
        let read = self.reader.read(&mut buffer).unwrap_or(0);
        self.file.write(&buffer[..read]);
        read == CHUNK
    }

    /// What has begun to be wrong with the file since the last time.
    pub(crate) fn news(&mut self) -> Option<String> {
        self.file.news()
    }

    /// Copies all that is there, and takes the FIFO away: the service has ended and does not come back.
    pub(crate) fn close(mut self) {
        while self.copy() {}
        let _ = fs::remove_file(&self.fifo);
    }
}

impl AsFd for Pump {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// For writing, too: it must not read as ended when the service ends. Who can write to the directory may have put something
/// else there, or a link.
fn open_fifo(path: &Path, flags: i32) -> io::Result<File> {
    let no_fifo = || io::Error::other(format!("{} exists and is no FIFO: remove it", path.display()));
    // A link is neither followed nor waited for; what is behind it is left alone.
    if !fs::symlink_metadata(path).map_err(|error| named(path, error))?.file_type().is_fifo() {
        return Err(no_fifo());
    }
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags | O_NOFOLLOW).open(path);
    let file = file.map_err(|error| named(path, error))?;
    if file.metadata()?.file_type().is_fifo() { Ok(file) } else { Err(no_fifo()) }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
