//! `semring rm`: removes a channel.

use std::io::{self, Write};

use clap::Args;
use semring::segment::Key;
use semring::{Options, Status};
use serde_json::json;

use crate::failure::Failure;

/// Remove a channel, with the messages that it still holds
///
/// Refuses while processes have it open, unless told to: they would get an error from their next call.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring rm jobs
  semring rm --force 0x5e3a91c4          whoever has it open gets an error")]
pub(crate) struct Rm {
    /// Name of the channel, or its key as ipcs prints it (0x...)
    name: Key,

    /// Remove it even if processes have it open
    #[arg(long, short)]
    force: bool,

    /// Also a channel that another user created (the system must allow it)
    #[arg(long)]
    any_owner: bool,
}

impl Rm {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let mut options = Options::new();
        if self.any_owner {
            options = options.allow_any_owner();
        }
        let channel = options.open(&self.name)?;
        let status = channel.status()?;
        if !self.force {
            refuse_if_used(&status)?;
        }
        channel.remove()?;
        if json {
            let report = json!({ "removed": status.name, "messages_discarded": status.len });
            writeln!(io::stdout(), "{report}").map_err(|error| Failure::stdout(&error))?;
        }
        Ok(())
    }
}

fn refuse_if_used(status: &Status) -> Result<(), Failure> {
    let users: Vec<String> = status
        .participants
        .iter()
        .filter(|participant| participant.alive)
        .map(|participant| format!("{:?} {}", participant.role, participant.pid).to_lowercase())
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    let (name, users) = (&status.name, users.join(", "));
    Err(Failure::new(format_args!("{name} is in use by {users}: end them first, or remove it with --force")))
}
