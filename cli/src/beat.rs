//! `semring beat`: a sign of life for a service that is a script.

use std::env::VarError;
use std::io::{self, Write};

use clap::Args;
use semring::heartbeat::{BOARD_VARIABLE, SERVICE_VARIABLE};
use serde_json::json;

use crate::failure::Failure;
use crate::supervise::BoardName;
use crate::supervise::control;

/// Beat for a service of `semring supervise`: it lives and gets on
///
/// For scripts; a program does it itself (semring::heartbeat). A service whose configuration says silence = "10s" has to
/// beat more often than that, or it counts as hung and is restarted.
#[derive(Args)]
#[command(after_help = "\
Examples:
  while semring beat; do ./step || exit; done     in a service, its own name is known
  semring beat web --board shop")]
pub(crate) struct Beat {
    /// The service; in a service its own
    service: Option<String>,

    #[command(flatten)]
    board: BoardName,
}

impl Beat {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let missing =
            || Failure::usage("which service? give its name: this is not a service of semring supervise");
        let service = said(self.service, SERVICE_VARIABLE)?.ok_or_else(missing)?;
        let board = said(self.board.board, BOARD_VARIABLE)?;
        let board = control::find(board.as_deref(), &service).map_err(|failure| hint(failure, &service))?;
        let place = control::place(&board, &service)?;
        if !place.is_alive()? {
            return Err(Failure::new(format_args!("{service} does not run: there is nobody to beat for")));
        }
        place.beat();
        if json {
            let report = json!({ "service": service, "board": board.name() });
            writeln!(io::stdout(), "{report}").map_err(|error| Failure::stdout(&error))?;
        }
        Ok(())
    }
}

/// An argument, or else what the supervisor has put into the environment.
fn said(argument: Option<String>, variable: &str) -> Result<Option<String>, Failure> {
    match argument.map_or_else(|| std::env::var(variable), Ok) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(text)) => {
            Err(Failure::usage(format_args!("{variable} is {text:?}, which is not UTF-8")))
        }
    }
}

/// Boards are their creator's alone: a service that runs as somebody else has another way.
fn hint(failure: Failure, service: &str) -> Failure {
    if !failure.message.starts_with("permission denied") {
        return failure;
    }
    let way = "with notify = true a service of another user beats by systemd-notify WATCHDOG=1";
    Failure::new(format_args!("{}; {service}: {way}", failure.message))
}
