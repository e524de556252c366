//! System V shared memory: shmget(2), shmop(2), shmctl(2), and the madvise(2) that goes with a mapping.
//!
//! Raw ids and pointers; `os::mapping` owns the pointers, `segment` the ids.
#![allow(unsafe_code)]

use super::{check, errno, failed, key_of, mode_of};
use crate::error::OsError;
use libc::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// `shmget`: create.
pub(crate) const CREATE: i32 = libc::IPC_CREAT;
/// `shmget`: fail if it exists.
pub(crate) const EXCLUSIVE: i32 = libc::IPC_EXCL;
/// `shmget`: huge pages of the default size.
pub(crate) const HUGE: i32 = libc::SHM_HUGETLB;
/// `shmget`: huge pages of 2 MiB. The logarithm of the size is in bits 26..=31, as in mmap(2).
pub(crate) const HUGE_2M: i32 = libc::SHM_HUGETLB | 21 << 26;
/// `shmget`: huge pages of 1 GiB.
pub(crate) const HUGE_1G: i32 = libc::SHM_HUGETLB | 30 << 26;
/// Mode bit: removed, and gone with the last detach.
pub(crate) const REMOVED: u32 = 0o1000;
/// Mode bit: locked in memory.
pub(crate) const LOCKED: u32 = 0o2000;

/// From `<linux/shm.h>`; libc has none of them.
const SHM_STAT: c_int = 13;
const SHM_INFO: c_int = 14;
const SHM_STAT_ANY: c_int = 15;
/// `MADV_POPULATE_WRITE`, Linux 5.14; musl's libc has no constant.
const POPULATE_WRITE: c_int = 23;

/// What the kernel knows of a segment. Times are seconds since 1970, 0 for never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) id: i32,
    pub(crate) key: i32,
    pub(crate) size: usize,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) cuid: u32,
    pub(crate) cgid: u32,
    pub(crate) mode: u32,
    pub(crate) nattch: u64,
    pub(crate) cpid: i32,
    pub(crate) lpid: i32,
    pub(crate) atime: i64,
    pub(crate) dtime: i64,
    pub(crate) ctime: i64,
}

impl Stat {
    fn new(id: i32, ds: &libc::shmid_ds) -> Self {
        Self {
            id,
            key: key_of(&ds.shm_perm),
            size: ds.shm_segsz,
            uid: ds.shm_perm.uid,
            gid: ds.shm_perm.gid,
            cuid: ds.shm_perm.cuid,
            cgid: ds.shm_perm.cgid,
            mode: mode_of(&ds.shm_perm),
            nattch: ds.shm_nattch,
            cpid: ds.shm_cpid,
            lpid: ds.shm_lpid,
            atime: ds.shm_atime,
            dtime: ds.shm_dtime,
            ctime: ds.shm_ctime,
        }
    }
}

/// `shmget`: the id of the segment of `key`. `flags` are `CREATE`, `EXCLUSIVE`, `HUGE*` and the mode.
pub(crate) fn get(key: i32, size: usize, flags: i32) -> Result<i32, OsError> {
    // SAFETY: shmget takes integers only.
    let id = unsafe { libc::shmget(key, size, flags) };
    check("shmget", id, || format!("{key:#010x}, {size}, {flags:#o}"))
}

/// `shmat` at that address, or at one of the kernel's choice.
pub(crate) fn attach(id: i32, at: Option<NonNull<u8>>, read_only: bool) -> Result<NonNull<u8>, OsError> {
    let flags = if read_only { libc::SHM_RDONLY } else { 0 };
    let wanted = at.map_or(std::ptr::null(), |at| at.as_ptr().cast_const().cast::<c_void>());
    // SAFETY: without SHM_REMAP the kernel maps only where nothing is (EINVAL otherwise); no existing memory changes.
    let address = unsafe { libc::shmat(id, wanted, flags) };
    let errno = if address.addr() == usize::MAX { errno() } else { 0 };
    match NonNull::new(address.cast::<u8>()) {
        Some(base) if errno == 0 => Ok(base),
        _ if at.is_some() => Err(failed("shmat", format!("{id}, {wanted:p}, {flags:#o}"), errno)),
        _ => Err(failed("shmat", format!("{id}, NULL, {flags:#o}"), errno)),
    }
}

/// `shmdt`.
///
/// # Safety
///
/// `base` came from [`attach`], was not detached since, and nobody uses the memory any more.
pub(crate) unsafe fn detach(base: NonNull<u8>) -> Result<(), OsError> {
    // SAFETY: by this function's contract the mapping is ours and unused.
    let result = unsafe { libc::shmdt(base.as_ptr().cast::<c_void>()) };
    check("shmdt", result, || format!("{base:p}")).map(drop)
}

/// `shmctl(IPC_STAT)`. Needs read permission.
pub(crate) fn stat(id: i32) -> Result<Stat, OsError> {
    stat_by(id, libc::IPC_STAT).map(|(_, ds)| Stat::new(id, &ds))
}

/// `IPC_STAT`, or its variants that take an index and return the id.
fn stat_by(id: i32, command: c_int) -> Result<(i32, libc::shmid_ds), OsError> {
    let mut ds = MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: `ds` has room for the one shmid_ds that these commands write.
    let result = unsafe { libc::shmctl(id, command, ds.as_mut_ptr()) };
    let found = check("shmctl", result, || format!("{id}, {}", command_name(command)))?;
    // SAFETY: a shmid_ds consists of integers, so the zeroes it began with are valid too.
    Ok((found, unsafe { ds.assume_init() }))
}

/// `shmctl(IPC_SET)`: new owner and permission bits. Needs to be owner, creator or root.
pub(crate) fn set(id: i32, uid: u32, gid: u32, mode: u32) -> Result<(), OsError> {
    // SAFETY: a shmid_ds consists of integers, for which zeroes are valid.
    let mut ds: libc::shmid_ds = unsafe { MaybeUninit::zeroed().assume_init() };
    ds.shm_perm.uid = uid;
    ds.shm_perm.gid = gid;
    ds.shm_perm.mode = mode as _;
    // SAFETY: the kernel reads uid, gid and mode of the initialised `ds`.
    let result = unsafe { libc::shmctl(id, libc::IPC_SET, &mut ds) };
    check("shmctl", result, || format!("{id}, IPC_SET, uid {uid}, gid {gid}, mode {mode:#o}")).map(drop)
}

/// A `shmctl` command without a buffer.
fn command(id: i32, command: c_int) -> Result<(), OsError> {
    // SAFETY: the commands that come here (IPC_RMID, SHM_LOCK, SHM_UNLOCK) ignore the buffer.
    let result = unsafe { libc::shmctl(id, command, std::ptr::null_mut()) };
    check("shmctl", result, || format!("{id}, {}", command_name(command))).map(drop)
}

/// `shmctl(IPC_RMID)`: no key leads to it any more; the memory goes with the last detach.
pub(crate) fn remove(id: i32) -> Result<(), OsError> {
    command(id, libc::IPC_RMID)
}

/// `shmctl(SHM_LOCK)`: pages stay in memory once they are there.
pub(crate) fn lock(id: i32) -> Result<(), OsError> {
    command(id, libc::SHM_LOCK)
}

/// Allocates every page of a writable mapping now rather than at the first touch: `MADV_POPULATE_WRITE`, Linux
/// 5.14. Contents stay. Older kernels answer EINVAL, which is no error: the pages come at the first touch then.
pub(crate) fn prefault(base: NonNull<u8>, len: usize) -> Result<(), OsError> {
    advise(base, len, POPULATE_WRITE)
}

/// Keeps the mapping out of core dumps. EINVAL is no error: a part of a huge page cannot be excluded, and huge
/// pages have their own bits in `/proc/PID/coredump_filter`.
pub(crate) fn dont_dump(base: NonNull<u8>, len: usize) -> Result<(), OsError> {
    advise(base, len, libc::MADV_DONTDUMP)
}

/// `madvise` with an advice that does not change contents.
fn advise(base: NonNull<u8>, len: usize, advice: c_int) -> Result<(), OsError> {
    // SAFETY: neither MADV_POPULATE_WRITE nor MADV_DONTDUMP changes what is in memory, wherever it is applied.
    let result = unsafe { libc::madvise(base.as_ptr().cast::<c_void>(), len, advice) };
    match check("madvise", result, || format!("{base:p}, {len}, {advice}")) {
        Err(e) if e.errno == libc::EINVAL => Ok(()),
        other => other.map(drop),
    }
}

/// Every segment of this IPC namespace, those included that we may not read.
pub(crate) fn list() -> Result<Vec<Stat>, OsError> {
    // `SHM_INFO` writes a shm_info, 48 bytes, where the prototype says shmid_ds; only its return value matters.
    let (highest, _) = stat_by(0, SHM_INFO)?;
    let mut found = Vec::new();
    for index in 0..=highest {
        // SHM_STAT_ANY, Linux 4.17, asks no permission. An unused index, one that was freed just now and one we
        // may not read are no errors of the list.
        if let Ok((id, ds)) = stat_by(index, SHM_STAT_ANY).or_else(|_| stat_by(index, SHM_STAT)) {
            found.push(Stat::new(id, &ds));
        }
    }
    Ok(found)
}

fn command_name(command: c_int) -> &'static str {
    match command {
        libc::IPC_STAT => "IPC_STAT",
        libc::IPC_RMID => "IPC_RMID",
        libc::SHM_LOCK => "SHM_LOCK",
        libc::SHM_UNLOCK => "SHM_UNLOCK",
        SHM_INFO => "SHM_INFO",
        SHM_STAT => "SHM_STAT",
        _ => "SHM_STAT_ANY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::testing::Segment;

    #[test]
    fn life_of_a_segment() {
        let segment = Segment(get(libc::IPC_PRIVATE, 5000, CREATE | 0o600).expect("shmget"));
        let id = segment.0;
        let before = stat(id).expect("stat");
        assert_eq!((before.size, before.nattch, before.mode, before.key), (5000, 0, 0o600, 0));
        assert_eq!(before.cpid as u32, std::process::id());
        let base = attach(id, None, false).expect("shmat");
        prefault(base, 5000).expect("populate");
        dont_dump(base, 5000).expect("dontdump");
        assert_eq!(stat(id).expect("stat").nattch, 1);
        assert!(list().expect("list").iter().any(|s| s.id == id && s.nattch == 1 && s.size == 5000));
        set(id, before.uid, before.gid, 0o640).expect("IPC_SET");
        assert_eq!(stat(id).expect("stat").mode, 0o640);
        lock(id).expect("SHM_LOCK");
        assert_eq!(stat(id).expect("stat").mode, LOCKED | 0o640);
        remove(id).expect("IPC_RMID");
        assert_eq!(stat(id).expect("still attached").mode, REMOVED | LOCKED | 0o640);
        // SAFETY: `base` was attached above and is not used below.
        unsafe { detach(base) }.expect("shmdt");
        assert_eq!(stat(id).expect_err("gone").errno, libc::EINVAL);
    }

    #[test]
    fn failures_name_call_arguments_and_remedy() {
        let e = get(libc::IPC_PRIVATE, 0, CREATE | 0o600).expect_err("size 0");
        assert_eq!((e.call, e.errno), ("shmget", libc::EINVAL));
        assert!(e.to_string().starts_with("shmget(0x00000000, 0, 0o1600): Invalid argument"), "{e}");
        assert!(e.remedy.contains("SHMMAX"));
        let e = attach(-1, None, false).expect_err("no such id");
        assert_eq!((e.call, e.errno, e.arguments.as_str()), ("shmat", libc::EINVAL, "-1, NULL, 0o0"));
        assert_eq!(remove(-1).expect_err("no such id").arguments, "-1, IPC_RMID");
    }
}
