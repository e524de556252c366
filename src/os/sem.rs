//! System V semaphores: semget(2), semop(2), semctl(2), and the one place that waits.
//!
//! SETVAL and SETALL are missing on purpose: they erase every process's undo, and a dead process would stay alive
//! for ever. Drain with a `semop` of -v instead.
#![allow(unsafe_code)]

use super::guarded::Guarded;
use super::{check, clock, errno, failed, key_of, mode_of};
use crate::error::OsError;
use libc::c_int;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// One operation on one semaphore; [`sembuf`] makes it.
pub(crate) type Operation = libc::sembuf;

/// `semget`: create.
pub(crate) const CREATE: i32 = libc::IPC_CREAT;
/// `semget`: fail if it exists.
pub(crate) const EXCLUSIVE: i32 = libc::IPC_EXCL;
/// Operation: taken back by the kernel when the process dies. Pair it with the same flag.
pub(crate) const UNDO: i16 = libc::SEM_UNDO as i16;
/// Operation: EAGAIN rather than wait.
pub(crate) const NOWAIT: i16 = libc::IPC_NOWAIT as i16;
/// Largest value of a semaphore, `SEMVMX`.
pub(crate) const MAX_VALUE: u16 = 32_767;

/// What the kernel knows of a set. Times are seconds since 1970, 0 for never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) id: i32,
    pub(crate) key: i32,
    pub(crate) nsems: usize,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) cuid: u32,
    pub(crate) cgid: u32,
    pub(crate) mode: u32,
    pub(crate) otime: i64,
    pub(crate) ctime: i64,
}

impl Stat {
    fn new(id: i32, ds: &libc::semid_ds) -> Self {
        Self {
            id,
            key: key_of(&ds.sem_perm),
            nsems: usize::try_from(ds.sem_nsems).unwrap_or(usize::MAX),
            uid: ds.sem_perm.uid,
            gid: ds.sem_perm.gid,
            cuid: ds.sem_perm.cuid,
            cgid: ds.sem_perm.cgid,
            mode: mode_of(&ds.sem_perm),
            otime: ds.sem_otime,
            ctime: ds.sem_ctime,
        }
    }

    /// The id and its number of semaphores, for [`values`].
    pub(crate) fn set_id(&self) -> SetId {
        SetId { id: self.id, nsems: self.nsems }
    }
}

/// An id whose number of semaphores was looked up. A set never changes its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetId {
    id: i32,
    nsems: usize,
}

impl SetId {
    pub(crate) fn id(self) -> i32 {
        self.id
    }

    /// Semaphores of the set.
    pub(crate) fn len(self) -> usize {
        self.nsems
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The operations were performed, all of them.
    Done,
    /// The deadline passed, or an operation with [`NOWAIT`] would have waited. None was performed.
    TimedOut,
    /// A signal arrived and `interrupted` said so. None was performed.
    Interrupted,
}

/// An operation: `op` > 0 adds, < 0 waits and subtracts, 0 waits for zero.
pub(crate) const fn sembuf(num: u16, op: i16, flags: i16) -> Operation {
    libc::sembuf { sem_num: num, sem_op: op, sem_flg: flags }
}

/// `semget`: the id of the set of `key`. `n` may be 0 to open one of any size.
pub(crate) fn get(key: i32, n: usize, flags: i32) -> Result<i32, OsError> {
    // SAFETY: semget takes integers only; one that does not fit becomes -1, which the kernel refuses.
    let id = unsafe { libc::semget(key, c_int::try_from(n).unwrap_or(-1), flags) };
    check("semget", id, || format!("{key:#010x}, {n}, {flags:#o}"))
}

/// `semctl(IPC_STAT)`. Needs read permission.
pub(crate) fn stat(id: i32) -> Result<Stat, OsError> {
    stat_by(id, libc::IPC_STAT).map(|(_, ds)| Stat::new(id, &ds))
}

/// Looks up the number of semaphores of `id`.
pub(crate) fn verify(id: i32) -> Result<SetId, OsError> {
    stat(id).map(|stat| stat.set_id())
}

/// `IPC_STAT`, or its variants that take an index and return the id.
fn stat_by(id: i32, command: c_int) -> Result<(i32, libc::semid_ds), OsError> {
    let mut ds = MaybeUninit::<libc::semid_ds>::zeroed();
    // SAFETY: `ds` has room for the one semid_ds (or, SEM_INFO, the smaller seminfo) that these commands write.
    let result = unsafe { libc::semctl(id, 0, command, ds.as_mut_ptr()) };
    let found = check("semctl", result, || format!("{id}, 0, {}", command_name(command)))?;
    // SAFETY: a semid_ds consists of integers, so the zeroes it began with are valid too.
    Ok((found, unsafe { ds.assume_init() }))
}

/// `semctl(IPC_SET)`: new owner and permission bits. Needs to be owner, creator or root.
pub(crate) fn set(id: i32, uid: u32, gid: u32, mode: u32) -> Result<(), OsError> {
    // SAFETY: a semid_ds consists of integers, for which zeroes are valid.
    let mut ds: libc::semid_ds = unsafe { MaybeUninit::zeroed().assume_init() };
    ds.sem_perm.uid = uid;
    ds.sem_perm.gid = gid;
    ds.sem_perm.mode = mode as _;
    // SAFETY: the kernel reads uid, gid and mode of the initialised `ds`.
    let result = unsafe { libc::semctl(id, 0, libc::IPC_SET, &mut ds) };
    check("semctl", result, || format!("{id}, 0, IPC_SET, uid {uid}, gid {gid}, mode {mode:#o}")).map(drop)
}

/// `semctl(IPC_RMID)`: whoever sleeps on it wakes with EIDRM.
pub(crate) fn remove(id: i32) -> Result<(), OsError> {
    query(id, 0, libc::IPC_RMID).map(drop)
}

/// `semctl(GETALL)`: one consistent snapshot of all values into the beginning of `buf`, which must have room for
/// the whole set (EINVAL otherwise). Needs read permission.
pub(crate) fn values(set: SetId, buf: &mut [u16]) -> Result<(), OsError> {
    let arguments = || format!("{}, 0, GETALL of {}", set.id, set.nsems);
    let invalid = || failed("semctl", arguments(), libc::EINVAL);
    let buf = buf.get_mut(..set.nsems).ok_or_else(invalid)?;
    let (result, errno) = Guarded::with(|buffer| {
        let result = buffer.fill(buf, |at| {
            // SAFETY: `at` has room for as many values as `set` had when it was verified. Should the id belong to
            // a larger set by now, the guard behind the buffer stops the kernel with EFAULT.
            unsafe { libc::semctl(set.id, 0, libc::GETALL, at) }
        });
        (result, errno())
    })?;
    match result {
        Some(-1) => Err(failed("semctl", arguments(), errno)),
        Some(_) => Ok(()),
        None => Err(invalid()),
    }
}

/// A `semctl` command that returns a number and takes no buffer.
fn query(id: i32, num: u16, command: c_int) -> Result<i32, OsError> {
    // SAFETY: the commands that come here (GETVAL, GETPID, GETNCNT, GETZCNT, IPC_RMID) take no buffer.
    let result = unsafe { libc::semctl(id, c_int::from(num), command) };
    check("semctl", result, || format!("{id}, {num}, {}", command_name(command)))
}

/// `semctl(GETVAL)`.
pub(crate) fn value(id: i32, num: u16) -> Result<u16, OsError> {
    query(id, num, libc::GETVAL).map(|v| u16::try_from(v).unwrap_or(u16::MAX))
}

/// `semctl(GETPID)`: the process that operated on it last; 0 for none, or one outside our pid namespace.
pub(crate) fn pid(id: i32, num: u16) -> Result<i32, OsError> {
    query(id, num, libc::GETPID)
}

/// `semctl(GETNCNT)`: threads that wait for it to grow.
pub(crate) fn waiting(id: i32, num: u16) -> Result<u32, OsError> {
    query(id, num, libc::GETNCNT).map(i32::unsigned_abs)
}

/// `semctl(GETZCNT)`: threads that wait for it to become zero.
pub(crate) fn waiting_for_zero(id: i32, num: u16) -> Result<u32, OsError> {
    query(id, num, libc::GETZCNT).map(i32::unsigned_abs)
}

/// `semop`, one try: all operations or none. EINTR and, with [`NOWAIT`], EAGAIN are visible.
pub(crate) fn op(id: i32, ops: &[Operation]) -> Result<(), OsError> {
    // SAFETY: the kernel reads `ops.len()` operations and writes none, in spite of the prototype.
    let result = unsafe { libc::semop(id, ops.as_ptr().cast_mut(), ops.len()) };
    check("semop", result, || format!("{id}, {}", Operations(ops))).map(drop)
}

/// As [`op`], with a bare errno: it allocates nothing, as a signal handler must.
pub(crate) fn op_quietly(id: i32, ops: &[Operation]) -> Result<(), i32> {
    timed(id, ops, None)
}

/// `semop` whose operations have [`NOWAIT`]: `false` if one of them would have to wait. Does not allocate.
pub(crate) fn try_op(id: i32, ops: &[Operation]) -> Result<bool, OsError> {
    match timed(id, ops, Some(Duration::ZERO)) {
        Ok(()) => Ok(true),
        Err(libc::EAGAIN) => Ok(false),
        Err(errno) => Err(failed("semop", format!("{id}, {}", Operations(ops)), errno)),
    }
}

/// Waits until the operations can be performed; the only place that tries again after a signal. semop(2) is never
/// restarted by the kernel and does not tell the time left, so the deadline is kept here, in `CLOCK_MONOTONIC`.
/// After every signal `interrupted` decides: true ends the wait.
pub(crate) fn wait(
    id: i32,
    ops: &[Operation],
    deadline: Option<Instant>,
    interrupted: &dyn Fn() -> bool,
) -> Result<Waited, OsError> {
    loop {
        match timed(id, ops, clock::remaining(deadline)) {
            Ok(()) => return Ok(Waited::Done),
            Err(libc::EAGAIN) => return Ok(Waited::TimedOut),
            Err(libc::EINTR) if interrupted() => return Ok(Waited::Interrupted),
            Err(libc::EINTR) => {}
            Err(errno) => return Err(timed_failed(id, ops, errno)),
        }
    }
}

/// The call, with a bare errno: on the way to sleep nothing should be formatted. By number, because not every C
/// library's binding has the function.
fn timed(id: i32, ops: &[Operation], timeout: Option<Duration>) -> Result<(), i32> {
    let time = timeout.map(|t| libc::timespec {
        tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(t.subsec_nanos() as i32),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the kernel reads `ops.len()` operations and the timespec, if any; both outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_semtimedop, id, ops.as_ptr(), ops.len(), time) };
    if result == -1 { Err(errno()) } else { Ok(()) }
}

fn timed_failed(id: i32, ops: &[Operation], errno: i32) -> OsError {
    failed("semtimedop", format!("{id}, {}", Operations(ops)), errno)
}

/// Every set of this IPC namespace, those included that we may not read.
pub(crate) fn list() -> Result<Vec<Stat>, OsError> {
    let (highest, _) = stat_by(0, libc::SEM_INFO)?;
    let mut found = Vec::new();
    for index in 0..=highest {
        // As in `shm::list`: SEM_STAT_ANY asks no permission but needs Linux 4.17.
        if let Ok((id, ds)) = stat_by(index, libc::SEM_STAT_ANY).or_else(|_| stat_by(index, libc::SEM_STAT)) {
            found.push(Stat::new(id, &ds));
        }
    }
    Ok(found)
}

/// The kernel's limits, as in `sysctl kernel.sem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Semaphores of a set, `SEMMSL`.
    pub(crate) semmsl: usize,
    /// Semaphores of the IPC namespace, `SEMMNS`.
    pub(crate) semmns: usize,
    /// Operations of one semop, `SEMOPM`.
    pub(crate) semopm: usize,
    /// Sets of the IPC namespace, `SEMMNI`.
    pub(crate) semmni: usize,
}

/// `semctl(IPC_INFO)`.
pub(crate) fn limits() -> Result<Limits, OsError> {
    // struct seminfo: semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx, semaem. The array is
    // larger, because it must never be too small.
    let mut info = [0 as c_int; 16];
    // SAFETY: `info` has room for the ten integers that IPC_INFO writes.
    let result = unsafe { libc::semctl(0, 0, libc::IPC_INFO, info.as_mut_ptr()) };
    check("semctl", result, || "0, 0, IPC_INFO".into())?;
    let [_, semmni, semmns, _, semmsl, semopm, ..] = info.map(|v| usize::try_from(v).unwrap_or(0));
    Ok(Limits { semmsl, semmns, semopm, semmni })
}

/// `[{3, -1, UNDO}, ...]`, at most eight of them.
struct Operations<'a>(&'a [Operation]);

impl std::fmt::Display for Operations<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for (i, o) in self.0.iter().take(8).enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            let undo = if o.sem_flg & UNDO != 0 { ", SEM_UNDO" } else { "" };
            let nowait = if o.sem_flg & NOWAIT != 0 { ", IPC_NOWAIT" } else { "" };
            write!(f, "{comma}{{{}, {:+}{undo}{nowait}}}", o.sem_num, o.sem_op)?;
        }
        if self.0.len() > 8 { write!(f, ", ...], {}", self.0.len()) } else { f.write_str("]") }
    }
}

fn command_name(command: c_int) -> &'static str {
    match command {
        libc::IPC_STAT => "IPC_STAT",
        libc::IPC_RMID => "IPC_RMID",
        libc::GETVAL => "GETVAL",
        libc::GETPID => "GETPID",
        libc::GETNCNT => "GETNCNT",
        libc::GETZCNT => "GETZCNT",
        libc::SEM_INFO => "SEM_INFO",
        libc::SEM_STAT => "SEM_STAT",
        _ => "SEM_STAT_ANY",
    }
}

#[cfg(test)]
#[path = "sem_tests.rs"]
mod tests;
