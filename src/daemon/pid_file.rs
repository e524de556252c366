//! A pid file whose lock is the truth, and whose content is for people.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::DaemonError;
use super::descriptors::open_above_standard;
use crate::error::OsError;
use crate::os::{self, descriptor};

/// A file that one process at a time can hold, with its pid in it.
///
/// Held is the flock(2) of the file, by the processes that inherited it together; the kernel lets go of it when the
/// last of them ends, however it ends. So a file that is left behind by a death keeps nobody from starting, and a pid that
/// has been given to another process means nothing. [`Daemon::pid_file`](super::Daemon::pid_file) makes and removes
/// it; this is the part for programs that stay in the foreground, or ask.
///
/// # Examples
/// ```
/// use semring::daemon::{DaemonError, PidFile};
///
/// let path = std::env::temp_dir().join(format!("pid-file-doc-{}", std::process::id()));
/// assert_eq!(PidFile::holder(&path)?, None);
/// let held = PidFile::lock(&path)?;
/// held.write(std::process::id() as i32)?;
/// assert_eq!(PidFile::holder(&path)?, Some(std::process::id() as i32));
/// assert!(matches!(PidFile::lock(&path), Err(DaemonError::AlreadyRunning { .. })));
/// held.remove();
/// assert!(!path.exists());
/// # Ok::<(), DaemonError>(())
/// ```
#[derive(Debug)]
pub struct PidFile {
    file: File,
    /// Absolute: the working directory changes.
    path: PathBuf,
}

/// A pid has at most 10 digits, and a newline.
const LONGEST: usize = 16;

impl PidFile {
    /// Takes the file, made if need be, with mode 0644 and empty.
    ///
    /// # Errors
    /// [`AlreadyRunning`](DaemonError::AlreadyRunning), [`NotAPidFile`](DaemonError::NotAPidFile) if it is a file
    /// with something else in it, or no file; [`Os`](DaemonError::Os) where it cannot be opened.
    pub fn lock(path: impl AsRef<Path>) -> Result<Self, DaemonError> {
        let given = path.as_ref();
        let path = std::path::absolute(given).map_err(|error| os::failure("open", given, &error))?;
        loop {
            let file = open(&path, true)?;
            if Content::of(&file) == Content::Foreign {
                return Err(DaemonError::NotAPidFile { path });
            }
            if !descriptor::try_lock(file.as_fd())? {
                // Read again: its holder may have written meanwhile.
                return Err(DaemonError::AlreadyRunning { pid: Content::of(&file).pid(), pid_file: path });
            }
            // Else its last holder removed it before we had the lock: the next one would make another.
            if is_in_place(&file, &path) {
                let held = Self { file, path };
                held.empty()?;
                return Ok(held);
            }
        }
    }

    /// The pid in a file that somebody holds; `None` if nobody does. 0 if its holder has not written it yet.
    ///
    /// # Errors
    /// [`Os`](DaemonError::Os) where it cannot be read.
    pub fn holder(path: impl AsRef<Path>) -> Result<Option<i32>, DaemonError> {
        let file = match open(path.as_ref(), false) {
            Err(DaemonError::Os(OsError { errno: libc::ENOENT, .. })) => return Ok(None),
            opened => opened?,
        };
        // Taken for a moment; who wants it at that moment is told that it is held, by nobody known.
        let free = descriptor::try_lock(file.as_fd())?;
        Ok((!free).then(|| Content::of(&file).pid().unwrap_or(0)))
    }

    /// Writes the pid.
    ///
    /// # Errors
    /// [`Os`](DaemonError::Os), as on a full disk.
    pub fn write(&self, pid: i32) -> Result<(), DaemonError> {
        self.empty()?;
        let written = self.file.write_all_at(format!("{pid}\n").as_bytes(), 0);
        Ok(written.map_err(|error| os::failure("write", &self.path, &error))?)
    }

    /// Removes the file and lets go of it. One that may not be removed any more, for the privileges are gone, is
    /// emptied.
    pub fn remove(self) {
        if is_in_place(&self.file, &self.path) && std::fs::remove_file(&self.path).is_err() {
            // The lock, which ends here, is what counts.
            let _ = self.empty();
        }
    }

    fn empty(&self) -> Result<(), OsError> {
        self.file.set_len(0).map_err(|error| os::failure("ftruncate", &self.path, &error))
    }
}

/// Whether the path still leads to the file that is held.
fn is_in_place(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn open(path: &Path, create: bool) -> Result<File, DaemonError> {
    let mut options = OpenOptions::new();
    // No link is followed, for root may write where others may, too; nothing is waited for.
    options
        .read(true)
        .write(create)
        .create(create)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    Ok(open_above_standard(&options, path)?)
}

/// What a pid file holds.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Empty,
    Pid(i32),
    Foreign,
}

impl Content {
    fn of(file: &File) -> Self {
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Content::Foreign;
        }
        let mut bytes = [0; LONGEST];
        let read = file.read_at(&mut bytes, 0).ok().and_then(|length| bytes.get(..length));
        match read.map(std::str::from_utf8) {
            Some(Ok("")) => Content::Empty,
            Some(Ok(text)) => text.trim().parse().map_or(Content::Foreign, Content::Pid),
            _ => Content::Foreign,
        }
    }

    fn pid(&self) -> Option<i32> {
        if let Content::Pid(pid) = self { Some(*pid) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{AtomicU64, Ordering};

    /// A directory of this test's own, gone in the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("semring-{test}-{}", std::process::id()));
            std::fs::create_dir(&path).expect("a new directory");
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Whoever locked a file that its last holder was just removing held something that nobody else could see.
    #[test]
    fn one_holds_it_at_a_time_however_often_it_is_removed() {
        let directory = Directory::new("pid-file-race");
        let (path, holders, turns) = (directory.0.join("pid"), AtomicU64::new(0), AtomicU64::new(0));
        let compete = || {
            while turns.load(Ordering::Relaxed) < 2_000 {
                match PidFile::lock(&path) {
                    Ok(held) => {
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                        held.write(7).expect("write");
                        turns.fetch_add(1, Ordering::Relaxed);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        held.remove();
                    }
                    Err(DaemonError::AlreadyRunning { pid, .. }) => assert!(matches!(pid, None | Some(7))),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        std::thread::scope(|threads| (0..3).for_each(|_| drop(threads.spawn(compete))));
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_pid_file_is_left_alone() {
        let directory = Directory::new("pid-file-foreign");
        let file = directory.0.join("notes");
        for text in ["12 apostles\n", "root:x:0:0:root:/root:/bin/bash\n", "\u{fffd}"] {
            std::fs::write(&file, text).expect("write");
            assert!(matches!(PidFile::lock(&file), Err(DaemonError::NotAPidFile { .. })), "{text:?}");
            assert_eq!(std::fs::read_to_string(&file).expect("read"), text);
        }
        let link = directory.0.join("link");
        std::fs::write(&file, "17\n").expect("write");
        std::os::unix::fs::symlink(&file, &link).expect("link");
        assert!(matches!(PidFile::lock(&link), Err(DaemonError::Os(OsError { errno: libc::ELOOP, .. }))));
        assert!(matches!(
            PidFile::lock(&directory.0),
            Err(DaemonError::Os(OsError { errno: libc::EISDIR, .. }))
        ));
        // A stale one is taken over.
        let held = PidFile::lock(&file).expect("nobody holds it");
        assert_eq!(PidFile::holder(&file), Ok(Some(0)), "not written yet");
        held.write(18).expect("write");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "18\n");
        // Somebody else put another in its place: that one stays.
        std::fs::remove_file(&file).expect("remove");
        std::fs::write(&file, "19\n").expect("write");
        held.remove();
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "19\n");
    }
}
