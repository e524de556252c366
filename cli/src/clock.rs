//! A clock that all processes share.

use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds. 0 if there is no such clock.
pub(crate) fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}
