//! What the kernel knows of a semaphore set, as `ipcs -s -i` shows it. A pure conversion.

use crate::os::{clock, sem};
use crate::segment::Key;
use std::time::SystemTime;

/// A set as the kernel describes it: `struct semid_ds` of semctl(2). Changes while you look at it.
///
/// # Examples
/// ```
/// use semring::segment::Key;
/// use semring::sem::SetOptions;
///
/// let set = SetOptions::new(3).create(Key::Private)?;
/// assert_eq!((set.status()?.semaphores, set.status()?.mode), (3, 0o600));
/// set.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetStatus {
    /// Its key: a [`Key::Number`], or [`Key::Private`] if it has none.
    pub key: Key,
    /// Its id.
    pub id: i32,
    /// Number of semaphores; never changes.
    pub semaphores: usize,
    /// When a semaphore was last operated on.
    pub operation_time: Option<SystemTime>,
    /// When it was created, or its owner or mode changed.
    pub change_time: Option<SystemTime>,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// User id of the creator; never changes.
    pub creator_uid: u32,
    /// Group id of the creator; never changes.
    pub creator_gid: u32,
    /// Permissions, the nine bits `0o777`. Writing means changing values.
    pub mode: u32,
}

impl SetStatus {
    pub(super) fn new(stat: &sem::Stat) -> Self {
        Self {
            key: if stat.key == 0 { Key::Private } else { Key::Number(stat.key) },
            id: stat.id,
            semaphores: stat.nsems,
            operation_time: clock::from_unix_seconds(stat.otime),
            change_time: clock::from_unix_seconds(stat.ctime),
            uid: stat.uid,
            gid: stat.gid,
            creator_uid: stat.cuid,
            creator_gid: stat.cgid,
            mode: stat.mode & 0o777,
        }
    }
}
