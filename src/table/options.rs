//! How a table is to be opened or created.

use std::time::Duration;

use bytemuck::Pod;

use super::Table;
use super::lifecycle::{self, Asked, Create};
use crate::error::{Error, Result};
use crate::layout::MAX_NAME;
use crate::os::process::euid;
use crate::segment::Key;

/// Options for opening or creating a [`Table`]. What is said and differs from an existing table is an error; what is
/// unsaid is taken from it.
///
/// # Examples
/// ```
/// use semring::TableOptions;
///
/// let name = format!("table-options-doc-{}", std::process::id());
/// let table = TableOptions::new().capacity(100).open_or_create::<u64, u64>(&name, "squares")?;
/// let other = TableOptions::new().open::<u64, u64>(&name, "squares")?; // the capacity from the existing table
/// table.insert(&7, &49)?;
/// assert_eq!(other.get(&7)?, Some(49));
/// table.destroy()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    pub(crate) capacity: Option<u64>,
    pub(crate) mode: Option<u32>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) lazy: bool,
    owners: Vec<u32>,
    any_owner: bool,
}

impl TableOptions {
    /// Nothing said: a table of 1,024 records, mode 0600.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records fit, 1 to 2^31 and what memory allows.
    pub fn capacity(mut self, records: u64) -> Self {
        self.capacity = Some(records);
        self
    }

    /// Permissions, as of a file, 0600 (the default) to 0777. Whoever opens a table needs reading and writing.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// How long opening and each change may wait for a lock that others hold for microseconds; default 5 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = Some(timeout);
        self
    }

    /// Also trust a table that this user created. By default only our own and root's are trusted.
    pub fn allow_owner(mut self, uid: u32) -> Self {
        self.owners.push(uid);
        self
    }

    /// Trust a table whoever created it.
    pub fn allow_any_owner(mut self) -> Self {
        self.any_owner = true;
        self
    }

    /// Touch all memory when opening (the default), or not.
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.lazy = !prefault;
        self
    }

    /// Creates a table that does not exist yet.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::Foreign`] if the key belongs to something else; [`Error::Invalid`] for sizes
    /// out of range; [`Error::Os`] when the kernel refuses, with the remedy.
    pub fn create<K: Pod, V: Pod>(&self, key: impl Into<Key>, type_name: &str) -> Result<Table<K, V>> {
        self.make(key.into(), type_name, Create::Exclusive)
    }

    /// Opens a table that exists. Its type's name must be this one, and the sizes of key and value those of the types.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Mismatch`], [`Error::Foreign`], [`Error::PermissionDenied`], [`Error::Version`],
    /// [`Error::Corrupt`].
    pub fn open<K: Pod, V: Pod>(&self, key: impl Into<Key>, type_name: &str) -> Result<Table<K, V>> {
        self.make(key.into(), type_name, Create::Never)
    }

    /// Opens a table, creating it if it does not exist.
    ///
    /// # Errors
    /// As [`TableOptions::open`] and [`TableOptions::create`].
    pub fn open_or_create<K: Pod, V: Pod>(
        &self,
        key: impl Into<Key>,
        type_name: &str,
    ) -> Result<Table<K, V>> {
        self.make(key.into(), type_name, Create::IfAbsent)
    }

    fn make<K: Pod, V: Pod>(&self, key: Key, type_name: &str, create: Create) -> Result<Table<K, V>> {
        if type_name.is_empty() || type_name.len() > MAX_NAME {
            let detail = format!("{type_name:?} has {} bytes, 1 to {MAX_NAME} are possible", type_name.len());
            return Err(Error::Invalid { what: "type name", detail });
        }
        let asked = Asked {
            options: self,
            type_name,
            key_size: size_of::<K>() as u64,
            value_size: size_of::<V>() as u64,
        };
        lifecycle::open(&asked, &key, create).map(Table::new)
    }

    pub(crate) fn trusts(&self, uid: u32) -> bool {
        self.any_owner || uid == 0 || uid == euid() || self.owners.contains(&uid)
    }
}
