//! The header of a pair's segment: written once by its creator, judged as hostile input by everybody else.
//!
//! Bytes become an unvalidated [`Verdict`], and only a live one carries a [`Header`], whose values are private
//! copies, in range and consistent with the size that the kernel says the segment has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::layout::{MAX_NAME, header as at};
use crate::error::{Error, Result};
use crate::segment::Mapping;
use crate::sync::Ordering;

/// Is the pair in use or being removed? The word in the header.
pub(crate) const LIVE: u64 = 1;
/// A remover has begun: whoever finds this finishes the removal.
pub(crate) const DEAD: u64 = 2;

/// What tells one format from the others.
pub(crate) struct Format {
    /// What a pair of this format is, as messages to people say it.
    pub(crate) kind: &'static str,
    /// First word of the segment.
    pub(crate) magic: u64,
    pub(crate) version: u64,
}

/// A valid header's contents, as private copies.
pub(crate) trait Header: Sized {
    const FORMAT: Format;

    /// Reads and checks what a live segment says.
    ///
    /// # Errors
    /// `Corrupt`, with the field.
    fn read(mapping: &Mapping) -> Result<Self>;

    /// The words that this format has besides those of [`at`], by their byte offsets.
    fn words(&self) -> Vec<(usize, u64)>;

    /// Empty if there is none.
    fn type_name(&self) -> &str;

    /// Bytes of the segment that it is for.
    fn segment_size(&self) -> usize;

    /// Semaphores of the set that it is for.
    fn set_size(&self) -> usize;
}

/// What a segment turned out to be, by its bytes alone.
#[derive(Debug)]
pub(crate) enum Verdict<H> {
    /// No magic: its creator has not finished, or it is nothing of this format at all.
    Blank,
    /// Nothing of this format and that name.
    Foreign(String),
    /// One of that name whose set is another one, or none any more.
    Orphan,
    /// One that somebody is removing.
    Dying,
    /// One in use.
    Live(Box<H>),
}

pub(crate) fn corrupt(what: &'static str, found: u64, expected: impl Into<String>) -> Error {
    Error::Corrupt { what, found, expected: expected.into() }
}

/// One word of the header, with Acquire. Read once: what was checked is what is used. Offsets are constants below the
/// smallest segment's size.
pub(crate) fn word(mapping: &Mapping, offset: usize) -> u64 {
    mapping.load(offset).unwrap_or(0)
}

/// A name's length, and the name if it can be one.
pub(crate) fn read_name(mapping: &Mapping, offset: usize) -> (u64, Option<String>) {
    let len = word(mapping, offset);
    let bytes = usize::try_from(len).ok().filter(|&len| len <= MAX_NAME).and_then(|len| {
        let mut bytes = vec![0; len];
        mapping.read(offset + 8, &mut bytes).ok().map(|()| bytes)
    });
    (len, bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// A time as a word: nanoseconds since 1970.
pub(crate) fn to_nanos(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(0)
}

pub(crate) fn from_nanos(word: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_nanos(word)).unwrap_or(UNIX_EPOCH)
}

/// Is the pair live, or is somebody removing it? `state` is the word of that name.
///
/// # Errors
/// `Removed`; `Corrupt`.
#[inline]
pub(crate) fn check_live(state: u64) -> Result<()> {
    if state == LIVE { Ok(()) } else { Err(not_live(state)) }
}

#[cold]
fn not_live(state: u64) -> Error {
    match state {
        DEAD => Error::Removed,
        _ => corrupt("state", state, "1 (live) or 2 (being removed)"),
    }
}

/// Marks the pair as being removed; under the lock.
pub(crate) fn mark_dead(mapping: &Mapping) {
    if let Some(word) = mapping.word(at::STATE) {
        word.store(DEAD, Ordering::Release); // SYNC(state)
    }
}

/// The semaphore set that the header names.
pub(crate) fn set_id(mapping: &Mapping) -> i32 {
    word(mapping, at::SEMID) as u32 as i32
}

/// The name and the semaphore set of the pair in a segment that was found by its id.
///
/// # Errors
/// `Foreign`; `Version`.
pub(crate) fn whose(format: &Format, mapping: &Mapping, id: i32) -> Result<(String, i32)> {
    let foreign = |detail: String| Error::Foreign { name: format!("segment {id}"), detail };
    if mapping.len() < at::BYTES || word(mapping, at::MAGIC) != format.magic {
        return Err(foreign(format!("no {}'s header is in it", format.kind)));
    }
    check_version(format, mapping)?;
    let name = read_name(mapping, at::NAME).1.ok_or_else(|| foreign("an unreadable name".into()))?;
    Ok((name, set_id(mapping)))
}

fn check_version(format: &Format, mapping: &Mapping) -> Result<()> {
    match word(mapping, at::VERSION) {
        version if version == format.version => Ok(()),
        found => Err(Error::Version { found, expected: format.version }),
    }
}

/// Judges a segment. `set` is the set that its key leads to.
///
/// # Errors
/// `Version` for another layout; `Corrupt` for one of ours whose header contradicts itself.
pub(crate) fn judge<H: Header>(mapping: &Mapping, name: &str, set: i32) -> Result<Verdict<H>> {
    let format = H::FORMAT;
    if mapping.len() < at::BYTES {
        return Ok(Verdict::Foreign(format!("a segment of {} bytes", mapping.len())));
    }
    // SYNC(magic): everything else was written before it.
    match word(mapping, at::MAGIC) {
        0 => return Ok(Verdict::Blank),
        magic if magic == format.magic => {}
        magic => return Ok(Verdict::Foreign(format!("its first word is {magic:#x}"))),
    }
    check_version(&format, mapping)?;
    match read_name(mapping, at::NAME).1 {
        Some(found) if found == name => {}
        found => {
            let found = found.unwrap_or_else(|| "an unreadable name".into());
            return Ok(Verdict::Foreign(format!("its key belongs to the {} {found:?}", format.kind)));
        }
    }
    if word(mapping, at::SEMID) != u64::from(set as u32) {
        return Ok(Verdict::Orphan);
    }
    // SYNC(state)
    match word(mapping, at::STATE) {
        LIVE => Ok(Verdict::Live(Box::new(H::read(mapping)?))),
        DEAD => Ok(Verdict::Dying),
        state => Err(not_live(state)),
    }
}

/// Writes a header into a fresh segment: the magic last, so that a half-written one is never mistaken for a whole.
///
/// # Errors
/// Only if the segment is smaller than its creator has just made it.
pub(crate) fn write<H: Header>(mapping: &Mapping, header: &H, name: &str, set: i32) -> Result<()> {
    let format = H::FORMAT;
    let put = |offset: usize, value: u64, order: Ordering| -> Result<()> {
        let short = || corrupt("segment size", mapping.len() as u64, "more");
        mapping.word(offset).ok_or_else(short)?.store(value, order);
        Ok(())
    };
    let common = [
        (at::VERSION, format.version),
        (at::SIZE, header.segment_size() as u64),
        (at::SEMID, u64::from(set as u32)),
        (at::STATE, LIVE),
        (at::NAME, name.len() as u64),
        (at::TYPE_NAME, header.type_name().len() as u64),
    ];
    let mut words = common.into_iter().chain(header.words());
    words.try_for_each(|(offset, value)| put(offset, value, Ordering::Relaxed))?;
    mapping.write(at::NAME + 8, name.as_bytes())?;
    mapping.write(at::TYPE_NAME + 8, header.type_name().as_bytes())?;
    put(at::MAGIC, format.magic, Ordering::Release) // SYNC(magic)
}
