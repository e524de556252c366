//! Which channels, tables and boards there are, and what is left of others: every segment and set of the IPC namespace,
//! judged as it is found, whoever made it and whatever it claims to be.
//!
//! Looking changes nothing but what the kernel notes of it (the time of attaching). A segment whose size none of ours
//! can have is not even attached, for some programs take an attach count above 0 for a running fellow.

mod kinds;

use std::time::{Duration, Instant};

use crate::channel::Status;
use crate::error::{Error, OsError, Result};
use crate::heartbeat::BoardStatus;
use crate::pair::header::{set_id, whose};
use crate::pair::{self, Header as _, Set as _, Stage};
use crate::segment::{self, Key, Mapping, Segment, SegmentStatus};
use crate::sem::{self, SetStatus};
use crate::table::TableStatus;
use kinds::{Boards, Channels, Kind, Tables};

/// How long removing remains waits for whoever has the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// What an object is, or is left of.
///
/// # Examples
/// ```
/// use semring::Object;
///
/// assert!(semring::tables()?.iter().all(|found| found.object == Object::Table));
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Object {
    /// A channel.
    Channel,
    /// A record table.
    Table,
    /// A board of heartbeats.
    Board,
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Object::Channel => "channel",
            Object::Table => "table",
            Object::Board => "board",
        })
    }
}

/// A channel, a table or a board, or what is left of one; see [`channels`], [`tables`] and [`boards`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Of which kind it is.
    pub object: Object,
    /// The name that its header says, any text without a guarantee; a set alone has none.
    pub name: Option<String>,
    /// Its segment, unless only the set is there.
    pub segment: Option<SegmentStatus>,
    /// Its semaphore set, if it is there.
    pub set: Option<SetStatus>,
    /// What it is.
    pub condition: Condition,
}

/// What state a channel, a table or a board is in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// A channel that can be opened.
    Live(Box<Status>),
    /// A table that can be opened.
    Table(Box<TableStatus>),
    /// A board that can be opened.
    Board(Box<BoardStatus>),
    /// Marked as being removed, and still there: its remover works on it, or died.
    Dying,
    /// A segment whose semaphore set is gone. Nobody can use it any more.
    NoSet,
    /// A semaphore set whose segment is gone, removed by other means than ours. Who has it open goes on with the
    /// memory that it has: so many participants of a channel, or so many who live on a board, keep it or wait to (those of
    /// a table are not known). Nobody else can join them.
    NoSegment {
        /// Participants alive.
        alive: u32,
    },
    /// A semaphore set whose creator died before the segment was complete. Whoever opens that name finishes it.
    HalfMade,
    /// It says that it is one of ours, and is none that could be used: of another version, contradictory, or not permitted.
    Broken(Error),
}

/// Lists the channels of this IPC namespace, and what is left of others, in the order of the kernel's tables.
///
/// What we cannot attach is left out: it cannot be told from other programs' objects ([`unreadable`] counts them). No set is said to be without its
/// segment then, for that may be its segment.
///
/// # Errors
/// [`Error::Os`] if the kernel has no System V IPC.
///
/// # Examples
/// ```
/// use semring::{Condition, Options};
///
/// let name = format!("channels-doc-{}", std::process::id());
/// let channel = Options::new().create(&name)?;
/// let found = semring::channels()?.into_iter().find(|found| found.name.as_ref() == Some(&name)).ok_or("listed")?;
/// assert!(matches!(found.condition, Condition::Live(status) if status.len == 0));
/// channel.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channels() -> Result<Vec<Found>> {
    list::<Channels>()
}

/// Lists the record tables of this IPC namespace, and what is left of others, as [`channels`] does channels.
///
/// # Errors
/// [`Error::Os`] if the kernel has no System V IPC.
///
/// # Examples
/// ```
/// use semring::{Condition, TableOptions};
///
/// let name = format!("tables-doc-{}", std::process::id());
/// let table = TableOptions::new().create::<u32, u32>(&name, "squares")?;
/// let found = semring::tables()?.into_iter().find(|found| found.name.as_ref() == Some(&name)).ok_or("listed")?;
/// assert!(matches!(found.condition, Condition::Table(status) if status.len == 0));
/// table.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tables() -> Result<Vec<Found>> {
    list::<Tables>()
}

/// Lists the boards of this IPC namespace, and what is left of others, as [`channels`] does channels.
///
/// # Errors
/// [`Error::Os`] if the kernel has no System V IPC.
///
/// # Examples
/// ```
/// use semring::Condition;
/// use semring::heartbeat::BoardOptions;
///
/// let name = format!("boards-doc-{}", std::process::id());
/// let board = BoardOptions::new().places(8).create(&name)?;
/// let found = semring::boards()?.into_iter().find(|found| found.name.as_ref() == Some(&name)).ok_or("listed")?;
/// assert!(matches!(found.condition, Condition::Board(status) if status.places == 8));
/// board.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn boards() -> Result<Vec<Found>> {
    list::<Boards>()
}

/// Segments that this process may not read, and that by their size could be one of ours: what they are cannot be told, so
/// the lists leave them out. That they exist the kernel tells everybody, as `ipcs -m` does.
///
/// # Errors
/// [`Error::Os`] if the kernel has no System V IPC.
///
/// # Examples
/// ```
/// let unread = semring::unreadable()?; // none for root
/// println!("{} segments may be channels of other users", unread.len());
/// # Ok::<(), semring::Error>(())
/// ```
pub fn unreadable() -> Result<Vec<SegmentStatus>> {
    let denied = |id: i32| matches!(Segment::from_id(id), Err(Error::PermissionDenied { .. }));
    let ours = |size: usize| {
        Channels::is_plausible(size) || Tables::is_plausible(size) || Boards::is_plausible(size)
    };
    let mut segments = segment::list()?;
    segments.retain(|segment| !segment.removed && ours(segment.size) && denied(segment.id));
    Ok(segments)
}

fn list<K: Kind>() -> Result<Vec<Found>> {
    // A set is alone only if it was complete before we looked for segments, and is still there afterwards: creating
    // completes the segment first, and removing begins with the set.
    let before: Vec<_> = sem::list()?.into_iter().filter_map(|set| Some((stage::<K>(&set)?, set))).collect();
    let segments = segment::list()?;
    let sets = sem::list()?;
    let (mut found, mut unread) = (Vec::new(), false);
    for segment in segments {
        match judge::<K>(segment, &sets) {
            Ok(judged) => found.extend(judged),
            Err(_) => unread = true,
        }
    }
    if unread {
        return Ok(found); // a set that seems to be alone may belong to that segment
    }
    let alone = before.into_iter().filter(|(_, set)| !found.iter().any(|f| f.set_id() == Some(set.id)));
    let halves: Vec<_> = alone.filter_map(|(stage, set)| half::<K>(stage, set)).collect();
    found.extend(halves);
    Ok(found)
}

impl Found {
    fn set_id(&self) -> Option<i32> {
        self.set.as_ref().map(|set| set.id)
    }

    /// Is it of no use to anybody any more?
    pub fn is_orphaned(&self) -> bool {
        matches!(self.condition, Condition::NoSet | Condition::NoSegment { alive: 0 })
    }

    /// Removes it if it is [orphaned](Self::is_orphaned), as it is found now. Says whether it did; what somebody else
    /// removed meanwhile counts.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`], [`Error::LockBusy`].
    pub fn remove_if_orphaned(&self) -> Result<bool> {
        let removed = match (&self.condition, &self.segment, &self.set) {
            // Nobody gives a segment another set: once an orphan, always one.
            (Condition::NoSet, Some(segment), _) => Segment::from_id(segment.id).and_then(Segment::remove),
            (Condition::NoSegment { .. }, _, Some(set)) => {
                return match self.object {
                    Object::Channel => remove_set::<Channels>(set),
                    Object::Table => remove_set::<Tables>(set),
                    Object::Board => remove_set::<Boards>(set),
                };
            }
            _ => return Ok(false),
        };
        match removed {
            Err(Error::Removed | Error::NotFound { .. }) => Ok(true),
            other => other.map(|()| true),
        }
    }
}

/// Removes a set alone; under its lock, so that nobody is about to come to life on it.
fn remove_set<K: Kind>(status: &SetStatus) -> Result<bool> {
    let name = format!("semaphore set {}", status.id);
    let set = match K::Set::verify(status.id, &name, |_| true) {
        Err(Error::Removed) => return Ok(true),
        set => set?,
    };
    let _lock = set.take_lock(Instant::now().checked_add(LOCK_TIMEOUT))?;
    if pair::stage(&set)? != Stage::Ready || K::alive(&set)? != 0 {
        return Ok(false);
    }
    set.remove().map_err(|e| pair::removal_denied(&name, e))?;
    Ok(true)
}

/// How far the pair of a set is, if it is one's and nobody works on it at this moment.
fn stage<K: Kind>(set: &SetStatus) -> Option<Stage> {
    let set = K::Set::verify(set.id, "", |_| true).ok()?;
    // A set of zeroes may be anybody's.
    pair::stage_at_rest(&set).ok()?.filter(|&stage| stage != Stage::New)
}

fn half<K: Kind>(before: Stage, status: SetStatus) -> Option<Found> {
    if stage::<K>(&status)? != before {
        return None;
    }
    let alive = K::Set::verify(status.id, "", |_| true).and_then(|set| K::alive(&set)).ok()?;
    let condition = if before == Stage::Ready { Condition::NoSegment { alive } } else { Condition::HalfMade };
    Some(Found { object: K::OBJECT, name: None, segment: None, set: Some(status), condition })
}

/// What a segment is; `None` if it is none of that kind, or not there any more.
///
/// # Errors
/// If it cannot be attached: for lack of memory, of address space, of permission.
fn judge<K: Kind>(segment: SegmentStatus, sets: &[SetStatus]) -> Result<Option<Found>, OsError> {
    if segment.removed || !K::is_plausible(segment.size) {
        return Ok(None);
    }
    match Mapping::attach(segment.id, true) {
        Ok(mapping) => Ok(judge_mapped::<K>(&mapping, segment, sets)),
        Err(e) if matches!(e.errno, libc::EIDRM | libc::EINVAL) => Ok(None),
        Err(e) => Err(e),
    }
}

fn judge_mapped<K: Kind>(mapping: &Mapping, segment: SegmentStatus, sets: &[SetStatus]) -> Option<Found> {
    let (name, set, condition) = match whose(&K::Header::FORMAT, mapping, segment.id) {
        Ok((name, set)) => {
            let condition = condition::<K>(&name, &segment, set)?;
            (Some(name), Some(set), condition)
        }
        // Where its set is we can only guess; a guess is enough not to take that for an orphan.
        Err(e @ Error::Version { .. }) => (None, Some(set_id(mapping)), Condition::Broken(e)),
        Err(_) => return None,
    };
    let set = set.and_then(|id| sets.iter().find(|set| set.id == id).cloned());
    Some(Found { object: K::OBJECT, name, segment: Some(segment), set, condition })
}

/// The state of what says it is one of that name and set; `None` if it has gone meanwhile.
fn condition<K: Kind>(name: &str, segment: &SegmentStatus, set: i32) -> Option<Condition> {
    if let Key::Number(found) = segment.key {
        // Opened by its name it would not be found, and whoever made it so wants to look like another.
        if Key::from(name).segment_key() != Ok(found) {
            let detail = format!("its key {found:#010x} is not that of the name it claims");
            return Some(Condition::Broken(Error::Foreign { name: name.into(), detail }));
        }
    }
    match K::look(segment.id) {
        Ok(condition) => Some(condition),
        Err(Error::NotFound { .. } | Error::Removed) => {
            Segment::from_id(segment.id).ok()?;
            match sem::Set::from_id(set) {
                Err(Error::NotFound { .. }) => Some(Condition::NoSet),
                _ => Some(Condition::Dying),
            }
        }
        Err(e) => Some(Condition::Broken(e)),
    }
}
