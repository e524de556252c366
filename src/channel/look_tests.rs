//! What happens between reading the words of the others and the snapshot of their leases: its token is drained with the older
//! ones, and must not be the only one that knew.

use std::sync::mpsc;
use std::time::Duration;

use super::testing::Bench;
use super::*;
use crate::error::{Error, RecvTimeoutError, SendTimeoutError};
use crate::layout::{record, shared};
use crate::os;
use crate::pair::Set as _;
use crate::ring::{Index, Kind, Side, meddled};
use crate::sync::{AtomicU64, Ordering};

/// Far more than a look takes.
const SOON: Duration = Duration::from_secs(5);
/// Long enough to fall asleep.
const BRIEF: Duration = Duration::from_millis(20);
/// States of a park word.
const AWAKE: u64 = 0;
const SLEEPING: u64 = 1;
const NOTIFIED: u64 = 2;

impl Bench {
    /// Of one slot.
    fn small(kind: Kind) -> Self {
        let options = Options::new().kind(kind).capacity(1).message_size(8).participants(5);
        Self::of(&options.recheck_interval(None))
    }

    fn park_word(&self, index: Index) -> usize {
        self.0.attachment.mem().geometry().record(index.get()) + record::PARK
    }
}

/// Has `happen` run when the call comes by a word for the nth time, while it is as it is `wanted`.
fn at_nth(
    word: usize,
    wanted: fn(u64) -> bool,
    nth: u32,
    happen: impl FnOnce() + 'static,
) -> impl FnMut(usize, &AtomicU64) + 'static {
    let (mut seen, mut happen) = (0, Some(happen));
    move |offset, found: &AtomicU64| {
        seen += u32::from(offset == word && wanted(found.load(Ordering::Relaxed)));
        if let Some(happen) = happen.take_if(|_| seen == nth) {
            happen();
        }
    }
}

/// Somebody whom a consumer has waited for came and went, and it waited on.
#[test]
fn a_peer_that_comes_and_goes_during_the_look() {
    const BEHIND_THE_JOINS: usize = shared::USED;
    for kind in [Kind::Spsc, Kind::Mpmc] {
        // Three times in each look: the first call of a handle has one before it waits.
        for nth in 1..=6 {
            let bench = Bench::small(kind);
            let mut consumer = bench.0.consumer().expect("consumer");
            let channel = bench.0.clone();
            let visit = at_nth(BEHIND_THE_JOINS, |_| true, nth, move || drop(channel.producer()));
            let end = meddled(visit, || consumer.recv_timeout(SOON));
            assert_eq!(end, Err(RecvTimeoutError::Disconnected), "at the word for the {nth}th time");
        }
    }
}

/// One that fell asleep and died was not marked, and a wake-up was spent on it.
#[test]
fn a_sleeper_that_dies_during_the_look() {
    let awake = |word| word & 3 == AWAKE;
    // In each of the two looks, and when it arms.
    for nth in 1..=3 {
        let bench = Bench::small(Kind::Mpmc);
        let dying = bench.0.producer().expect("producer");
        let _consumer = bench.0.consumer().expect("consumer");
        let mut producer = bench.0.producer().expect("producer");
        producer.send(b"fills it").expect("room");
        let (dead, behind) = (dying.participant.me, bench.park_word(producer.participant.me));
        let (say, hear) = mpsc::channel();
        let die = at_nth(behind, awake, nth, move || {
            let participant = &dying.participant;
            let word = participant.channel.mem().record(dead, record::PARK);
            word.fetch_add(4 | SLEEPING, Ordering::AcqRel);
            // All that its peers notice of its death.
            let left = participant.channel.set.leave(dead, Side::Producers);
            std::mem::forget(dying);
            let _ = say.send(left);
        });
        let sent = meddled(die, || producer.send_timeout(b"waits", BRIEF));
        assert_eq!(sent, Err(SendTimeoutError::Timeout(())));
        assert_eq!(hear.try_recv(), Ok(Ok(())), "it has died");
        let word = bench.0.attachment.mem().record(dead, record::PARK).load(Ordering::Acquire);
        assert_eq!(word & 3, NOTIFIED, "at the word for the {nth}th time");
    }
}

/// Whoever waits for the first producer was told of one that had gone.
#[test]
fn a_registration_that_fails_is_none() {
    let bench = Bench::small(Kind::Mpmc);
    let attachment = &bench.0.attachment;
    let mut consumer = bench.0.consumer().expect("consumer");
    let index = Index::new(1, 5).expect("the next one");
    let (lease, set) = (4 + 1, attachment.set);
    let raise = move |by| os::sem::op(set.id(), &[os::sem::sembuf(lease, by, 0)]).expect("its lease");
    let state = attachment.mem().geometry().record(1) + record::STATE;
    // As the last thing before the step that makes it a participant.
    let failed = meddled(at_nth(state, |role| role == 0, 2, move || raise(1)), || bench.0.producer());
    assert!(matches!(failed, Err(Error::Corrupt { what: "lock", .. })), "{failed:?}");
    raise(-1);
    assert_eq!(attachment.mem().record(index, record::STATE).load(Ordering::Acquire), 0);
    assert_eq!(consumer.recv_timeout(BRIEF), Err(RecvTimeoutError::Timeout));
    assert_eq!(bench.0.producer().expect("its place").participant.me, index);
    assert_eq!(consumer.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
}
