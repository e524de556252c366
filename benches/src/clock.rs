//! What time it is for all processes, and what one thread has used.

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC: the same for all processes.
#[inline]
pub fn now() -> u64 {
    nanos(ClockId::CLOCK_MONOTONIC)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("a clock that Linux has");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// What this thread has used so far.
pub struct Usage {
    /// Nanoseconds of processor time.
    pub cpu: u64,
    /// Voluntary context switches: sleeps.
    pub sleeps: i64,
}

impl Usage {
    pub fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("getrusage of this thread");
        Usage { cpu: nanos(ClockId::CLOCK_THREAD_CPUTIME_ID), sleeps: usage.voluntary_context_switches() }
    }
}

/// Resident bytes of this process; 0 where the kernel does not say.
pub fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    // SAFETY: sysconf takes a constant and touches nothing.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64
}
