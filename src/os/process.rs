//! Who we are: pid, uid, whether this is still the process that made a handle, and membarrier(2).
//!
//! `fork` copies every handle into the child but none of the semaphore undo: a copied handle that acted would
//! release what its parent holds. [`Generation`] tells the copies apart with one load, on every hot path.
#![allow(unsafe_code)]

use super::{check, errno, failed};
use crate::error::OsError;
use crate::sync::{AtomicU64, Ordering};
use libc::{c_int, c_long};
use std::ptr::{self, NonNull};

/// From `<linux/membarrier.h>`.
const GLOBAL_EXPEDITED: c_int = 2;
const REGISTER_GLOBAL_EXPEDITED: c_int = 4;

/// This process's id, in its own pid namespace.
pub(crate) fn pid() -> i32 {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() }
}

/// The effective user id, which becomes the creator's id of what we create.
pub(crate) fn euid() -> u32 {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() }
}

/// Address of the wiped page, 0 until the first use; then never changed and never unmapped. A plain compare and
/// swap rather than a lock: a lock held by another thread at the time of a fork would stay locked in the child.
static PAGE: AtomicU64 = AtomicU64::new(0);
/// Generations in this line of processes so far. Inherited by fork and only counted up.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);
/// The generation that registered for membarrier.
static REGISTERED: AtomicU64 = AtomicU64::new(0);

/// A process between two forks. A child has another generation than its parent and all its ancestors, and no
/// thread can tell when it changes: the kernel zeroes the page it is kept in (`MADV_WIPEONFORK`, Linux 4.14).
///
/// A child made by `vfork`, or by `clone` with `CLONE_VM`, shares our memory and so our generation; it may only
/// call `exec` or `_exit`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generation {
    /// The first word of the page: this process's generation; 0 in a child until it asks for one.
    word: &'static AtomicU64,
    /// Never 0.
    value: u64,
}

impl Generation {
    /// The calling process's generation.
    pub(crate) fn current() -> Result<Self, OsError> {
        // Relaxed throughout: the word carries everything it says, and nothing else is published with it.
        let word = page()?;
        let found = word.load(Ordering::Relaxed);
        if found != 0 {
            return Ok(Self { word, value: found });
        }
        // First use in this process. Its threads may race here: the first to store wins, the others take its
        // number. The counter alone makes it differ from every ancestor's; the pid is there because fork copies
        // the parent's memory while its other threads run, and a copy may miss the last count.
        let count = GENERATIONS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let fresh = u64::from(pid().unsigned_abs()) << 32 | (count & u64::from(u32::MAX)).max(1);
        match word.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Ok(Self { word, value: fresh }),
            Err(other) => Ok(Self { word, value: other }),
        }
    }

    /// Whether the calling process is the one that made this. One load.
    #[inline(always)]
    pub(crate) fn is_current(&self) -> bool {
        self.word.load(Ordering::Relaxed) == self.value
    }
}

/// The word at the beginning of the wiped page, mapped at the first call.
fn page() -> Result<&'static AtomicU64, OsError> {
    let mut address = PAGE.load(Ordering::Relaxed);
    if address == 0 {
        let new = map_page()?;
        let mine = new.as_ptr().expose_provenance() as u64;
        address = match PAGE.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => mine,
            Err(other) => {
                // SAFETY: our own mapping, which lost the race and which nobody has seen.
                unsafe { libc::munmap(new.as_ptr().cast(), PAGE_BYTES) };
                other
            }
        };
    }
    let word = ptr::with_exposed_provenance::<AtomicU64>(address as usize);
    // SAFETY: `PAGE` only ever holds the address of a page from `map_page`, exposed above, aligned, readable and
    // writable, which is never unmapped. Its zeroes are a valid AtomicU64.
    Ok(unsafe { &*word })
}

/// The kernel rounds it up to a page.
const PAGE_BYTES: usize = 4096;

/// A zeroed page of our own that fork zeroes again in the child.
fn map_page() -> Result<NonNull<u8>, OsError> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping at an address of the kernel's choice changes no existing memory.
    let address = unsafe { libc::mmap(ptr::null_mut(), PAGE_BYTES, protection, flags, -1, 0) };
    let error = errno();
    let base = match NonNull::new(address.cast::<u8>()) {
        Some(base) if address != libc::MAP_FAILED => base,
        _ => return Err(failed("mmap", format!("NULL, {PAGE_BYTES}"), error)),
    };
    // SAFETY: the advice concerns the page mapped above only, and changes nothing in this process.
    let result = unsafe { libc::madvise(address, PAGE_BYTES, libc::MADV_WIPEONFORK) };
    let advised = check("madvise", result, || format!("{base:p}, {PAGE_BYTES}, MADV_WIPEONFORK"));
    if let Err(e) = advised {
        // SAFETY: the page mapped above, which nobody has seen.
        unsafe { libc::munmap(address, PAGE_BYTES) };
        return Err(e);
    }
    Ok(base)
}

/// Registers this process as a target of other processes' [`membarrier`]; once per generation, cheap afterwards
/// (2 us, or milliseconds when the process has several threads).
pub(crate) fn register_membarrier() -> Result<(), OsError> {
    let generation = Generation::current()?;
    if REGISTERED.load(Ordering::Relaxed) != generation.value {
        call_membarrier(REGISTER_GLOBAL_EXPEDITED)?;
        // Relaxed: two threads that both get here register twice, which does no harm.
        REGISTERED.store(generation.value, Ordering::Relaxed);
    }
    Ok(())
}

/// A full memory barrier on every CPU that runs a registered process at this moment, and on this one
/// (`MEMBARRIER_CMD_GLOBAL_EXPEDITED`). About 15 us with a running peer.
pub(crate) fn membarrier() -> Result<(), OsError> {
    call_membarrier(GLOBAL_EXPEDITED)
}

fn call_membarrier(command: c_int) -> Result<(), OsError> {
    // SAFETY: membarrier takes integers only and changes no memory.
    let result: c_long = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    check("membarrier", if result == -1 { -1 } else { 0 }, || format!("{command}, 0, 0")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::testing::fork;
    use std::thread;

    #[test]
    fn identity() {
        assert_eq!(pid() as u32, std::process::id());
        // SAFETY: getuid has no preconditions.
        assert_eq!(euid(), unsafe { libc::getuid() });
    }

    #[test]
    fn threads_share_a_generation() {
        let all: Vec<u64> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Generation::current().expect("generation").value)).collect();
            threads.into_iter().map(|t| t.join().expect("thread")).collect()
        });
        assert!(all.iter().all(|&v| v == all[0] && v != 0));
    }

    /// A child's `Drop` released its parent's lease: the live parent looked dead.
    #[test]
    fn a_forked_child_is_another_generation_for_ever() {
        let parent = Generation::current().expect("generation");
        let child = fork(|| {
            if parent.is_current() {
                return 1;
            }
            let Ok(own) = Generation::current() else { return 2 };
            if parent.is_current() || !own.is_current() || own.value == parent.value {
                return 3;
            }
            let grandchild = fork(|| {
                let inherited = parent.is_current() || own.is_current();
                let Ok(third) = Generation::current() else { return 1 };
                i32::from(inherited || parent.is_current() || own.is_current() || !third.is_current())
            });
            if grandchild.wait() != 0 { 4 } else { 0 }
        });
        assert_eq!(child.wait(), 0);
        assert!(parent.is_current());
    }

    /// In the child the first threads to ask race for the number; all must end with the same one.
    #[test]
    fn racing_threads_of_a_child_agree() {
        Generation::current().expect("generation");
        for _ in 0..100 {
            let child = fork(|| {
                let ready = AtomicU64::new(0);
                let ask = || {
                    // All at once: the race is a few instructions long.
                    ready.fetch_add(1, Ordering::Relaxed);
                    while ready.load(Ordering::Relaxed) < 2 {
                        crate::sync::spin_loop();
                    }
                    Generation::current().map_or(0, |g| g.value)
                };
                let (a, b) = thread::scope(|scope| {
                    let other = scope.spawn(ask);
                    (ask(), other.join().unwrap_or(0))
                });
                i32::from(a == 0 || a != b)
            });
            assert_eq!(child.wait(), 0);
        }
    }

    #[test]
    fn membarrier_works_once_registered() {
        register_membarrier().expect("register");
        register_membarrier().expect("again");
        membarrier().expect("membarrier");
        assert_eq!(fork(|| i32::from(register_membarrier().and_then(|()| membarrier()).is_err())).wait(), 0);
        assert_eq!(call_membarrier(-1).expect_err("no such command").errno, libc::EINVAL);
    }
}
