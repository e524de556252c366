//! Finding records: buckets of chains through a word for each record. Whoever changes a bucket holds its stripe, and
//! whoever looks holds nothing. `docs/design.md` section 11 says why a lookup misses nothing, and what a death leaves.
//!
//! ```text
//! head   0, or 1 + first record
//! link   0: the record is free; else (1 + bucket) << 32 | (0, or 1 + next record)
//! ```

use super::layout::{Geometry, HINT};
use super::memory::{Memory, hash};
use super::record::{Record, Unread};
use crate::ring::probe::{self, mutant};
use crate::sync::Ordering;

/// Times that a lookup starts again at the head, because a record under its feet was removed.
const RESTARTS: usize = if cfg!(all(test, loom)) { 2 } else { 8 };
/// Records of one chain that a lookup follows before it looks at all records instead. Chains have one on average.
const HOPS: usize = 128;

/// Why something could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Every record is taken; so many.
    Full(usize),
    /// A record changed too often to be read.
    Overtaken,
    /// A word holds what no writer leaves.
    Corrupt { what: &'static str, found: u64 },
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Overtaken => Failure::Overtaken,
            Unread::Corrupt(found) => Failure::Corrupt { what: "version", found },
        }
    }
}

type Result<T> = core::result::Result<T, Failure>;

/// A link's two halves.
#[derive(Clone, Copy)]
struct Link {
    bucket: usize,
    /// As in a head.
    next: u64,
}

impl Link {
    fn from_word(word: u64) -> Option<Self> {
        let bucket = (word >> 32).checked_sub(1)?;
        Some(Link { bucket: bucket as usize, next: word & u64::from(u32::MAX) })
    }

    fn word(self) -> u64 {
        (self.bucket as u64 + 1) << 32 | self.next
    }
}

/// A table's memory, with what is needed to find one's way in it.
#[derive(Clone, Copy)]
pub(crate) struct Index<'a> {
    pub(crate) memory: Memory<'a>,
    pub(crate) geometry: &'a Geometry,
    pub(crate) seed: u64,
}

impl<'a> Index<'a> {
    #[inline(always)]
    pub(crate) fn bucket(&self, key: &[u8]) -> usize {
        self.geometry.bucket(hash(self.seed, key))
    }

    /// `index` is below the capacity.
    #[inline(always)]
    pub(crate) fn record(&self, index: usize) -> Record<'a> {
        Record { memory: self.memory, geometry: self.geometry, index }
    }

    /// The record that a head or a link names; `None` at the end of the chain.
    #[inline(always)]
    fn named(&self, name: u64) -> Result<Option<usize>> {
        match usize::try_from(name) {
            Ok(0) => Ok(None),
            Ok(name) if name <= self.geometry.capacity() => Ok(Some(name - 1)),
            _ => Err(Failure::Corrupt { what: "link", found: name }),
        }
    }

    #[inline(always)]
    fn head(&self, bucket: usize) -> u64 {
        self.memory.at(self.geometry.head(bucket)).load(Ordering::Acquire) // SYNC(table-chain)
    }

    fn link(&self, record: usize) -> Option<Link> {
        Link::from_word(self.memory.at(self.geometry.link(record)).load(Ordering::Acquire)) // SYNC(table-chain)
    }

    /// One word of the chains, in order behind all that was stored before.
    fn put(&self, at: usize, word: u64) {
        probe::step();
        self.memory.at(at).store(word, Ordering::Release); // SYNC(table-chain)
    }

    /// Looks a key up without holding anything: copies its value and returns its record's index.
    #[inline(always)]
    pub(crate) fn find(&self, bucket: usize, key: &[u8], value: &mut [u8]) -> Result<Option<usize>> {
        for _ in 0..RESTARTS {
            match self.walk(bucket, key, value)? {
                Walk::Found(record) => return Ok(Some(record)),
                Walk::End => return Ok(None),
                Walk::Moved => {}
                Walk::Long => break,
            }
        }
        self.search(bucket, key, value)
    }

    /// Looks at every record. One that is present all the while does not move.
    #[cold]
    fn search(&self, bucket: usize, key: &[u8], value: &mut [u8]) -> Result<Option<usize>> {
        for record in 0..self.geometry.capacity() {
            if self.link(record).is_some_and(|link| link.bucket == bucket)
                && self.record(record).read(key, value)?
            {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    #[inline(always)]
    fn walk(&self, bucket: usize, key: &[u8], value: &mut [u8]) -> Result<Walk> {
        let mut name = self.head(bucket);
        for _ in 0..HOPS {
            let Some(record) = self.named(name)? else { return Ok(Walk::End) };
            if self.record(record).read(key, value)? {
                return Ok(Walk::Found(record));
            }
            match self.link(record) {
                Some(link) if link.bucket == bucket || mutant("table: bucket not checked") => {
                    name = link.next
                }
                None if mutant("table: bucket not checked") => return Ok(Walk::End),
                _ => return Ok(Walk::Moved),
            }
        }
        Ok(Walk::Long)
    }

    /// Inserts a key that the table does not have. By whoever holds the bucket's stripe, here and below.
    pub(crate) fn insert(&self, bucket: usize, key: &[u8], value: &[u8]) -> Result<()> {
        let stripe = self.geometry.stripe(bucket);
        let Some(record) = self.take(bucket)? else {
            self.clear(stripe);
            return Err(Failure::Full(self.geometry.capacity()));
        };
        self.put(self.geometry.head(bucket), record as u64 + 1);
        self.record(record).write(key, value)?;
        self.clear(stripe);
        Ok(())
    }

    /// Takes a free record, its link ready to be the bucket's first; notes it as the stripe's intent before.
    fn take(&self, bucket: usize) -> Result<Option<usize>> {
        let capacity = self.geometry.capacity();
        let start = self.memory.at(HINT).load(Ordering::Relaxed) as usize % capacity;
        let link = Link { bucket, next: self.named(self.head(bucket))?.map_or(0, |first| first as u64 + 1) };
        for record in (start..capacity).chain(0..start) {
            let word = self.memory.at(self.geometry.link(record));
            if word.load(Ordering::Relaxed) != 0 {
                continue;
            }
            if !mutant("table: no intent") {
                self.put(self.geometry.intent(self.geometry.stripe(bucket)), record as u64 + 1);
            }
            probe::step();
            // SYNC(table-chain): the last one to have the record let go of it.
            if word.compare_exchange(0, link.word(), Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                self.memory.at(HINT).store(((record + 1) % capacity) as u64, Ordering::Relaxed);
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Removes the record of a key of this bucket.
    pub(crate) fn remove(&self, bucket: usize, record: usize) -> Result<()> {
        let stripe = self.geometry.stripe(bucket);
        if !mutant("table: no intent") {
            self.put(self.geometry.intent(stripe), record as u64 + 1);
        }
        self.record(record).vacate()?;
        self.free(bucket, record)?;
        self.clear(stripe);
        Ok(())
    }

    /// Takes a vacant record out of its chain, if it is there, and gives it away.
    fn free(&self, bucket: usize, record: usize) -> Result<()> {
        let next = self.link(record).map_or(0, |link| link.next);
        let mut at = self.geometry.head(bucket);
        let mut before: Option<usize> = None;
        for _ in 0..self.geometry.capacity() {
            let name = match before {
                None => self.head(bucket),
                Some(before) => self.link(before).map_or(0, |link| link.next),
            };
            match self.named(name)? {
                None => break,
                Some(found) if found == record => {
                    let word = if before.is_none() { next } else { Link { bucket, next }.word() };
                    self.put(at, word);
                    break;
                }
                Some(found) => (before, at) = (Some(found), self.geometry.link(found)),
            }
        }
        self.put(self.geometry.link(record), 0);
        self.memory.at(HINT).store(record as u64, Ordering::Relaxed);
        Ok(())
    }

    fn clear(&self, stripe: usize) {
        self.put(self.geometry.intent(stripe), 0);
    }

    /// Whether the stripe's last holder may have died midway. Anybody may look.
    pub(crate) fn needs_repair(&self, stripe: usize) -> bool {
        self.memory.at(self.geometry.intent(stripe)).load(Ordering::Relaxed) != 0
    }

    /// Finishes or takes back what a dead holder of this stripe had begun; to be called before all else.
    pub(crate) fn repair(&self, stripe: usize) -> Result<()> {
        let intent = self.memory.at(self.geometry.intent(stripe)).load(Ordering::Acquire);
        let record = match self.named(intent) {
            Ok(None) => return Ok(()),
            Ok(record) => record,
            // Nothing that we know how to finish; the next holder shall not stumble over it again.
            Err(_) => None,
        };
        if let Some(record) = record {
            let ours = self.link(record).filter(|link| self.geometry.stripe(link.bucket) == stripe);
            if let (Some(link), false) = (ours, self.record(record).is_present()?) {
                self.free(link.bucket, record)?;
            }
        }
        self.clear(stripe);
        Ok(())
    }

    /// Records in the table: those present, each at some moment of the call.
    pub(crate) fn count(&self) -> Result<usize> {
        let mut count = 0;
        for record in 0..self.geometry.capacity() {
            if self.link(record).is_some() && self.record(record).is_present()? {
                count += 1;
            }
        }
        Ok(count)
    }
}

/// How following a chain ended.
enum Walk {
    Found(usize),
    /// Not there.
    End,
    /// A record was removed under our feet.
    Moved,
    /// Longer than chains are.
    Long,
}
