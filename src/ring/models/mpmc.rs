//! Models of the MPMC ring.

use std::collections::BTreeSet;
use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread;

use super::{Outcome, drain, index, look, receiver, recv, ring, send, sender, stamp};
use crate::layout::record;
use crate::ring::word::{Announcement, Owner, Phase};
use crate::ring::{Author, Kind, Settled, Side, adopt_given, sent, settle};
use crate::sync::Ordering;

/// Two producers for one slot.
pub(super) fn two_producers() -> Outcome {
    let ring = ring(Kind::Mpmc, 1);
    let producers = [0, 1].map(|i| {
        let shared = ring.clone();
        thread::spawn(move || {
            let mut sender = sender(&shared, Kind::Mpmc, i);
            let value = i as u64 + 1;
            send(&shared, &mut sender, value).then_some(value)
        })
    });
    let mut consumer = receiver(&ring, Kind::Mpmc, 2);
    let mut got: Outcome = recv(&ring, &mut consumer).into_iter().collect();
    let sent: BTreeSet<u64> = producers.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
    drain(&ring, Kind::Mpmc, &mut consumer, &mut got);
    assert_eq!(BTreeSet::from_iter(got.clone()), sent);
    assert_eq!(got.len(), sent.len(), "twice");
    got
}

/// Two consumers; the producer sends a third message over the first or second.
pub(super) fn two_consumers() -> Outcome {
    let ring = ring(Kind::Mpmc, 2);
    let mut producer = sender(&ring, Kind::Mpmc, 0);
    (1..=2).for_each(|value| assert!(send(&ring, &mut producer, value)));
    let consumers = [1, 2].map(|i| {
        let shared = ring.clone();
        thread::spawn(move || recv(&shared, &mut receiver(&shared, Kind::Mpmc, i)))
    });
    let sent = 2 + usize::from(send(&ring, &mut producer, 3));
    let mut got: Outcome = consumers.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got.len(), 2, "a consumer found nothing though something was there for it");
    drain(&ring, Kind::Mpmc, &mut receiver(&ring, Kind::Mpmc, 3), &mut got);
    assert_eq!(got.len(), sent);
    got
}

/// A producer dies over its payload. One survivor settles it, another receives and sends over the slot.
pub(super) fn dead_producer() -> Outcome {
    let ring = ring(Kind::Mpmc, 1);
    let alive = Arc::new(Mutex::new(true));
    let (shared, lease) = (ring.clone(), alive.clone());
    let dying = thread::spawn(move || {
        if let Ok(claim) = sender(&shared, Kind::Mpmc, 0).claim(&shared, 1) {
            assert!(shared.write_payload(claim.position(), 0, &[9; 8]));
        }
        *lease.lock().unwrap() = false;
    });
    let (shared, lease) = (ring.clone(), alive.clone());
    let survivor = thread::spawn(move || {
        let alive = lease.lock().unwrap();
        if !*alive {
            settle(&shared, Kind::Mpmc, index(0), Side::Producers, Author::Outsider);
        }
    });
    let mut consumer = receiver(&ring, Kind::Mpmc, 2);
    let mut producer = sender(&ring, Kind::Mpmc, 3);
    let mut got: Outcome = recv(&ring, &mut consumer).into_iter().collect();
    let sent = send(&ring, &mut producer, 5);
    dying.join().unwrap();
    survivor.join().unwrap();
    settle(&ring, Kind::Mpmc, index(0), Side::Producers, Author::Consumer(index(2)));
    drain(&ring, Kind::Mpmc, &mut consumer, &mut got);
    assert_eq!(got.len(), usize::from(sent));
    got
}

/// A consumer dies with a message in its hand. Another adopts it while the producer sends over the slot.
pub(super) fn dead_consumer() -> Outcome {
    let ring = ring(Kind::Mpmc, 1);
    let mut producer = sender(&ring, Kind::Mpmc, 0);
    assert!(send(&ring, &mut producer, 1));
    let alive = Arc::new(Mutex::new(true));
    let (shared, lease) = (ring.clone(), alive.clone());
    let dying = thread::spawn(move || {
        let mut receiver = receiver(&shared, Kind::Mpmc, 1);
        if let Ok(mut claim) = receiver.claim(&shared, 1) {
            look(&shared, &mut receiver, &mut claim);
        }
        *lease.lock().unwrap() = false;
    });
    let (shared, lease) = (ring.clone(), alive.clone());
    let survivor = thread::spawn(move || {
        let mut receiver = receiver(&shared, Kind::Mpmc, 2);
        let alive = lease.lock().unwrap();
        if !*alive {
            let settled = settle(&shared, Kind::Mpmc, index(1), Side::Consumers, Author::Consumer(index(2)));
            assert!(matches!(settled, Settled::Done { voided: 0, .. }));
        }
        drop(alive);
        recv(&shared, &mut receiver)
    });
    let sent = 1 + usize::from(send(&ring, &mut producer, 2));
    dying.join().unwrap();
    let mut got = Vec::from_iter(survivor.join().unwrap());
    settle(&ring, Kind::Mpmc, index(1), Side::Consumers, Author::Consumer(index(3)));
    drain(&ring, Kind::Mpmc, &mut receiver(&ring, Kind::Mpmc, 3), &mut got);
    assert_eq!(got.len(), sent);
    got
}

/// A dead producer's claim, and the claims after it made while the survivor looks for evidence.
pub(super) fn producer_evidence() -> Outcome {
    let ring = ring(Kind::Mpmc, 4);
    let first = sender(&ring, Kind::Mpmc, 1).claim(&ring, 1).unwrap().position();
    let shared = ring.clone();
    let other = thread::spawn(move || {
        let mut sender = sender(&shared, Kind::Mpmc, 0);
        (2..=3).for_each(|value| assert!(send(&shared, &mut sender, value)));
        assert!(sender.clean(&shared));
    });
    settle(&ring, Kind::Mpmc, index(1), Side::Producers, Author::Consumer(index(2)));
    assert!(stamp(&ring, first).is(first, Phase::Void), "the dead one's slot blocks the ring");
    other.join().unwrap();
    let mut got = Vec::new();
    drain(&ring, Kind::Mpmc, &mut receiver(&ring, Kind::Mpmc, 2), &mut got);
    got
}

/// The same for a consumer.
pub(super) fn consumer_evidence() -> Outcome {
    let ring = ring(Kind::Mpmc, 4);
    let mut producer = sender(&ring, Kind::Mpmc, 0);
    (1..=3).for_each(|value| assert!(send(&ring, &mut producer, value)));
    let _dead = receiver(&ring, Kind::Mpmc, 1).claim(&ring, 1);
    let shared = ring.clone();
    let other = thread::spawn(move || {
        let mut receiver = receiver(&shared, Kind::Mpmc, 0);
        let got: Outcome = (0..2).filter_map(|_| recv(&shared, &mut receiver)).collect();
        assert!(receiver.clean(&shared));
        got
    });
    let settled = settle(&ring, Kind::Mpmc, index(1), Side::Consumers, Author::Consumer(index(2)));
    assert_eq!(settled, Settled::Done { adopted: 1, voided: 0 }, "the dead one's message is lost");
    let mut got = other.join().unwrap();
    drain(&ring, Kind::Mpmc, &mut receiver(&ring, Kind::Mpmc, 2), &mut got);
    got
}

/// A producer that announced a claim and died before its CAS, while the others go on from there.
pub(super) fn loser() -> Outcome {
    let ring = ring(Kind::Mpmc, 2);
    let start = sent(&ring, Kind::Mpmc);
    let lost = Announcement::new(Side::Producers, start, 1, Owner::NOBODY);
    ring.record(index(1), record::ANNOUNCED).store(lost.bits(), Ordering::Release);
    let senders = [2, 3].map(|i| {
        let shared = ring.clone();
        thread::spawn(move || assert!(send(&shared, &mut sender(&shared, Kind::Mpmc, i), i as u64)))
    });
    let settled = settle(&ring, Kind::Mpmc, index(1), Side::Producers, Author::Outsider);
    assert_eq!(settled, Settled::Done { adopted: 0, voided: 0 }, "a living producer's slot was taken away");
    senders.into_iter().for_each(|thread| thread.join().unwrap());
    let mut got = Vec::new();
    drain(&ring, Kind::Mpmc, &mut receiver(&ring, Kind::Mpmc, 0), &mut got);
    got
}

/// A consumer gives a message back and tries to take it back; another tries to adopt it; the producer sends over it.
pub(super) fn given_back() -> Outcome {
    let ring = ring(Kind::Mpmc, 1);
    let mut producer = sender(&ring, Kind::Mpmc, 0);
    assert!(send(&ring, &mut producer, 1));
    let lock = Arc::new(Mutex::new(()));
    let (shared, guard) = (ring.clone(), lock.clone());
    let owner = thread::spawn(move || {
        let mut receiver = receiver(&shared, Kind::Mpmc, 1);
        let mut claim = receiver.claim(&shared, 1).unwrap();
        assert_eq!(look(&shared, &mut receiver, &mut claim), Some(1));
        receiver.give_back(&shared, &mut claim);
        if receiver.given_back(&shared) {
            let _locked = guard.lock().unwrap();
            receiver.take_back(&shared);
        }
        recv(&shared, &mut receiver)
    });
    let (shared, guard) = (ring.clone(), lock.clone());
    let other = thread::spawn(move || {
        let locked = guard.lock().unwrap();
        let adopted = adopt_given(&shared, index(1), index(2));
        drop(locked);
        adopted.then(|| recv(&shared, &mut receiver(&shared, Kind::Mpmc, 2)).unwrap())
    });
    let sent = 1 + usize::from(send(&ring, &mut producer, 2));
    let mut got: Outcome = [other, owner].into_iter().filter_map(|thread| thread.join().unwrap()).collect();
    drain(&ring, Kind::Mpmc, &mut receiver(&ring, Kind::Mpmc, 3), &mut got);
    assert_eq!(got.len(), sent);
    got
}
