//! A peer that changes a word between two reads of it: every access of every operation, one after the other, finds
//! something else than was there before. Whatever it finds, the operation ends after as many accesses as an honest
//! ring can cost, claims no more than was asked for, and copies no more than a slot holds.

use core::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::probe::meddled;
use super::world::memory;
use super::*;
use crate::layout::{Geometry, record, slot};

const CAPACITY: u64 = 4;
const SIZE: usize = 24;
const ORIGIN: u64 = 5;
/// Accesses that no operation below exceeds, unless it runs in circles: the races that a claim may lose, a few times.
const MOST_ACCESSES: usize = 256 * 64;

fn index(i: usize) -> Index {
    Index::new(i, 4).unwrap()
}

/// A ring, its ends, and what an operation is done to.
struct Bench {
    _memory: Vec<u64>,
    shared: Shared,
    kind: Kind,
    sender: Sender,
    receiver: Receiver,
}

impl Bench {
    /// Two messages are there. MPMC: one receiver has died with the message before them, one sender with the one behind.
    fn new(kind: Kind) -> Self {
        let (memory, shared) = memory(Geometry::new(CAPACITY, SIZE as u64, 4).unwrap());
        init(&shared, kind, ORIGIN);
        let mut sender = Sender::resume(kind, &shared, index(0));
        if kind == Kind::Mpmc {
            send(&shared, &mut sender, 1);
            let mut dead = Receiver::resume(kind, &shared, index(3));
            let _in_hand = dead.claim(&shared, 1);
        }
        send(&shared, &mut sender, 2);
        if kind == Kind::Mpmc {
            let _never_sent = Sender::resume(kind, &shared, index(2)).claim(&shared, 1);
        }
        let receiver = Receiver::resume(kind, &shared, index(1));
        Self { _memory: memory, shared, kind, sender, receiver }
    }

    /// As above, and the dead one's message is the receiver's own.
    fn adopted() -> Self {
        let bench = Bench::new(Kind::Mpmc);
        settle(&bench.shared, Kind::Mpmc, index(3), Side::Consumers, Author::Consumer(index(1)));
        bench
    }
}

fn send(shared: &Shared, sender: &mut Sender, want: u32) {
    let Ok(mut claim) = sender.claim(shared, want) else { return };
    assert!((1..=want.min(CAPACITY as u32)).contains(&claim.len()));
    while claim.len() > 0 {
        let left = claim.len();
        assert!(shared.write_payload(claim.position(), 0, &[0xab; SIZE]));
        sender.publish(shared, &mut claim, SIZE as u32, 9);
        assert_eq!(claim.len(), left - 1);
    }
}

fn receive(shared: &Shared, receiver: &mut Receiver, want: u32) {
    let Ok(mut claim) = receiver.claim(shared, want) else { return };
    assert!((1..=want.min(CAPACITY as u32)).contains(&claim.len()));
    while claim.len() > 0 {
        let left = claim.len();
        if let Some(found) = receiver.look(shared, &mut claim) {
            assert!((1..=16).contains(&found.attempt));
            let len = found.len as usize;
            if len <= SIZE {
                assert_eq!(shared.copy_payload(claim.position(), len).len(), len);
            } else {
                assert!(!shared.read_payload_into(claim.position(), 0, &mut vec![0; len.min(1 << 16)]));
            }
        }
        receiver.release(shared, &mut claim);
        assert_eq!(claim.len(), left - 1);
    }
}

type Operation = (&'static str, fn() -> Bench, fn(&mut Bench));

const SPSC: fn() -> Bench = || Bench::new(Kind::Spsc);
const MPMC: fn() -> Bench = || Bench::new(Kind::Mpmc);

/// What participants do, and what others do for the dead.
const OPERATIONS: [Operation; 15] = [
    ("spsc receive", SPSC, |b| receive(&b.shared, &mut b.receiver, 1)),
    ("spsc receive all", SPSC, |b| receive(&b.shared, &mut b.receiver, 9)),
    ("spsc send", SPSC, |b| send(&b.shared, &mut b.sender, 9)),
    ("spsc successors", SPSC, |b| {
        b.sender = Sender::resume(b.kind, &b.shared, index(0));
        b.receiver = Receiver::resume(b.kind, &b.shared, index(1));
        receive(&b.shared, &mut b.receiver, 2);
        send(&b.shared, &mut b.sender, 2);
    }),
    ("spsc polls", SPSC, polls),
    ("mpmc receive", MPMC, |b| receive(&b.shared, &mut b.receiver, 1)),
    ("mpmc receive all", MPMC, |b| receive(&b.shared, &mut b.receiver, 9)),
    ("mpmc receive adopted", Bench::adopted, |b| receive(&b.shared, &mut b.receiver, 9)),
    ("mpmc send", MPMC, |b| send(&b.shared, &mut b.sender, 9)),
    ("mpmc polls", MPMC, polls),
    ("mpmc give back", MPMC, |b| {
        receive(&b.shared, &mut b.receiver, 1);
        if let Ok(mut claim) = b.receiver.claim(&b.shared, 2) {
            b.receiver.give_back(&b.shared, &mut claim);
        }
        let _midway = b.receiver.claim(&b.shared, 1);
        b.receiver.take_back(&b.shared);
        receive(&b.shared, &mut b.receiver, 2);
    }),
    ("mpmc forget", MPMC, |b| {
        let _forgotten = (b.sender.claim(&b.shared, 2), b.receiver.claim(&b.shared, 2));
        receive(&b.shared, &mut b.receiver, 2);
        send(&b.shared, &mut b.sender, 2);
    }),
    ("mpmc adopt", MPMC, |b| {
        settle(&b.shared, b.kind, index(3), Side::Consumers, Author::Consumer(index(1)));
        adopt_given(&b.shared, index(3), index(1));
    }),
    ("mpmc settle", MPMC, |b| {
        settle(&b.shared, b.kind, index(2), Side::Producers, Author::Outsider);
        settle(&b.shared, b.kind, index(3), Side::Consumers, Author::Heir);
    }),
    ("mpmc leave", Bench::adopted, |b| {
        b.receiver.clean(&b.shared);
        b.sender.clean(&b.shared);
    }),
];

fn polls(b: &mut Bench) {
    let _ = (b.sender.poll(&b.shared), b.receiver.poll(&b.shared));
    let _ = (b.sender.glance(&b.shared), b.receiver.glance(&b.shared), b.receiver.given_back(&b.shared));
    assert!(occupancy(&b.shared, b.kind) <= CAPACITY);
    let _ = traffic(&b.shared, b.kind, ORIGIN);
    for i in 0..4 {
        if let Some((_, slots)) = holds(&b.shared, b.kind, index(i), Side::Consumers) {
            assert!((1..=256).contains(&slots));
        }
    }
}

/// Does the operation, with `value` written before its accesses from the `from`-th on, to the `to`-th.
fn meddle(
    operation: &Operation,
    accesses: std::ops::Range<usize>,
    value: impl Fn(u64, usize) -> u64 + 'static,
) -> Vec<usize> {
    let (name, make, run) = operation;
    let mut bench = make();
    let trace = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&trace);
    let meddler = move |offset: usize, word: &crate::sync::AtomicU64| {
        let mut seen = seen.borrow_mut();
        if accesses.contains(&seen.len()) {
            word.store(value(word.load(Ordering::Relaxed), seen.len()), Ordering::Relaxed);
        }
        seen.push(offset);
        assert!(seen.len() < MOST_ACCESSES, "runs in circles");
    };
    meddled(meddler, || run(&mut bench));
    let trace = trace.take();
    assert!(!trace.is_empty(), "{name} looks at nothing");
    trace
}

/// What a word becomes: the edges of every field, its neighbours, other phases, other flags, another lap.
const LIES: [fn(u64) -> u64; 14] = [
    |_| 0,
    |_| u64::MAX,
    |_| 1,
    |_| 1 << 63,
    |_| 0xffff_ffff,
    |was| was.wrapping_add(1),
    |was| was.wrapping_sub(1),
    |was| was ^ 1 << 16,
    |was| was ^ 3 << 16,
    |was| was.wrapping_add(1 << 18),
    |was| was.wrapping_sub(4 << 18),
    |was| was ^ 2,
    |was| was | 0xff1,
    |was| was ^ 1 << 6,
];

#[test]
fn every_access_finds_something_else() {
    let mut runs = 0;
    for operation in &OPERATIONS {
        let honest = meddle(operation, 0..0, |was, _| was).len();
        for lie in LIES {
            // One access, and everything from one access on.
            let mut at = 0;
            while at < honest.max(64) {
                let once = meddle(operation, at..at + 1, move |was, _| lie(was)).len();
                meddle(operation, at..usize::MAX, move |was, _| lie(was));
                runs += 2;
                at += 1;
                if at >= once && at >= honest {
                    break;
                }
            }
        }
        // Never the same twice.
        for seed in 0..200u64 {
            meddle(operation, 0..usize::MAX, move |was, at| {
                let random =
                    (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(at as u32 % 61) ^ at as u64;
                if random % 3 == 0 { LIES[random as usize / 3 % LIES.len()](was) } else { was }
            });
            runs += 1;
        }
    }
    assert!(runs > 5_000, "{runs}");
    println!(
        "\n| ring operations, a word changed before or from any access on | {runs} | all ended, claims and copies in bounds |"
    );
}

/// What decides how much is copied is read once.
#[test]
fn a_length_is_read_once() {
    for operation in OPERATIONS.iter().filter(|(name, ..)| name.ends_with("receive")) {
        let trace = meddle(operation, 0..0, |was, _| was);
        let geometry = Geometry::new(CAPACITY, SIZE as u64, 4).unwrap();
        let metas: Vec<_> = (0..CAPACITY).map(|x| geometry.slot(x) + slot::META).collect();
        assert_eq!(trace.iter().filter(|offset| metas.contains(offset)).count(), 1, "{}", operation.0);
    }
}

/// The test above meets every word that the rings' code knows.
#[test]
fn no_word_is_left_out() {
    let all: BTreeSet<usize> = OPERATIONS.iter().flat_map(|o| meddle(o, 0..0, |was, _| was)).collect();
    let geometry = Geometry::new(CAPACITY, SIZE as u64, 4).unwrap();
    let mut expected = vec![shared::TAIL, shared::HEAD, shared::FREE, shared::IN_HAND];
    for i in 0..4 {
        expected.extend([record::ANNOUNCED, record::ADOPTED].map(|field| geometry.record(i) + field));
        expected
            .extend([slot::STAMP, slot::META, slot::PAYLOAD].map(|field| geometry.slot(i as u64) + field));
    }
    for offset in expected {
        // A producer never has an adopted range.
        if ![0, 2].map(|i| geometry.record(i) + record::ADOPTED).contains(&offset) {
            assert!(all.contains(&offset), "byte {offset}");
        }
    }
}
