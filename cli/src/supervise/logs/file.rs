//! The file of a log: bounded, and rotated between lines. What cannot be written is counted; what cannot be moved is emptied.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::suffixed;
use crate::supervise::config::Log;

#[derive(Debug)]
pub(super) struct LogFile {
    log: Log,
    pub(super) file: Option<File>,
    /// Its length.
    written: u64,
    /// Bytes that nobody will ever read.
    pub(super) lost: u64,
    unwritable: bool,
    unrotatable: bool,
    news: Option<String>,
}

impl LogFile {
    pub(super) fn new(log: &Log) -> Self {
        let log = log.clone();
        LogFile { log, file: None, written: 0, lost: 0, unwritable: false, unrotatable: false, news: None }
    }

    pub(super) fn is_of(&self, log: &Log) -> bool {
        self.log == *log
    }

    /// What has begun to be wrong with it since the last time.
    pub(super) fn news(&mut self) -> Option<String> {
        self.news.take().map(|text| format!("log {} {text}; the service goes on", self.log.path.display()))
    }

    /// Lines as long as they fit, then the rest into a new file.
    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if let Err(error) = self.begin() {
                return self.lose(bytes.len() as u64, &error);
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
        let before = self.written;
        match self.put(bytes) {
            Ok(()) => self.unwritable = false,
            Err(error) => {
                let missing = (bytes.len() as u64).saturating_sub(self.written - before);
                self.lose(missing, &error);
            }
        }
    }

    fn lose(&mut self, bytes: u64, error: &io::Error) {
        self.lost += bytes;
        if !std::mem::replace(&mut self.unwritable, true) {
            self.news = Some(format!("cannot be written ({error}): output is lost"));
        }
    }

    /// Some of it may be written although it fails.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let result = file.write_all(bytes);
        self.written = match result {
            Ok(()) => self.written + bytes.len() as u64,
            Err(_) => file.metadata().map_or(0, |meta| meta.len()).max(self.written),
        };
        result
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.log.path)?;
            self.written = file.metadata()?.len();
            self.file = Some(file);
        }
        Ok(())
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
        match done {
            Ok(()) => self.unrotatable = false,
            Err(error) => self.empty(&error),
        }
    }

    /// It cannot be moved: rather an empty file than a full disk.
    fn empty(&mut self, error: &io::Error) {
        let emptied = File::create(&self.log.path).is_ok();
        if !emptied {
            // Nor emptied (chattr +a): it grows, as if it were a new one.
            let _ = self.begin();
            self.written = 0;
        }
        if !std::mem::replace(&mut self.unrotatable, true) {
            let but = if emptied { "is emptied when it is full" } else { "grows" };
            self.news = Some(format!("cannot be rotated ({error}) and {but}"));
        }
    }
}

/// Bytes up to and with the last newline.
fn whole_lines(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1)
}
