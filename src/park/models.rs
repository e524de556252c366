//! Loom models of sleeping and waking: no order of events, and no value that a weakly ordered machine may return,
//! leaves anybody asleep over a message, over room, or over the end of the stream.
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib park::models`
//!
//! They are in fence mode: loom has no membarrier(2), whose caller makes a barrier run on the other processors. Its
//! fences are stronger than C11's: each acquires what came before any earlier one. The exhaustive models in
//! `tests/model/wait*.rs` have store buffers and the membarrier.
//!
//! Everybody makes as few calls as the model needs, and nobody leaves unless it is about leaving: a later post or
//! look would hide that one is missing.
//!
//! Each model returns what happened; the tests list all that may, and remove one rule after the other: each must
//! then let some model fail. A lost wake-up is a deadlock, which loom reports. That a publication wakes two hides
//! what a wrong wake-up of one does, so most rules are removed together with the second one.

mod kernel;
mod member;
mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loom::thread;

use super::Waited;
use crate::ring::models::{Model, Outcome, expect, index, outcomes};
use crate::ring::probe::{Killed, with_mutant};
use crate::ring::{Kind, Side};
use member::{Channel, Fate, Member};
use queue::{Head, Queue};

const SPSC: Queue = Queue::Ring(Kind::Spsc, 1);
const SPSC_TWO: Queue = Queue::Ring(Kind::Spsc, 2);
const MPMC: Queue = Queue::Ring(Kind::Mpmc, 2);
const COUNTERS: Queue = Queue::Counters;

/// A call that found the other side gone, or its time over.
const GONE: u64 = 1001;
const TIMED_OUT: u64 = 1002;

fn result(received: Result<u64, Waited>) -> u64 {
    match received {
        Ok(value) => value,
        Err(Waited::Gone) => GONE,
        Err(Waited::TimedOut) => TIMED_OUT,
        Err(other) => panic!("{other:?}"),
    }
}

/// A thread that receives so often.
fn receiving(mut consumer: Member<Head>, times: usize) -> thread::JoinHandle<Outcome> {
    thread::spawn(move || (0..times).map(|_| result(consumer.recv())).collect())
}

/// What a participant does; `None` if it was killed or stopped meanwhile.
fn until_killed<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(cause) if cause.is::<Killed>() => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// A producer sends so many messages, one by one, to a consumer. Allowed: all of them.
fn one_to_one(queue: Queue, messages: u64) -> Outcome {
    let channel = Channel::new(queue, 1, 1);
    let consumer = receiving(channel.consumer(1), messages as usize);
    let mut producer = channel.producer(0);
    (1..=messages).for_each(|value| producer.send(&[value]));
    consumer.join().unwrap()
}

/// The consumer sleeps, or not.
fn one_message() -> Outcome {
    one_to_one(SPSC, 1)
}

/// What was for the first sleep may not be taken for the second.
fn two_messages() -> Outcome {
    one_to_one(SPSC_TWO, 2)
}

/// The second message has no room before the first is acknowledged: the producer sleeps too.
fn full_ring() -> Outcome {
    one_to_one(SPSC, 2)
}

/// Two messages for two consumers, sent at once or one by one. Allowed: one for each.
fn one_to_two(queue: Queue, sent: &[&[u64]]) -> Outcome {
    let channel = Channel::new(queue, 1, 2);
    let consumers = [1, 2].map(|i| receiving(channel.consumer(i), 1));
    let mut producer = channel.producer(0);
    sent.iter().for_each(|values| producer.send(values));
    consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect()
}

fn batch() -> Outcome {
    one_to_two(COUNTERS, &[&[1, 2]])
}

/// The last producer leaves behind its message. Allowed: the message, then the end.
fn last_leaves() -> Outcome {
    let channel = Channel::new(SPSC, 1, 1);
    let consumer = receiving(channel.consumer(1), 2);
    let mut producer = channel.producer(0);
    producer.send(&[1]);
    producer.leave();
    let got = consumer.join().unwrap();
    assert_eq!(got, [1, GONE], "the end before the message");
    got
}

/// One consumer's time is over while the message comes, and it goes away. Allowed: it got the message, and the next
/// one is for the other; it got nothing, and the other has the message.
fn timeout_on(queue: Queue) -> Outcome {
    let channel = Channel::new(queue, 1, 2);
    let hasty = receiving(channel.consumer(1).with_fate(Fate::TimesOut), 1);
    let patient = receiving(channel.consumer(2), 1);
    let mut producer = channel.producer(0);
    producer.send(&[1]);
    let mut got = hasty.join().unwrap();
    if got != [TIMED_OUT] {
        producer.send(&[2]);
    }
    got.extend(patient.join().unwrap());
    got
}

fn timeout() -> Outcome {
    timeout_on(COUNTERS)
}

/// One consumer is killed asleep. Allowed: the other has the message; the killed one had got it before, without
/// sleeping, and lives, and the other has the next one.
fn dead_sleeper_on(queue: Queue) -> Outcome {
    let channel = Channel::with_mortals(queue, 1, 2, &[1]);
    let mut dying = channel.consumer(1).with_fate(Fate::DiesAsleep);
    let dying = thread::spawn(move || until_killed(|| dying.recv().unwrap()));
    let survivor = receiving(channel.consumer(2), 1);
    let mut producer = channel.producer(0);
    producer.send(&[1]);
    if dying.join().unwrap().is_some() {
        producer.send(&[2]);
    }
    survivor.join().unwrap()
}

fn dead_sleeper() -> Outcome {
    dead_sleeper_on(COUNTERS)
}

/// A producer is stopped for ever between its publication and its V, and another one sends. Allowed: both messages.
fn stopped_waker() -> Outcome {
    let channel = Channel::new(MPMC, 2, 1);
    let consumer = receiving(channel.consumer(2), 2);
    let mut stopped = channel.producer(0).with_fate(Fate::StopsWaking);
    until_killed(|| stopped.send(&[1]));
    channel.producer(1).send(&[2]);
    consumer.join().unwrap()
}

/// A consumer died asleep. Its index gets a new owner, which falls asleep too, while a producer looks around and
/// finds the death. Allowed: the new owner has the message.
fn index_reused() -> Outcome {
    let channel = Channel::with_mortals(SPSC, 1, 0, &[1]);
    super::arm(&channel.mem, index(1), Side::Consumers);
    let shared = channel.clone();
    let successor = thread::spawn(move || {
        super::reset(&shared.mem, index(1));
        shared.kernel.register(index(1), Side::Consumers);
        result(shared.consumer(1).recv())
    });
    let mut producer = channel.producer(0);
    producer.look_around(|| channel.kernel.leases());
    producer.send(&[1]);
    vec![successor.join().unwrap()]
}

/// Preemptions in one execution: of two threads; of three, or of a producer that sleeps, too; of three on a ring.
const TWO: usize = 3;
const THREE: usize = 2;
const THREE_ON_A_RING: usize = 1;

#[test]
fn a_sleeping_consumer_is_woken() {
    expect(TWO, one_message, [&[1]]);
    expect(TWO, two_messages, [&[1, 2]]);
}

#[test]
fn a_sleeping_producer_is_woken() {
    expect(THREE, full_ring, [&[1, 2]]);
}

#[test]
fn two_sleepers_are_woken() {
    expect(THREE, batch, [&[1, 2], &[2, 1]]);
    expect(THREE, || one_to_two(COUNTERS, &[&[1], &[2]]), [&[1, 2], &[2, 1]]);
    expect(THREE_ON_A_RING, || one_to_two(MPMC, &[&[1, 2]]), [&[1, 2], &[2, 1]]);
}

#[test]
fn the_end_is_seen() {
    expect(TWO, last_leaves, [&[1, GONE]]);
}

#[test]
fn a_timeout_takes_no_wake_up_along() {
    expect(THREE, timeout, [&[1, 2], &[TIMED_OUT, 1]]);
    expect(THREE_ON_A_RING, || timeout_on(MPMC), [&[1, 2], &[TIMED_OUT, 1]]);
}

#[test]
fn the_dead_keep_no_wake_up() {
    expect(THREE, dead_sleeper, [&[1], &[2]]);
    expect(THREE_ON_A_RING, || dead_sleeper_on(MPMC), [&[1], &[2]]);
}

#[test]
fn a_stopped_waker_strands_nobody() {
    expect(TWO, stopped_waker, [&[1, 2]]);
}

#[test]
fn a_new_owner_is_not_marked_for_the_old() {
    expect(TWO, index_reused, [&[1]]);
}

/// A wake-up of one is enough if nobody is stopped. The rules below are removed from this.
#[test]
fn one_woken_is_enough() {
    for (model, expected) in [
        (batch as Model, [[1, 2].as_slice(), &[2, 1]]),
        (timeout, [&[1, 2], &[TIMED_OUT, 1]]),
        (dead_sleeper, [&[1], &[2]]),
    ] {
        with_mutant("two at once", || expect(THREE, model, expected)).unwrap();
    }
}

/// Why a model fails with the rule removed.
fn failure(rule: &'static str, bound: usize, model: Model) -> String {
    match with_mutant(rule, || outcomes(bound, model)) {
        Ok(outcomes) => format!("{outcomes:?}"),
        Err(cause) => *cause.downcast::<String>().unwrap(),
    }
}

#[test]
fn every_rule_is_needed() {
    let rules: [(&str, usize, Model); 19] = [
        ("no sleeper barrier", TWO, one_message),
        ("no sleeper barrier", TWO, full_ring),
        ("no publisher barrier", TWO, one_message),
        ("no publisher barrier", TWO, full_ring),
        ("no second look", TWO, one_message),
        ("drained after arming", TWO, two_messages),
        ("no epoch", TWO, two_messages),
        ("no epoch", TWO, index_reused),
        ("park words after the leases", TWO, index_reused),
        ("leaver posts nobody", TWO, last_leaves),
        ("posted before leaving", TWO, last_leaves),
        ("marked before posted", TWO, stopped_waker),
        ("two at once + no chaining", THREE, batch),
        ("two at once + no next", THREE, timeout),
        ("two at once + not disarmed", THREE, timeout),
        ("two at once + no last try", THREE, timeout),
        ("two at once + mark not acquired", THREE, timeout),
        ("two at once + dead not marked", THREE, dead_sleeper),
        ("two at once + drained and not looked again", THREE, dead_sleeper),
    ];
    for (rule, bound, model) in rules {
        let why = failure(rule, bound, model);
        assert!(why.starts_with("deadlock"), "{rule}: {why}");
    }
}

#[test]
fn the_leases_are_looked_at_before_the_ring() {
    let why = failure("ring before the leases", TWO, last_leaves);
    assert!(why.contains("the end before the message"), "{why}");
}
