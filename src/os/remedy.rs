//! What to do about a failed system call: a pure table from call and errno to a sentence.
//!
//! The model is PostgreSQL's `sysv_shmem.c`, which says which kernel parameter to raise; the meanings are those of
//! shmget(2), shmop(2), shmctl(2), semget(2), semop(2), semctl(2), madvise(2), membarrier(2) and of the calls of `daemon`.

use libc::{
    E2BIG, EACCES, EAGAIN, EEXIST, EFAULT, EFBIG, EIDRM, EINTR, EINVAL, ELOOP, EMFILE, ENOENT, ENOMEM,
    ENOSPC, ENOSYS, EPERM, ERANGE,
};

/// The remedy for `call` failing with `errno`; empty where nothing general can be said.
pub(crate) fn of(call: &str, errno: i32) -> &'static str {
    match (call, errno) {
        ("shmget", EINVAL) => {
            "the size is outside SHMMIN..=SHMMAX (see `sysctl kernel.shmmax`), or a smaller segment has this key already"
        }
        ("shmget", ENOSPC) => {
            "all segment ids (SHMMNI) or all shared memory (SHMALL, in pages) are in use: remove stale segments (ipcs -m, ipcrm) or raise `sysctl kernel.shmmni` or `sysctl kernel.shmall`"
        }
        ("shmget", ENOMEM) => {
            "not enough memory, or for huge pages not enough of them: make the segment smaller, or raise `sysctl vm.nr_hugepages`"
        }
        ("shmget", EPERM) => {
            "huge pages need CAP_IPC_LOCK or a group that `sysctl vm.hugetlb_shm_group` names; otherwise create the segment without them"
        }
        ("shmget", EMFILE | libc::ENFILE) => "too many open files in the system: raise `sysctl fs.file-max`",
        ("shmat", EMFILE) => "too many attached segments: detach some",
        ("shmat", ENOMEM) => {
            "no address space for the mapping: see `ulimit -v` and `sysctl vm.max_map_count`, or make the segment smaller"
        }
        ("shmat", EACCES) => {
            "attaching needs read permission, and write permission unless read-only: ask the owner for a wider mode"
        }
        ("shmctl", ENOMEM) => {
            "locking exceeds RLIMIT_MEMLOCK: raise `ulimit -l`, or do not lock the segment in memory"
        }
        ("shmctl", EPERM) => {
            "only the owner, the creator or root may change, remove or lock a segment; locking also needs RLIMIT_MEMLOCK above 0 (`ulimit -l`) or CAP_IPC_LOCK"
        }
        ("semget", EINVAL) => {
            "the number of semaphores is outside 1..=SEMMSL (first number of `sysctl kernel.sem`), or a smaller set has this key already"
        }
        ("semget", ENOSPC) => {
            "all semaphore sets (SEMMNI) or all semaphores (SEMMNS) are in use: remove stale sets (ipcs -s, ipcrm) or raise the fourth or the second number of `sysctl kernel.sem`"
        }
        ("semop" | "semtimedop", E2BIG) => {
            "more operations at once than SEMOPM: raise the third number of `sysctl kernel.sem`"
        }
        ("semop" | "semtimedop", EFBIG) => "the set has no semaphore of that number",
        ("semop" | "semtimedop", ERANGE) => {
            "the value would leave 0..=32767 (SEMVMX): somebody releases without acquiring"
        }
        ("semop" | "semtimedop", ENOSPC) => {
            "too many processes use SEM_UNDO: raise the memory available to the kernel, or end some of them"
        }
        ("semop" | "semtimedop", EAGAIN) => "the operation would have to wait: try again later",
        ("semctl", EPERM) => "only the owner, the creator or root may change or remove a semaphore set",
        ("shmctl", EACCES) => "looking at a segment needs read permission: ask the owner for a wider mode",
        ("semctl", EACCES) => {
            "looking at a semaphore set needs read permission: ask the owner for a wider mode"
        }
        ("semop" | "semtimedop", EACCES) => {
            "changing semaphores needs write permission, waiting for zero read permission: ask the owner for a wider mode"
        }
        ("shmget" | "semget", EACCES) => {
            "an object with this key exists and grants us less than asked for: ask its owner for a wider mode"
        }
        ("shmget" | "semget", EEXIST) => {
            "an object with this key exists already: open it, or remove it with ipcrm(1)"
        }
        ("shmget" | "semget", ENOENT) => "no object has this key: create it first",
        (_, EIDRM) => {
            "the object was removed: create it again; if nobody did that, see RemoveIPC in logind.conf(5)"
        }
        ("shmctl" | "shmat" | "semctl" | "semop" | "semtimedop", EINVAL) => {
            "no object has this id (any more): it was removed, or belongs to another IPC namespace"
        }
        ("madvise", ENOMEM | EFAULT) => {
            "not enough memory to populate the segment now: make it smaller, or do without prefaulting"
        }
        ("madvise", EINVAL) => "the kernel does not know this advice: MADV_WIPEONFORK needs Linux 4.14",
        ("membarrier", ENOSYS | EINVAL | EPERM) => {
            "membarrier(2) with GLOBAL_EXPEDITED needs Linux 4.16 and a seccomp filter that lets it through: otherwise create the channel in fence mode"
        }
        ("mmap" | "mprotect", ENOMEM) => {
            "not enough memory or too many mappings: see `ulimit -v` and `sysctl vm.max_map_count`"
        }
        ("setgroups" | "setgid" | "setuid", EPERM) => {
            "only root, or who has CAP_SETGID and CAP_SETUID, may become another user: start it as root, or without a user"
        }
        ("open", ENOENT) => "no such file or directory: make the directory first",
        ("open", ELOOP) => "it is a symbolic link, which is not followed: name the file itself",
        ("open" | "chdir", EACCES) => "this user may not: choose another place, or another user",
        ("chdir", ENOENT) => "no such directory: make it first",
        ("fork", EAGAIN) => "too many processes: see `ulimit -u`, and pids.max of the cgroup",
        (_, ENOSYS) => "this kernel has no System V IPC (CONFIG_SYSVIPC), or a seccomp filter hides it",
        (_, ENOMEM) => "the kernel is out of memory",
        (_, EINTR) => "a signal arrived: call again",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_by_their_sysctl() {
        assert!(of("shmget", ENOSPC).contains("kernel.shmall"));
        assert!(of("semget", ENOSPC).contains("SEMMNI") && of("semget", ENOSPC).contains("kernel.sem"));
        assert!(of("semop", E2BIG).contains("SEMOPM"));
        assert!(of("shmctl", ENOMEM).contains("ulimit -l"));
        assert!(of("semop", EIDRM).contains("RemoveIPC"));
        assert_eq!(of("shmget", libc::EIO), "");
    }
}
