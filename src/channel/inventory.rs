//! Which channels there are, and what is left of others: every segment and set of the IPC namespace, judged as it is
//! found, whoever made it and whatever it claims to be.
//!
//! Looking changes nothing but what the kernel notes of it (the time of attaching). A segment whose size no channel
//! can have is not even attached, for some programs take an attach count above 0 for a running fellow.

use std::time::{Duration, Instant};

use super::header::Header;
use super::options::Options;
use super::set::Set;
use super::status::Status;
use crate::error::{Error, OsError, Result};
use crate::layout::record;
use crate::pair::header::{set_id, whose};
use crate::pair::{self, Header as _, Set as _, Stage};
use crate::segment::{self, Key, Mapping, Segment, SegmentStatus};
use crate::sem::{self, SetStatus};

/// How long removing remains waits for whoever has the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// A channel, or what is left of one; see [`channels`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The name that its header says, any text without a guarantee; a set alone has none.
    pub name: Option<String>,
    /// Its segment, unless only the set is there.
    pub segment: Option<SegmentStatus>,
    /// Its semaphore set, if it is there.
    pub set: Option<SetStatus>,
    /// What it is.
    pub condition: Condition,
}

/// What state a channel is in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It can be opened.
    Live(Box<Status>),
    /// Marked as being removed, and still there: its remover works on it, or died.
    Dying,
    /// A segment whose semaphore set is gone. Nobody can use it any more.
    NoSet,
    /// A semaphore set whose segment is gone, removed by other means than ours. Who has it open goes on with the
    /// memory that it has: so many participants. Nobody else can join them.
    NoSegment {
        /// Participants alive.
        alive: u32,
    },
    /// A semaphore set whose creator died before the segment was complete. Whoever opens that name finishes it.
    HalfMade,
    /// It says that it is a channel, and is none that could be used: of another version, contradictory, or not permitted.
    Broken(Error),
}

/// Lists the channels of this IPC namespace, and what is left of others, in the order of the kernel's tables.
///
/// What we cannot attach is left out: it cannot be told from other programs' objects. No set is said to be without its
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
    // A set is alone only if it was complete before we looked for segments, and is still there afterwards: creating
    // completes the segment first, and removing begins with the set.
    let before: Vec<_> = sem::list()?.into_iter().filter_map(|set| Some((stage(&set)?, set))).collect();
    let segments = segment::list()?;
    let sets = sem::list()?;
    let (mut found, mut unread) = (Vec::new(), false);
    for segment in segments {
        match judge(segment, &sets) {
            Ok(judged) => found.extend(judged),
            Err(_) => unread = true,
        }
    }
    if unread {
        return Ok(found); // a set that seems to be alone may belong to that segment
    }
    let alone = before.into_iter().filter(|(_, set)| !found.iter().any(|f| f.set_id() == Some(set.id)));
    let halves: Vec<_> = alone.filter_map(|(stage, set)| half(stage, set)).collect();
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
            (Condition::NoSegment { .. }, _, Some(set)) => return remove_set(set),
            _ => return Ok(false),
        };
        match removed {
            Err(Error::Removed | Error::NotFound { .. }) => Ok(true),
            other => other.map(|()| true),
        }
    }
}

/// Removes a set alone; under its lock, so that nobody is about to come to life on it.
fn remove_set(status: &SetStatus) -> Result<bool> {
    let name = format!("semaphore set {}", status.id);
    let set = match Set::verify(status.id, &name, |_| true) {
        Err(Error::Removed) => return Ok(true),
        set => set?,
    };
    set.lock(Instant::now().checked_add(LOCK_TIMEOUT))?;
    let vacant = set.snapshot().map(|s| s.stage() == Some(Stage::Ready) && s.alive() == 0);
    let removed = match vacant {
        Ok(true) => set.remove(),
        _ => set.unlock(),
    };
    removed.map_err(|e| pair::removal_denied(&name, e))?;
    vacant
}

/// How far the channel of a set is, if it is one's and nobody works on it at this moment.
fn stage(set: &SetStatus) -> Option<Stage> {
    let set = Set::verify(set.id, "", |_| true).ok()?;
    let snapshot = set.snapshot().ok()?;
    // A set of zeroes may be anybody's.
    snapshot.stage().filter(|&stage| stage != Stage::New && snapshot.unlocked())
}

fn half(before: Stage, status: SetStatus) -> Option<Found> {
    if stage(&status)? != before {
        return None;
    }
    let alive =
        Set::verify(status.id, "", |_| true).and_then(|set| set.snapshot()).ok()?.alive().count_ones();
    let condition = if before == Stage::Ready { Condition::NoSegment { alive } } else { Condition::HalfMade };
    Some(Found { name: None, segment: None, set: Some(status), condition })
}

/// What a segment is; `None` if it is no channel's, or not there any more.
///
/// # Errors
/// If it cannot be attached: for lack of memory, of address space, of permission.
fn judge(segment: SegmentStatus, sets: &[SetStatus]) -> Result<Option<Found>, OsError> {
    if segment.removed || !is_plausible(segment.size) {
        return Ok(None);
    }
    match Mapping::attach(segment.id, true) {
        Ok(mapping) => Ok(judge_mapped(&mapping, segment, sets)),
        Err(e) if matches!(e.errno, libc::EIDRM | libc::EINVAL) => Ok(None),
        Err(e) => Err(e),
    }
}

fn judge_mapped(mapping: &Mapping, segment: SegmentStatus, sets: &[SetStatus]) -> Option<Found> {
    let (name, set, condition) = match whose(&Header::FORMAT, mapping, segment.id) {
        Ok((name, set)) => {
            let condition = condition(&name, &segment, set)?;
            (Some(name), Some(set), condition)
        }
        // Where its set is we can only guess; a guess is enough not to take that for an orphan.
        Err(e @ Error::Version { .. }) => (None, Some(set_id(mapping)), Condition::Broken(e)),
        Err(_) => return None,
    };
    let set = set.and_then(|id| sets.iter().find(|set| set.id == id).cloned());
    Some(Found { name, segment: Some(segment), set, condition })
}

/// Could a channel's segment have so many bytes? Slots begin at a multiple of 128, and take a multiple of 16.
fn is_plausible(size: usize) -> bool {
    const SMALLEST: usize = record::BASE + 2 * record::SIZE + 16;
    size >= SMALLEST && size % 16 == 0
}

/// The state of what says it is a channel of that name and set; `None` if it has gone meanwhile.
fn condition(name: &str, segment: &SegmentStatus, set: i32) -> Option<Condition> {
    if let Key::Number(found) = segment.key {
        // Opened by its name it would not be found, and whoever made it so wants to look like another.
        if Key::from(name).segment_key() != Ok(found) {
            let detail = format!("its key {found:#010x} is not that of the name it claims");
            return Some(Condition::Broken(Error::Foreign { name: name.into(), detail }));
        }
    }
    let observed = Options::new().allow_any_owner().observe(Key::Id(segment.id));
    match observed.and_then(|observer| observer.status()) {
        Ok(status) => Some(Condition::Live(Box::new(status))),
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
