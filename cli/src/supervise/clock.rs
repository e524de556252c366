//! The clocks of a supervisor, in nanoseconds: two that only go forward, and the calendar.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use super::units::nanos;

/// A moment by all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// CLOCK_MONOTONIC, as the board has it.
    pub(crate) steady: u64,
    /// CLOCK_BOOTTIME, as processes have it: it goes on while the machine is suspended.
    pub(crate) boot: u64,
    /// Since 1970.
    pub(crate) calendar: u64,
}

impl Now {
    pub(crate) fn read() -> Self {
        let (steady, boot) = (read(ClockId::CLOCK_MONOTONIC), read(ClockId::CLOCK_BOOTTIME));
        let calendar = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos);
        Now { steady, boot, calendar }
    }
}

fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
