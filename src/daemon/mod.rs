//! Becoming a daemon: a process of its own, in the background, whose start is reported truthfully.
//!
//! [`Daemon`] does what tutorials do by hand (fork, setsid, umask, chdir, close, /dev/null) and what they leave out: a
//! second fork, so that no terminal can ever become its controlling terminal; a pid file whose lock, not whose content,
//! says whether one is running; privileges that are given up and verified to be gone; and a caller that ends well only
//! when the daemon has said that it is ready. Steps and order are those of daemon(7), "SysV Daemons".
//!
//! # Before anything else
//! Start it first in `main`, before threads and channels. Threads do not exist in a forked child, so a process that has
//! several is refused. Handles of channels are inert in a child (every call of theirs is
//! [`Error::Forked`](crate::Error::Forked)), and their segments would stay attached: open channels in the daemon.
//!
//! # Examples
//! ```
//! use semring::daemon::{Daemon, Started};
//!
//! match Daemon::new().start()? {
//!     Started::Caller(pid) => println!("process {pid} is ready"), // and this one may end
//!     Started::Daemon(daemon) => {
//!         // Open channels here; `daemon.failed(reason)` is what the caller gets if that does not work.
//!         let _background = daemon.ready()?;
//!         // Serve. When `_background` is dropped the pid file goes, if there is one.
//!     }
//! }
//! # Ok::<(), semring::daemon::DaemonError>(())
//! ```

mod descriptors;
mod error;
mod pid_file;
mod privileges;
mod report;

use std::io::Write;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::error::OsError;
use crate::os::{self, detach, process};
use descriptors::{Redirection, Standard};
use report::Report;

pub use descriptors::Stream;
pub use error::DaemonError;
pub use pid_file::PidFile;
pub use privileges::User;

/// How a daemon is to be; [`start`](Self::start) makes it one.
///
/// By default: working directory `/`, umask 022, standard streams to `/dev/null`, descriptors that the caller
/// inherited closed, no pid file, the same user.
///
/// # Examples
/// ```
/// use semring::daemon::{Daemon, DaemonError, Started, Stream};
///
/// let log = std::env::temp_dir().join(format!("daemon-doc-{}", std::process::id()));
/// let daemon = Daemon::new().umask(0o077).working_directory("/tmp").stderr(Stream::File(log.clone()));
/// match daemon.start() {
///     Ok(Started::Daemon(daemon)) => daemon.failed("the spool is full"),
///     Err(DaemonError::NotReady { reason }) => {
///         assert_eq!(reason, "the spool is full");
///         std::fs::remove_file(log)?;
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `start`"]
pub struct Daemon {
    directory: PathBuf,
    umask: u32,
    streams: [Stream; 3],
    kept: Vec<RawFd>,
    keep_all: bool,
    pid_file: Option<PathBuf>,
    user: Option<User>,
}

/// Which of the two processes this is.
#[derive(Debug)]
#[must_use = "both processes come here: one has to end, the other to serve"]
pub enum Started {
    /// The one that called [`Daemon::start`]: the daemon has this pid and is ready.
    Caller(i32),
    /// The daemon, which is not ready yet.
    Daemon(Starting),
}

impl Default for Daemon {
    fn default() -> Self {
        Self::new()
    }
}

impl Daemon {
    /// A daemon with the defaults.
    pub fn new() -> Self {
        Self {
            directory: "/".into(),
            umask: 0o022,
            streams: [Stream::Null, Stream::Null, Stream::Null],
            kept: Vec::new(),
            keep_all: false,
            pid_file: None,
            user: None,
        }
    }

    /// Its working directory; `/` by default, so that it keeps no file system from being unmounted.
    pub fn working_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = path.into();
        self
    }

    /// Permission bits that what it creates will lack; 022 by default.
    pub fn umask(mut self, mask: u32) -> Self {
        self.umask = mask;
        self
    }

    /// Where standard input comes from; `/dev/null` by default.
    pub fn stdin(mut self, stream: Stream) -> Self {
        self.streams[0] = stream;
        self
    }

    /// Where standard output goes; `/dev/null` by default.
    pub fn stdout(mut self, stream: Stream) -> Self {
        self.streams[1] = stream;
        self
    }

    /// Where standard error goes, and with it the messages of panics; `/dev/null` by default.
    pub fn stderr(mut self, stream: Stream) -> Self {
        self.streams[2] = stream;
        self
    }

    /// Keeps an inherited descriptor open.
    ///
    /// Closed are those from 3 on that this process inherited through exec: that lack close-on-exec and belong to no
    /// value. What Rust has opened has the flag, and stays open as long as its value lives, in the daemon as well.
    /// Descriptors that other code opened without the flag, and goes on using, have to be kept.
    pub fn keep_descriptor(mut self, number: RawFd) -> Self {
        self.kept.push(number);
        self
    }

    /// Closes no descriptor.
    pub fn keep_all_descriptors(mut self) -> Self {
        self.keep_all = true;
        self
    }

    /// A file with its pid, locked as long as it lives: a second one is refused. See [`PidFile`].
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(path.into());
        self
    }

    /// Gives up all privileges and becomes this user. Takes root.
    ///
    /// Files are opened before, by the caller: they belong to root, in directories that the user need not be able to
    /// write to.
    pub fn user(mut self, user: User) -> Self {
        self.user = Some(user);
        self
    }

    /// Makes a daemon of a copy of this process, and waits until that is ready.
    ///
    /// Returns twice: in the caller when the daemon has called [`Starting::ready`], and in the daemon, which is in a
    /// session of its own, is not its leader and has no controlling terminal. What the daemon cannot do on its
    /// way there is an error in the caller, and only there.
    ///
    /// # Errors
    /// [`Threads`](DaemonError::Threads) if this process has several; [`AlreadyRunning`](DaemonError::AlreadyRunning)
    /// if somebody has the pid file; [`NotReady`](DaemonError::NotReady) or [`Died`](DaemonError::Died) if the daemon
    /// could not start to serve; [`Os`](DaemonError::Os) for a failed system call. No daemon is left then, nor pid file.
    pub fn start(self) -> Result<Started, DaemonError> {
        single_thread()?;
        let (hears, tells) = UnixStream::pair().map_err(|e| os::failure("socketpair", Path::new(""), &e))?;
        let plan = Plan::of(self)?;
        // What is buffered would be written by both.
        let _ = std::io::stdout().flush();
        let heard = match detach::fork() {
            Ok(0) => {
                drop(hears);
                return Ok(Started::Daemon(plan.go_to_background(tells)));
            }
            Ok(child) => {
                drop(tells);
                let heard = Report::receive(hears);
                // It ends once we have stopped to listen, at the latest.
                detach::wait(child);
                heard
            }
            Err(error) => Err(error.into()),
        };
        // From its report on the pid file is the daemon's; without a daemon it goes.
        if let (Err(_), Some(pid_file)) = (&heard, plan.pid_file) {
            pid_file.remove();
        }
        heard.map(Started::Caller)
    }
}

/// The daemon before it is ready: the caller waits.
///
/// Dropped, or gone with its process, it tells the caller [`DaemonError::Died`].
#[derive(Debug)]
#[must_use = "the caller waits for `ready` or `failed`"]
pub struct Starting {
    tells: UnixStream,
    pid_file: Option<PidFile>,
}

impl Starting {
    /// Tells the caller that the daemon serves from now on.
    ///
    /// # Errors
    /// [`CallerGone`](DaemonError::CallerGone): whoever started it was killed meanwhile, and nobody will hear that it
    /// runs. A daemon better ends then.
    pub fn ready(self) -> Result<Background, DaemonError> {
        let background = Background { pid_file: self.pid_file };
        Report::Ready.send(&self.tells).map_err(|_| DaemonError::CallerGone)?;
        Ok(background)
    }

    /// Tells the caller why there will be no daemon: its `start` fails with [`DaemonError::NotReady`]. Then end.
    pub fn failed(self, reason: impl std::fmt::Display) {
        // If nobody listens, nobody has to be told.
        let _ = Report::Said(reason.to_string()).send(&self.tells);
    }
}

/// A daemon that is ready. Dropped at its end, it removes the pid file, which the kernel unlocks in any case.
#[derive(Debug)]
#[must_use = "the pid file is removed when this is dropped"]
pub struct Background {
    pid_file: Option<PidFile>,
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(pid_file) = self.pid_file.take() {
            pid_file.remove();
        }
    }
}

/// A daemon to be, with everything opened that can be opened before: what fails here needs no telling.
struct Plan {
    directory: PathBuf,
    umask: u32,
    standard: Standard,
    inherited: Vec<RawFd>,
    pid_file: Option<PidFile>,
    user: Option<User>,
}

impl Plan {
    fn of(daemon: Daemon) -> Result<Self, DaemonError> {
        let inherited = if daemon.keep_all { Vec::new() } else { descriptors::inherited(&daemon.kept)? };
        if let Some(user) = &daemon.user {
            user.check()?;
        }
        let [input, output, error] = &daemon.streams;
        let standard =
            Standard([Redirection::input(input)?, Redirection::output(output)?, Redirection::output(error)?]);
        // Last, so that nobody else is kept from starting by one that cannot.
        let pid_file = daemon.pid_file.as_deref().map(PidFile::lock).transpose()?;
        let (directory, umask) = (daemon.directory, daemon.umask);
        Ok(Self { directory, umask, standard, inherited, pid_file, user: daemon.user })
    }

    /// In the first child: begins a session, and leaves it to a second child, which is not its leader and so never
    /// gets a controlling terminal. Returns in the second child, if all goes well. The first one stays until the caller
    /// knows what became of that, for only a parent learns how a process ended.
    fn go_to_background(self, tells: UnixStream) -> Starting {
        let done = match detach::new_session().and_then(|()| detach::fork()) {
            Ok(0) => self.carry_out(),
            Ok(daemon) => {
                see_off(daemon, &tells);
                detach::exit_now(0)
            }
            Err(error) => Err(error.into()),
        };
        match done {
            Ok(pid_file) => Starting { tells, pid_file },
            Err(error) => {
                let _ = Report::of(error).send(&tells);
                detach::exit_now(1)
            }
        }
    }

    fn carry_out(self) -> Result<Option<PidFile>, DaemonError> {
        detach::set_umask(self.umask);
        std::env::set_current_dir(&self.directory).map_err(|e| os::failure("chdir", &self.directory, &e))?;
        if let Some(pid_file) = &self.pid_file {
            pid_file.write(process::pid())?;
        }
        self.standard.put_in_place()?;
        descriptors::close(&self.inherited);
        if let Some(user) = &self.user {
            user.become_it()?;
        }
        Ok(self.pid_file)
    }
}

/// Waits until the caller has heard of the daemon, or that has died; tells how, then.
fn see_off(daemon: i32, tells: &UnixStream) {
    // A kernel that cannot do that: the end of the socket says that it died, and not how.
    let Ok(process) = detach::watch(daemon) else { return };
    if detach::wait_for_either(process.as_fd(), tells.as_fd()) {
        if let Some(status) = detach::wait(daemon) {
            // Whoever does not listen any more knows.
            let _ = Report::Died(status).send(tells);
        }
    }
}

/// Refuses a process with several threads: a lock that another thread holds would stay locked in the child for ever.
fn single_thread() -> Result<(), DaemonError> {
    let path = Path::new("/proc/self/task");
    let tasks = std::fs::read_dir(path).map_err(|e| os::failure("open", path, &e))?;
    match tasks.count() {
        ..=1 => Ok(()),
        count => Err(DaemonError::Threads { count }),
    }
}

impl From<OsError> for DaemonError {
    fn from(error: OsError) -> Self {
        DaemonError::Os(error)
    }
}
