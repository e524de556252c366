//! `semring stat`: everything about one channel, table or board.

mod board;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;
use semring::heartbeat::BoardOptions;
use semring::segment::Key;
use semring::{Options, ParticipantStatus, Role, Status, TableOptions, TableStatus};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::listing;
use crate::text::{self, Align};

/// Show everything about a channel (its properties, its traffic, who takes part and what they hold), a table or a board
///
/// Only looks: permission to read is enough, and nobody who uses it notices.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring stat jobs
  semring stat 0x5e3a91c4
  semring stat jobs --json | jq .participants")]
pub(crate) struct Stat {
    /// Name of the channel, table or board, or its key as ipcs prints it (0x...)
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
                self.table(json, now).or_else(|| self.board(json, now)).ok_or(not_a_channel)?
            }
        };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
    }

    fn table(&self, json: bool, now: SystemTime) -> Option<String> {
        let status = TableOptions::new().allow_any_owner().status(&self.name).ok()?;
        Some(if json { format!("{}\n", report_table(&status)) } else { describe_table(&status, now) })
    }

    fn board(&self, json: bool, now: SystemTime) -> Option<String> {
        let status = BoardOptions::new().allow_any_owner().observe(&self.name).ok()?.status().ok()?;
        Some(if json { format!("{}\n", board::report(&status)) } else { board::describe(&status, now) })
    }
}

/// What the kernel knows of the two objects of a pair.
struct Objects {
    mode: u32,
    owner_uid: u32,
    creator_uid: u32,
    segment: (i32, i32),
    semaphores: (i32, i32),
    size_bytes: usize,
    attached: u64,
}

/// Every kind of status has the same of it.
macro_rules! objects {
    ($status:expr) => {
        $crate::stat::Objects {
            mode: $status.mode,
            owner_uid: $status.owner_uid,
            creator_uid: $status.creator_uid,
            segment: ($status.segment_key, $status.segment_id),
            semaphores: ($status.semaphore_key, $status.semaphore_id),
            size_bytes: $status.size_bytes,
            attached: $status.attached,
        }
    };
}
use objects;

impl Objects {
    /// Beside what is told of one kind alone.
    fn beside(&self, mut report: Value) -> Value {
        let ((segment_key, segment_id), (semaphore_key, semaphore_id)) = (self.segment, self.semaphores);
        report["mode"] = format!("{:04o}", self.mode).into();
        report["owner_uid"] = self.owner_uid.into();
        report["creator_uid"] = self.creator_uid.into();
        report["segment_id"] = segment_id.into();
        report["segment_key"] = format!("{segment_key:#010x}").into();
        report["semaphore_id"] = semaphore_id.into();
        report["semaphore_key"] = format!("{semaphore_key:#010x}").into();
        report["size_bytes"] = self.size_bytes.into();
        report["attached"] = self.attached.into();
        report
    }
}

/// What is told of one, for people.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, what: &str, value: String) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{what:<14}{value}");
    }

    fn objects(&mut self, of: &Objects) {
        let ((key, id), (semaphore_key, semaphore_id)) = (of.segment, of.semaphores);
        let (size, attached) = (of.size_bytes, of.attached);
        self.line("owner", format!("{}, mode {:04o}", text::user(of.owner_uid), of.mode));
        self.line("segment", format!("key {key:#010x}, id {id}, {size} bytes, {attached} mappings"));
        self.line("semaphores", format!("key {semaphore_key:#010x}, id {semaphore_id}"));
    }

    /// All of it, and a table below if that has rows.
    fn table<const N: usize>(mut self, head: &[(&str, Align); N], rows: Vec<Vec<String>>) -> String {
        if !rows.is_empty() {
            self.0.push('\n');
            self.0.push_str(&text::table(head, &rows));
        }
        self.0
    }
}

fn report_table(status: &TableStatus) -> Value {
    objects!(status).beside(json!({
        "name": status.name,
        "kind": "table",
        "capacity": status.capacity,
        "records": status.len,
        "record_type": status.type_name,
        "key_size": status.key_size,
        "value_size": status.value_size,
        "creator_pid": status.creator,
        "created": listing::seconds(status.created),
        "writers": status.writers,
        "unfinished": status.unfinished,
        "lock_holder": status.lock_holder,
        "problems": listing::table_troubles(status),
    }))
}

fn describe_table(status: &TableStatus, now: SystemTime) -> String {
    let mut lines = Lines::default();
    lines.line("table", text::name(&status.name));
    lines.line("records", format!("{} of {}", status.len, status.capacity));
    let sizes = format!("keys of {}, values of {} bytes", status.key_size, status.value_size);
    lines.line("type", format!("{}: {sizes}", text::name(&status.type_name)));
    let creator = format!("{}, process {}", text::user(status.creator_uid), status.creator);
    lines.line("created", format!("{} ago by {creator}", text::age(status.created, now)));
    lines.objects(&objects!(status));
    let writers: Vec<String> = status.writers.iter().map(i32::to_string).collect();
    lines.line("writers now", if writers.is_empty() { "none".into() } else { writers.join(", ") });
    for trouble in listing::table_troubles(status) {
        lines.line("wrong", trouble);
    }
    lines.0
}

fn report(status: &Status) -> Value {
    let participants: Vec<Value> = status.participants.iter().map(listing::participant).collect();
    objects!(status).beside(json!({
        "name": status.name,
        "kind": status.kind.to_string(),
        "capacity": status.capacity,
        "message_size": status.message_size,
        "when_no_consumer": status.when_no_consumer.to_string(),
        "message_type": status.message_type,
        "created": listing::seconds(status.created),
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
    }))
}

fn describe(status: &Status, now: SystemTime) -> String {
    let mut lines = Lines::default();
    lines.line("channel", text::name(&status.name));
    lines.line(
        "kind",
        format!("{}, {} messages of up to {} bytes", status.kind, status.capacity, status.message_size),
    );
    if let Some(message_type) = &status.message_type {
        lines.line("type", text::name(message_type));
    }
    lines.line("no consumer", format!("{}", status.when_no_consumer));
    lines.line(
        "created",
        format!("{} ago by {}", text::age(status.created, now), text::user(status.creator_uid)),
    );
    lines.objects(&objects!(status));
    lines.line("messages", format!("{} waiting, {} in, {} out", status.len, status.sent, status.received));
    lines.line("producers", listing::living(status, Role::Producer));
    lines.line("consumers", listing::living(status, Role::Consumer));
    lines.line("deaths", {
        let (adopted, tombstones) = (status.adopted, status.tombstones);
        format!(
            "{} recovered, {adopted} messages handed on, {tombstones} slots passed over",
            status.recoveries
        )
    });
    for trouble in listing::troubles(status) {
        lines.line("wrong", trouble);
    }
    lines.table(&HEAD, status.participants.iter().map(|p| row(p, now)).collect())
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
