//! What happens between reading the words of the others and the snapshot of their leases: its token is drained with the older
//! ones, and must not be the only one that knew.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::testing::Bench;
use super::*;
use crate::error::{Error, RecvTimeoutError, SendTimeoutError, TrySendError};
use crate::layout::{LINE, record, shared};
use crate::os;
use crate::pair::Set as _;
use crate::ring::probe::with_mutant;
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
/// A word that a look comes by after JOINS, and before the snapshot for the first time.
const BEHIND_THE_JOINS: usize = shared::USED;

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

/// A registration that stands still before the step that makes it a participant, and fails then.
struct Failing {
    go: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Failing {
    /// JOINS is raised, and LOCK is held. It would be the second participant.
    fn begin(channel: &Channel, side: Side) -> Self {
        let (say, hear) = mpsc::channel();
        let (go, told) = mpsc::channel();
        let channel = channel.clone();
        let thread = thread::spawn(move || {
            let set = channel.attachment.set.id();
            let raise = move |by| os::sem::op(set, &[os::sem::sembuf(4 + 1, by, 0)]).expect("its lease");
            let last_word = shared::CHANGES + LINE * side.other() as usize;
            let midway = at_nth(
                last_word,
                |_| true,
                1,
                move || {
                    say.send(()).expect("somebody waits for it");
                    let _: Result<(), _> = told.recv();
                    raise(1);
                },
            );
            let failed = meddled(midway, || match side {
                Side::Producers => channel.producer().map(drop),
                Side::Consumers => channel.consumer().map(drop),
            });
            raise(-1);
            assert!(matches!(failed, Err(Error::Corrupt { what: "lock", .. })), "{failed:?}");
        });
        hear.recv().expect("on its way");
        Self { go, thread }
    }

    /// Does, and gives LOCK back.
    fn fail(self) {
        drop(self.go);
        self.thread.join().expect("failed as it should");
    }
}

/// Whoever waits for the first producer was told of one that had gone.
#[test]
fn a_registration_that_fails_is_none() {
    let bench = Bench::small(Kind::Mpmc);
    let mut consumer = bench.0.consumer().expect("consumer");
    Failing::begin(&bench.0, Side::Producers).fail();
    let index = Index::new(1, 5).expect("the next one");
    assert_eq!(bench.0.attachment.mem().record(index, record::STATE).load(Ordering::Acquire), 0);
    assert_eq!(consumer.recv_timeout(BRIEF), Err(RecvTimeoutError::Timeout));
    let mut late = bench.0.consumer().expect("its place");
    assert_eq!(late.participant.me, index);
    drop(bench.0.producer().expect("comes and goes"));
    for waiting in [&mut consumer, &mut late] {
        assert_eq!(waiting.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    }
}

/// A producer that has come first sends, and something happens when its look comes by a word. It has room.
fn send_while(
    producer: &mut Producer,
    word: usize,
    happen: impl FnOnce() + 'static,
) -> Result<(), TrySendError> {
    meddled(at_nth(word, |_| true, 1, happen), || producer.try_send(b"room"))
}

/// What the look had seen of it in JOINS was taken for a consumer that came and went.
fn it_fails_during_the_look() {
    let bench = Bench::small(Kind::Mpmc);
    let mut producer = bench.0.producer().expect("producer");
    let failing = Failing::begin(&bench.0, Side::Consumers);
    assert_eq!(send_while(&mut producer, BEHIND_THE_JOINS, move || failing.fail()), Ok(()));
}

/// The look has seen nothing of it in JOINS: FAILED alone is no news.
fn it_begins_and_fails_during_the_look() {
    let bench = Bench::small(Kind::Mpmc);
    let mut producer = bench.0.producer().expect("producer");
    let channel = bench.0.clone();
    let fail = move || Failing::begin(&channel, Side::Consumers).fail();
    assert_eq!(send_while(&mut producer, BEHIND_THE_JOINS, fail), Ok(()));
}

/// It is still at it when the look is over, whose snapshot has LOCK free.
fn it_begins_during_the_look() {
    const BEHIND_THE_SNAPSHOT: usize = shared::FAILED + 8 * Side::Consumers as usize;
    let bench = Bench::small(Kind::Mpmc);
    let mut producer = bench.0.producer().expect("producer");
    let channel = bench.0.clone();
    let (keep, kept) = mpsc::channel();
    let begin = move || keep.send(Failing::begin(&channel, Side::Consumers)).expect("kept");
    let sent = send_while(&mut producer, BEHIND_THE_SNAPSHOT, begin);
    kept.recv().expect("has begun").fail();
    assert_eq!(sent, Ok(()));
}

#[test]
fn a_registration_that_fails_during_the_look() {
    it_fails_during_the_look();
    it_begins_and_fails_during_the_look();
    it_begins_during_the_look();
}

/// JOINS before the snapshot, FAILED after it.
#[test]
fn without_the_order_of_a_look_it_fails() {
    assert!(with_mutant("failures before the leases", it_fails_during_the_look).is_err());
    assert!(with_mutant("joins after the leases", it_begins_during_the_look).is_err());
}

/// A failure may hide from one look who came and went before it; not from the next call.
#[test]
fn the_next_call_judges_what_a_failure_hid() {
    let bench = Bench::of(&Options::new().kind(Kind::Mpmc).capacity(64).message_size(8).participants(5));
    let mut producer = bench.0.producer().expect("producer");
    drop(bench.0.consumer().expect("consumer"));
    let channel = bench.0.clone();
    let fail = move || Failing::begin(&channel, Side::Consumers).fail();
    assert_eq!(send_while(&mut producer, BEHIND_THE_JOINS, fail), Ok(()), "hidden");
    assert_eq!(producer.try_send(b"room"), Err(TrySendError::Disconnected(())));
}
