//! How long to look before sleeping, and how often: learned from what happened last, for each handle.

use std::thread;
use std::time::{Duration, Instant};

use crate::sync::spin_loop;

/// Longest time of spinning before sleeping. A wake-up costs about as much, so spinning in vain doubles it at worst.
const SPIN: Duration = Duration::from_micros(50);
/// Spinning that never pays shrinks down to this.
const SPIN_LEAST: Duration = Duration::from_micros(1);
/// A sleep that was shorter than this was not worth it.
const NAP: Duration = Duration::from_micros(100);
/// From then on whoever spins lets others have the processor in between: more processes than processors.
const YIELD: Duration = Duration::from_micros(2);
/// Looks between two looks at the clock.
const LOOKS: u32 = 16;
/// Bounds of the time for which the line that we wait for is left alone after a miss. A message that is answered at
/// once is back after some 250 ns at the earliest, so the lower one costs a round trip nothing.
const LULL: (Duration, Duration) = (Duration::from_nanos(100), Duration::from_micros(2));
/// With so many messages between two misses the other side is streaming.
const STREAM: u64 = 4;

pub(super) struct Pace {
    spin: Duration,
    lull: Duration,
    /// The count of messages at the last miss.
    missed_at: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { spin: SPIN, lull: LULL.0, missed_at: 0 }
    }

    /// Looks until there is something, for as long as that has paid lately, and says whether there is. `count`: messages so far.
    #[inline]
    pub(super) fn spin(&mut self, count: u64, mut look: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        self.lull(start, count);
        loop {
            for _ in 0..LOOKS {
                if look() {
                    if self.spin != SPIN {
                        self.spin = (self.spin * 2).min(SPIN);
                    }
                    return true;
                }
                spin_loop();
            }
            let spent = start.elapsed();
            if spent >= self.spin {
                self.spin = (self.spin / 2).max(SPIN_LEAST);
                return false;
            }
            if spent >= YIELD {
                thread::yield_now();
            }
        }
    }

    /// Who rides right behind the other side fights over every line with it: 75 to 150 ns for each message. Some
    /// lines behind it costs 5 to 10, so let it get ahead, the more so the better it goes.
    #[inline]
    fn lull(&mut self, start: Instant, count: u64) {
        let streaming = count.wrapping_sub(self.missed_at) >= STREAM;
        self.missed_at = count;
        self.lull = if streaming { self.lull * 2 } else { self.lull / 2 }.clamp(LULL.0, LULL.1);
        while start.elapsed() < self.lull {
            spin_loop();
        }
    }

    /// Learns from a sleep of this length.
    pub(super) fn slept(&mut self, time: Duration) {
        if time < NAP {
            self.spin = SPIN;
        }
    }
}
