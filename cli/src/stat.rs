//! `semring stat`: everything about one channel.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;
use semring::segment::Key;
use semring::{Options, ParticipantStatus, Role, Status};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::listing;
use crate::text::{self, Align};

/// Show everything about a channel: its properties, its traffic, who takes part and what they hold
///
/// Only looks: permission to read is enough, and nobody who uses the channel notices.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring stat jobs
  semring stat 0x5e3a91c4
  semring stat jobs --json | jq .participants")]
pub(crate) struct Stat {
    /// Name of the channel, or its key as ipcs prints it (0x...)
    name: Key,
}

impl Stat {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        // Looking does no harm, whoever created it.
        let status = Options::new().allow_any_owner().observe(&self.name)?.status()?;
        let text = if json { format!("{}\n", report(&status)) } else { describe(&status, SystemTime::now()) };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
    }
}

fn report(status: &Status) -> Value {
    let participants: Vec<Value> = status.participants.iter().map(listing::participant).collect();
    json!({
        "name": status.name,
        "kind": status.kind.to_string(),
        "capacity": status.capacity,
        "message_size": status.message_size,
        "when_no_consumer": status.when_no_consumer.to_string(),
        "message_type": status.message_type,
        "mode": format!("{:04o}", status.mode),
        "owner_uid": status.owner_uid,
        "creator_uid": status.creator_uid,
        "created": listing::seconds(status.created),
        "segment_id": status.segment_id,
        "segment_key": format!("{:#010x}", status.segment_key),
        "semaphore_id": status.semaphore_id,
        "semaphore_key": format!("{:#010x}", status.semaphore_key),
        "size_bytes": status.size_bytes,
        "attached": status.attached,
        "messages": status.len,
        "sent": status.sent,
        "received": status.received,
        "producers": status.producers,
        "consumers": status.consumers,
        "limit": status.limit,
        "participants": participants,
        "recoveries": status.recoveries,
        "adopted": status.adopted,
        "tombstones": status.tombstones,
        "lock_holder": status.lock_holder,
        "problems": listing::troubles(status),
    })
}

fn describe(status: &Status, now: SystemTime) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what:<14}{value}");
    };
    line("channel", text::name(&status.name));
    line(
        "kind",
        format!("{}, {} messages of up to {} bytes", status.kind, status.capacity, status.message_size),
    );
    if let Some(message_type) = &status.message_type {
        line("type", text::name(message_type));
    }
    line("no consumer", format!("{}", status.when_no_consumer));
    line("created", format!("{} ago by {}", text::age(status.created, now), text::user(status.creator_uid)));
    line("owner", format!("{}, mode {:04o}", text::user(status.owner_uid), status.mode));
    let (key, id) = (status.segment_key, status.segment_id);
    line(
        "segment",
        format!("key {key:#010x}, id {id}, {} bytes, {} mappings", status.size_bytes, status.attached),
    );
    line("semaphores", format!("key {:#010x}, id {}", status.semaphore_key, status.semaphore_id));
    line("messages", format!("{} waiting, {} in, {} out", status.len, status.sent, status.received));
    line("producers", listing::living(status, Role::Producer));
    line("consumers", listing::living(status, Role::Consumer));
    line("deaths", {
        let (adopted, tombstones) = (status.adopted, status.tombstones);
        format!(
            "{} recovered, {adopted} messages handed on, {tombstones} slots passed over",
            status.recoveries
        )
    });
    for trouble in listing::troubles(status) {
        line("wrong", trouble);
    }
    if !status.participants.is_empty() {
        let rows: Vec<Vec<String>> = status.participants.iter().map(|p| row(p, now)).collect();
        text.push('\n');
        text.push_str(&text::table(&HEAD, &rows));
    }
    text
}

const HEAD: [(&str, Align); 6] = [
    ("PLACE", Align::Right),
    ("ROLE", Align::Left),
    ("PID", Align::Right),
    ("STATE", Align::Left),
    ("HOLDS", Align::Right),
    ("SINCE", Align::Right),
];

fn row(participant: &ParticipantStatus, now: SystemTime) -> Vec<String> {
    let state = match (participant.alive, participant.sleeping) {
        (false, _) => "dead",
        (true, true) => "asleep",
        (true, false) => "awake",
    };
    vec![
        participant.index.to_string(),
        participant.role.to_string(),
        participant.pid.to_string(),
        state.into(),
        participant.holds.map_or(0, |(_, slots)| slots).to_string(),
        text::age(participant.joined, now),
    ]
}
