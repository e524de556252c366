//! The output of a service: from a FIFO into a file that is rotated by its size (`file`).
//!
//! The service has the FIFO open for reading, too, so it gets no SIGPIPE while no supervisor lives: what it writes stays in
//! the pipe, and when that is full it waits. A disk that is full costs lines, which are counted; it stops nobody.
//!
//! The FIFO is the service's own, whoever else writes the same log, now or by the next configuration: so none takes it away
//! from under another. It belongs to the service's user, who may open /dev/stdout and /dev/stderr by it.

mod file;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use super::config::Log;
use file::LogFile;

/// What the pipe is to hold, if the system allows it.
const PIPE: i32 = 1 << 20;
/// Most that is copied before others have their turn.
const CHUNK: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct Pump {
    fifo: PathBuf,
    /// Whose it is.
    uid: u32,
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
        let reader = open_fifo(&fifo, uid, O_NONBLOCK)?;
        if reader.metadata()?.uid() != uid {
            fchown(&reader, Some(uid), None).map_err(|error| named(&fifo, error))?;
        }
        let _as_large_as_it_may_be = fcntl(&reader, FcntlArg::F_SETPIPE_SZ(PIPE));
        Ok(Pump { fifo, uid, reader, file: LogFile::new(log) })
    }

    /// Where the service writes: its standard output and its standard error.
    pub(crate) fn output(&self) -> io::Result<(Stdio, Stdio)> {
        let writer = open_fifo(&self.fifo, self.uid, 0)?;
        Ok((writer.try_clone()?.into(), writer.into()))
    }

    /// Is this the log that is wanted, for that user, and can it still be found?
    pub(crate) fn is_of(&self, log: &Log, uid: u32) -> bool {
        self.uid == uid && self.file.is_of(log) && self.fifo.exists()
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

    /// Copies all that is there, and takes the FIFO away: the service has ended and does not come back. Somebody may live
    /// on who writes without end: what comes after a full pipe is not waited for.
    pub(crate) fn close(mut self) {
        let most = PIPE as usize / CHUNK + 1;
        let _ended = (0..most).find(|_| !self.copy());
        let _ = fs::remove_file(&self.fifo);
    }
}

impl AsFd for Pump {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// For writing, too: it must not read as ended when the service ends. Who can write to the directory may have put something
/// else there, or a link, or a FIFO at which they listen.
fn open_fifo(path: &Path, uid: u32, flags: i32) -> io::Result<File> {
    // A link is neither followed nor waited for; what is behind it is left alone.
    verify(path, uid, &fs::symlink_metadata(path).map_err(|error| named(path, error))?)?;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags | O_NOFOLLOW).open(path);
    let file = file.map_err(|error| named(path, error))?;
    verify(path, uid, &file.metadata()?)?;
    Ok(file)
}

/// Is it a FIFO of ours or of that user, whom our supervisors have given it, and nobody else's to open?
fn verify(path: &Path, uid: u32, found: &Metadata) -> io::Result<()> {
    let mode = found.mode() & 0o7777;
    let wrong = if !found.file_type().is_fifo() {
        "is no FIFO".into()
    } else if ![uid, geteuid().as_raw()].contains(&found.uid()) {
        format!("belongs to user {}", found.uid())
    } else if mode & 0o077 != 0 {
        format!("has the mode {mode:04o}, so that others can open it")
    } else {
        return Ok(());
    };
    Err(io::Error::other(format!("{} exists and {wrong}: remove it", path.display())))
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
