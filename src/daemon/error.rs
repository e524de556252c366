//! Why there is no daemon.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::error::OsError;

/// Why [`Daemon::start`](super::Daemon::start) started nothing.
///
/// # Examples
/// ```
/// use semring::daemon::{Daemon, DaemonError};
///
/// std::thread::scope(|threads| {
///     let (release, wait) = std::sync::mpsc::channel::<()>();
///     threads.spawn(move || wait.recv());
///     let error = Daemon::new().start().unwrap_err();
///     assert_eq!(error, DaemonError::Threads { count: 2 });
///     drop(release);
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DaemonError {
    /// The process has several threads, of which a forked child would have only one.
    Threads {
        /// How many.
        count: usize,
    },
    /// Another process holds the lock of the pid file.
    AlreadyRunning {
        /// The file.
        pid_file: PathBuf,
        /// Its pid, as the file says; none if it is only just starting.
        pid: Option<i32>,
    },
    /// The pid file exists and is something else, which was left as it is.
    NotAPidFile {
        /// The file.
        path: PathBuf,
    },
    /// There is no such user.
    NoSuchUser {
        /// The name that was looked up.
        name: String,
    },
    /// The privileges cannot be given up as asked.
    Privileges {
        /// What is left of them.
        detail: String,
    },
    /// The daemon said that it cannot serve.
    NotReady {
        /// Why, in its words.
        reason: String,
    },
    /// The daemon ended before it said anything.
    Died {
        /// How, if that could be learned.
        status: Option<ExitStatus>,
    },
    /// The process that waited for the daemon to become ready is gone.
    CallerGone,
    /// A system call failed.
    Os(OsError),
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DaemonError::Threads { count } => {
                write!(
                    f,
                    "a process with {count} threads cannot become a daemon: start it before any other thread"
                )
            }
            DaemonError::AlreadyRunning { pid_file, pid } => {
                write!(f, "already running: {} is locked", pid_file.display())?;
                match pid {
                    Some(pid) => write!(f, " by process {pid}"),
                    None => write!(f, " by one that is just starting"),
                }
            }
            DaemonError::NotAPidFile { path } => {
                write!(
                    f,
                    "{} exists and is no pid file; it was left as it is: choose another",
                    path.display()
                )
            }
            DaemonError::NoSuchUser { name } => write!(f, "there is no user {name:?}"),
            DaemonError::Privileges { detail } => write!(f, "privileges were not given up: {detail}"),
            DaemonError::NotReady { reason } => f.write_str(reason),
            DaemonError::Died { status } => {
                let how = status.map(|status| format!(" ({status})")).unwrap_or_default();
                write!(
                    f,
                    "the daemon ended before it was ready{how}: its standard error may say why (it goes to /dev/null unless redirected)"
                )
            }
            DaemonError::CallerGone => {
                f.write_str("whoever started this daemon was gone before it was ready")
            }
            DaemonError::Os(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DaemonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DaemonError::Os(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DaemonError> for io::Error {
    fn from(error: DaemonError) -> Self {
        use io::ErrorKind as Kind;
        let kind = match &error {
            DaemonError::Threads { .. } => Kind::Unsupported,
            DaemonError::AlreadyRunning { .. } => Kind::ResourceBusy,
            DaemonError::NotAPidFile { .. } => Kind::InvalidInput,
            DaemonError::NoSuchUser { .. } => Kind::NotFound,
            DaemonError::Privileges { .. } => Kind::PermissionDenied,
            DaemonError::NotReady { .. } | DaemonError::Died { .. } => Kind::Other,
            DaemonError::CallerGone => Kind::BrokenPipe,
            DaemonError::Os(os) => io::Error::from_raw_os_error(os.errno).kind(),
        };
        io::Error::new(kind, error)
    }
}
