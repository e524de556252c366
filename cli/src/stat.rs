//! `semring stat`: everything about one channel or table.

mod channel;
mod pair;
mod table;

use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;
use semring::segment::Key;
use semring::{Options, TableOptions, TableStatus};

use crate::failure::Failure;

/// Show everything about a channel (its properties, its traffic, who takes part and what they hold) or a table
///
/// Only looks: permission to read is enough, and nobody who uses it notices.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring stat jobs
  semring stat 0x5e3a91c4
  semring stat jobs --json | jq .participants")]
pub(crate) struct Stat {
    /// Name of the channel or table, or its key as ipcs prints it (0x...)
    name: Key,
}

impl Stat {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        // Looking does no harm, whoever created it.
        let now = SystemTime::now();
        let channel = Options::new().allow_any_owner().observe(&self.name).and_then(|found| found.status());
        let text = match (channel, json) {
            (Ok(status), true) => format!("{}\n", channel::report(&status)),
            (Ok(status), false) => channel::describe(&status, now),
            (Err(not_a_channel), _) => {
                let status = self.table().ok_or(not_a_channel)?;
                if json { format!("{}\n", table::report(&status)) } else { table::describe(&status, now) }
            }
        };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
    }

    fn table(&self) -> Option<TableStatus> {
        TableOptions::new().allow_any_owner().status(&self.name).ok()
    }
}
