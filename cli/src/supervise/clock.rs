//! The two clocks of a supervisor, in nanoseconds: one that only goes forward, and the calendar.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use super::units::nanos;

/// A moment by both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// CLOCK_MONOTONIC, as the board has it.
    pub(crate) steady: u64,
    /// Since 1970.
    pub(crate) calendar: u64,
}

impl Now {
    pub(crate) fn read() -> Self {
        let steady = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64);
        let calendar = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos);
        Now { steady, calendar }
    }
}
