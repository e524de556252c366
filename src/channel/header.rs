//! The header of a channel's segment: written once by its creator, judged as hostile input by everybody else.
//!
//! Bytes become an unvalidated [`Verdict`], and only a live one carries a [`Header`], whose values are private
//! copies, in range and consistent with the size that the kernel says the segment has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::layout::{
    self, Geometry, MAX_CAPACITY, MAX_MESSAGE, MAX_NAME, MAX_PARTICIPANTS, header as at, shared,
};
use crate::ring::Kind;
use crate::segment::Mapping;
use crate::sync::Ordering;

/// What a producer does when no consumer is left.
///
/// # Examples
/// ```
/// use semring::{Options, TrySendError, WhenNoConsumer};
///
/// # let name = format!("policy-doc-{}", std::process::id());
/// // For a service whose consumers are restarted: producers wait for the next ones.
/// let options = Options::new().capacity(1).when_no_consumer(WhenNoConsumer::Wait);
/// let mut producer = options.producer(&name)?;
/// drop(options.consumer(&name)?);
/// producer.send(b"for whoever comes next")?;
/// assert_eq!(producer.try_send(b"no room"), Err(TrySendError::Full(())));
/// # producer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum WhenNoConsumer {
    /// Sending fails with `Disconnected`, as into a pipe.
    Disconnect = 1,
    /// Sending goes on until the channel is full and then waits: for services that are restarted.
    Wait = 2,
}

/// Who pays for the ordering between publishing and falling asleep; chosen at creation.
///
/// # Examples
/// ```
/// use semring::{Options, WakeMode};
///
/// # let name = format!("wake-doc-{}", std::process::id());
/// // Where membarrier(2) is not to be had, such as under some sandboxes.
/// let channel = Options::new().wake_mode(WakeMode::Fence).create(&name)?;
/// let mut producer = channel.producer()?;
/// producer.send(b"a fence with every message")?;
/// # channel.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum WakeMode {
    /// The sleeper, with membarrier(2): publishing costs nothing. Every participant registers for it.
    Membarrier = 1,
    /// Both, with a fence after every publication: for kernels and sandboxes without membarrier.
    Fence = 2,
}

macro_rules! words {
    ($($name:ident { $($variant:ident => $text:literal),* })*) => { $(
        impl $name {
            fn from_word(word: u64) -> Option<Self> {
                [$($name::$variant),*].into_iter().find(|v| *v as u64 == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($name::$variant => $text),* })
            }
        }
    )* };
}

words! {
    Kind { Spsc => "spsc", Mpmc => "mpmc" }
    WhenNoConsumer { Disconnect => "disconnect", Wait => "wait" }
    WakeMode { Membarrier => "membarrier", Fence => "fence" }
}

/// Is the channel in use or being removed? The word in the header.
pub(crate) const LIVE: u64 = 1;
/// A remover has begun: whoever finds this finishes the removal.
pub(crate) const DEAD: u64 = 2;

/// What a typed channel's messages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeInfo {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) align: u64,
}

/// A valid header's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) geometry: Geometry,
    pub(crate) when_no_consumer: WhenNoConsumer,
    pub(crate) wake: WakeMode,
    pub(crate) message_type: Option<TypeInfo>,
    pub(crate) origin: u64,
    /// Consumers zero what they have consumed.
    pub(crate) scrub: bool,
    pub(crate) created: SystemTime,
    pub(crate) creator: i32,
}

/// What a segment turned out to be, by its bytes alone.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// No magic: its creator has not finished, or it is no channel at all.
    Blank,
    /// Not a channel of that name.
    Foreign(String),
    /// A channel of that name whose set is another one, or none any more.
    Orphan,
    /// A channel that somebody is removing.
    Dying,
    /// A channel in use.
    Live(Box<Header>),
}

/// One word of the header, with Acquire. Read once: what was checked is what is used. Offsets are constants below the
/// smallest segment's size.
fn word(mapping: &Mapping, offset: usize) -> u64 {
    mapping.load(offset).unwrap_or(0)
}

/// Is the channel still live, or is somebody removing it?
///
/// # Errors
/// `Removed`; `Corrupt`.
pub(crate) fn check_live(mapping: &Mapping) -> Result<()> {
    // SYNC(state)
    match word(mapping, at::STATE) {
        LIVE => Ok(()),
        DEAD => Err(Error::Removed),
        state => Err(corrupt_state(state)),
    }
}

fn corrupt_state(state: u64) -> Error {
    corrupt("state", state, "1 (live) or 2 (being removed)")
}

/// Marks the channel as being removed; under LOCK.
pub(crate) fn mark_dead(mapping: &Mapping) {
    if let Some(w) = mapping.word(at::STATE) {
        w.store(DEAD, Ordering::Release); // SYNC(state)
    }
    for side in 0..2 {
        if let Some(w) = mapping.word(shared::CHANGES + layout::LINE * side) {
            w.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The name and the semaphore set of the channel in a segment that was found by its id.
///
/// # Errors
/// `Foreign`; `Version`.
pub(crate) fn whose(mapping: &Mapping, id: i32) -> Result<(String, i32)> {
    let foreign = |detail: &str| Error::Foreign { name: format!("segment {id}"), detail: detail.into() };
    if mapping.len() < shared::JOINS || word(mapping, at::MAGIC) != layout::MAGIC {
        return Err(foreign("no channel's header is in it"));
    }
    let version = word(mapping, at::VERSION);
    if version != layout::VERSION {
        return Err(Error::Version { found: version, expected: layout::VERSION });
    }
    let name = read_name(mapping, at::NAME).1.ok_or_else(|| foreign("an unreadable name"))?;
    Ok((name, set_id(mapping)))
}

/// The semaphore set that the header names.
pub(crate) fn set_id(mapping: &Mapping) -> i32 {
    word(mapping, at::SEMID) as u32 as i32
}

/// Judges a segment. `set_id` is the set that its key leads to.
///
/// # Errors
/// `Version` for another layout; `Corrupt` for a channel of ours whose header contradicts itself.
pub(crate) fn judge(mapping: &Mapping, name: &str, set_id: i32) -> Result<Verdict> {
    if mapping.len() < shared::JOINS {
        return Ok(Verdict::Foreign(format!("a segment of {} bytes", mapping.len())));
    }
    // SYNC(magic): everything else was written before it.
    let magic = word(mapping, at::MAGIC);
    if magic == 0 {
        return Ok(Verdict::Blank);
    }
    if magic != layout::MAGIC {
        return Ok(Verdict::Foreign(format!("its first word is {magic:#x}")));
    }
    let version = word(mapping, at::VERSION);
    if version != layout::VERSION {
        return Err(Error::Version { found: version, expected: layout::VERSION });
    }
    match read_name(mapping, at::NAME).1 {
        Some(found) if found == name => {}
        found => {
            let found = found.unwrap_or_else(|| "an unreadable name".into());
            return Ok(Verdict::Foreign(format!("its key belongs to the channel {found:?}")));
        }
    }
    if word(mapping, at::SEMID) != u64::from(set_id as u32) {
        return Ok(Verdict::Orphan);
    }
    // SYNC(state)
    match word(mapping, at::STATE) {
        LIVE => Ok(Verdict::Live(Box::new(read(mapping)?))),
        DEAD => Ok(Verdict::Dying),
        state => Err(corrupt_state(state)),
    }
}

fn corrupt(what: &'static str, found: u64, expected: impl Into<String>) -> Error {
    Error::Corrupt { what, found, expected: expected.into() }
}

/// A name's length, and the name if it can be one.
fn read_name(mapping: &Mapping, offset: usize) -> (u64, Option<String>) {
    let len = word(mapping, offset);
    let bytes = usize::try_from(len).ok().filter(|&len| len <= MAX_NAME).and_then(|len| {
        let mut bytes = vec![0; len];
        mapping.read(offset + 8, &mut bytes).ok().map(|()| bytes)
    });
    (len, bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

fn read(mapping: &Mapping) -> Result<Header> {
    let kind = word(mapping, at::KIND);
    let policy = word(mapping, at::POLICY);
    let wake = word(mapping, at::WAKE);
    Ok(Header {
        kind: Kind::from_word(kind).ok_or_else(|| corrupt("kind", kind, "1 (SPSC) or 2 (MPMC)"))?,
        geometry: read_geometry(mapping)?,
        when_no_consumer: WhenNoConsumer::from_word(policy)
            .ok_or_else(|| corrupt("policy", policy, "1 (disconnect) or 2 (wait)"))?,
        wake: WakeMode::from_word(wake)
            .ok_or_else(|| corrupt("wake mode", wake, "1 (membarrier) or 2 (fence)"))?,
        message_type: read_type(mapping)?,
        origin: word(mapping, at::ORIGIN),
        scrub: read_scrub(mapping)?,
        created: UNIX_EPOCH
            .checked_add(Duration::from_nanos(word(mapping, at::CREATED)))
            .unwrap_or(UNIX_EPOCH),
        creator: word(mapping, at::CREATOR) as u32 as i32,
    })
}

/// The sizes: each in its range, and together what the header and the kernel say the segment has.
fn read_geometry(mapping: &Mapping) -> Result<Geometry> {
    let (capacity, message_size) = (word(mapping, at::CAPACITY), word(mapping, at::MESSAGE_SIZE));
    let participants = word(mapping, at::PARTICIPANTS);
    if !capacity.is_power_of_two() || capacity > MAX_CAPACITY {
        return Err(corrupt("capacity", capacity, format!("a power of two up to {MAX_CAPACITY}")));
    }
    if message_size > MAX_MESSAGE {
        return Err(corrupt("message size", message_size, format!("at most {MAX_MESSAGE}")));
    }
    let places = usize::try_from(participants).ok().filter(|places| (2..=MAX_PARTICIPANTS).contains(places));
    let Some(places) = places else {
        return Err(corrupt("number of participants", participants, format!("2 to {MAX_PARTICIPANTS}")));
    };
    let size = word(mapping, at::SIZE);
    let geometry = Geometry::new(capacity, message_size, places);
    match geometry.filter(|geometry| geometry.size() as u64 == size && geometry.size() == mapping.len()) {
        Some(geometry) => Ok(geometry),
        None => {
            let all = format!("{capacity} messages of {message_size} bytes and {places} participants");
            Err(corrupt("size", size, format!("that of {all}, in a segment of {} bytes", mapping.len())))
        }
    }
}

fn read_scrub(mapping: &Mapping) -> Result<bool> {
    match word(mapping, at::SCRUB) {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(corrupt("scrubbing", other, "0 (no) or 1 (yes)")),
    }
}

fn read_type(mapping: &Mapping) -> Result<Option<TypeInfo>> {
    let (len, name) = read_name(mapping, at::TYPE_NAME);
    let name = name.ok_or_else(|| corrupt("type name's length", len, "at most 248 bytes of UTF-8"))?;
    let (size, align) = (word(mapping, at::TYPE_SIZE), word(mapping, at::TYPE_ALIGN));
    if name.is_empty() {
        return match (size, align) {
            (0, 0) => Ok(None),
            (0, _) => Err(corrupt("type's alignment", align, "0: the channel has no type")),
            _ => Err(corrupt("type's size", size, "0: the channel has no type")),
        };
    }
    if !align.is_power_of_two() {
        return Err(corrupt("type's alignment", align, "a power of two"));
    }
    if size % align != 0 || size > isize::MAX as u64 {
        return Err(corrupt("type's size", size, format!("a multiple of its alignment {align}")));
    }
    Ok(Some(TypeInfo { name, size, align }))
}

/// Writes a header into a fresh segment: the magic last, so that a half-written one is never mistaken for a channel.
///
/// # Errors
/// Only if the segment is smaller than the geometry, which its creator has just made it for.
pub(crate) fn write(mapping: &Mapping, header: &Header, name: &str, set_id: i32) -> Result<()> {
    let put = |offset: usize, value: u64| -> Result<()> {
        let word =
            mapping.word(offset).ok_or_else(|| corrupt("segment size", mapping.len() as u64, "more"))?;
        word.store(value, Ordering::Relaxed);
        Ok(())
    };
    let put_name = |offset: usize, name: &str| -> Result<()> {
        put(offset, name.len() as u64)?;
        mapping.write(offset + 8, name.as_bytes())
    };
    let geometry = &header.geometry;
    put(at::VERSION, layout::VERSION)?;
    put(at::SIZE, geometry.size() as u64)?;
    put(at::SEMID, u64::from(set_id as u32))?;
    put(at::STATE, LIVE)?;
    put(at::KIND, header.kind as u64)?;
    put(at::CAPACITY, geometry.capacity())?;
    put(at::MESSAGE_SIZE, geometry.message_size() as u64)?;
    put(at::PARTICIPANTS, geometry.participants() as u64)?;
    put(at::POLICY, header.when_no_consumer as u64)?;
    put(at::WAKE, header.wake as u64)?;
    let created = header.created.duration_since(UNIX_EPOCH).unwrap_or_default();
    put(at::CREATED, u64::try_from(created.as_nanos()).unwrap_or(0))?;
    put(at::CREATOR, u64::from(header.creator as u32))?;
    put(at::ORIGIN, header.origin)?;
    put(at::SCRUB, header.scrub.into())?;
    put_name(at::NAME, name)?;
    if let Some(t) = &header.message_type {
        put(at::TYPE_SIZE, t.size)?;
        put(at::TYPE_ALIGN, t.align)?;
        put_name(at::TYPE_NAME, &t.name)?;
    }
    match mapping.word(at::MAGIC) {
        Some(magic) => magic.store(layout::MAGIC, Ordering::Release), // SYNC(magic)
        None => return Err(corrupt("segment size", mapping.len() as u64, "more")),
    }
    Ok(())
}

#[cfg(test)]
#[path = "corrupt_tests.rs"]
mod tests;
