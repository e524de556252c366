//! What can be seen of a table from outside, whatever its type.

use std::time::SystemTime;

use super::index::Index;
use super::lifecycle::Attachment;
use super::memory::Memory;
use crate::error::{Error, Result};
use crate::pair::Set as _;

/// Everything about a table now, as [`TableOptions::status`](crate::TableOptions::status) saw it.
///
/// # Examples
/// ```
/// use semring::TableOptions;
///
/// # let name = format!("table-status-doc-{}", std::process::id());
/// let table = TableOptions::new().capacity(8).create::<u32, [u8; 16]>(&name, "passwords")?;
/// table.insert(&1, b"correct horse ba")?;
/// let status = TableOptions::new().status(&name)?; // of whatever type
/// assert_eq!((status.len, status.capacity, &*status.type_name), (1, 8, "passwords"));
/// assert_eq!((status.key_size, status.value_size), (4, 16));
/// table.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableStatus {
    /// Name, or the key in hexadecimal.
    pub name: String,
    /// Name of the type of its records.
    pub type_name: String,
    /// Bytes of a key.
    pub key_size: usize,
    /// Bytes of a value.
    pub value_size: usize,
    /// Records that there is room for.
    pub capacity: usize,
    /// Records in the table now.
    pub len: usize,
    /// Permissions of the segment (`0o777` bits).
    pub mode: u32,
    /// Owner's uid.
    pub owner_uid: u32,
    /// Creator's uid.
    pub creator_uid: u32,
    /// When it was created.
    pub created: SystemTime,
    /// The process that created it.
    pub creator: i32,
    /// The segment's id, as `ipcs -m` shows it.
    pub segment_id: i32,
    /// The segment's key, as `ipcs -m` shows it.
    pub segment_key: i32,
    /// The semaphore set's id, as `ipcs -s` shows it.
    pub semaphore_id: i32,
    /// The semaphore set's key, as `ipcs -s` shows it.
    pub semaphore_key: i32,
    /// Bytes of the segment.
    pub size_bytes: usize,
    /// Mappings of the segment, by anybody, the one through which this was seen included.
    pub attached: u64,
    /// Process that holds the lock for opening and removing, if it is held.
    pub lock_holder: Option<i32>,
    /// Processes that are within a change at this moment, each with one stripe.
    pub writers: Vec<i32>,
    /// Stripes whose last writer died within a change: whoever changes something there next finishes or undoes it.
    pub unfinished: usize,
}

/// Reads it all; changes nothing, and takes no lock.
pub(crate) fn read(table: &Attachment) -> Result<TableStatus> {
    table.check_live()?;
    let (segment, set) = table.stats()?;
    let (header, holders) = (&table.header, table.set.holders()?);
    let memory = Memory::new(table.mapping.words());
    let index = Index { memory, geometry: &header.geometry, seed: header.seed };
    let held = |stripe: usize| holders.writers.iter().any(|&(held, _)| held == stripe);
    let unfinished =
        (0..header.geometry.stripes()).filter(|&stripe| index.needs_repair(stripe) && !held(stripe)).count();
    Ok(TableStatus {
        name: table.name.clone(),
        type_name: header.type_name.clone(),
        key_size: header.geometry.key_size(),
        value_size: header.geometry.value_size(),
        capacity: header.geometry.capacity(),
        len: index.count().map_err(Error::from)?,
        mode: segment.mode & 0o777,
        owner_uid: segment.uid,
        creator_uid: segment.cuid,
        created: header.created,
        creator: header.creator,
        segment_id: table.segment_id,
        segment_key: segment.key,
        semaphore_id: table.set.id(),
        semaphore_key: set.key,
        size_bytes: segment.size,
        attached: segment.nattch,
        lock_holder: holders.lock,
        writers: holders.writers.iter().map(|&(_, pid)| pid).collect(),
        unfinished,
    })
}
