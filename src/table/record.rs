//! One record: two copies with a version word each. Who changes it writes the copy that is not the newest, and one
//! store of its version word is the change: a reader always finds a whole one. States and orders are in
//! `docs/design.md` section 11.

use super::layout::Geometry;
use super::memory::Memory;
use crate::ring::probe::{self, mutant, unless};
use crate::sync::{Ordering, fence};

/// Times that a reader begins anew. To be overtaken once, two changes must be made within its copying of one record.
pub(crate) const TRIES: usize = if cfg!(all(test, loom)) { 3 } else { 64 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vacant,
    Present,
    Writing,
}

/// A version word: number << 2 | kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version(u64);

impl Version {
    fn new(number: u64, kind: Kind) -> Self {
        Version(number << 2 | kind as u64)
    }

    fn kind(self) -> Kind {
        match self.0 & 3 {
            0 => Kind::Vacant,
            1 => Kind::Present,
            _ => Kind::Writing,
        }
    }

    fn number(self) -> u64 {
        self.0 >> 2
    }

    /// By wrapping distance: whatever the words are, one of two different numbers is later.
    fn is_after(self, other: Self) -> bool {
        (self.0 & !3).wrapping_sub(other.0 & !3) as i64 > 0
    }
}

/// The newest version of a record, and which of its copies has it.
#[derive(Clone, Copy, Debug)]
struct Newest {
    version: Version,
    copy: usize,
}

/// Why a record could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It was changed twice or more during each try.
    Overtaken,
    /// Both words say that they are being written, at rest: no writer leaves that.
    Corrupt(u64),
}

/// Record `index`, which is below the capacity, of a table.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) memory: Memory<'a>,
    pub(crate) geometry: &'a Geometry,
    pub(crate) index: usize,
}

impl Record<'_> {
    fn load(&self, copy: usize) -> Version {
        // SYNC(table-version)
        let order = unless("table: version not acquired", Ordering::Acquire);
        Version(self.memory.at(self.geometry.version(self.index, copy)).load(order))
    }

    /// What was the newest version at some moment of this call; both words if they do not say: between our two looks
    /// changes were made, or a word is no writer's.
    #[inline(always)]
    fn newest(&self) -> Result<Newest, [Version; 2]> {
        let words = [self.load(0), self.load(1)];
        let copy = match words.map(|word| word.kind() == Kind::Writing) {
            [true, true] => return Err(words),
            [true, false] => 1,
            [false, true] => 0,
            _ => usize::from(words[1].is_after(words[0])),
        };
        let [version, other] = [words[copy], words[1 - copy]];
        // What is being written follows the newest. If it is further ahead, there has been a newer one in this word.
        let stale = other.is_after(version) && other.number() != version.number() + 1;
        if stale && !mutant("table: gap overlooked") {
            return Err(words);
        }
        Ok(Newest { version, copy })
    }

    /// Takes something out of the newest copy, of which `take` gets the first word's index; `None` if the record is
    /// vacant. What is returned was taken from a whole copy.
    #[inline(always)]
    fn snapshot<T>(&self, mut take: impl FnMut(usize) -> T) -> Result<Option<T>, Unread> {
        let mut torn = None;
        for _ in 0..TRIES {
            let newest = match self.newest() {
                Ok(newest) => newest,
                // Each mark is released after the version before it, so words in motion differ at the second look.
                Err(words) if torn == Some(words) => return Err(Unread::Corrupt(words[0].0)),
                Err(words) => {
                    torn = Some(words);
                    continue;
                }
            };
            if newest.version.kind() == Kind::Vacant {
                return Ok(None);
            }
            let taken = take(self.geometry.copy(self.index, newest.copy));
            if !mutant("table: copy not acquired") {
                fence(Ordering::Acquire); // SYNC(table-copy)
            }
            let again =
                self.memory.at(self.geometry.version(self.index, newest.copy)).load(Ordering::Relaxed);
            if again == newest.version.0 || mutant("table: no second look") {
                return Ok(Some(taken));
            }
        }
        Err(Unread::Overtaken)
    }

    /// Copies the value if this is the record of that key; false if it is not.
    #[inline(always)]
    pub(crate) fn read(&self, key: &[u8], value: &mut [u8]) -> Result<bool, Unread> {
        // Which of them it will be, the versions say: a line that is as far away. Both come while that is on its way.
        (0..2).for_each(|copy| self.memory.prefetch(self.geometry.copy(self.index, copy)));
        let found = self.snapshot(|at| {
            let ours = self.memory.equals(at, key);
            if ours {
                self.memory.load(at + self.geometry.key_words(), value);
            }
            ours
        });
        found.map(|found| found == Some(true))
    }

    /// Copies key and value; false if the record is vacant.
    pub(crate) fn read_any(&self, key: &mut [u8], value: &mut [u8]) -> Result<bool, Unread> {
        let found = self.snapshot(|at| {
            self.memory.load(at, key);
            self.memory.load(at + self.geometry.key_words(), value);
        });
        found.map(|found| found.is_some())
    }

    /// Is there a record?
    pub(crate) fn is_present(&self) -> Result<bool, Unread> {
        self.snapshot(|_| ()).map(|found| found.is_some())
    }

    /// The next version's number. By whoever holds the stripe: the words are at rest.
    fn next(&self) -> Result<u64, Unread> {
        match self.newest() {
            Ok(newest) => Ok(newest.version.number().wrapping_add(1)),
            Err(words) => Err(Unread::Corrupt(words[0].0)),
        }
    }

    /// Writes the next version: the record is there, with this key and value. By whoever holds the stripe.
    pub(crate) fn write(&self, key: &[u8], value: &[u8]) -> Result<(), Unread> {
        let number = self.next()?.wrapping_add(mutant("table: written in place").into());
        let copy = (number & 1) as usize;
        let word = self.memory.at(self.geometry.version(self.index, copy));
        if !mutant("table: not marked") {
            probe::step();
            // SYNC(table-version)
            let order = unless("table: mark not released", Ordering::Release);
            word.store(Version::new(number, Kind::Writing).0, order);
        }
        if !mutant("table: copy not behind its mark") {
            fence(Ordering::Release); // SYNC(table-copy)
        }
        let at = self.geometry.copy(self.index, copy);
        self.memory.store(at, key);
        self.memory.store(at + self.geometry.key_words(), value);
        probe::step();
        // SYNC(table-version)
        let order = unless("table: version not released", Ordering::Release);
        word.store(Version::new(number, Kind::Present).0, order);
        Ok(())
    }

    /// Writes the next version: there is no record. By whoever holds the stripe.
    pub(crate) fn vacate(&self) -> Result<(), Unread> {
        let number = self.next()?;
        probe::step();
        let word = self.memory.at(self.geometry.version(self.index, (number & 1) as usize));
        word.store(Version::new(number, Kind::Vacant).0, Ordering::Release); // SYNC(table-version)
        Ok(())
    }
}
