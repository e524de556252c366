//! How a command ends if not well: what is said on standard error, and the exit status.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

/// Exit status of everything but wrong usage and signals (128 and the signal's number).
const FAILED: u8 = 1;
/// As clap's.
const USAGE: u8 = 2;

/// A message for standard error and an exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
    /// What is wrong in detail, said before.
    faults: Vec<Fault>,
}

/// Something that is wrong in a file that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    pub(crate) file: String,
    /// Counted from 1; none if it is the file as a whole.
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Failure::with_status(FAILED, message)
    }

    /// Arguments that clap cannot tell are wrong together.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Failure::with_status(USAGE, message)
    }

    /// With what is wrong in detail.
    pub(crate) fn faults(message: impl fmt::Display, faults: Vec<Fault>) -> Self {
        Failure { faults, ..Failure::new(message) }
    }

    /// What clap says of the arguments.
    fn arguments(error: &clap::Error) -> Self {
        let text = error.to_string();
        Failure::usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end())
    }

    /// Ended because a signal asked for it, as a shell reports it.
    pub(crate) fn signal(number: i32) -> Self {
        let name = signal_hook::low_level::signal_name(number).unwrap_or("a signal");
        Failure::with_status(128 + number as u8, format_args!("stopped by {name}"))
    }

    pub(crate) fn with_status(status: u8, message: impl fmt::Display) -> Self {
        Failure { status, message: message.to_string(), faults: Vec::new() }
    }

    /// Says it on standard error: for people, or as one JSON object.
    pub(crate) fn tell(&self, json: bool) {
        // A command that ran under `lock` has said itself what went wrong.
        if self.message.is_empty() {
            return;
        }
        if json {
            let mut report = json!({ "error": self.message, "exit_status": self.status });
            if !self.faults.is_empty() {
                report["faults"] = json!(self.faults);
            }
            eprintln!("{report}");
        } else {
            self.faults.iter().for_each(|fault| eprintln!("semring: {fault}"));
            eprintln!("semring: {}", self.message);
        }
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

/// Arguments that clap refuses: it ends the process itself, unless JSON was asked for.
pub(crate) fn refused(error: &clap::Error) -> Failure {
    let mut options = std::env::args_os().skip(1).take_while(|argument| argument != "--");
    if !error.use_stderr() || !options.any(|argument| argument == "--json") {
        error.exit();
    }
    Failure::arguments(error)
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
