//! `semring stat`: everything about one channel or table.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;
use semring::segment::Key;
use semring::{Options, ParticipantStatus, Role, Status, TableOptions, TableStatus};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::listing;
use crate::text::{self, Align};

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
            (Ok(status), true) => format!("{}\n", report(&status)),
            (Ok(status), false) => describe(&status, now),
            (Err(not_a_channel), _) => {
                let status = self.table().ok_or(not_a_channel)?;
                if json { format!("{}\n", report_table(&status)) } else { describe_table(&status, now) }
            }
        };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
    }

    fn table(&self) -> Option<TableStatus> {
        TableOptions::new().allow_any_owner().status(&self.name).ok()
    }
}

fn report_table(status: &TableStatus) -> Value {
    json!({
        "name": status.name,
        "kind": "table",
        "capacity": status.capacity,
        "records": status.len,
        "record_type": status.type_name,
        "key_size": status.key_size,
        "value_size": status.value_size,
        "mode": format!("{:04o}", status.mode),
        "owner_uid": status.owner_uid,
        "creator_uid": status.creator_uid,
        "creator_pid": status.creator,
        "created": listing::seconds(status.created),
        "segment_id": status.segment_id,
        "segment_key": format!("{:#010x}", status.segment_key),
        "semaphore_id": status.semaphore_id,
        "semaphore_key": format!("{:#010x}", status.semaphore_key),
        "size_bytes": status.size_bytes,
        "attached": status.attached,
        "writers": status.writers,
        "unfinished": status.unfinished,
        "lock_holder": status.lock_holder,
        "problems": listing::table_troubles(status),
    })
}

fn describe_table(status: &TableStatus, now: SystemTime) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what:<14}{value}");
    };
    line("table", text::name(&status.name));
    line("records", format!("{} of {}", status.len, status.capacity));
    let sizes = format!("keys of {}, values of {} bytes", status.key_size, status.value_size);
    line("type", format!("{}: {sizes}", text::name(&status.type_name)));
    let creator = format!("{}, process {}", text::user(status.creator_uid), status.creator);
    line("created", format!("{} ago by {creator}", text::age(status.created, now)));
    line("owner", format!("{}, mode {:04o}", text::user(status.owner_uid), status.mode));
    let (key, id) = (status.segment_key, status.segment_id);
    let (size, attached) = (status.size_bytes, status.attached);
    line("segment", format!("key {key:#010x}, id {id}, {size} bytes, {attached} mappings"));
    line("semaphores", format!("key {:#010x}, id {}", status.semaphore_key, status.semaphore_id));
    let writers: Vec<String> = status.writers.iter().map(i32::to_string).collect();
    line("writers now", if writers.is_empty() { "none".into() } else { writers.join(", ") });
    for trouble in listing::table_troubles(status) {
        line("wrong", trouble);
    }
    text
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
