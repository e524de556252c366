//! A channel, a table or a board as `ls`, `stat` and `top` show it: one description for people and JSON, and what is wrong with it.

use std::time::SystemTime;

use semring::segment::Key;
use semring::{Condition, Found, Object, ParticipantStatus, Role, Status, TableStatus};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::text;

/// One line of a listing. What a half of a pair cannot tell is `None`, and what the other kind of object has.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) name: Option<String>,
    pub(crate) segment_key: Option<String>,
    pub(crate) segment_id: Option<i32>,
    pub(crate) semaphore_id: Option<i32>,
    pub(crate) kind: Option<String>,
    pub(crate) size_bytes: Option<usize>,
    pub(crate) mode: Option<String>,
    pub(crate) owner_uid: Option<u32>,
    pub(crate) attached: Option<u64>,
    pub(crate) producers: Option<u32>,
    pub(crate) consumers: Option<u32>,
    pub(crate) messages: Option<u64>,
    pub(crate) records: Option<usize>,
    pub(crate) capacity: Option<u64>,
    pub(crate) sent: Option<u64>,
    pub(crate) received: Option<u64>,
    #[serde(serialize_with = "as_seconds")]
    pub(crate) created: Option<SystemTime>,
    /// What is wrong; empty if nothing is.
    pub(crate) problems: Vec<String>,
}

fn as_seconds<S: serde::Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    time.map(seconds).serialize(to)
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Entry {
    pub(crate) fn of(found: &Found) -> Self {
        let (segment, set) = (found.segment.as_ref(), found.set.as_ref());
        let status = if let Condition::Live(status) = &found.condition { Some(&**status) } else { None };
        let table = if let Condition::Table(table) = &found.condition { Some(&**table) } else { None };
        let board = if let Condition::Board(board) = &found.condition { Some(&**board) } else { None };
        let kind = (found.object != Object::Channel).then(|| found.object.to_string());
        let mode = segment.map(|s| s.mode).or(set.map(|s| s.mode));
        Entry {
            name: found.name.clone(),
            segment_key: segment.map(|segment| key(&segment.key)),
            segment_id: segment.map(|segment| segment.id),
            semaphore_id: set.map(|set| set.id),
            kind: kind.or(status.map(|status| status.kind.to_string())),
            size_bytes: segment.map(|segment| segment.size),
            mode: mode.map(|mode| format!("{mode:04o}")),
            owner_uid: segment.map(|s| s.uid).or(set.map(|s| s.uid)),
            attached: segment.map(|segment| segment.attached),
            producers: status.map(|status| status.producers),
            consumers: status.map(|status| status.consumers),
            messages: status.map(|status| status.len),
            records: table.map(|table| table.len).or(board.map(|board| board.alive())),
            capacity: status
                .map(|status| status.capacity)
                .or(table.map(|table| table.capacity as u64))
                .or(board.map(|board| board.places as u64)),
            sent: status.map(|status| status.sent),
            received: status.map(|status| status.received),
            created: status
                .map(|s| s.created)
                .or(table.map(|t| t.created))
                .or(board.map(|b| b.created))
                .or(segment.and_then(|s| s.change_time))
                .or(set.and_then(|s| s.change_time)),
            problems: problems(&found.condition),
        }
    }

    /// The name for people.
    pub(crate) fn label(&self) -> String {
        self.name.as_deref().map_or_else(|| "?".into(), text::name)
    }
}

/// What may be one of ours, but may not be looked at: the segments' ids.
pub(crate) struct Unreadable {
    pub(crate) ids: Vec<i32>,
}

impl Unreadable {
    pub(crate) fn look() -> Result<Self, Failure> {
        Ok(Unreadable { ids: semring::unreadable()?.iter().map(|segment| segment.id).collect() })
    }

    /// Says how many, on standard error, if there are any.
    pub(crate) fn note(&self) {
        let segments = match self.ids.len() {
            0 => return,
            1 => "1 segment is".into(),
            count => format!("{count} segments are"),
        };
        eprintln!(
            "semring: {segments} not ours to read, and may be channels of other users (semring ls --all)"
        );
    }
}

/// As ipcs prints it.
pub(crate) fn key(key: &Key) -> String {
    match key {
        Key::Number(number) => format!("{number:#010x}"),
        _ => "0x00000000".into(),
    }
}

/// What is wrong with a channel, a table or a board, and what becomes of it.
fn problems(condition: &Condition) -> Vec<String> {
    let one = |text: &str| vec![text.to_string()];
    match condition {
        Condition::Live(status) => troubles(status),
        Condition::Table(status) => table_troubles(status),
        Condition::Board(_) => Vec::new(),
        Condition::Dying => {
            one("half removed: its remover is at work, or died; the next one to open it finishes")
        }
        Condition::NoSet => {
            one("orphaned: half of a pair, its semaphore set is gone (semring rm --orphaned)")
        }
        Condition::NoSegment { alive: 0 } => {
            one("orphaned: half of a pair, its segment is gone (semring rm --orphaned)")
        }
        Condition::NoSegment { alive } => {
            vec![format!("half of a pair: its segment was removed under {alive} participants")]
        }
        Condition::HalfMade => one("half made: its creator died; the next one to open it finishes"),
        Condition::Broken(error) => vec![error.to_string()],
        other => vec![format!("{other:?}")],
    }
}

/// What is wrong with a channel that can be opened.
pub(crate) fn troubles(status: &Status) -> Vec<String> {
    let dead = status.participants.iter().filter(|participant| !participant.alive);
    let mut troubles: Vec<String> = dead.map(obituary).collect();
    troubles.extend(status.lock_holder.map(locked));
    troubles
}

fn locked(holder: i32) -> String {
    format!("locked by process {holder}, at this moment")
}

/// What is wrong with a table that can be opened.
pub(crate) fn table_troubles(status: &TableStatus) -> Vec<String> {
    let mut troubles: Vec<String> = status.lock_holder.map(locked).into_iter().collect();
    if status.unfinished > 0 {
        let changes = status.unfinished;
        troubles
            .push(format!("{changes} changes of dead writers wait for the next writer there to finish them"));
    }
    troubles
}

fn obituary(dead: &ParticipantStatus) -> String {
    let holds = dead.holds.map(|(_, slots)| format!(" with {slots} in hand")).unwrap_or_default();
    format!("dead {} {}{holds} waits for recovery by the next consumer or newcomer", dead.role, dead.pid)
}

/// A participant for JSON.
pub(crate) fn participant(participant: &ParticipantStatus) -> Value {
    json!({
        "index": participant.index,
        "role": participant.role.to_string(),
        "pid": participant.pid,
        "alive": participant.alive,
        "sleeping": participant.sleeping,
        "holds_from": participant.holds.map(|(position, _)| position),
        "holds": participant.holds.map_or(0, |(_, slots)| slots),
        "joined": seconds(participant.joined),
    })
}

/// How many of a side live, and who they are: `2 (1234, 1235)`.
pub(crate) fn living(status: &Status, role: Role) -> String {
    let alive = status.participants.iter().filter(|p| p.alive && p.role == role);
    let pids: Vec<String> = alive.map(|p| p.pid.to_string()).collect();
    if pids.is_empty() { "0".into() } else { format!("{} ({})", pids.len(), pids.join(", ")) }
}
