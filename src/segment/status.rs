//! What the kernel knows of a segment, as `ipcs -m -i` shows it. A pure conversion.

use crate::os::{clock, shm};
use crate::segment::Key;
use std::time::SystemTime;

/// A segment as the kernel describes it: `struct shmid_ds` of shmctl(2). Changes while you look at it.
///
/// # Examples
/// ```
/// use semring::segment::{Key, SegmentOptions};
///
/// let segment = SegmentOptions::new().size(100).create(Key::Private)?;
/// let mapping = segment.attach()?;
/// let status = segment.status()?;
/// assert_eq!((status.size, status.attached, status.mode), (100, 1, 0o600));
/// segment.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentStatus {
    /// Its key: a [`Key::Number`], or [`Key::Private`] if it has none (any more).
    pub key: Key,
    /// Its id.
    pub id: i32,
    /// Bytes, as asked for at creation.
    pub size: usize,
    /// Mappings of it, in all processes.
    pub attached: u64,
    /// The process that created it; 0 if it is in another pid namespace.
    pub creator_pid: i32,
    /// The process that attached or detached last; 0 for none, or one in another pid namespace.
    pub last_pid: i32,
    /// When it was last attached.
    pub attach_time: Option<SystemTime>,
    /// When it was last detached.
    pub detach_time: Option<SystemTime>,
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
    /// Permissions, the nine bits `0o777`.
    pub mode: u32,
    /// It was removed, and its memory goes with the last detach.
    pub removed: bool,
    /// It is locked in memory.
    pub locked: bool,
}

impl SegmentStatus {
    pub(super) fn new(stat: &shm::Stat) -> Self {
        Self {
            key: if stat.key == 0 { Key::Private } else { Key::Number(stat.key) },
            id: stat.id,
            size: stat.size,
            attached: stat.nattch,
            creator_pid: stat.cpid,
            last_pid: stat.lpid,
            attach_time: clock::from_unix_seconds(stat.atime),
            detach_time: clock::from_unix_seconds(stat.dtime),
            change_time: clock::from_unix_seconds(stat.ctime),
            uid: stat.uid,
            gid: stat.gid,
            creator_uid: stat.cuid,
            creator_gid: stat.cgid,
            mode: stat.mode & 0o777,
            removed: stat.mode & shm::REMOVED != 0,
            locked: stat.mode & shm::LOCKED != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::os::process;
    use crate::segment::{Key, SegmentOptions};
    use std::time::{Duration, SystemTime};

    #[test]
    fn status_follows_the_life_of_a_segment() {
        let segment = SegmentOptions::new().size(12_345).mode(0o640).create(Key::Private).expect("create");
        let status = segment.status().expect("status");
        assert_eq!((status.id, status.size, status.mode), (segment.id(), 12_345, 0o640));
        assert_eq!((&status.key, status.attached, status.last_pid), (&Key::Private, 0, 0));
        assert_eq!((status.uid, status.creator_uid), (process::euid(), process::euid()));
        assert_eq!(status.creator_pid, process::pid());
        assert_eq!((status.attach_time, status.detach_time), (None, None));
        let age = SystemTime::now().duration_since(status.change_time.expect("created")).expect("past");
        assert!(age < Duration::from_secs(60));
        let mapping = segment.attach().expect("attach");
        let id = segment.id();
        segment.remove().expect("remove");
        let left = crate::segment::Segment::from_id(id).expect("still there").status().expect("status");
        assert!(left.removed && !left.locked && left.attached == 1 && left.attach_time.is_some());
        assert_eq!(left.last_pid, process::pid());
        drop(mapping);
    }
}
