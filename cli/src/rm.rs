//! `semring rm`: removes channels, tables and boards, what is left of them, and, if asked to, foreign objects.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{ArgGroup, Args};
use semring::heartbeat::{BoardOptions, BoardStatus};
use semring::segment::{Key, Segment, SegmentOptions};
use semring::sem::{Set, SetOptions};
use semring::{Error, Found, Options, Status, TableOptions, TableStatus};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::listing::{Entry, Unreadable};
use crate::text;

/// Remove a channel, a record table or a board, with what it still holds
///
/// What processes have open is removed only if that is confirmed: they would get an error from their next call. On a
/// terminal it asks; elsewhere it refuses, unless --yes or --force says so beforehand. Objects of other programs are
/// never touched without --foreign.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring rm jobs
  semring rm --force jobs                whoever has it open gets an error
  semring rm --id 131083                 one of ours by its segment's id, as semring ls prints it
  semring rm --orphaned --yes            halves of channels, tables and boards, which nobody can use any more
  semring rm --foreign --key 0x5e3a91c4  a segment and a semaphore set of another program")]
#[command(group = ArgGroup::new("which").required(true).args(["name", "key", "id", "set_id", "orphaned"]))]
pub(crate) struct Rm {
    /// Name of the channel, table or board, or its key as ipcs prints it (0x...)
    name: Option<Key>,

    /// The key of its segment, as ipcs prints it (0x...)
    #[arg(long, value_parser = parse_key)]
    key: Option<Key>,

    /// The id of its segment, as ls and ipcs print it
    #[arg(long)]
    id: Option<i32>,

    /// The id of a semaphore set that is none of ours
    #[arg(long, requires = "foreign")]
    set_id: Option<i32>,

    /// All that is left of channels, tables and boards of which one half is gone
    #[arg(long)]
    orphaned: bool,

    /// Remove it even if processes have it open
    #[arg(long, short)]
    force: bool,

    /// Answer yes to all questions
    #[arg(long, short)]
    yes: bool,

    /// The segment and the semaphore set, though they are none of ours
    #[arg(long, conflicts_with_all = ["name", "orphaned"])]
    foreign: bool,

    /// Also what another user created (the system must allow it)
    #[arg(long)]
    any_owner: bool,
}

fn parse_key(text: &str) -> Result<Key, String> {
    match Key::from(text) {
        Key::Number(0) => Err("0 is the key of all private objects: use --id".into()),
        key @ Key::Number(_) => Ok(key),
        _ => Err("a key is 0x and up to eight hexadecimal digits".into()),
    }
}

impl Rm {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let report = match (&self.name, &self.key, self.id, self.set_id) {
            (Some(name), ..) => self.pair(name)?,
            (_, Some(key), ..) if self.foreign => self.foreign(Some(key), Some(key))?,
            (_, Some(key), ..) => self.pair(&self.by_key(key)?)?,
            (_, _, Some(id), _) if self.foreign => self.foreign(Some(&Key::Id(id)), None)?,
            (_, _, Some(id), _) => self.pair(&Key::Id(id))?,
            // Ids of segments and of sets are different numbers, and often the same.
            (.., Some(id)) => self.foreign(None, Some(&Key::Id(id)))?,
            _ => self.orphans(json)?,
        };
        if json {
            writeln!(io::stdout(), "{report}").map_err(|error| Failure::stdout(&error))?;
        }
        Ok(())
    }

    /// A table or a board if it is one, else a channel, whose errors are told.
    fn pair(&self, key: &Key) -> Result<Value, Failure> {
        let options = TableOptions::new();
        let options = if self.any_owner { options.allow_any_owner() } else { options };
        if let Ok(status) = options.status(key) {
            return self.table(&options, &status);
        }
        let boards = BoardOptions::new();
        let boards = if self.any_owner { boards.allow_any_owner() } else { boards };
        match boards.observe(key).and_then(|board| board.status()) {
            Ok(status) => self.board(&boards, &status),
            Err(_) => self.channel(key),
        }
    }

    /// Without their board services have no leases: a supervisor ends them all.
    fn board(&self, options: &BoardOptions, status: &BoardStatus) -> Result<Value, Failure> {
        let (alive, keeper) = (status.alive(), status.keeper);
        if alive > 0 || keeper.is_some() {
            let keeper = keeper.map(|pid| format!(", kept by process {pid}")).unwrap_or_default();
            let name = text::name(&status.name);
            self.confirm(&format!("board {name} is in use: {alive} live on it{keeper}"))?;
        }
        options.open(Key::Id(status.segment_id))?.remove()?;
        Ok(json!({ "removed": status.name }))
    }

    /// Who reads a table leaves no trace but its mapping.
    fn table(&self, options: &TableOptions, status: &TableStatus) -> Result<Value, Failure> {
        let id = Key::Id(status.segment_id);
        let users = SegmentOptions::new().open(&id)?.status()?.attached;
        if users > 0 {
            let name = text::name(&status.name);
            self.confirm(&format!("{name} is in use: {users} mappings of its segment"))?;
        }
        options.destroy(id)?;
        Ok(json!({ "removed": status.name, "records_discarded": status.len }))
    }

    fn channel(&self, key: &Key) -> Result<Value, Failure> {
        let options = Options::new();
        let options = if self.any_owner { options.allow_any_owner() } else { options };
        let channel = options.open(key)?;
        let status = channel.status()?;
        let users = users(&status);
        if !users.is_empty() {
            let name = text::name(&status.name);
            self.confirm(&format!("{name} is in use by {users}"))?;
        }
        channel.remove()?;
        Ok(json!({ "removed": status.name, "messages_discarded": status.len }))
    }

    /// What was made by its name is not found by its segment's key alone, for its set has another one.
    fn by_key(&self, key: &Key) -> Result<Key, Failure> {
        Ok(Key::Id(SegmentOptions::new().open(key)?.id()))
    }

    fn orphans(&self, json: bool) -> Result<Value, Failure> {
        let found = semring::channels()?.into_iter().chain(semring::tables()?).chain(semring::boards()?);
        let orphans: Vec<Found> = found.filter(Found::is_orphaned).collect();
        let mut removed = Vec::new();
        let mut failed = Vec::new();
        if !orphans.is_empty() && !self.force {
            let list: Vec<String> = orphans.iter().map(describe).collect();
            self.confirm(&format!("about to remove {}", list.join(", ")))?;
        }
        for orphan in &orphans {
            match orphan.remove_if_orphaned() {
                Ok(true) => removed.push(Entry::of(orphan)),
                Ok(false) => {} // Somebody came to life on it.
                Err(error) => failed.push(format!("{}: {error}", describe(orphan))),
            }
        }
        let unread = Unreadable::look()?;
        if !json {
            unread.note();
        }
        if !failed.is_empty() {
            return Err(Failure::new(failed.join("; ")));
        }
        Ok(json!({ "removed": removed, "unreadable": unread.ids }))
    }

    /// A segment and a set, whatever they are.
    fn foreign(&self, segment: Option<&Key>, set: Option<&Key>) -> Result<Value, Failure> {
        let name = segment.or(set).map(Key::to_string).unwrap_or_default();
        let segment =
            segment.and_then(|key| found(SegmentOptions::new().open(key)).transpose()).transpose()?;
        let set = set.and_then(|key| found(SetOptions::new(0).open(key)).transpose()).transpose()?;
        if segment.is_none() && set.is_none() {
            return Err(Error::NotFound { name }.into());
        }
        let objects = [
            segment.as_ref().map(describe_segment).transpose()?,
            set.as_ref().map(describe_set).transpose()?,
        ];
        let objects: Vec<String> = objects.into_iter().flatten().collect();
        self.confirm(&format!("about to remove {}", objects.join(" and ")))?;
        segment.map(Segment::remove).transpose()?;
        set.map(Set::remove).transpose()?;
        Ok(json!({ "removed": objects }))
    }

    /// Asks whoever sits at a terminal; elsewhere only `--yes` and `--force` answer.
    fn confirm(&self, what: &str) -> Result<(), Failure> {
        if self.force || self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::new(format_args!(
                "{what}: nothing was removed; say --force or --yes to remove it"
            )));
        }
        eprint!("semring: {what}. Remove? [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        match (read, answer.trim()) {
            (Ok(_), "y" | "Y" | "yes") => Ok(()),
            _ => Err(Failure::new("nothing was removed")),
        }
    }
}

/// Who has it open: `consumer 4711, producer 4712`.
fn users(status: &Status) -> String {
    let alive = status.participants.iter().filter(|participant| participant.alive);
    let users: Vec<String> = alive.map(|p| format!("{} {}", p.role, p.pid)).collect();
    users.join(", ")
}

fn describe(orphan: &Found) -> String {
    let segment = orphan.segment.as_ref().map(|segment| format!("segment {}", segment.id));
    let set = orphan.set.as_ref().map(|set| format!("semaphore set {}", set.id));
    let object = segment.or(set).unwrap_or_default();
    match &orphan.name {
        Some(name) => format!("{object} of {} {}", orphan.object, text::name(name)),
        None => object,
    }
}

/// What is not there is no error.
fn found<T>(result: semring::Result<T>) -> semring::Result<Option<T>> {
    match result {
        Err(Error::NotFound { .. } | Error::Removed) => Ok(None),
        other => other.map(Some),
    }
}

fn describe_segment(segment: &Segment) -> semring::Result<String> {
    let status = segment.status()?;
    Ok(format!("segment {} ({} bytes, {} attached)", status.id, status.size, status.attached))
}

fn describe_set(set: &Set) -> semring::Result<String> {
    let status = set.status()?;
    Ok(format!("semaphore set {} (of {})", status.id, status.semaphores))
}
