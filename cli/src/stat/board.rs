//! A board of heartbeats: who lives on it, and how long each has been silent.

use std::time::{Duration, SystemTime};

use semring::heartbeat::{BoardStatus, Life, Member};
use serde_json::{Value, json};

use super::{Lines, objects};
use crate::listing;
use crate::text::{self, Align};

pub(super) fn report(status: &BoardStatus) -> Value {
    let members: Vec<Value> = status.members.iter().map(member).collect();
    let own = json!({
        "name": status.name,
        "kind": "board",
        "places": status.places,
        "alive": status.alive(),
        "keeper": status.keeper,
        "standbys": status.standbys,
        "ended": status.ended,
        "creator_pid": status.creator,
        "created": listing::seconds(status.created),
        "members": members,
        "problems": [],
    });
    objects!(status).beside(own)
}

fn member(member: &Member) -> Value {
    json!({
        "place": member.place,
        "name": member.name,
        "state": member.life.to_string(),
        "pid": member.pid,
        "kept": member.kept,
        "age_seconds": member.age.as_secs_f64(),
        "silence_seconds": member.silence.map(|silence| silence.as_secs_f64()),
        "silent_seconds": member.silent_for.as_secs_f64(),
        "starts": member.starts,
    })
}

pub(super) fn describe(status: &BoardStatus, now: SystemTime) -> String {
    let mut lines = Lines::default();
    lines.line("board", text::name(&status.name));
    lines.line("places", format!("{} of {} named", status.members.len(), status.places));
    lines.line("alive", status.alive().to_string());
    let keeper = status.keeper.map_or("nobody".into(), |pid| format!("process {pid}"));
    lines.line("kept by", format!("{keeper}, {} standing by", status.standbys));
    let creator = format!("{}, process {}", text::user(status.creator_uid), status.creator);
    lines.line("created", format!("{} ago by {creator}", text::age(status.created, now)));
    lines.objects(&objects!(status));
    lines.table(&HEAD, status.members.iter().map(row).collect())
}

const HEAD: [(&str, Align); 7] = [
    ("PLACE", Align::Right),
    ("NAME", Align::Left),
    ("PID", Align::Right),
    ("STATE", Align::Left),
    ("SINCE", Align::Right),
    ("SILENT", Align::Right),
    ("STARTS", Align::Right),
];

fn row(member: &Member) -> Vec<String> {
    let seconds = |time: Duration| format!("{}s", time.as_secs());
    let (since, silent) = match (member.life, member.silence) {
        (Life::Dead, _) => ("-".into(), "-".into()),
        (_, None) => (seconds(member.age), "-".into()),
        (_, Some(most)) => (seconds(member.age), format!("{} of {most:?}", seconds(member.silent_for))),
    };
    vec![
        member.place.to_string(),
        text::name(&member.name),
        member.pid.to_string(),
        member.life.to_string(),
        since,
        silent,
        member.starts.to_string(),
    ]
}
