//! One place in the segment: whose it is, which changes as a whole or not at all for who looks, and its holder's words.
//!
//! ```text
//! VERSION = number << 2 | kind      0 VACANT   nobody's
//!                                   1 NAMED    somebody's, who may be dead: then another may have it
//!                                   2 WRITING  the name is in disorder; who left it so has died
//!                                   3 KEPT     a supervisor's: it stays when its holder dies
//! ```
//!
//! The name changes under LOCK while the lease is 0. NAMED becomes VACANT by its living holder, too.

use super::layout::{self, MAX_NAME, NOTES, place as at};
use crate::error::{Error, Result};
use crate::pair::header::{corrupt, read_name};
use crate::segment::Mapping;
use crate::sync::{AtomicU64, Ordering, fence};

/// Looks at one name before giving up: each miss means that somebody renamed the place meanwhile.
const LOOKS: usize = 64;

/// Whose a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    Vacant = 0,
    Named = 1,
    Writing = 2,
    Kept = 3,
}

impl Kind {
    pub(crate) fn of(version: u64) -> Self {
        match version & 3 {
            0 => Kind::Vacant,
            1 => Kind::Named,
            2 => Kind::Writing,
            _ => Kind::Kept,
        }
    }
}

/// A place by its index, which is below the number of places that the mapping has room for.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    mapping: &'a Mapping,
    index: usize,
}

impl<'a> Record<'a> {
    pub(crate) fn new(mapping: &'a Mapping, index: usize) -> Self {
        Record { mapping, index }
    }

    /// `None` only if the board is attached for reading; the index was checked.
    fn word(&self, at: usize) -> Option<&'a AtomicU64> {
        self.mapping.word(layout::word(self.index, at))
    }

    pub(crate) fn load(&self, at: usize) -> u64 {
        self.mapping.load(layout::word(self.index, at)).unwrap_or(0)
    }

    pub(crate) fn store(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            word.store(value, Ordering::Release);
        }
    }

    pub(crate) fn note(&self, note: usize) -> u64 {
        self.load(at::NOTES + 8 * (note % NOTES))
    }

    pub(crate) fn set_note(&self, note: usize, value: u64) {
        self.store(at::NOTES + 8 * (note % NOTES), value);
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::of(self.load(at::VERSION))
    }

    /// Another kind, if nobody else has changed it meanwhile.
    pub(crate) fn turn(&self, from: Kind, to: Kind) -> bool {
        let version = self.load(at::VERSION);
        let next = next(version, to);
        Kind::of(version) == from
            && self.word(at::VERSION).is_some_and(|word| {
                word.compare_exchange(version, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            })
    }

    /// Names the place; under LOCK, with its lease at 0. Who dies in here leaves WRITING.
    pub(crate) fn name(&self, name: &str, kind: Kind) -> Result<()> {
        let version = self.load(at::VERSION);
        self.store(at::VERSION, next(version, Kind::Writing));
        fence(Ordering::Release); // SYNC(place): no store below is seen before WRITING
        self.mapping.write(layout::word(self.index, at::NAME) + 8, name.as_bytes())?;
        self.store(at::NAME, name.len() as u64);
        for word in [at::BEAT, at::PID, at::BEGAN, at::SILENCE, at::SINCE, at::RAN, at::STARTS] {
            self.store(word, 0);
        }
        (0..NOTES).for_each(|note| self.set_note(note, 0));
        self.store(at::VERSION, next(next(version, Kind::Writing), kind)); // SYNC(place)
        Ok(())
    }

    /// The name and whose the place is, of one moment; `None` if it has none.
    ///
    /// # Errors
    /// `Corrupt`; `Overtaken` if it was renamed at every look.
    pub(crate) fn identity(&self) -> Result<Option<(String, Kind)>> {
        for _ in 0..LOOKS {
            let version = self.load(at::VERSION); // SYNC(place)
            let kind = Kind::of(version);
            if matches!(kind, Kind::Vacant | Kind::Writing) {
                return Ok(None);
            }
            let (len, name) = read_name(self.mapping, layout::word(self.index, at::NAME));
            fence(Ordering::Acquire); // SYNC(place)
            if self.load(at::VERSION) == version {
                let name = name.filter(|name| is_name(name));
                let expected = format!("a name of 1 to {MAX_NAME} bytes");
                return Ok(Some((name.ok_or_else(|| corrupt("name's length", len, expected))?, kind)));
            }
        }
        Err(Error::Overtaken)
    }
}

/// The next version, of that kind.
fn next(version: u64, kind: Kind) -> u64 {
    (version & !3).wrapping_add(4) | kind as u64
}

/// Can this be the name of a place? 1 to [`MAX_NAME`] bytes, no control characters.
///
/// # Examples
/// ```
/// use semring::heartbeat::is_name;
///
/// assert!(is_name("web server"));
/// assert!(!is_name("") && !is_name("a\nb") && !is_name(&"x".repeat(65)));
/// ```
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}
