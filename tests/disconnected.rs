//! End of stream and disconnection are states, not news: whoever asks again is told again, until somebody joins.

mod common;

use common::puppet::{Leave, Puppet};
use common::{KINDS, Name, child, options, small};
use semring::{Kind, TryRecvError, TrySendError};

#[test]
fn child_entry() {
    child::entry(&[]);
}

/// A producer that was told `Disconnected` once went on sending into a channel without consumers: the look at the
/// leases had just been done, and the next one was a lap away.
#[test]
fn disconnected_stays_until_somebody_joins() {
    for kind in KINDS {
        let name = Name::new("disconnected");
        let channel = small(kind, 8).create(&name).expect("create");
        let mut producer = channel.producer().expect("producer");
        let consumer = channel.consumer().expect("consumer");
        producer.try_send(b"a").expect("room");
        drop(consumer);
        for _ in 0..12 {
            assert_eq!(producer.try_send(b"x"), Err(TrySendError::Disconnected(())));
        }
        let mut consumer = channel.consumer().expect("the next one");
        producer.try_send(b"b").expect("somebody is there again");
        let all: Vec<_> = consumer.try_iter().map(|m| m.expect("message").data).collect();
        assert_eq!(all, [b"a", b"b"]);
    }
}

/// A consumer that polls looks at the leases only now and then; it said `Empty` after `Disconnected`.
#[test]
fn so_does_the_end_of_the_stream() {
    for kind in KINDS {
        let name = Name::new("end");
        let mut consumer = small(kind, 8).consumer(&name).expect("consumer");
        for _ in 0..3 {
            let mut producer = options().producer(&name).expect("producer");
            producer.send(b"last").expect("send");
            assert_eq!(&*consumer.try_recv().expect("message"), b"last");
            assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
            drop(producer);
            for _ in 0..12 {
                assert_eq!(consumer.try_recv(), Err(TryRecvError::Disconnected));
            }
        }
    }
}

/// A clone made after the other side had gone waited for somebody who had been there.
#[test]
fn clones_know_who_has_been_there() {
    // The other side was there before the handle; came afterwards and was seen; came and went unseen.
    for (first, looks) in [(true, false), (false, true), (false, false)] {
        let name = Name::new("clones");
        let channel = small(Kind::Mpmc, 8).create(&name).expect("create");
        let early = first.then(|| channel.producer().expect("producer"));
        let mut consumer = channel.consumer().expect("consumer");
        let producer = early.unwrap_or_else(|| channel.producer().expect("producer"));
        assert!(!looks || consumer.try_recv() == Err(TryRecvError::Empty));
        drop(producer);
        let mut clone = consumer.try_clone().expect("clone");
        assert_eq!(clone.try_recv(), Err(TryRecvError::Disconnected));
        drop((clone, consumer));

        let early = first.then(|| channel.consumer().expect("consumer"));
        let mut producer = channel.producer().expect("producer");
        let consumer = early.unwrap_or_else(|| channel.consumer().expect("consumer"));
        assert!(!looks || producer.try_send(b"x") == Ok(()));
        drop(consumer);
        let mut clone = producer.try_clone().expect("clone");
        assert_eq!(clone.try_send(b"y"), Err(TrySendError::Disconnected(())));
    }
}

/// While somebody registers, a count of zero may be about to grow; a producer that did not wait looked again after a
/// lap only.
#[test]
fn a_leave_that_could_not_be_judged_is_judged_later() {
    for kind in KINDS {
        let name = Name::new("unjudged");
        let mut producer = small(kind, 64).producer(&name).expect("producer");
        let consumer = options().consumer(&name).expect("consumer");
        let mut registrant = Puppet::with(&format!("hold_lock {name}"));
        drop(consumer);
        producer.try_send(b"perhaps somebody comes").expect("not judged yet");
        registrant.leave(Leave::Kill);
        assert_eq!(producer.try_send(b"nobody"), Err(TrySendError::Disconnected(())));
    }
}
