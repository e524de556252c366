//! A channel as `stat` shows it.

use std::time::SystemTime;

use semring::{ParticipantStatus, Role, Status};
use serde_json::{Value, json};

use super::pair::{Lines, Pair};
use crate::listing;
use crate::text::{self, Align};

pub(super) fn report(status: &Status) -> Value {
    let participants: Vec<Value> = status.participants.iter().map(listing::participant).collect();
    let mut report = json!({
        "name": status.name,
        "kind": status.kind.to_string(),
        "capacity": status.capacity,
        "message_size": status.message_size,
        "when_no_consumer": status.when_no_consumer.to_string(),
        "message_type": status.message_type,
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
        "problems": listing::troubles(status),
    });
    Pair::from(status).report(&mut report);
    report
}

pub(super) fn describe(status: &Status, now: SystemTime) -> String {
    let mut lines = Lines::default();
    lines.add("channel", text::name(&status.name));
    let (capacity, size) = (status.capacity, status.message_size);
    lines.add("kind", format_args!("{}, {capacity} messages of up to {size} bytes", status.kind));
    if let Some(message_type) = &status.message_type {
        lines.add("type", text::name(message_type));
    }
    lines.add("no consumer", status.when_no_consumer);
    Pair::from(status).describe(&mut lines, "", now);
    let (sent, received) = (status.sent, status.received);
    lines.add("messages", format_args!("{} waiting, {sent} in, {received} out", status.len));
    lines.add("producers", listing::living(status, Role::Producer));
    lines.add("consumers", listing::living(status, Role::Consumer));
    let recovered = format!("{} recovered", status.recoveries);
    let (adopted, tombstones) = (status.adopted, status.tombstones);
    lines.add(
        "deaths",
        format_args!("{recovered}, {adopted} messages handed on, {tombstones} slots passed over"),
    );
    for trouble in listing::troubles(status) {
        lines.add("wrong", trouble);
    }
    let mut text = lines.0;
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
