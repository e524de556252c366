//! The public face: typed calls, each of which takes the stripe that it changes.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Instant, SystemTime};

use bytemuck::{Pod, bytes_of, bytes_of_mut};

use super::index::{Failure, Index};
use super::layout::header::STATE;
use super::lifecycle::{self, Attachment};
use super::memory::Memory;
use super::record::Unread;
use crate::error::{Error, Result};
use crate::pair::Held;
use crate::pair::header;
use crate::sync::Ordering;

/// A table of records that processes share, found by key: plain data in a System V segment, beside a semaphore set.
/// Made by [`TableOptions`](crate::TableOptions).
///
/// * [`get`](Self::get) and [`iter`](Self::iter) never wait, make no system call and see whole records only, whatever
///   writers do or however they die. They leave no trace.
/// * Changes of different records go on side by side (unless they meet in one of up to 256 stripes). A process killed
///   at any instruction of a change leaves the old record or the new one, and holds up nobody. One that is *stopped* in
///   the middle of a change holds up those of its stripe: [`Error::LockBusy`] names it.
/// * The table stays when all processes are gone, until [`destroy`](Self::destroy) or the next boot.
///
/// A handle may be used by all threads. After `fork` the child may read with it; to write it opens the table itself.
///
/// # Examples
/// ```
/// use semring::{Table, TableOptions};
///
/// let name = format!("table-doc-{}", std::process::id());
/// let table: Table<u32, [u8; 16]> = TableOptions::new().capacity(2).create(&name, "passwords")?;
/// assert_eq!(table.insert(&1, b"correct horse ba")?, None);
/// assert_eq!(table.insert(&2, b"xyzzy           ")?, None);
/// assert_eq!(table.get(&1)?.as_ref(), Some(b"correct horse ba"));
/// assert!(table.insert(&3, &[0; 16]).is_err()); // full
/// assert!(table.remove(&2)?.is_some());
/// assert_eq!(table.len()?, 1);
/// table.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Table<K, V> {
    attachment: Attachment,
    of: PhantomData<fn() -> (K, V)>,
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.attachment.name)
            .field("segment", &self.attachment.segment_id)
            .field("capacity", &self.attachment.header.geometry.capacity())
            .finish()
    }
}

impl From<Failure> for Error {
    #[cold]
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full(limit) => Error::NoRoom { what: "record", limit },
            Failure::Overtaken => Error::Overtaken,
            Failure::Corrupt { what, found } => {
                Error::Corrupt { what, found, expected: "what a writer leaves".into() }
            }
        }
    }
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        Failure::from(unread).into()
    }
}

/// A stripe in our hand, whatever its last holder had left undone finished.
struct Writing<'a> {
    index: Index<'a>,
    bucket: usize,
    _held: Held,
}

impl<K: Pod, V: Pod> Table<K, V> {
    pub(super) fn new(attachment: Attachment) -> Self {
        Self { attachment, of: PhantomData }
    }

    #[inline(always)]
    fn index(&self) -> Result<Index<'_>> {
        let Attachment { header, mapping, .. } = &self.attachment;
        let memory = Memory::new(mapping.words());
        header::check_live(memory.at(STATE / 8).load(Ordering::Acquire))?; // SYNC(state)
        Ok(Index { memory, geometry: &header.geometry, seed: header.seed })
    }

    fn writing(&self, key: &K) -> Result<Writing<'_>> {
        let Attachment { set, lock_timeout, .. } = &self.attachment;
        self.attachment.check_fork()?;
        let index = self.index()?;
        let bucket = index.bucket(bytes_of(key));
        let stripe = index.geometry.stripe(bucket);
        let held = set.stripe(stripe, Instant::now().checked_add(*lock_timeout))?;
        index.repair(stripe)?;
        Ok(Writing { index, bucket, _held: held })
    }

    /// The value of a key: what it was at some moment of this call. Never waits, makes no system call.
    ///
    /// # Errors
    /// [`Error::Removed`]; [`Error::Overtaken`] if the record changed during each of 64 attempts to copy it;
    /// [`Error::Corrupt`].
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// assert_eq!(table.get(&1)?, None);
    /// table.insert(&1, &2)?;
    /// assert_eq!(table.get(&1)?, Some(2));
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    #[inline]
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        let index = self.index()?;
        find(&index, index.bucket(bytes_of(key)), key).map(|found| found.map(|(_, value)| value))
    }

    /// Inserts a record, or replaces the value of the one that is there, which is returned.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if all records are taken: nothing changed. [`Error::LockBusy`] if a stopped process is in the
    /// middle of a change. [`Error::Removed`], [`Error::Forked`], [`Error::PermissionDenied`], [`Error::Corrupt`].
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// assert_eq!(table.insert(&1, &2)?, None);
    /// assert_eq!(table.insert(&1, &3)?, Some(2));
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn insert(&self, key: &K, value: &V) -> Result<Option<V>> {
        let writing = self.writing(key)?;
        let old = find(&writing.index, writing.bucket, key)?;
        match &old {
            Some((record, _)) => writing.index.record(*record).write(bytes_of(key), bytes_of(value))?,
            None => self.insert_new(&writing, key, value)?,
        }
        Ok(old.map(|(_, value)| value))
    }

    /// Inserts a record if the key has none; else the value that is there is returned, and stays.
    ///
    /// # Errors
    /// As [`Table::insert`].
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// assert_eq!(table.insert_if_absent(&1, &2)?, None);
    /// assert_eq!(table.insert_if_absent(&1, &3)?, Some(2));
    /// assert_eq!(table.get(&1)?, Some(2));
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn insert_if_absent(&self, key: &K, value: &V) -> Result<Option<V>> {
        let writing = self.writing(key)?;
        let old = find(&writing.index, writing.bucket, key)?.map(|(_, value)| value);
        if old.is_none() {
            self.insert_new(&writing, key, value)?;
        }
        Ok(old)
    }

    /// Changes the value of a key, and returns the new one; `None`, and `change` is not called, if there is no record.
    ///
    /// Nobody else changes the record between reading and writing it, and readers go on reading the old one. `change`
    /// must be short, and must not change this table: that may wait for itself and end with [`Error::LockBusy`]. If it
    /// panics the record stays as it is.
    ///
    /// # Errors
    /// As [`Table::insert`], but for `NoRoom`.
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// assert_eq!(table.update(&1, |count| *count += 1)?, None);
    /// table.insert(&1, &2)?;
    /// assert_eq!(table.update(&1, |count| *count += 1)?, Some(3));
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn update(&self, key: &K, change: impl FnOnce(&mut V)) -> Result<Option<V>> {
        let writing = self.writing(key)?;
        let Some((record, mut value)) = find(&writing.index, writing.bucket, key)? else { return Ok(None) };
        change(&mut value);
        writing.index.record(record).write(bytes_of(key), bytes_of(&value))?;
        Ok(Some(value))
    }

    /// Removes a record and returns its value. (Its bytes stay in the segment until the place is used again.)
    ///
    /// # Errors
    /// As [`Table::insert`], but for `NoRoom`.
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// table.insert(&1, &2)?;
    /// assert_eq!(table.remove(&1)?, Some(2));
    /// assert_eq!(table.remove(&1)?, None);
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn remove(&self, key: &K) -> Result<Option<V>> {
        let writing = self.writing(key)?;
        let Some((record, value)) = find(&writing.index, writing.bucket, key)? else { return Ok(None) };
        writing.index.remove(writing.bucket, record)?;
        Ok(Some(value))
    }

    /// All records, in no order, one after the other: each whole, as it is when its turn comes. A record that stays in the
    /// table meanwhile comes once; one that is inserted or removed may come or not. Never waits.
    ///
    /// # Errors
    /// [`Error::Removed`]; each item as [`Table::get`].
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// table.insert(&1, &2)?;
    /// table.insert(&3, &4)?;
    /// let mut all = table.iter()?.collect::<Result<Vec<_>, _>>()?;
    /// all.sort();
    /// assert_eq!(all, [(1, 2), (3, 4)]);
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn iter(&self) -> Result<Iter<'_, K, V>> {
        Ok(Iter { index: self.index()?, next: 0, of: PhantomData })
    }

    /// How many records there are; it looks at all of them.
    ///
    /// # Errors
    /// As [`Table::get`].
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// table.insert(&1, &2)?;
    /// assert_eq!(table.len()?, 1);
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    #[allow(clippy::len_without_is_empty)] // a count that can fail is compared with 0 by whoever needs it
    pub fn len(&self) -> Result<usize> {
        Ok(self.index()?.count()?)
    }

    /// How many records there can be.
    ///
    /// # Examples
    /// ```
    /// # let options = semring::TableOptions::new().capacity(10);
    /// # let table = options.create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// assert_eq!(table.capacity(), 10);
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn capacity(&self) -> usize {
        self.attachment.header.geometry.capacity()
    }

    /// The table's name, as its header says it.
    ///
    /// # Examples
    /// ```
    /// # let name = format!("table-name-doc-{}", std::process::id());
    /// let table = semring::TableOptions::new().create::<u64, u64>(&name, "squares")?;
    /// assert_eq!(table.name(), name);
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.attachment.name
    }

    /// The id of its segment, as `ipcs -m` prints it: by [`Key::Id`](crate::segment::Key::Id) it opens a private table.
    ///
    /// # Examples
    /// ```
    /// use semring::{Table, TableOptions, segment::Key};
    ///
    /// let table: Table<u64, u64> = TableOptions::new().create(Key::Private, "squares")?;
    /// table.insert(&3, &9)?;
    /// let same: Table<u64, u64> = TableOptions::new().open(Key::Id(table.id()), "squares")?;
    /// assert_eq!(same.get(&3)?, Some(9));
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn id(&self) -> i32 {
        self.attachment.segment_id
    }

    /// When it was created.
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// assert!(table.created() <= std::time::SystemTime::now());
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn created(&self) -> SystemTime {
        self.attachment.header.created
    }

    /// The process that created it.
    ///
    /// # Examples
    /// ```
    /// # let table = semring::TableOptions::new().create::<u64, u64>(semring::segment::Key::Private, "doc")?;
    /// assert_eq!(table.creator() as u32, std::process::id());
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn creator(&self) -> i32 {
        self.attachment.header.creator
    }

    /// Removes the table and its records. Whoever has it open gets [`Error::Removed`] from every further call.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] unless we are owner, creator or root; [`Error::LockBusy`]; [`Error::Removed`] if
    /// somebody did already.
    ///
    /// # Examples
    /// ```
    /// use semring::{Error, Table, TableOptions};
    ///
    /// # let name = format!("table-destroy-doc-{}", std::process::id());
    /// let table: Table<u64, u64> = TableOptions::new().create(&name, "squares")?;
    /// let same: Table<u64, u64> = TableOptions::new().open(&name, "squares")?;
    /// table.destroy()?;
    /// assert_eq!(same.get(&1), Err(Error::Removed));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn destroy(self) -> Result<()> {
        lifecycle::remove(&self.attachment)
    }

    fn insert_new(&self, writing: &Writing<'_>, key: &K, value: &V) -> Result<()> {
        let insert = || writing.index.insert(writing.bucket, bytes_of(key), bytes_of(value));
        let inserted = match insert() {
            Err(Failure::Full(_)) if self.repair_others(writing)? => insert(),
            other => other,
        };
        Ok(inserted?)
    }

    /// Frees what dead writers of other stripes hold; true if there may be something. Waits for nobody: a stripe that is
    /// taken has a living writer, whose record is taken too.
    fn repair_others(&self, writing: &Writing<'_>) -> Result<bool> {
        let Index { geometry, .. } = writing.index;
        let mut any = false;
        for stripe in (0..geometry.stripes()).filter(|&stripe| writing.index.needs_repair(stripe)) {
            if let Some(_held) = self.attachment.set.try_stripe(stripe)? {
                writing.index.repair(stripe)?;
                any = true;
            }
        }
        Ok(any)
    }
}

#[inline(always)]
fn find<K: Pod, V: Pod>(
    index: &Index<'_>,
    bucket: usize,
    key: &K,
) -> std::result::Result<Option<(usize, V)>, Error> {
    let mut value = V::zeroed();
    let found = index.find(bucket, bytes_of(key), bytes_of_mut(&mut value))?;
    Ok(found.map(|record| (record, value)))
}

/// The records of a table, made by [`Table::iter`].
///
/// # Examples
/// ```
/// use semring::{Table, TableIter, TableOptions, segment::Key};
///
/// fn largest(records: TableIter<'_, u64, u64>) -> semring::Result<Option<u64>> {
///     let values: Vec<u64> = records.map(|record| Ok(record?.1)).collect::<semring::Result<_>>()?;
///     Ok(values.into_iter().max())
/// }
///
/// let table: Table<u64, u64> = TableOptions::new().create(Key::Private, "squares")?;
/// (0..9).try_for_each(|n| table.insert(&n, &(n * n)).map(drop))?;
/// assert_eq!(largest(table.iter()?)?, Some(64));
/// # table.destroy()?;
/// # Ok::<(), semring::Error>(())
/// ```
pub struct Iter<'a, K, V> {
    index: Index<'a>,
    next: usize,
    of: PhantomData<fn() -> (K, V)>,
}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("next", &self.next).finish_non_exhaustive()
    }
}

impl<K: Pod, V: Pod> Iterator for Iter<'_, K, V> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.index.geometry.capacity() {
            let record = self.index.record(self.next);
            self.next += 1;
            let (mut key, mut value) = (K::zeroed(), V::zeroed());
            match record.read_any(bytes_of_mut(&mut key), bytes_of_mut(&mut value)) {
                Ok(true) => return Some(Ok((key, value))),
                Ok(false) => {}
                Err(unread) => return Some(Err(unread.into())),
            }
        }
        None
    }
}
