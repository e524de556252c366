//! Which system calls of the library can fail, and how: what the manual pages allow, as far as it fits the arguments.

use libc::{
    E2BIG, EACCES, EAGAIN, EEXIST, EFBIG, EIDRM, EINTR, EINVAL, ENFILE, ENOENT, ENOMEM, ENOSPC, ENOSYS,
    EOVERFLOW, EPERM, ERANGE, IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_RMID, SEM_UNDO,
};

use crate::sys::{self, Pid};
use crate::tracer::Entry;

/// Most operations of a semop(2) that are looked at.
const OPERATIONS: usize = 64;

/// So many operations are in one step whatever SEMOPM is, which may be lowered at any time.
const LEAST: usize = 4;

/// A system call that a process is about to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    /// How it can fail.
    pub(crate) errnos: Vec<i32>,
}

/// The call at which a process has stopped; `None` if the library does not make such calls.
pub(crate) fn of(pid: Pid, entry: &Entry) -> Option<Call> {
    let [first, second, third, _] = entry.arguments;
    let (name, errnos) = match entry.number {
        libc::SYS_semget => ("semget", getting(third as i32, &[EINVAL, ENOMEM, ENOSPC], &[EINVAL, ENOENT])),
        // No ENOENT: that a segment does not exist is no failure but news, and is believed.
        libc::SYS_shmget => {
            ("shmget", getting(third as i32, &[EINVAL, ENFILE, ENOMEM, ENOSPC, EPERM], &[EINVAL, ENFILE]))
        }
        libc::SYS_semop => ("semop", operating(&operations(pid, second, third), false)),
        libc::SYS_semtimedop => {
            ("semtimedop", operating(&operations(pid, second, third), entry.arguments[3] != 0))
        }
        libc::SYS_semctl => ("semctl", controlling(third as i32, &[EACCES, EIDRM, EINVAL])),
        libc::SYS_shmctl => ("shmctl", controlling(second as i32, &[EACCES, EIDRM, EINVAL, EOVERFLOW])),
        libc::SYS_shmat => ("shmat", vec![EACCES, EIDRM, EINVAL, ENOMEM]),
        libc::SYS_shmdt => ("shmdt", vec![EINVAL]),
        libc::SYS_membarrier => ("membarrier", vec![EINVAL, ENOSYS, EPERM]),
        libc::SYS_madvise => ("madvise", vec![EAGAIN, EINVAL, ENOMEM]),
        libc::SYS_mmap if first == 0 => ("mmap", vec![EAGAIN, ENOMEM]),
        libc::SYS_munmap => ("munmap", vec![EINVAL, ENOMEM]),
        libc::SYS_mprotect => ("mprotect", vec![EACCES, ENOMEM]),
        _ => return None,
    };
    Some(Call { name, errnos })
}

/// The last argument of semget(2) and shmget(2).
fn getting(flags: i32, creating: &[i32], opening: &[i32]) -> Vec<i32> {
    let mut errnos = vec![EACCES];
    errnos.extend(if flags & IPC_CREAT != 0 { creating } else { opening });
    if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
        errnos.push(EEXIST);
    }
    errnos
}

/// A removal is allowed or not; that the object is gone is news again.
fn controlling(command: i32, looking: &[i32]) -> Vec<i32> {
    if command & 0xff == IPC_RMID { vec![EPERM] } else { looking.to_vec() }
}

fn operating(operations: &[libc::sembuf], timed: bool) -> Vec<i32> {
    let mut errnos = vec![EACCES, EFBIG, EIDRM, EINVAL];
    let any = |condition: fn(&libc::sembuf) -> bool| operations.iter().any(condition);
    if operations.len() > LEAST {
        errnos.push(E2BIG);
    }
    let waits = any(|o| o.sem_op <= 0 && i32::from(o.sem_flg) & IPC_NOWAIT == 0);
    if waits {
        errnos.push(EINTR);
    }
    // Who gives back what it has taken with SEM_UNDO has it, and has the kernel's memory for that.
    let both = IPC_NOWAIT | SEM_UNDO;
    let returns = operations.iter().any(|o| o.sem_op < 0 && i32::from(o.sem_flg) & both == both);
    if !returns && (waits && timed || any(|o| o.sem_op <= 0 && i32::from(o.sem_flg) & IPC_NOWAIT != 0)) {
        errnos.push(EAGAIN);
    }
    if !returns && any(|o| i32::from(o.sem_flg) & SEM_UNDO != 0) {
        errnos.push(ENOMEM);
    }
    if any(|o| o.sem_op > 0) {
        errnos.push(ERANGE);
    }
    errnos
}

fn operations(pid: Pid, address: u64, count: u64) -> Vec<libc::sembuf> {
    let count = usize::try_from(count).map_or(OPERATIONS, |count| count.min(OPERATIONS));
    let bytes = sys::peek(pid, address, count * size_of::<libc::sembuf>()).unwrap_or_default();
    let halves = |operation: &[u8]| {
        let half =
            |at: usize| operation.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
        Some(libc::sembuf { sem_num: half(0)?, sem_op: half(2)? as i16, sem_flg: half(4)? as i16 })
    };
    bytes.chunks(size_of::<libc::sembuf>()).filter_map(halves).collect()
}
