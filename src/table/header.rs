//! The header of a table's segment: written once by its creator, judged as hostile input by everybody else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::layout::{self, Geometry, header as at};
use crate::error::{Error, Result};
use crate::layout::MAX_NAME;
use crate::segment::Mapping;
use crate::sync::Ordering;

const LIVE: u64 = 1;
const DEAD: u64 = 2;

/// A valid header's contents, as private copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) geometry: Geometry,
    pub(crate) type_name: String,
    pub(crate) seed: u64,
    pub(crate) created: SystemTime,
    pub(crate) creator: i32,
}

/// What a segment turned out to be, by its bytes alone.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// No magic: its creator has not finished, or it is no table at all.
    Blank,
    /// Not a table of that name.
    Foreign(String),
    /// A table of that name whose set is another one, or none any more.
    Orphan,
    /// A table that somebody is removing.
    Dying,
    /// A table in use.
    Live(Box<Header>),
}

fn corrupt(what: &'static str, found: u64, expected: impl Into<String>) -> Error {
    Error::Corrupt { what, found, expected: expected.into() }
}

/// One word, with Acquire. Read once: what was checked is what is used.
fn word(mapping: &Mapping, offset: usize) -> u64 {
    mapping.load(offset).unwrap_or(0)
}

/// Is the table live, or is somebody removing it? `state` is the word of that name.
///
/// # Errors
/// `Removed`; `Corrupt`.
#[inline]
pub(crate) fn check_live(state: u64) -> Result<()> {
    if state == LIVE { Ok(()) } else { not_live(state).map(drop) }
}

#[cold]
fn not_live(state: u64) -> Result<Verdict> {
    match state {
        DEAD => Err(Error::Removed),
        _ => Err(corrupt("state", state, "1 (live) or 2 (being removed)")),
    }
}

/// Marks the table as being removed; under LOCK.
pub(crate) fn mark_dead(mapping: &Mapping) {
    if let Some(word) = mapping.word(at::STATE) {
        word.store(DEAD, Ordering::Release); // SYNC(state)
    }
}

/// The name and the semaphore set of the table in a segment that was found by its id.
///
/// # Errors
/// `Foreign`; `Version`.
pub(crate) fn whose(mapping: &Mapping, id: i32) -> Result<(String, i32)> {
    let foreign = |detail: &str| Error::Foreign { name: format!("segment {id}"), detail: detail.into() };
    if mapping.len() < at::BYTES || word(mapping, at::MAGIC) != layout::MAGIC {
        return Err(foreign("no table's header is in it"));
    }
    check_version(mapping)?;
    let name = read_name(mapping, at::NAME).1.ok_or_else(|| foreign("an unreadable name"))?;
    Ok((name, word(mapping, at::SEMID) as u32 as i32))
}

fn check_version(mapping: &Mapping) -> Result<()> {
    match word(mapping, at::VERSION) {
        layout::VERSION => Ok(()),
        found => Err(Error::Version { found, expected: layout::VERSION }),
    }
}

/// Judges a segment. `set_id` is the set that its key leads to.
///
/// # Errors
/// `Version` for another layout; `Corrupt` for a table of ours whose header contradicts itself.
pub(crate) fn judge(mapping: &Mapping, name: &str, set_id: i32) -> Result<Verdict> {
    if mapping.len() < at::BYTES {
        return Ok(Verdict::Foreign(format!("a segment of {} bytes", mapping.len())));
    }
    // SYNC(magic): everything else was written before it.
    match word(mapping, at::MAGIC) {
        layout::MAGIC => {}
        0 => return Ok(Verdict::Blank),
        magic => return Ok(Verdict::Foreign(format!("its first word is {magic:#x}"))),
    }
    check_version(mapping)?;
    match read_name(mapping, at::NAME).1 {
        Some(found) if found == name => {}
        found => {
            let found = found.unwrap_or_else(|| "an unreadable name".into());
            return Ok(Verdict::Foreign(format!("its key belongs to the table {found:?}")));
        }
    }
    if word(mapping, at::SEMID) != u64::from(set_id as u32) {
        return Ok(Verdict::Orphan);
    }
    // SYNC(state)
    match word(mapping, at::STATE) {
        LIVE => Ok(Verdict::Live(Box::new(read(mapping)?))),
        DEAD => Ok(Verdict::Dying),
        state => not_live(state),
    }
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
    let (len, type_name) = read_name(mapping, at::TYPE_NAME);
    let type_name = type_name.filter(|name| !name.is_empty());
    Ok(Header {
        geometry: read_geometry(mapping)?,
        type_name: type_name.ok_or_else(|| corrupt("type name's length", len, "1 to 248 bytes of UTF-8"))?,
        seed: word(mapping, at::SEED),
        created: UNIX_EPOCH
            .checked_add(Duration::from_nanos(word(mapping, at::CREATED)))
            .unwrap_or(UNIX_EPOCH),
        creator: word(mapping, at::CREATOR) as u32 as i32,
    })
}

/// The sizes: each in its range, and together what the header and the kernel say the segment has.
fn read_geometry(mapping: &Mapping) -> Result<Geometry> {
    let [capacity, key, value] = [at::CAPACITY, at::KEY_SIZE, at::VALUE_SIZE].map(|at| word(mapping, at));
    let stripes = word(mapping, at::STRIPES);
    let Some(geometry) = Geometry::new(capacity, key, value) else {
        let expected =
            format!("1 to {}, with keys of {key} and values of {value} bytes", layout::MAX_CAPACITY);
        return Err(corrupt("capacity", capacity, expected));
    };
    if stripes != geometry.stripes() as u64 {
        return Err(corrupt("number of stripes", stripes, geometry.stripes().to_string()));
    }
    let size = word(mapping, at::SIZE);
    if size != geometry.size() as u64 || mapping.len() != geometry.size() {
        let all = format!("{capacity} records of {key} and {value} bytes");
        let expected = format!("{} for {all}, in a segment of {} bytes", geometry.size(), mapping.len());
        return Err(corrupt("size", size, expected));
    }
    Ok(geometry)
}

/// Writes a header into a fresh segment: the magic last, so that a half-written one is never mistaken for a table.
///
/// # Errors
/// Only if the segment is smaller than the geometry, which its creator has just made it for.
pub(crate) fn write(mapping: &Mapping, header: &Header, name: &str, set_id: i32) -> Result<()> {
    let put = |offset: usize, value: u64, order: Ordering| -> Result<()> {
        let short = || corrupt("segment size", mapping.len() as u64, "more");
        mapping.word(offset).ok_or_else(short)?.store(value, order);
        Ok(())
    };
    let geometry = &header.geometry;
    let created = header.created.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fields = [
        (at::VERSION, layout::VERSION),
        (at::SIZE, geometry.size() as u64),
        (at::SEMID, u64::from(set_id as u32)),
        (at::STATE, LIVE),
        (at::CAPACITY, geometry.capacity() as u64),
        (at::STRIPES, geometry.stripes() as u64),
        (at::KEY_SIZE, geometry.key_size() as u64),
        (at::VALUE_SIZE, geometry.value_size() as u64),
        (at::SEED, header.seed),
        (at::CREATED, u64::try_from(created.as_nanos()).unwrap_or(0)),
        (at::CREATOR, u64::from(header.creator as u32)),
        (at::NAME, name.len() as u64),
        (at::TYPE_NAME, header.type_name.len() as u64),
    ];
    fields.into_iter().try_for_each(|(offset, value)| put(offset, value, Ordering::Relaxed))?;
    mapping.write(at::NAME + 8, name.as_bytes())?;
    mapping.write(at::TYPE_NAME + 8, header.type_name.as_bytes())?;
    put(at::MAGIC, layout::MAGIC, Ordering::Release) // SYNC(magic)
}
