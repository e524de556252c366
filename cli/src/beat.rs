//! `semring beat`: a sign of life for a service that is a script.

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
        let variable = |name| std::env::var(name).ok();
        let missing =
            || Failure::usage("which service? give its name: this is not a service of semring supervise");
        let service = self.service.or_else(|| variable(SERVICE_VARIABLE)).ok_or_else(missing)?;
        let board = self.board.board.or_else(|| variable(BOARD_VARIABLE));
        let board = control::find(board.as_deref(), &service)?;
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
