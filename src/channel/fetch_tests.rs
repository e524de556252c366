//! As `ring::fetch_tests`, for what the channel reads beyond the ring: who sleeps, who joined, who gave back, who is
//! there. A peer changes each word at its first, second and third access and from there on; every call ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::*;
use crate::error::Error;
use crate::layout::{Geometry, LINE, record, shared, slot};
use crate::os;
use crate::pair::Set as _;
use crate::ring::{self, meddled};
use crate::segment::Key;
use crate::sync::Ordering;
use std::time::{Duration, Instant};

const SIZE: usize = 24;
const SHORT: Duration = Duration::from_micros(100);
/// Far beyond every time limit below.
const HANG: Duration = Duration::from_secs(10);

/// A private channel with one of each side, removed at the end.
struct Bench {
    producer: Producer,
    consumer: Consumer,
    channel: Channel,
}

impl Bench {
    fn new(kind: ring::Kind) -> Self {
        let options = Options::new().kind(kind).capacity(4).message_size(SIZE as u64).participants(4);
        let channel = options.create(Key::Private).expect("create");
        let (producer, consumer) =
            (channel.producer().expect("producer"), channel.consumer().expect("consumer"));
        Self { producer, consumer, channel }
    }

    fn fill(mut self, messages: usize) -> Self {
        (0..messages).for_each(|_| self.producer.try_send(&[7; SIZE]).expect("room"));
        self
    }

    /// The producer is dead for all that the kernel says; it had claimed a slot.
    fn orphaned(mut self) -> Self {
        if let Ok(grant) = self.producer.try_reserve(1) {
            std::mem::forget(grant);
        }
        let set = self.channel.attachment.set.id();
        // The lease of the first participant, and the count of producers.
        let gone = [4, 2].map(|semaphore| os::sem::sembuf(semaphore, -1, os::sem::NOWAIT));
        os::sem::op(set, &gone).expect("semop");
        self
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = (os::shm::remove(self.channel.id()), self.channel.attachment.set.remove());
    }
}

type Operation = (fn(ring::Kind) -> Bench, fn(&mut Bench));

const OPERATIONS: [Operation; 10] = [
    (|kind| Bench::new(kind).fill(2), |b| drop(b.consumer.try_recv().map(|m| assert!(m.len() <= SIZE)))),
    (
        |kind| Bench::new(kind).fill(2),
        |b| {
            // In one go, and into more room than a message may fill.
            let mut buffer = [0xee; 3 * SIZE];
            let len = b.consumer.try_recv_into(&mut buffer).map_or(0, |received| received.len);
            assert!(len <= SIZE && buffer[SIZE..].iter().all(|byte| *byte == 0xee));
        },
    ),
    (
        |kind| Bench::new(kind).fill(3),
        |b| {
            let mut batch = Batch::new();
            let _ = b.consumer.try_recv_batch(&mut batch, 9);
            assert!(batch.iter().all(|message| message.data.len() <= SIZE));
        },
    ),
    (Bench::new, |b| drop(b.consumer.recv_timeout(SHORT).map(|m| assert!(m.len() <= SIZE)))),
    (|kind| Bench::new(kind).fill(4), |b| drop(b.producer.send_timeout(b"x", SHORT))),
    (
        |kind| Bench::new(kind).fill(1),
        |b| drop((b.producer.try_send(b"x"), b.producer.try_send_batch(&[b"y"]))),
    ),
    (
        |kind| Bench::new(kind).fill(2),
        |b| {
            if let Ok(lease) = b.consumer.try_lease() {
                lease.retry();
            }
            drop(b.consumer.recv_timeout(SHORT).map(|m| assert!((1..=16).contains(&m.attempt))));
        },
    ),
    (
        |kind| Bench::new(kind).fill(1),
        |b| {
            drop((b.channel.status().map(|status| assert!(status.len <= 4)), b.channel.len()));
            drop((b.channel.consumer(), b.channel.producer()));
        },
    ),
    (
        |kind| Bench::new(kind).fill(1).orphaned(),
        |b| {
            for _ in 0..3 {
                drop(b.consumer.recv_timeout(SHORT));
            }
        },
    ),
    (
        |kind| Bench::new(kind).fill(1).orphaned(),
        |b| {
            drop((b.channel.consumer().map(|mut c| c.try_recv()), b.channel.producer()));
            assert!(!matches!(b.channel.clone().remove_if_unused(), Ok(true)), "somebody is there");
        },
    ),
];

const LIES: [fn(u64) -> u64; 7] = [
    |_| 0,
    |_| u64::MAX,
    |was| was.wrapping_add(1),
    |was| was ^ 3 << 16,
    |was| was.wrapping_add(5 << 18),
    |_| 1 << 63 | 1,
    |was| was ^ 2,
];

/// Does the operation while a peer writes `lie` to the word at `target` before its `nth` access, and before all that
/// follow if it insists. Which words were looked at.
fn meddle(
    (make, run): &Operation,
    kind: ring::Kind,
    target: usize,
    nth: u32,
    insists: bool,
    lie: fn(u64) -> u64,
) -> BTreeSet<usize> {
    let mut bench = make(kind);
    let offsets = Arc::new(Mutex::new(BTreeSet::new()));
    let (seen, start, mut count) = (Arc::clone(&offsets), Instant::now(), 0);
    let meddler = move |offset: usize, word: &crate::sync::AtomicU64| {
        seen.lock().expect("one thread").insert(offset);
        if offset == target {
            if count == nth || insists && count > nth {
                word.store(lie(word.load(Ordering::Relaxed)), Ordering::Relaxed);
            }
            count += 1;
            assert!(start.elapsed() < HANG, "byte {target} makes it run in circles");
        }
    };
    meddled(meddler, || run(&mut bench));
    offsets.lock().expect("one thread").clone()
}

/// None of a word that no operation knows.
const NOWHERE: usize = usize::MAX;

#[test]
fn every_word_changes_between_two_reads() {
    let (mut met, mut runs) = (BTreeSet::new(), 0);
    for kind in [ring::Kind::Spsc, ring::Kind::Mpmc] {
        for operation in &OPERATIONS {
            let offsets = meddle(operation, kind, NOWHERE, 0, false, |was| was);
            for &offset in &offsets {
                for (i, lie) in LIES.into_iter().enumerate() {
                    for nth in 0..3 {
                        meddle(operation, kind, offset, nth, (i + nth as usize) % 2 == 0, lie);
                        runs += 1;
                    }
                }
            }
            met.extend(offsets);
        }
    }
    let geometry = Geometry::new(4, SIZE as u64, 4).expect("small");
    let fields = [
        shared::JOINS,
        shared::JOINS + 8,
        shared::RECOVERIES,
        shared::USED,
        shared::FAILED,
        shared::FAILED + 8,
        shared::SLEEPERS,
        shared::CHANGES,
        shared::SLEEPERS + LINE,
        shared::CHANGES + LINE,
        shared::GIVEN,
        shared::TAIL,
        shared::HEAD,
        shared::IN_HAND,
        shared::FREE,
        geometry.record(0) + record::ANNOUNCED,
        geometry.record(1) + record::ADOPTED,
        geometry.record(0) + record::STATE,
        geometry.record(0) + record::PID,
        geometry.record(0) + record::JOINED,
        geometry.record(1) + record::PARK,
        geometry.slot(0) + slot::STAMP,
        geometry.slot(0) + slot::META,
        geometry.slot(0) + slot::PAYLOAD,
    ];
    let missed: Vec<_> = fields.into_iter().filter(|field| !met.contains(field)).collect();
    assert!(missed.is_empty(), "never looked at: {missed:?}");
    println!(
        "\n| channel calls, each word they read changed between two reads | {runs} | all ended, `Ok` or an error |"
    );
}

/// The word that says whether the channel lives is not the ring's: it is looked at by every call that looks around.
#[test]
fn the_state_changes_under_an_open_handle() {
    for (state, removed) in [(2, true), (0, false), (3, false), (u64::MAX, false)] {
        let mut bench = Bench::new(ring::Kind::Mpmc);
        bench.channel.attachment.mem().word(crate::layout::header::STATE).store(state, Ordering::Release);
        let error = bench.consumer.recv().expect_err("not live");
        match error {
            crate::RecvError::Failed(Error::Removed) => assert!(removed),
            crate::RecvError::Failed(Error::Corrupt { what: "state", found, .. }) => {
                assert!(!removed && found == state)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Where something seems to be there whenever one looks, and never is, a call without a time limit once did not hear its
/// canceller.
#[test]
fn cancelling_is_not_up_to_the_peer() {
    let mut bench = Bench::new(ring::Kind::Mpmc);
    bench.consumer.canceller().cancel();
    let adopted = bench.channel.attachment.mem().geometry().record(1) + record::ADOPTED;
    let start = Instant::now();
    let meddler = move |offset: usize, word: &crate::sync::AtomicU64| {
        if offset == adopted {
            word.store(1, Ordering::Relaxed); // a range at position 0, in which nothing is held
            assert!(start.elapsed() < HANG, "not cancelled");
        }
    };
    let ended = meddled(meddler, || bench.consumer.recv());
    assert_eq!(ended.map(drop), Err(crate::RecvError::Failed(Error::Cancelled)));
}
