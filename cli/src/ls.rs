//! `semring ls`: which channels, tables and boards there are.

use std::io::{self, Write};
use std::time::SystemTime;

use clap::Args;
use semring::segment::{self, SegmentStatus};
use semring::sem::{self, SetStatus};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::listing::{self, Entry, Unreadable};
use crate::text::{self, Align};

/// List the channels, record tables and boards, and what is wrong with them
///
/// Only looks. What this user may not read is only counted, on standard error: it cannot be told from the objects of other
/// programs. --all lists it among those.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring ls
  semring ls --all                       the segments and semaphore sets of other programs too
  semring ls --json | jq '.channels[] | select(.problems != [])'

Columns: KEY and SHMID of the segment, SEMID of its semaphore set, ATT mappings of the segment, PROD and CONS alive,
WAITING messages of as many as fit (of a table records, of a board those who live), IN and OUT messages since it was created.")]
pub(crate) struct Ls {
    /// Also list the segments and semaphore sets that are none of these
    #[arg(long, short)]
    all: bool,
}

impl Ls {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let of = |found: Vec<semring::Found>| found.iter().map(Entry::of).collect::<Vec<_>>();
        let (mut entries, tables) = (of(semring::channels()?), of(semring::tables()?));
        let boards = of(semring::boards()?);
        let unread = Unreadable::look()?;
        let report =
            json!({ "channels": entries, "tables": tables, "boards": boards, "unreadable": unread.ids });
        entries.extend(tables);
        entries.extend(boards);
        let foreign = if self.all { Some(Foreign::beside(&entries)?) } else { None };
        let text = if json {
            let mut report = report;
            if let Some(foreign) = &foreign {
                report["foreign"] = foreign.json();
            }
            format!("{report}\n")
        } else {
            unread.note();
            pairs(&entries) + &foreign.map(|foreign| foreign.text()).unwrap_or_default()
        };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
    }
}

const HEAD: [(&str, Align); 16] = [
    ("NAME", Align::Left),
    ("KEY", Align::Left),
    ("SHMID", Align::Right),
    ("SEMID", Align::Right),
    ("KIND", Align::Left),
    ("SIZE", Align::Right),
    ("MODE", Align::Left),
    ("OWNER", Align::Left),
    ("ATT", Align::Right),
    ("PROD", Align::Right),
    ("CONS", Align::Right),
    ("WAITING", Align::Right),
    ("IN", Align::Right),
    ("OUT", Align::Right),
    ("AGE", Align::Right),
    ("WHAT IS WRONG", Align::Left),
];

fn pairs(entries: &[Entry]) -> String {
    let now = SystemTime::now();
    let rows: Vec<Vec<String>> = entries.iter().map(|entry| row(entry, now)).collect();
    text::table(&HEAD, &rows)
}

fn row(entry: &Entry, now: SystemTime) -> Vec<String> {
    let contents = entry.messages.or(entry.records.map(|records| records as u64));
    let waiting = contents.zip(entry.capacity).map(|(contents, capacity)| format!("{contents}/{capacity}"));
    vec![
        entry.label(),
        or_dash(entry.segment_key.as_ref()),
        or_dash(entry.segment_id),
        or_dash(entry.semaphore_id),
        or_dash(entry.kind.as_ref()),
        or_dash(entry.size_bytes.map(|size| text::bytes(size as u64))),
        or_dash(entry.mode.as_ref()),
        or_dash(entry.owner_uid.map(text::user)),
        or_dash(entry.attached),
        or_dash(entry.producers),
        or_dash(entry.consumers),
        or_dash(waiting),
        or_dash(entry.sent.map(|sent| text::count(sent as f64))),
        or_dash(entry.received.map(|received| text::count(received as f64))),
        or_dash(entry.created.map(|created| text::age(created, now))),
        text::name(&entry.problems.join("; ")),
    ]
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// What belongs to none of these.
struct Foreign {
    segments: Vec<SegmentStatus>,
    sets: Vec<SetStatus>,
}

impl Foreign {
    fn beside(entries: &[Entry]) -> Result<Self, Failure> {
        let mut segments = segment::list()?;
        segments.retain(|segment| !entries.iter().any(|entry| entry.segment_id == Some(segment.id)));
        let mut sets = sem::list()?;
        sets.retain(|set| !entries.iter().any(|entry| entry.semaphore_id == Some(set.id)));
        Ok(Foreign { segments, sets })
    }

    fn json(&self) -> Value {
        let segment = |s: &SegmentStatus| {
            json!({ "key": listing::key(&s.key), "id": s.id, "size_bytes": s.size, "mode": format!("{:04o}", s.mode),
                "owner_uid": s.uid, "attached": s.attached, "removed": s.removed })
        };
        let set = |s: &SetStatus| {
            json!({ "key": listing::key(&s.key), "id": s.id, "semaphores": s.semaphores,
                "mode": format!("{:04o}", s.mode), "owner_uid": s.uid })
        };
        json!({
            "segments": self.segments.iter().map(segment).collect::<Vec<_>>(),
            "sets": self.sets.iter().map(set).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        const HEAD: [(&str, Align); 7] = [
            ("FOREIGN", Align::Left),
            ("KEY", Align::Left),
            ("ID", Align::Right),
            ("SIZE", Align::Right),
            ("MODE", Align::Left),
            ("OWNER", Align::Left),
            ("ATT", Align::Right),
        ];
        let segments = self.segments.iter().map(|s| {
            let size = text::bytes(s.size as u64);
            row_of(
                if s.removed { "segment, removed" } else { "segment" },
                &s.key,
                s.id,
                size,
                s.mode,
                s.uid,
                s.attached.to_string(),
            )
        });
        let sets = self
            .sets
            .iter()
            .map(|s| row_of("set", &s.key, s.id, s.semaphores.to_string(), s.mode, s.uid, "-".into()));
        let row_of_both: Vec<Vec<String>> = segments.chain(sets).collect();
        format!("\n{}", text::table(&HEAD, &row_of_both))
    }
}

fn row_of(
    what: &str,
    key: &semring::segment::Key,
    id: i32,
    size: String,
    mode: u32,
    uid: u32,
    attached: String,
) -> Vec<String> {
    vec![
        what.into(),
        listing::key(key),
        id.to_string(),
        size,
        format!("{mode:04o}"),
        text::user(uid),
        attached,
    ]
}
