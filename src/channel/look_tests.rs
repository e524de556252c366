//! What happens between reading the words of the others and the snapshot of their leases: its token is drained with the older
//! ones, and must not be the only one that knew.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::error::{RecvTimeoutError, SendTimeoutError};
use crate::layout::{record, shared};
use crate::os;
use crate::ring::{Index, Kind, Side, meddled};
use crate::segment::Key;
use crate::sync::{AtomicU64, Ordering};

/// Far more than a look takes.
const SOON: Duration = Duration::from_secs(5);
/// Long enough to fall asleep.
const BRIEF: Duration = Duration::from_millis(20);
/// States of a park word.
const AWAKE: u64 = 0;
const SLEEPING: u64 = 1;
const NOTIFIED: u64 = 2;

/// A private channel of one slot, removed at the end.
struct Bench(Channel);

impl Bench {
    fn new(kind: Kind) -> Self {
        let options = Options::new().kind(kind).capacity(1).message_size(8).participants(5);
        Self(options.recheck_interval(None).create(Key::Private).expect("create"))
    }

    fn park_word(&self, index: Index) -> usize {
        self.0.attachment.mem().geometry().record(index.get()) + record::PARK
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = (os::shm::remove(self.0.id()), self.0.attachment.set.remove());
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
            let bench = Bench::new(kind);
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
        let bench = Bench::new(Kind::Mpmc);
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
