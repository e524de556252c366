//! The daemon's descriptors: what its standard streams become, and which of the others go.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::OsError;
use crate::os::{self, descriptor};

/// What a standard stream of a daemon becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// `/dev/null`: end of file, or nothing kept.
    #[default]
    Null,
    /// This file: read from its beginning as standard input; as an output appended to, and made with mode 0640 if
    /// need be. A relative path is one of the caller's working directory.
    File(PathBuf),
    /// What the caller has. Whoever waits for the end of a pipe there waits for the daemon's end, and a write to a
    /// terminal that is gone fails.
    Keep,
}

/// A standard stream that was opened, but for the ones that stay.
pub(super) struct Redirection(Option<File>);

impl Redirection {
    pub(super) fn input(stream: &Stream) -> Result<Self, OsError> {
        Self::open(stream, OpenOptions::new().read(true))
    }

    pub(super) fn output(stream: &Stream) -> Result<Self, OsError> {
        Self::open(stream, OpenOptions::new().append(true).create(true).mode(0o640))
    }

    fn open(stream: &Stream, options: &OpenOptions) -> Result<Self, OsError> {
        let path = match stream {
            Stream::Null => Path::new("/dev/null"),
            Stream::File(path) => path,
            Stream::Keep => return Ok(Self(None)),
        };
        open_above_standard(options, path).map(|file| Self(Some(file)))
    }
}

/// Standard input, output and error.
pub(super) struct Standard(pub(super) [Redirection; 3]);

impl Standard {
    pub(super) fn put_in_place(&self) -> Result<(), OsError> {
        for (number, Redirection(file)) in (0..).zip(&self.0) {
            if let Some(file) = file {
                descriptor::duplicate_onto(file.as_fd(), number)?;
            }
        }
        Ok(())
    }
}

/// Opens a file at a number from 3 on, so that no redirection closes it.
pub(super) fn open_above_standard(options: &OpenOptions, path: &Path) -> Result<File, OsError> {
    let opened = options.open(path).and_then(|file| match file.as_raw_fd() {
        ..=2 => file.try_clone(), // at 3 or above, says std
        _ => Ok(file),
    });
    opened.map_err(|error| os::failure("open", path, &error))
}

/// The descriptors from 3 on that came through exec, without those to be kept. Nothing in this process owns them:
/// whatever std opens is close-on-exec.
pub(super) fn inherited(kept: &[RawFd]) -> Result<Vec<RawFd>, OsError> {
    let path = Path::new("/proc/self/fd");
    let entries = std::fs::read_dir(path).map_err(|error| os::failure("open", path, &error))?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    let goes = |number: &RawFd| *number > 2 && !kept.contains(number) && descriptor::survives_exec(*number);
    Ok(numbers.filter(goes).collect())
}

pub(super) fn close(numbers: &[RawFd]) {
    for &number in numbers {
        descriptor::close(number);
    }
}
