//! How a table is to be opened or created.

use bytemuck::Pod;

use super::Table;
use super::lifecycle::{self, Asked, Type};
use super::status::{self, TableStatus};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::pair::{Create, Terms, check_type_name, terms_methods};
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
    pub(crate) seed: Option<u64>,
    pub(crate) terms: Terms,
}

terms_methods!(TableOptions, "table");

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
        self.terms.mode = Some(mode);
        self
    }

    /// What a new table's hash begins with: only so that tests know which keys meet.
    #[doc(hidden)]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
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

    /// Everything about a table now, of whatever type: read permission is enough, and nobody who uses it notices.
    ///
    /// # Errors
    /// As [`TableOptions::open`], but for the types.
    ///
    /// # Examples
    /// ```
    /// # let name = format!("table-look-doc-{}", std::process::id());
    /// let options = semring::TableOptions::new();
    /// let table = options.create::<u64, u64>(&name, "squares")?;
    /// assert_eq!(options.status(&name)?.type_name, "squares");
    /// # table.destroy()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn status(&self, key: impl Into<Key>) -> Result<TableStatus> {
        let asked = Asked { options: self, of: None };
        status::read(&lifecycle::observe(&asked, &key.into())?)
    }

    /// Removes a table of whatever type, and its records. Whoever has it open gets [`Error::Removed`](crate::Error::Removed)
    /// from every further call.
    ///
    /// # Errors
    /// As [`TableOptions::open`], but for the types; [`Error::PermissionDenied`](crate::Error::PermissionDenied) unless
    /// we are owner, creator or root.
    ///
    /// # Examples
    /// ```
    /// # let name = format!("table-remove-doc-{}", std::process::id());
    /// let options = semring::TableOptions::new();
    /// let table = options.create::<u64, u64>(&name, "squares")?;
    /// options.destroy(&name)?;
    /// assert_eq!(table.get(&1), Err(semring::Error::Removed));
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn destroy(&self, key: impl Into<Key>) -> Result<()> {
        let asked = Asked { options: self, of: None };
        lifecycle::remove(&lifecycle::open(&asked, &key.into(), Create::Never)?)
    }

    fn make<K: Pod, V: Pod>(&self, key: Key, type_name: &str, create: Create) -> Result<Table<K, V>> {
        check_type_name(type_name)?;
        let sizes = (size_of::<K>() as u64, size_of::<V>() as u64);
        let of = Type { name: type_name, key_size: sizes.0, value_size: sizes.1 };
        let asked = Asked { options: self, of: Some(of) };
        lifecycle::open(&asked, &key, create).map(Table::new)
    }
}
