//! How fast a service that ends may be started again: back-off from one failure to the next, and a rate limit over
//! all. Pure; what has to survive the supervisor is one number each, in nanoseconds of the monotonic clock.

use std::time::Duration;

use serde::Serialize;

use super::units::nanos;

/// Exponential back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Backoff {
    /// After the first quick end; doubled with each further one.
    pub(crate) least: Duration,
    pub(crate) most: Duration,
    /// Who has run for so long starts from nothing again.
    pub(crate) healthy: Duration,
}

impl Backoff {
    /// How many quick ends in a row there are after one more end.
    pub(crate) fn failures(&self, before: u64, ran: Duration) -> u64 {
        if ran >= self.healthy { 0 } else { before.saturating_add(1) }
    }

    /// Until when to wait, of what was noted: no back-off lasts longer, so that is of another one.
    pub(crate) fn until(&self, noted: u64, now: u64) -> u64 {
        if noted > now.saturating_add(nanos(self.most)) { 0 } else { noted }
    }

    /// How long to wait after so many.
    pub(crate) fn delay(&self, failures: u64) -> Duration {
        match u32::try_from(failures) {
            Ok(0) => Duration::ZERO,
            Ok(n) => 2_u32
                .checked_pow(n - 1)
                .map_or(self.most, |times| self.least.saturating_mul(times).min(self.most)),
            Err(_) => self.most,
        }
    }
}

/// At most so many starts in so long: the generic cell rate algorithm, whose whole memory is one time (ITU-T I.371,
/// annex A; there the cells are starts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rate {
    pub(crate) starts: u32,
    pub(crate) per: Duration,
}

impl Rate {
    fn interval(&self) -> u64 {
        nanos(self.per) / u64::from(self.starts.max(1))
    }

    /// When the next start is allowed. `memory` is 0 at first.
    pub(crate) fn allowed(&self, memory: u64, now: u64) -> u64 {
        self.own(memory, now).saturating_sub(nanos(self.per).saturating_sub(self.interval()))
    }

    /// The memory after a start at that moment.
    pub(crate) fn started(&self, memory: u64, now: u64) -> u64 {
        self.own(memory, now).max(now).saturating_add(self.interval())
    }

    /// No starts of this rate lead further than that into the future: the memory is somebody else's.
    fn own(&self, memory: u64, now: u64) -> u64 {
        if memory > now.saturating_add(nanos(self.per)) { 0 } else { memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_limit_and_forgets_after_health() {
        let s = Duration::from_secs;
        let backoff = Backoff { least: s(1), most: s(30), healthy: s(10) };
        let delays = [0, 1, 2, 3, 5, 6, 40, u64::MAX].map(|failures| backoff.delay(failures).as_secs());
        assert_eq!(delays, [0, 1, 2, 4, 16, 30, 30, 30]);
        assert_eq!(
            [30, 31, u64::MAX].map(|second| backoff.until(second.saturating_mul(1_000_000_000), 0)),
            [nanos(s(30)), 0, 0]
        );
        assert_eq!(backoff.failures(3, s(9)), 4);
        assert_eq!(backoff.failures(3, s(10)), 0);
        assert_eq!(backoff.failures(u64::MAX, s(0)), u64::MAX);
    }

    /// Whoever starts as soon as it may does so `starts` times at once, then evenly, and never more often in any window.
    #[test]
    fn no_window_has_more_starts_than_the_rate_says() {
        let rate = Rate { starts: 5, per: Duration::from_nanos(1_000) };
        let (mut memory, mut now, mut times) = (0, 100_000, Vec::new());
        for _ in 0..50 {
            now = now.max(rate.allowed(memory, now));
            memory = rate.started(memory, now);
            times.push(now);
        }
        assert_eq!(times[..5], [100_000; 5]);
        for (i, start) in times.iter().enumerate() {
            let burst = times[i..].iter().take_while(|time| **time < start + 1_000).count();
            assert!(burst <= 9, "{burst} starts from {start} on"); // a burst, and what had refilled meanwhile
        }
        assert_eq!(times[49] - times[9], 40 * 200);
        // After a rest the burst is there again.
        assert!(rate.allowed(memory, now) > now);
        assert!(rate.allowed(memory, now) <= now + 2_000);
    }

    /// A rate per day left a memory a day ahead, under which one per second did not start for that day.
    #[test]
    fn the_memory_of_another_rate_counts_as_none() {
        let rate = Rate { starts: 5, per: Duration::from_nanos(1_000) };
        let now = 100_000;
        assert!(rate.allowed(now + 1_000, now) > now);
        for memory in [now + 1_001, u64::MAX] {
            assert!(rate.allowed(memory, now) <= now);
            assert_eq!(rate.started(memory, now), now + 200);
        }
    }
}
