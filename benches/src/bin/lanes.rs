//! How a ring with one contended word scales beyond the processors at hand, beside lanes: a ring for each producer behind
//! one consumer. A simulation of cache lines, not a measurement; `docs/performance.md` draws the conclusion.
//!
//! Each producer has a core of its own and sends messages in claims of `k`: it reads the cursor, announces its claim, and
//! tries to move the cursor with a compare-and-swap; if it lost, it waits a little and begins again. Whoever needs a line
//! that is not in his cache, or not his alone when he writes, waits for his turn and then for [`TRANSFER`]. Slots are
//! fetched ahead, [`FETCHES`] at a time, on both sides, so they cost throughput and no waiting.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Nanoseconds that a line takes from core to core: a bare line's round trip is four of them.
const TRANSFER: u64 = 70;
/// Lines that a core fetches at the same time.
const FETCHES: u64 = 8;
/// Nanoseconds for whatever is in the core's own cache, and for what a message takes besides: some instructions, a copy.
const HIT: u64 = 2;
const MESSAGE: u64 = 8;
/// Pauses after a lost race, doubled up to so many; nanoseconds of one.
const PAUSES: u32 = 16;
const PAUSE: u64 = 15;
/// Simulated nanoseconds.
const DURATION: u64 = 5_000_000;

/// What a message costs either side when nobody is in the way.
const ALONE: u64 = if MESSAGE > TRANSFER / FETCHES { MESSAGE } else { TRANSFER / FETCHES };

/// The cursor's line: in whose caches it is, whether only one of them may have it, and how many claims it has seen.
#[derive(Default)]
struct Line {
    holders: u128,
    alone: bool,
    free_at: u64,
    version: u64,
}

impl Line {
    /// When a core that asks for it now has it: to read, or alone, to write.
    fn fetch(&mut self, core: usize, now: u64, alone: bool) -> u64 {
        let mine = 1 << core;
        let there = if alone { self.alone && self.holders == mine } else { self.holders & mine != 0 };
        if there {
            return now + HIT;
        }
        // Copies of a line that nobody writes are handed out side by side.
        let busy = if alone || self.alone { TRANSFER } else { TRANSFER / FETCHES };
        let start = self.free_at.max(now);
        self.free_at = start + busy;
        self.holders = if alone { mine } else { self.holders | mine };
        self.alone = alone;
        start + TRANSFER
    }
}

/// What a producer does next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Read { races: u32 },
    Swap { seen: u64, races: u32 },
}

/// Messages that so many producers send through one ring, in claims of `k`, with `think` nanoseconds of other work for each
/// message. The consumer is taken to keep up.
fn shared_ring(producers: usize, k: u64, think: u64) -> u64 {
    let mut line = Line::default();
    let mut events: BinaryHeap<_> =
        (0..producers).map(|core| Reverse((0, core, Step::Read { races: 0 }))).collect();
    let mut messages = 0;
    while let Some(Reverse((now, core, step))) = events.pop() {
        if now >= DURATION {
            break;
        }
        let next = match step {
            Step::Read { races } => {
                (line.fetch(core, now, false) + HIT, Step::Swap { seen: line.version, races })
            }
            Step::Swap { seen, races } => {
                let done = line.fetch(core, now, true);
                if seen == line.version {
                    line.version += 1;
                    messages += k;
                    (done + k * (ALONE + think), Step::Read { races: 0 })
                } else {
                    let pauses = u64::from((1 << races.min(8)).min(PAUSES));
                    (done + pauses * PAUSE, Step::Read { races: races + 1 })
                }
            }
        };
        events.push(Reverse((next.0, core, next.1)));
    }
    messages
}

/// The same through a ring for each: nobody is in the way.
fn lanes(producers: usize, think: u64) -> u64 {
    producers as u64 * DURATION / (ALONE + think)
}

/// Nanoseconds between two messages of all producers together, no less than one consumer needs.
fn nanos(messages: u64) -> f64 {
    (DURATION as f64 / messages.max(1) as f64).max(ALONE as f64)
}

fn main() {
    for think in [0, 1_000, 10_000] {
        println!("\n{think} ns of other work a message; ns between messages, one consumer\n");
        println!("| producers | claims of 1 | of 8 | of 32 | lanes | lanes win |\n|--:|--:|--:|--:|--:|--:|");
        for producers in [1, 2, 4, 8, 16, 32, 64] {
            let ring = [1, 8, 32].map(|k| nanos(shared_ring(producers, k, think)));
            let lanes = nanos(lanes(producers, think));
            let [one, eight, many] = ring;
            println!(
                "| {producers} | {one:.1} | {eight:.1} | {many:.1} | {lanes:.1} | {:.1} x |",
                one / lanes
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_producer_never_waits_for_the_line() {
        let alone = DURATION / (ALONE + 3 * HIT);
        let messages = shared_ring(1, 1, 0);
        assert!(messages.abs_diff(alone) < alone / 100, "{messages} instead of {alone}");
    }

    #[test]
    fn a_contended_word_moves_at_most_once_in_a_transfer() {
        for producers in [2, 8, 64] {
            let claims = shared_ring(producers, 1, 0);
            // Whoever has the line may win again before it is asked for.
            assert!(claims < shared_ring(1, 1, 0), "{producers}: {claims}");
            assert!(shared_ring(producers, 32, 0) > 8 * claims, "{producers}");
        }
        assert!(lanes(64, 0) > 30 * shared_ring(64, 1, 0));
    }
}
