//! Two clocks: the calendar for time stamps that people read, `CLOCK_MONOTONIC` (which is what std's [`Instant`]
//! is on Linux) for deadlines. Nothing that matters for correctness depends on the calendar.
#![allow(unsafe_code)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970; 0 if the calendar stands before that.
pub(crate) fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds of `CLOCK_MONOTONIC`, for comparing with other processes'. [`Instant`] does not tell them.
#[inline]
pub(crate) fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for one timespec. It cannot fail for this clock; if it did, the time would be 0.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.wrapping_mul(1_000_000_000).wrapping_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// A length of time in nanoseconds; what does not fit is for ever.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The time stamp of the kernel's `time_t`; its 0 means "never".
pub(crate) fn from_unix_seconds(seconds: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok().filter(|&s| s != 0)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The instant `timeout` from now; `None`, for ever, if no clock will ever show it.
pub(crate) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// What is left until `deadline`: zero if it has passed, `None` if there is none.
pub(crate) fn remaining(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(from_unix_seconds(0), None);
        assert_eq!(from_unix_seconds(-1), None);
        assert_eq!(from_unix_seconds(5), UNIX_EPOCH.checked_add(Duration::from_secs(5)));
        let (before, now) = (monotonic_nanos(), Instant::now());
        assert!(before > 0 && monotonic_nanos() - before <= nanos(now.elapsed()) + 1_000_000_000);
        assert_eq!((nanos(Duration::from_micros(5)), nanos(Duration::MAX)), (5_000, u64::MAX));
        assert!(unix_nanos() > 1_600_000_000_000_000_000);
        assert_eq!(deadline(Duration::MAX), None, "overflow is for ever");
        assert_eq!(remaining(None), None);
        let past = deadline(Duration::ZERO);
        assert_eq!(remaining(past), Some(Duration::ZERO));
        assert!(remaining(deadline(Duration::from_secs(60))) > Some(Duration::from_secs(50)));
    }
}
