//! Loom models of the rings: every order of events, and every value that a weakly ordered machine may return, for
//! two or three threads. Payloads and metas are plain cells here, so an access that the stamps do not order fails.
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib ring::models`
//!
//! The mutex stands for lease and LOCK: a death is `alive = false` under it, and the kernel makes it so only after
//! the dead one's last store. Nothing else about a participant's life is ordered by it.
//!
//! Each model returns what happened; the tests list all that may, and remove one ordering after the other: each
//! must then let some model fail. Rules that need no weak ordering are removed in `tests`.

mod mpmc;

use core::mem::MaybeUninit;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as Plain};

use loom::sync::Mutex;
use loom::thread;

use super::probe::with_mutant;
use super::word::Stamp;
use super::{Claim, Index, Kind, Receiver, Sender, Shared, init, occupancy};
use crate::layout::Geometry;
use crate::sync::Ordering;
use mpmc::{
    consumer_evidence, dead_consumer, dead_producer, given_back, loser, producer_evidence, two_consumers,
    two_producers,
};

/// What happened in one execution.
pub(crate) type Outcome = Vec<u64>;
/// One execution; loom calls it again for each.
pub(crate) type Model = fn() -> Outcome;

pub(crate) fn ring(kind: Kind, capacity: u64) -> Arc<Shared> {
    let shared = Shared::new(Geometry::new(capacity, 8, 4).unwrap());
    init(&shared, kind, (1 << 58) - 1);
    Arc::new(shared)
}

pub(crate) fn index(i: usize) -> Index {
    Index::new(i, 4).unwrap()
}

pub(crate) fn sender(shared: &Shared, kind: Kind, i: usize) -> Sender {
    Sender::resume(kind, shared, index(i))
}

pub(crate) fn receiver(shared: &Shared, kind: Kind, i: usize) -> Receiver {
    Receiver::resume(kind, shared, index(i))
}

/// One try.
fn send(shared: &Shared, sender: &mut Sender, value: u64) -> bool {
    let Ok(mut claim) = sender.claim(shared, 1) else { return false };
    assert!(shared.write_payload(claim.position(), 0, &value.to_ne_bytes()));
    sender.publish(shared, &mut claim, 8, value as u32);
    true
}

pub(crate) fn look(shared: &Shared, receiver: &mut Receiver, claim: &mut Claim) -> Option<u64> {
    let found = receiver.look(shared, claim)?;
    let mut bytes = [MaybeUninit::new(0); 8];
    assert!(shared.read_payload(claim.position(), 0, &mut bytes));
    // SAFETY: initialised from the start.
    #[allow(unsafe_code)]
    let value = u64::from_ne_bytes(bytes.map(|byte| unsafe { byte.assume_init() }));
    assert_eq!((found.len, found.tag), (8, value as u32), "torn");
    Some(value + 100 * u64::from(found.attempt - 1))
}

/// One try, and another behind each tombstone. The hundreds of the value are the attempts before.
fn recv(shared: &Shared, receiver: &mut Receiver) -> Option<u64> {
    loop {
        let mut claim = receiver.claim(shared, 1).ok()?;
        let value = look(shared, receiver, &mut claim);
        receiver.release(shared, &mut claim);
        if value.is_some() {
            return value;
        }
    }
}

fn drain(shared: &Shared, kind: Kind, receiver: &mut Receiver, got: &mut Outcome) {
    while let Some(value) = recv(shared, receiver) {
        got.push(value);
    }
    assert_eq!(occupancy(shared, kind), 0, "somebody's slot is in the way");
}

fn stamp(shared: &Shared, position: u64) -> Stamp {
    Stamp::from_bits(shared.stamp(position).load(Ordering::Relaxed))
}

/// A producer sends until the ring is full, the consumer takes until it is empty, and both once more.
fn spsc(capacity: u64) -> Outcome {
    let ring = ring(Kind::Spsc, capacity);
    let shared = ring.clone();
    let producer = thread::spawn(move || {
        let mut sender = sender(&shared, Kind::Spsc, 0);
        (1..=3).filter(|value| send(&shared, &mut sender, *value)).collect::<Outcome>()
    });
    let mut consumer = receiver(&ring, Kind::Spsc, 1);
    let mut got: Outcome = (0..3).filter_map(|_| recv(&ring, &mut consumer)).collect();
    let sent = producer.join().unwrap();
    drain(&ring, Kind::Spsc, &mut consumer, &mut got);
    assert_eq!(got, sent);
    got
}

fn spsc_one() -> Outcome {
    spsc(1)
}

fn spsc_two() -> Outcome {
    spsc(2)
}

/// The consumer dies with a message in its hand; its successor goes on while the producer sends.
fn spsc_dead_consumer() -> Outcome {
    let ring = ring(Kind::Spsc, 1);
    let alive = Arc::new(Mutex::new(true));
    let (shared, lease) = (ring.clone(), alive.clone());
    let dying = thread::spawn(move || {
        let mut receiver = receiver(&shared, Kind::Spsc, 1);
        if let Ok(mut claim) = receiver.claim(&shared, 1) {
            look(&shared, &mut receiver, &mut claim).unwrap();
        }
        *lease.lock().unwrap() = false;
    });
    let (shared, lease) = (ring.clone(), alive.clone());
    let successor = thread::spawn(move || {
        let dead = !*lease.lock().unwrap();
        dead.then(|| recv(&shared, &mut receiver(&shared, Kind::Spsc, 1))).flatten()
    });
    let mut producer = sender(&ring, Kind::Spsc, 0);
    let sent: Outcome = (1..=2).filter(|value| send(&ring, &mut producer, *value)).collect();
    dying.join().unwrap();
    let mut got = Vec::from_iter(successor.join().unwrap());
    drain(&ring, Kind::Spsc, &mut receiver(&ring, Kind::Spsc, 1), &mut got);
    assert_eq!(got.iter().map(|value| value % 100).collect::<Outcome>(), sent);
    got
}

/// The producer dies behind its message; its successor goes on, and the consumer may see the stamp of the second message
/// before that of the first.
fn spsc_dead_producer() -> Outcome {
    let ring = ring(Kind::Spsc, 2);
    let alive = Arc::new(Mutex::new(true));
    let (shared, lease) = (ring.clone(), alive.clone());
    let dying = thread::spawn(move || {
        assert!(send(&shared, &mut sender(&shared, Kind::Spsc, 0), 1));
        *lease.lock().unwrap() = false;
    });
    let (shared, lease) = (ring.clone(), alive);
    let successor = thread::spawn(move || {
        let dead = !*lease.lock().unwrap();
        dead && send(&shared, &mut sender(&shared, Kind::Spsc, 0), 2)
    });
    let mut consumer = receiver(&ring, Kind::Spsc, 1);
    let mut got: Outcome = (0..2).filter_map(|_| recv(&ring, &mut consumer)).collect();
    dying.join().unwrap();
    let sent = 1 + u64::from(successor.join().unwrap());
    drain(&ring, Kind::Spsc, &mut consumer, &mut got);
    assert_eq!(got, (1..=sent).collect::<Outcome>());
    got
}

/// Preemptions in one execution. Three let every rule be missed; the longest chain of outcomes needs more.
const BOUND: usize = 3;

/// Every outcome of a model. `LOOM_MAX_PREEMPTIONS` deepens the search.
pub(crate) fn outcomes(bound: usize, model: Model) -> BTreeSet<Outcome> {
    let all = Arc::new(Plain::new(BTreeSet::new()));
    let seen = all.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.max(Some(bound));
    builder.check(move || {
        let outcome = model();
        seen.lock().unwrap().insert(outcome);
    });
    let outcomes = all.lock().unwrap();
    outcomes.clone()
}

pub(crate) fn expect<const N: usize>(bound: usize, model: Model, expected: [&[u64]; N]) {
    assert_eq!(outcomes(bound, model), expected.into_iter().map(Vec::from).collect());
}

#[test]
fn spsc_keeps_order() {
    expect(5, spsc_one, [&[1], &[1, 2], &[1, 3], &[1, 2, 3]]);
    expect(BOUND, spsc_two, [&[1, 2], &[1, 2, 3]]);
}

#[test]
fn spsc_successor_finds_the_message_in_hand() {
    expect(BOUND, spsc_dead_consumer, [&[1], &[101], &[1, 2], &[101, 2]]);
}

#[test]
fn spsc_successor_keeps_order() {
    expect(BOUND, spsc_dead_producer, [&[1], &[1, 2]]);
}

#[test]
fn mpmc_two_producers() {
    expect(BOUND, two_producers, [&[1], &[2], &[1, 2], &[2, 1]]);
}

#[test]
fn mpmc_two_consumers() {
    expect(BOUND, two_consumers, [&[1, 2], &[1, 2, 3]]);
}

#[test]
fn mpmc_dead_producer() {
    expect(BOUND, dead_producer, [&[], &[5]]);
}

#[test]
fn mpmc_dead_consumer() {
    expect(BOUND, dead_consumer, [&[1], &[101], &[1, 2], &[101, 2], &[1, 102]]);
}

#[test]
fn mpmc_evidence() {
    expect(BOUND, producer_evidence, [&[2, 3]]);
    expect(BOUND, consumer_evidence, [&[2, 3, 101]]);
    expect(BOUND, loser, [&[2, 3], &[3, 2]]);
}

#[test]
fn mpmc_given_back() {
    expect(BOUND, given_back, [&[101], &[101, 2]]);
}

#[test]
fn every_ordering_is_needed() {
    let rules: [(&str, Model); 24] = [
        ("spsc: ready not released", spsc_one),
        ("spsc: ready not acquired", spsc_one),
        ("spsc: ready not released", spsc_dead_producer),
        ("spsc: ready not acquired", spsc_dead_producer),
        ("spsc: free not released", spsc_one),
        ("spsc: free not acquired", spsc_one),
        ("spsc: head not released", spsc_one),
        ("spsc: head not acquired", spsc_one),
        ("ready not released", two_producers),
        ("ready not acquired", two_producers),
        ("free not released", two_producers),
        ("free not acquired", two_consumers),
        ("claim not released", producer_evidence),
        ("position not acquired", producer_evidence),
        ("announcement not released", producer_evidence),
        ("announcement not acquired", producer_evidence),
        ("announced after the CAS", producer_evidence),
        ("announced after the CAS", consumer_evidence),
        ("no second look", producer_evidence),
        ("no second look", consumer_evidence),
        ("recovered stamp not released", dead_producer),
        ("adopted: free not released", dead_consumer),
        ("given not released", given_back),
        ("given not acquired", given_back),
    ];
    let missed: Vec<_> = rules
        .into_iter()
        .filter(|(rule, model)| with_mutant(rule, || outcomes(BOUND, *model)).is_ok())
        .map(|(rule, _)| rule)
        .collect();
    assert!(missed.is_empty(), "not missed when removed: {missed:?}");
}
