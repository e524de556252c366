//! `--daemon`: a command that goes on in the background, once it has begun well.

use std::path::PathBuf;

use clap::Args;
use semring::daemon::{Background, Daemon, Started, Starting, Stream};

use crate::failure::Failure;

/// Whether to, and how.
#[derive(Args, Debug)]
pub(crate) struct BackgroundOptions {
    /// Go on in the background, as a daemon; this command ends when that is ready, or fails with its reason
    #[arg(long, help_heading = HEADING)]
    pub(crate) daemon: bool,

    /// A file with the daemon's pid, locked while it lives, so that there is only one
    #[arg(long, value_name = "FILE", requires = "daemon", help_heading = HEADING)]
    pid_file: Option<PathBuf>,

    /// Append the daemon's messages to this file [default: they are lost]
    #[arg(long, value_name = "FILE", requires = "daemon", help_heading = HEADING)]
    log: Option<PathBuf>,
}

const HEADING: &str = "Background";

/// Where a command goes on.
pub(crate) enum Place {
    /// Here, as any other.
    Foreground,
    /// In the background, and this is it.
    Daemon(Starting),
    /// In the background, in this process: all that is left to do here is to say so.
    Elsewhere(i32),
}

impl BackgroundOptions {
    /// Goes to the background if asked to. Returns in both processes then.
    pub(crate) fn enter(&self, stdout: Stream) -> Result<Place, Failure> {
        if !self.daemon {
            return Ok(Place::Foreground);
        }
        let mut daemon = Daemon::new().stdout(stdout);
        if let Some(path) = &self.pid_file {
            daemon = daemon.pid_file(path);
        }
        if let Some(path) = &self.log {
            daemon = daemon.stderr(Stream::File(path.clone()));
        }
        match daemon.start() {
            Ok(Started::Caller(pid)) => Ok(Place::Elsewhere(pid)),
            Ok(Started::Daemon(starting)) => Ok(Place::Daemon(starting)),
            Err(error) => Err(Failure::new(error)),
        }
    }
}

/// Tells the caller how the preparations of a daemon went. What it returns beside them holds the pid file.
pub(crate) fn settle<T>(
    starting: Option<Starting>,
    prepared: Result<T, Failure>,
) -> Result<(T, Option<Background>), Failure> {
    match (starting, prepared) {
        (None, prepared) => Ok((prepared?, None)),
        (Some(starting), Ok(prepared)) => {
            let background = starting.ready().map_err(Failure::new)?;
            Ok((prepared, Some(background)))
        }
        (Some(starting), Err(failure)) => {
            starting.failed(&failure.message);
            Err(failure)
        }
    }
}
