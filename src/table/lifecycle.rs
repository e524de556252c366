//! What a table has of its own when it is opened, created and removed; the rest is the pair's: see `pair`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Instant, SystemTime};

use super::header::Header;
use super::layout::{Geometry, MAX_CAPACITY};
use super::options::TableOptions;
use super::set::Set;
use crate::error::{Error, Result};
use crate::os;
use crate::pair::{self, Create, Set as _, Terms, agree, header};
use crate::segment::{Key, Mapping};

const DEFAULT_CAPACITY: u64 = 1024;

/// What is wanted.
pub(crate) struct Asked<'a> {
    pub(crate) options: &'a TableOptions,
    /// Whoever only looks, or removes, does with any.
    pub(crate) of: Option<Type<'a>>,
}

/// What a table's records are.
pub(crate) struct Type<'a> {
    pub(crate) name: &'a str,
    pub(crate) key_size: u64,
    pub(crate) value_size: u64,
}

/// A table as this process has it.
pub(crate) type Attachment = pair::Attachment<Set, Header>;

/// Opens the pair that a key leads to, creating it if that is asked for and needed.
pub(crate) fn open(asked: &Asked<'_>, key: &Key, create: Create) -> Result<Attachment> {
    pair::open(asked, key, create).map(|(attachment, _lock)| attachment)
}

/// Opens a table for reading only.
pub(crate) fn observe(asked: &Asked<'_>, key: &Key) -> Result<Attachment> {
    pair::observe(asked, key)
}

/// Removes a table.
pub(crate) fn remove(table: &Attachment) -> Result<()> {
    let _lock = table.set.take_lock(Instant::now().checked_add(table.lock_timeout))?;
    table.check_live()?;
    pair::remove(&table.name, &table.set, table.segment_id, || header::mark_dead(&table.mapping))
}

impl pair::Asked for Asked<'_> {
    type Set = Set;
    type Header = Header;

    fn terms(&self) -> &Terms {
        &self.options.terms
    }

    fn new_header(&self) -> Result<Header> {
        let capacity = self.options.capacity.unwrap_or(DEFAULT_CAPACITY);
        let Some(of) = &self.of else {
            let detail = "what the records of a new table are has to be said".into();
            return Err(Error::Invalid { what: "type name", detail });
        };
        let Some(geometry) = Geometry::new(capacity, of.key_size, of.value_size) else {
            let sizes = format!("keys of {} and values of {} bytes", of.key_size, of.value_size);
            let detail = format!(
                "{capacity} records with {sizes}; 1 to {MAX_CAPACITY} are possible, and what fits the address space"
            );
            return Err(Error::Invalid { what: "capacity", detail });
        };
        Ok(Header {
            geometry,
            type_name: of.name.into(),
            // What the standard library seeds its own tables with comes from the kernel's random numbers.
            seed: self.options.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish()),
            created: SystemTime::now(),
            creator: os::process::pid(),
        })
    }

    /// All words of an empty table are the zeroes that the kernel made.
    fn fill(&self, _: &Mapping, _: &Header) {}

    fn compare(&self, header: &Header) -> Result<()> {
        let geometry = &header.geometry;
        if let Some(of) = &self.of {
            agree("type name", Some(of.name), &header.type_name)?;
            agree("key size", Some(of.key_size), geometry.key_size() as u64)?;
            agree("value size", Some(of.value_size), geometry.value_size() as u64)?;
        }
        agree("capacity", self.options.capacity, geometry.capacity() as u64)
    }
}
