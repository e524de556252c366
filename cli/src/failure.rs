//! How a command ends if not well: what is said on standard error, and the exit status.

use std::fmt;
use std::io::{self, Write};

/// Exit status of everything but wrong usage and signals (128 and the signal's number).
const FAILED: u8 = 1;
/// As clap's.
const USAGE: u8 = 2;

/// A message for standard error and an exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Failure { status: FAILED, message: message.to_string() }
    }

    /// Arguments that clap cannot tell are wrong together.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Failure { status: USAGE, message: message.to_string() }
    }

    /// Ended because a signal asked for it, as a shell reports it.
    pub(crate) fn signal(number: i32) -> Self {
        let name = signal_hook::low_level::signal_name(number).unwrap_or("a signal");
        Failure { status: 128 + number as u8, message: format!("stopped by {name}") }
    }

    /// A failed write to standard output.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        Failure::new(format_args!("cannot write to standard output: {error}"))
    }
}

impl From<semring::Error> for Failure {
    fn from(error: semring::Error) -> Self {
        Failure::new(error)
    }
}

/// Writes to standard output, to the last byte: what was left in a buffer would be lost without a word.
pub(crate) fn print(output: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(output.as_ref()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::stdout(&error))
}

/// Says what was being done when it failed.
pub(crate) trait Context<T> {
    fn context(self, doing: &str) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format_args!("{doing}: {error}")))
    }
}
