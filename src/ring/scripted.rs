//! Scripts of single situations: how one answer, one edge or one old bug looks.

use super::probe::killed_after;
use super::word::{Announcement, Cursor, Phase, Stamp};
use super::world::memory;
use super::{
    Author, Index, Kind, Nothing, Receiver, Receives, Sender, Settled, Shared, Side, adopt_given, init,
    meddled, occupancy, settle,
};
use crate::layout::{Geometry, record, shared as at};
use crate::sync::Ordering;

/// A ring of four with two of each side, at the position 0.
macro_rules! scripted {
    ($shared:ident, $index:ident) => {
        let (_memory, $shared) = memory(Geometry::new(4, 8, 4).unwrap());
        init(&$shared, Kind::Mpmc, 0);
        let $index = |i| Index::new(i, 4).unwrap();
    };
}

#[test]
fn a_message_in_a_dead_hand_is_delivered_again_and_says_so() {
    scripted!(shared, index);
    let mut sender = Sender::resume(Kind::Mpmc, &shared, index(0));
    let mut claim = sender.claim(&shared, 1).unwrap();
    sender.publish(&shared, &mut claim, 0, 7);
    for attempt in 1..20 {
        let (me, next) = (index(1 + attempt % 2), index(1 + (attempt + 1) % 2));
        let mut receiver = Receiver::resume(Kind::Mpmc, &shared, me);
        let mut claim = receiver.claim(&shared, 1).unwrap();
        assert_eq!(claim.adopted, attempt > 1);
        let found = receiver.look(&shared, &mut claim).unwrap();
        assert_eq!((found.attempt, found.tag), (attempt.min(16) as u32, 7));
        let settled = settle(&shared, Kind::Mpmc, me, Side::Consumers, Author::Consumer(next));
        assert_eq!(settled, Settled::Done { adopted: 1, voided: 0 });
    }
}

#[test]
fn a_message_given_back_goes_to_whoever_takes_it() {
    scripted!(shared, index);
    let mut sender = Sender::resume(Kind::Mpmc, &shared, index(0));
    let mut claim = sender.claim(&shared, 2).unwrap();
    (0..2).for_each(|_| sender.publish(&shared, &mut claim, 0, 7));
    let mut a = Receiver::resume(Kind::Mpmc, &shared, index(1));
    let mut b = Receiver::resume(Kind::Mpmc, &shared, index(2));
    let mut claim = a.claim(&shared, 2).unwrap();
    a.look(&shared, &mut claim).unwrap();
    a.give_back(&shared, &mut claim);
    assert!(a.given_back(&shared) && a.claim(&shared, 1).unwrap_err() == Nothing::Midway);
    assert!(adopt_given(&shared, index(1), index(2)));
    assert!(!adopt_given(&shared, index(1), index(2)) && !a.given_back(&shared));
    assert_eq!(a.claim(&shared, 1).unwrap_err(), Nothing::None);
    let mut claim = b.claim(&shared, 9).unwrap();
    // The second message was in the same claim, but nobody had looked at it.
    for attempt in [2, 1] {
        assert_eq!(b.look(&shared, &mut claim).unwrap().attempt, attempt);
        b.release(&shared, &mut claim);
    }
    assert!(!b.has_adopted(&shared) && occupancy(&shared, Kind::Mpmc) == 0);
}

#[test]
fn full_and_empty_are_told_from_midway() {
    scripted!(shared, index);
    let mut sender = Sender::resume(Kind::Mpmc, &shared, index(0));
    let mut receiver = Receiver::resume(Kind::Mpmc, &shared, index(1));
    assert_eq!(receiver.claim(&shared, 1).unwrap_err(), Nothing::None);
    let mut claim = sender.claim(&shared, 9).unwrap();
    assert_eq!(claim.len(), 4);
    assert_eq!(receiver.claim(&shared, 1).unwrap_err(), Nothing::Midway);
    (0..4).for_each(|_| sender.publish(&shared, &mut claim, 0, 0));
    assert_eq!(sender.claim(&shared, 1).unwrap_err(), Nothing::None);
    let mut claim = receiver.claim(&shared, 1).unwrap();
    assert_eq!(sender.claim(&shared, 1).unwrap_err(), Nothing::Midway);
    receiver.release(&shared, &mut claim);
    assert_eq!(sender.claim(&shared, 2).unwrap().len(), 1);
}

#[test]
fn a_producer_that_slept_for_ages_does_not_trust_its_frontier() {
    scripted!(shared, index);
    let mut sleeper = Sender::resume(Kind::Mpmc, &shared, index(0));
    drop(sleeper.claim(&shared, 1)); // looks at all four slots
    // 2^57 messages later: the old frontier would seem to be ahead.
    let now = (1 << 57) + 16;
    init(&shared, Kind::Mpmc, now - 4);
    shared.word(at::TAIL).store(Cursor::new(now, index(1).into()).bits(), Ordering::Relaxed);
    assert_eq!(sleeper.claim(&shared, 1).unwrap_err(), Nothing::None);
}

#[test]
fn a_hostile_free_grants_nothing_and_a_hostile_head_is_named() {
    let (_memory, shared) = memory(Geometry::new(4, 8, 2).unwrap());
    init(&shared, Kind::Spsc, 9);
    let mut sender = Sender::resume(Kind::Spsc, &shared, Index::new(0, 2).unwrap());
    for lie in [10, 4, 1 << 40, u64::MAX, 1 << 63] {
        shared.word(at::FREE).store(lie, Ordering::Relaxed);
        shared.word(at::HEAD).store(lie, Ordering::Relaxed);
        assert_eq!(sender.poll(&shared), Ok(()));
        match sender.claim(&shared, 9).unwrap_err() {
            Nothing::Corrupt(defect) => assert_eq!((defect.what, defect.found, defect.at), ("head", lie, 9)),
            nothing => panic!("{nothing:?}"),
        }
        shared.word(at::HEAD).store(5, Ordering::Relaxed);
        assert_eq!(sender.poll(&shared), Err(Nothing::None));
    }
    shared.word(at::HEAD).store(9, Ordering::Relaxed);
    assert_eq!(sender.claim(&shared, 9).unwrap().len(), 4);
}

/// A poll that saw something which no claim could have, and a caller that span for ever between the two.
#[test]
fn a_stamp_that_contradicts_the_cursor_is_named() {
    for (side, position, phase) in [
        (Side::Producers, 7, Phase::Ready),
        (Side::Producers, 7, Phase::Void),
        (Side::Producers, 7, Phase::Taken),
        (Side::Producers, 8, Phase::Free),
        (Side::Producers, 11, Phase::Free),
        (Side::Consumers, 7, Phase::Taken),
        (Side::Consumers, 8, Phase::Ready),
        (Side::Consumers, 1 << 44, Phase::Free),
    ] {
        scripted!(shared, index);
        init(&shared, Kind::Mpmc, 7);
        let lie = Stamp::new(position, phase, index(0).into()).bits();
        shared.stamp(7).store(lie, Ordering::Relaxed);
        let (mut sender, mut receiver) =
            (Sender::resume(Kind::Mpmc, &shared, index(0)), Receiver::resume(Kind::Mpmc, &shared, index(1)));
        let (polled, claimed) = match side {
            Side::Producers => (sender.poll(&shared), sender.claim(&shared, 1)),
            Side::Consumers => (receiver.poll(&shared), receiver.claim(&shared, 1)),
        };
        assert_eq!(polled, Ok(()));
        match claimed.unwrap_err() {
            Nothing::Corrupt(defect) => assert_eq!((defect.what, defect.found, defect.at), ("stamp", lie, 7)),
            nothing => panic!("{side:?} {position} {phase:?}: {nothing:?}"),
        }
    }
}

/// What the peer writes into our own words is not what we go by.
#[test]
fn an_spsc_consumer_polls_where_it_will_claim() {
    let (_memory, shared) = memory(Geometry::new(4, 8, 2).unwrap());
    init(&shared, Kind::Spsc, 9);
    let me = |i| Index::new(i, 2).unwrap();
    let mut sender = Sender::resume(Kind::Spsc, &shared, me(0));
    let mut receiver = Receiver::resume(Kind::Spsc, &shared, me(1));
    let mut claim = sender.claim(&shared, 1).unwrap();
    sender.publish(&shared, &mut claim, 0, 0);
    shared.word(at::HEAD).store(1 << 40, Ordering::Relaxed);
    assert_eq!(receiver.poll(&shared), Ok(()));
    assert_eq!(receiver.claim(&shared, 1).unwrap().position(), 9);
    // Not quite READY is not READY for either. (One that has once seen it READY does not look again.)
    shared.word(at::HEAD).store(9, Ordering::Relaxed);
    let mut receiver = Receiver::resume(Kind::Spsc, &shared, me(1));
    shared.stamp(9).fetch_or(1, Ordering::Relaxed);
    assert_eq!((receiver.poll(&shared), receiver.claim(&shared, 1).is_err()), (Err(Nothing::None), true));
}

/// The recoverer of an heir once found its own half-given range in the way of the claim it was part of.
#[test]
fn a_claim_given_back_by_half_is_adopted_whole() {
    for steps in 0..6 {
        scripted!(shared, index);
        let mut sender = Sender::resume(Kind::Mpmc, &shared, index(0));
        let mut claim = sender.claim(&shared, 4).unwrap();
        (0..4).for_each(|_| sender.publish(&shared, &mut claim, 0, 7));
        let mut receiver = Receiver::resume(Kind::Mpmc, &shared, index(1));
        let mut claim = receiver.claim(&shared, 4).unwrap();
        receiver.release(&shared, &mut claim);
        killed_after(Some(steps), || receiver.give_back(&shared, &mut claim));
        let settled = settle(&shared, Kind::Mpmc, index(1), Side::Consumers, Author::Heir);
        assert_eq!(shared.record(index(1), record::ANNOUNCED).load(Ordering::Relaxed), Announcement::NONE);
        assert!(matches!(settled, Settled::Done { .. }));
        let mut receiver = Receiver::resume(Kind::Mpmc, &shared, index(1));
        let mut claim = receiver.claim(&shared, 4).unwrap();
        assert_eq!((claim.adopted, claim.len()), (true, 3));
        (0..3).for_each(|_| receiver.release(&shared, &mut claim));
        assert_eq!(sender.claim(&shared, 4).unwrap().len(), 4);
    }
}

/// A dialogue, in which each answer is taken by a swift path after another one that was too early, was taken for a stream:
/// with every message a line far ahead was asked for, which the other side was to write.
#[test]
fn a_swift_miss_is_a_miss() {
    for kind in [Kind::Spsc, Kind::Mpmc] {
        let geometry = Geometry::new(64, 8, 4).unwrap();
        let (_memory, shared) = memory(geometry);
        init(&shared, kind, 0);
        let mut sender = Sender::resume(kind, &shared, Index::new(0, 4).unwrap());
        let mut receiver = Receiver::resume(kind, &shared, Index::new(1, 4).unwrap());
        let mut take = move |shared: &Shared| match &mut receiver {
            Receiver::Spsc(end) => end.take(shared).map(|(mut claim, _)| end.release(shared, &mut claim)),
            Receiver::Mpmc(end) => end.take(shared).map(|(mut claim, _)| end.release(shared, &mut claim)),
        };
        for position in 0..20 {
            assert!(take(&shared).is_err(), "too early");
            let mut claim = sender.claim(&shared, 1).unwrap();
            sender.publish(&shared, &mut claim, 8, 0);
            let (here, behind) = (geometry.slot(position), geometry.slot(0));
            let look =
                move |offset, _: &_| assert!(offset < behind || offset / 16 == here / 16, "{kind:?}: far");
            assert!(meddled(look, || take(&shared)).is_ok());
        }
    }
}
