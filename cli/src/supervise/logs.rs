//! The output of a service: from a FIFO into a file that is rotated by its size.
//!
//! The service has the FIFO open for reading, too, so it gets no SIGPIPE while no supervisor lives: what it writes stays in
//! the pipe, and when that is full it waits. A disk that is full costs lines, which are counted; it stops nobody.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::config::Log;

/// What the pipe is to hold, if the system allows it.
const PIPE: i32 = 1 << 20;
/// Most that is copied before others have their turn.
const CHUNK: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct Pump {
    log: Log,
    fifo: PathBuf,
    reader: File,
    file: Option<File>,
    written: u64,
    lost: u64,
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Pump {
    pub(crate) fn open(log: &Log) -> io::Result<Self> {
        let fifo = suffixed(&log.path, ".pipe");
        match mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
            Err(errno) => return Err(named(&fifo, errno.into())),
        }
        if !fs::symlink_metadata(&fifo)?.file_type().is_fifo() {
            return Err(io::Error::other(format!("{} exists and is no FIFO: remove it", fifo.display())));
        }
        // For writing, too: it must not read as ended when the service ends.
        let options = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).to_owned();
        let reader = options.open(&fifo).map_err(|e| named(&fifo, e))?;
        let _as_large_as_it_may_be = fcntl(&reader, FcntlArg::F_SETPIPE_SZ(PIPE));
        Ok(Pump { log: log.clone(), fifo, reader, file: None, written: 0, lost: 0 })
    }

    /// Where the service writes: its standard output and its standard error.
    pub(crate) fn output(&self) -> io::Result<(Stdio, Stdio)> {
        let writer = OpenOptions::new().read(true).write(true).open(&self.fifo)?;
        Ok((writer.try_clone()?.into(), writer.into()))
    }

    /// Is this the log that is wanted, and can it still be found?
    pub(crate) fn is_of(&self, log: &Log) -> bool {
        self.log == *log && self.fifo.exists()
    }

    /// Copies what is there, but no more than one chunk; whether there may be more.
    pub(crate) fn copy(&mut self) -> bool {
        let mut buffer = [0; CHUNK];
        let read = self.reader.read(&mut buffer).unwrap_or(0);
        self.write(&buffer[..read]);
        read == CHUNK
    }

    /// Lines as long as they fit, then the rest into a new file.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.file.is_none() {
                self.begin();
            }
            let room = usize::try_from(self.log.size.saturating_sub(self.written)).unwrap_or(usize::MAX);
            let fits = if bytes.len() <= room { bytes.len() } else { whole_lines(&bytes[..room]) };
            if fits == 0 && self.written > 0 {
                self.rotate();
                continue;
            }
            // A line that is longer than a file is cut.
            let (now, later) = bytes.split_at(if fits == 0 { bytes.len().min(room.max(1)) } else { fits });
            self.append(now);
            bytes = later;
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.lost > 0 {
            let note =
                format!("semring: {} bytes of output were lost: the file could not be written\n", self.lost);
            if self.put(note.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if self.put(bytes).is_err() {
            self.lost += bytes.len() as u64;
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn begin(&mut self) {
        self.file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.log.path).ok();
        self.written = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
    }

    /// `log` becomes `log.1`, that `log.2`, and so on; the last is dropped. Killed in between, the next rotation goes on
    /// from the gap.
    fn rotate(&mut self) {
        let old = |number: u32| suffixed(&self.log.path, &format!(".{number}"));
        let gap = (1..=self.log.keep).find(|&number| !old(number).exists()).unwrap_or(self.log.keep);
        for number in (1..gap).rev() {
            let _ = fs::rename(old(number), old(number + 1));
        }
        let done = if self.log.keep == 0 {
            fs::remove_file(&self.log.path)
        } else {
            fs::rename(&self.log.path, old(1))
        };
        self.file = None;
        self.written = 0;
        if done.is_err() {
            // It cannot be moved: rather an empty file than a full disk.
            if File::create(&self.log.path).is_err() {
                // Nor emptied (chattr +a): it grows, as if it were a new one.
                self.begin();
                self.written = 0;
            }
        }
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

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Bytes up to and with the last newline.
fn whole_lines(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1)
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
