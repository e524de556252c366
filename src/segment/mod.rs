//! Shared memory segments: create, open, look at, attach, remove. Useful alone to whoever would write `shmget`.
//!
//! A [`Segment`] is the object, known by its id; a [`Mapping`] is the memory. There is no layout and no protocol
//! here: that is `channel`, which builds on this. The calls are those of shmget(2), shmop(2) and shmctl(2); units
//! are bytes.
//!
//! An object belongs to nobody's lifetime: it stays until [`Segment::remove`], `ipcrm -m`, or the end of the IPC
//! namespace. For ordinary users systemd-logind may remove it at logout (`RemoveIPC` in logind.conf(5)).
//!
//! # Examples
//!
//! ```
//! use semring::segment::{Key, SegmentOptions};
//!
//! let segment = SegmentOptions::new().size(1 << 16).create(Key::Private)?;
//! let mapping = segment.attach()?;
//! mapping.write(0, b"for whoever attaches it")?;
//! assert_eq!(segment.status()?.attached, 1);
//! segment.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod key;
mod status;

pub use crate::os::mapping::Mapping;
pub use key::Key;
pub(crate) use key::open_or_create;
pub use status::SegmentStatus;

use crate::error::{Error, OsError, Result};
use crate::os::shm;

/// Size of the huge pages of a segment.
///
/// # Examples
/// ```
/// use semring::segment::{HugePages, Key, SegmentOptions};
///
/// // Only where the system has reserved some: sysctl vm.nr_hugepages.
/// let options = SegmentOptions::new().size(1 << 21).huge_pages(Some(HugePages::Size2M));
/// match options.create(Key::Private) {
///     Ok(segment) => segment.remove()?,
///     Err(e) => eprintln!("{e}"),
/// }
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HugePages {
    /// The system's default size (`Hugepagesize` in `/proc/meminfo`).
    Default,
    /// 2 MiB.
    Size2M,
    /// 1 GiB.
    Size1G,
}

/// How to create or open a segment.
///
/// # Examples
///
/// ```
/// use semring::segment::SegmentOptions;
///
/// let key = format!("doc-options-{}", std::process::id());
/// let segment = SegmentOptions::new().size(4096).mode(0o660).create(&key)?;
/// let same = SegmentOptions::new().open(&key)?;
/// assert_eq!(same.id(), segment.id());
/// segment.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    size: usize,
    mode: u32,
    prefault: bool,
    huge_pages: Option<HugePages>,
    lock_memory: bool,
    dump: bool,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self { size: 0, mode: 0o600, prefault: true, huge_pages: None, lock_memory: false, dump: false }
    }
}

impl SegmentOptions {
    /// No size yet, mode 0600, prefaulted, ordinary pages, not locked, not in core dumps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of a new segment, at least 1; the kernel uses whole pages. When opening: the least that will do.
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = bytes;
        self
    }

    /// Permissions of a new segment, nine bits as for files (execution means nothing). Not subject to the umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Whether attaching for writing allocates all pages at once, so that no access waits for one later, and lack
    /// of memory is an error instead of a kill. Linux 5.14; without effect before.
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.prefault = prefault;
        self
    }

    /// Has a new segment use huge pages, which the system must have reserved (`sysctl vm.nr_hugepages`). Needs
    /// `CAP_IPC_LOCK` or a group named by `sysctl vm.hugetlb_shm_group`.
    pub fn huge_pages(mut self, huge_pages: Option<HugePages>) -> Self {
        self.huge_pages = huge_pages;
        self
    }

    /// Whether the pages stay in memory once they are there (`SHM_LOCK`). Applies to the object, for everybody;
    /// needs to be its owner, and RLIMIT_MEMLOCK or `CAP_IPC_LOCK`.
    pub fn lock_memory(mut self, lock_memory: bool) -> Self {
        self.lock_memory = lock_memory;
        self
    }

    /// Whether core dumps of this process contain the memory. Huge pages go by `/proc/PID/coredump_filter` alone.
    pub fn dump(mut self, dump: bool) -> Self {
        self.dump = dump;
        self
    }

    /// Creates a segment that does not exist yet; its bytes are 0.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`]; [`Error::Invalid`] for a bad key, mode or size; [`Error::PermissionDenied`] for
    /// huge pages or locking without the right to; [`Error::Os`] if a limit is reached or memory is short.
    pub fn create(&self, key: impl Into<Key>) -> Result<Segment> {
        self.create_exclusive(key.into())
    }

    /// Opens a segment that exists.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Mismatch`] if it is smaller than the [`size`](Self::size) asked for;
    /// [`Error::PermissionDenied`] without read permission, or when locking; [`Error::Invalid`] for a bad key.
    pub fn open(&self, key: impl Into<Key>) -> Result<Segment> {
        self.open_existing(key.into())
    }

    /// Opens the segment, or creates it if there is none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`create`](Self::create), without `NotFound` and `AlreadyExists` unless others
    /// create and remove it incessantly.
    pub fn open_or_create(&self, key: impl Into<Key>) -> Result<Segment> {
        open_or_create(key.into(), |key| self.open_existing(key), |key| self.create_exclusive(key))
    }

    fn create_exclusive(&self, key: Key) -> Result<Segment> {
        if self.size == 0 || self.size > isize::MAX as usize {
            let detail = format!("{} bytes, a segment has 1 to {}", self.size, isize::MAX);
            return Err(Error::Invalid { what: "size", detail });
        }
        let mode = permissions(self.mode)?;
        let number = if key == Key::Private { libc::IPC_PRIVATE } else { key.segment_key()? };
        let huge = match self.huge_pages {
            None => 0,
            Some(HugePages::Default) => shm::HUGE,
            Some(HugePages::Size2M) => shm::HUGE_2M,
            Some(HugePages::Size1G) => shm::HUGE_1G,
        };
        let id = shm::get(number, self.size, shm::CREATE | shm::EXCLUSIVE | huge | mode as i32)
            .map_err(|e| key.error(e))?;
        if self.lock_memory {
            if let Err(e) = shm::lock(id) {
                // Ours and new: nobody can miss it.
                let _ = shm::remove(id);
                return Err(key.error(e));
            }
        }
        Ok(self.segment(id, key))
    }

    fn open_existing(&self, key: Key) -> Result<Segment> {
        let id = match key {
            Key::Id(id) => return self.check_size(Segment::from_id(id)?.id, key),
            _ => shm::get(key.segment_key()?, 0, 0).map_err(|e| key.error(e))?,
        };
        self.check_size(id, key)
    }

    fn check_size(&self, id: i32, key: Key) -> Result<Segment> {
        let existing = shm::stat(id).map_err(|e| key.error(e))?.size;
        if existing < self.size {
            return Err(Error::Mismatch {
                what: "size",
                asked: format!("at least {} bytes", self.size),
                existing: format!("{existing} bytes"),
            });
        }
        if self.lock_memory {
            shm::lock(id).map_err(|e| key.error(e))?;
        }
        Ok(self.segment(id, key))
    }

    /// A segment whose id is known; asks the kernel nothing.
    pub(crate) fn segment(&self, id: i32, key: Key) -> Segment {
        Segment { id, key, prefault: self.prefault, dump: self.dump }
    }
}

/// A segment: the object, not its memory. Dropping it leaves the object alone.
///
/// Another process may remove it at any time: every call may then fail with [`Error::Removed`].
///
/// # Examples
/// ```
/// use semring::segment::{Key, Segment, SegmentOptions};
///
/// let segment = SegmentOptions::new().size(4096).create(Key::Private)?;
/// segment.attach()?.write(0, b"hello")?;
/// // Another process, which was told the id:
/// let mut bytes = [0; 5];
/// Segment::from_id(segment.id())?.attach_read_only()?.read(0, &mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// segment.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Segment {
    id: i32,
    key: Key,
    prefault: bool,
    dump: bool,
}

impl Segment {
    /// Opens a segment by its id, as `ipcs -m` shows it, also one without a key. Attaching is as by
    /// [`SegmentOptions::new`].
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PermissionDenied`] without read permission.
    pub fn from_id(id: i32) -> Result<Self> {
        let name = Key::Name(format!("shmid {id}"));
        match shm::stat(id) {
            Ok(stat) => Ok(SegmentOptions::new().segment(id, SegmentStatus::new(&stat).key)),
            Err(OsError { errno: libc::EINVAL | libc::EIDRM, .. }) => {
                Err(Error::NotFound { name: name.to_string() })
            }
            Err(e) => Err(name.error(e)),
        }
    }

    /// Its id, which stays the same as long as it exists.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The key it was created or opened by.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What the kernel knows of it.
    ///
    /// # Errors
    ///
    /// [`Error::Removed`]; [`Error::PermissionDenied`] without read permission.
    pub fn status(&self) -> Result<SegmentStatus> {
        shm::stat(self.id).map(|stat| SegmentStatus::new(&stat)).map_err(|e| self.key.error(e))
    }

    /// Maps it for reading and writing.
    ///
    /// # Errors
    ///
    /// [`Error::Removed`]; [`Error::PermissionDenied`] without read and write permission; [`Error::Os`] if memory
    /// or address space is short.
    pub fn attach(&self) -> Result<Mapping> {
        self.map(false)
    }

    /// Maps it for reading.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), without write permission.
    pub fn attach_read_only(&self) -> Result<Mapping> {
        self.map(true)
    }

    fn map(&self, read_only: bool) -> Result<Mapping> {
        let mapping = Mapping::attach(self.id, read_only).map_err(|e| self.key.error(e))?;
        if !self.dump {
            shm::dont_dump(mapping.base(), mapping.len()).map_err(Error::Os)?;
        }
        if self.prefault && !read_only {
            shm::prefault(mapping.base(), mapping.len()).map_err(Error::Os)?;
        }
        Ok(mapping)
    }

    /// Gives it to another user and group. The creator keeps the right to change and remove it.
    ///
    /// # Errors
    ///
    /// [`Error::Removed`]; [`Error::PermissionDenied`] unless we are owner, creator or root.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        let mode = self.status()?.mode;
        self.set(uid, gid, mode)
    }

    /// Changes its permissions, nine bits as for files.
    ///
    /// # Errors
    ///
    /// As [`set_owner`](Self::set_owner), and [`Error::Invalid`] for other bits.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        let mode = permissions(mode)?;
        let status = self.status()?;
        self.set(status.uid, status.gid, mode)
    }

    fn set(&self, uid: u32, gid: u32, mode: u32) -> Result<()> {
        shm::set(self.id, uid, gid, mode).map_err(|e| match e.errno {
            // We have just seen it: the id is right, so the user or group is not.
            libc::EINVAL => Error::Invalid { what: "owner", detail: format!("uid {uid}, gid {gid}") },
            _ => self.key.error(e),
        })
    }

    /// Removes it: nobody finds it any more. Mappings stay; the memory goes with the last of them.
    ///
    /// # Errors
    ///
    /// [`Error::Removed`] if somebody did already; [`Error::PermissionDenied`] unless we are owner, creator or root.
    pub fn remove(self) -> Result<()> {
        shm::remove(self.id).map_err(|e| self.key.error(e))
    }
}

/// Every segment of this IPC namespace, as `ipcs -m` lists them.
///
/// # Errors
///
/// [`Error::Os`] if the kernel has no System V IPC.
pub fn list() -> Result<Vec<SegmentStatus>> {
    Ok(shm::list()?.iter().map(SegmentStatus::new).collect())
}

/// Refuses a mode that would reach into the flags of shmget and semget.
pub(crate) fn permissions(mode: u32) -> Result<u32> {
    if mode <= 0o777 {
        return Ok(mode);
    }
    Err(Error::Invalid { what: "mode", detail: format!("{mode:#o}, permissions are 0o0 to 0o777") })
}

#[cfg(test)]
mod tests;
