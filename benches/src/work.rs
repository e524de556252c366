//! The work itself: the same loops for every rival, so that only the transport differs.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::{self, Usage};
use crate::ends::{InPlaceRx, InPlaceTx, Rx, Tx};
use crate::message::{self, Checker, END};
use crate::spec::{Limit, Outcome, Spec, Work};
use crate::stage::Stage;

/// The parts of all round trips of which it is said how long they took at most.
const PARTS: [f64; 16] =
    [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, 1.0];
/// Before a message that is to wake somebody.
const QUIET: Duration = Duration::from_millis(2);
/// From a wake-up to the message that follows it.
const NEXT: u64 = 50_000;
/// How long a receiver waits that is to burn no time.
const IDLE: Duration = Duration::from_secs(1);

/// When to look at the clock, and when to stop.
struct Budget {
    end: u64,
    messages: u64,
}

impl Budget {
    fn new(limit: Limit, start: u64) -> Self {
        match limit {
            Limit::Millis(ms) => Budget { end: start + ms * 1_000_000, messages: u64::MAX },
            Limit::Messages(messages) => Budget { end: u64::MAX, messages },
        }
    }

    fn over(&self, sent: u64) -> bool {
        sent >= self.messages || (self.end != u64::MAX && clock::now() >= self.end)
    }
}

/// A party's measure of itself between the start and the end.
struct Measure {
    start: u64,
    usage: Usage,
    resident: u64,
}

impl Measure {
    fn begin(spec: &Spec, stage: Stage) -> Self {
        let resident = clock::resident();
        stage.meet(spec.parties());
        Measure { start: clock::now(), usage: Usage::now(), resident }
    }

    fn sent(self) -> Outcome {
        Outcome { receives: false, ..self.received(0) }
    }

    fn received(self, received: u64) -> Outcome {
        let end = clock::now();
        let usage = Usage::now();
        let cpu = (usage.cpu - self.usage.cpu) as f64 / (end - self.start).max(1) as f64;
        let sleeps = (usage.sleeps - self.usage.sleeps) as f64 / received.max(1) as f64;
        let resident = [self.resident, clock::resident()];
        Outcome {
            receives: true,
            received,
            start: self.start,
            end,
            cpu,
            sleeps,
            resident,
            ..Outcome::default()
        }
    }
}

/// Messages between two looks at the clock: some microseconds' worth.
fn granule(size: usize) -> u64 {
    (65_536 / size as u64).clamp(1, 64)
}

/// Whatever a producer does; `id` among the producers.
pub fn produce<const N: usize>(spec: &Spec, stage: Stage, id: usize, mut tx: impl Tx<N>) -> Outcome {
    let measure = Measure::begin(spec, stage);
    match spec.work {
        Work::Batches(batch) => {
            let mut messages = vec![[0; N]; batch];
            send_all(spec, id, measure.start, batch as u64, |first, n| {
                for (i, message) in messages[..n as usize].iter_mut().enumerate() {
                    message::fill(message, first + i as u64);
                }
                tx.send_batch(&messages[..n as usize]);
            });
        }
        Work::Wake => wake(spec, &mut tx, measure.start),
        Work::Idle => std::thread::sleep(idle(spec)),
        _ => send_all(spec, id, measure.start, 1, |first, _| tx.send(&message::make(first))),
    }
    if stage.finish(spec.producers) {
        (0..spec.consumers).for_each(|_| tx.send(&message::make(END)));
    }
    measure.sent()
}

/// Calls `send` with the first word and the number of messages to send, until the time is over.
#[inline(always)]
fn send_all(spec: &Spec, id: usize, start: u64, at_once: u64, mut send: impl FnMut(u64, u64)) {
    let budget = Budget::new(spec.limit, start);
    let granule = granule(spec.size).max(at_once).min(budget.messages.max(1));
    let mut sent = 0;
    while !budget.over(sent) {
        let stop = sent + granule.min(budget.messages - sent);
        while sent < stop {
            let n = at_once.min(stop - sent);
            send(message::first(id, sent), n);
            sent += n;
        }
    }
}

/// Whatever a consumer does.
pub fn consume<const N: usize>(spec: &Spec, stage: Stage, mut rx: impl Rx<N>) -> Outcome {
    let measure = Measure::begin(spec, stage);
    let mut checker = Checker::new(spec.producers, spec.consumers);
    let mut message = [0; N];
    match spec.work {
        Work::Batches(batch) => {
            let mut open = true;
            while open {
                rx.recv_batch(batch, |message| open &= checker.look(message));
            }
        }
        Work::Wake => return woken(measure, &mut rx),
        _ => loop {
            rx.recv(&mut message);
            if !checker.look(&message) {
                break;
            }
        },
    }
    measure.received(checker.received)
}

/// The producer of messages that are filled in place.
pub fn produce_in_place(spec: &Spec, stage: Stage, mut tx: impl InPlaceTx) -> Outcome {
    let measure = Measure::begin(spec, stage);
    send_all(spec, 0, measure.start, 1, |first, _| tx.send_in_place(|bytes| message::fill(bytes, first)));
    // A message of the same size, so that its other words can be anything that fits.
    tx.send_in_place(|bytes| message::fill(bytes, END));
    measure.sent()
}

/// The consumer of messages that are read in place.
pub fn consume_in_place(spec: &Spec, stage: Stage, mut rx: impl InPlaceRx) -> Outcome {
    let measure = Measure::begin(spec, stage);
    let mut checker = Checker::new(1, 1);
    while rx.recv_in_place(|bytes| checker.look(bytes)) {}
    measure.received(checker.received)
}

/// Sends and waits for the answer, again and again.
pub fn ask<const N: usize>(spec: &Spec, stage: Stage, mut tx: impl Tx<N>, mut rx: impl Rx<N>) -> Outcome {
    let measure = Measure::begin(spec, stage);
    let budget = Budget::new(spec.limit, measure.start);
    let (mut trips, mut times) = (0, times());
    let mut answer = [0; N];
    let Work::RoundTrip(at_once) = spec.work else { panic!("{:?} is no dialogue", spec.work) };
    let mut then = clock::now();
    while !budget.over(trips) {
        for _ in 0..at_once {
            tx.send(&message::make(trips));
            rx.recv(&mut answer);
            assert_eq!(message::check(&answer), Some(trips), "another answer");
            trips += 1;
        }
        let now = clock::now();
        times.saturating_record(now - then);
        then = now;
    }
    tx.send(&message::make(END));
    let quantile = |q| times.value_at_quantile(q) as f64 / at_once as f64;
    let distribution = PARTS.map(|part| [part, quantile(part)]).into();
    Outcome { p50: quantile(0.5), p99: quantile(0.99), distribution, ..measure.received(trips) }
}

/// Sends back what comes.
pub fn answer<const N: usize>(spec: &Spec, stage: Stage, mut tx: impl Tx<N>, mut rx: impl Rx<N>) -> Outcome {
    let measure = Measure::begin(spec, stage);
    let mut message = [0; N];
    let mut answered = 0;
    loop {
        rx.recv(&mut message);
        match message::check(&message) {
            Some(END) => return measure.received(answered),
            Some(_) => tx.send(&message),
            None => panic!("a garbled question"),
        }
        answered += 1;
    }
}

fn times() -> Histogram<u64> {
    Histogram::new_with_max(10_000_000_000, 3).expect("three digits up to ten seconds")
}

fn idle(spec: &Spec) -> Duration {
    match spec.limit {
        Limit::Millis(ms) => Duration::from_millis(ms * 5).min(IDLE),
        Limit::Messages(_) => IDLE,
    }
}

/// Pairs of messages that say when they were sent: the first to somebody asleep, the second shortly after.
fn wake<const N: usize>(spec: &Spec, tx: &mut impl Tx<N>, start: u64) {
    let budget = Budget::new(spec.limit, start);
    let mut sent = 0;
    while !budget.over(sent) {
        std::thread::sleep(QUIET);
        let first = clock::now();
        tx.send(&message::make(first));
        while clock::now() < first + NEXT {
            std::hint::spin_loop();
        }
        tx.send(&message::make(clock::now()));
        sent += 2;
    }
}

fn woken<const N: usize>(measure: Measure, rx: &mut impl Rx<N>) -> Outcome {
    let mut message = [0; N];
    let mut latencies = [times(), times()];
    let mut received = 0;
    loop {
        rx.recv(&mut message);
        let now = clock::now();
        let Some(sent) = message::check(&message) else { panic!("a garbled message") };
        if sent == END {
            break;
        }
        latencies[received as usize % 2].saturating_record(now.saturating_sub(sent));
        received += 1;
    }
    let [first, next] = latencies;
    let quantile = |times: &Histogram<u64>, q| times.value_at_quantile(q) as f64;
    Outcome {
        p50: quantile(&first, 0.5),
        p99: quantile(&first, 0.99),
        next_p50: quantile(&next, 0.5),
        ..measure.received(received)
    }
}
