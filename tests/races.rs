//! Creators and removers at the same instant: one channel for all, and nothing left of the others.

mod common;

use std::sync::atomic::Ordering;

use common::child::{self, Child};
use common::{KINDS, Name, eventually, options, small, sys};
use semring::segment::{Key, Mapping, Segment, SegmentOptions};
use semring::{Error, Kind, Producer, RecvError};

#[test]
fn child_entry() {
    child::entry(&[("race", race), ("storm", storm)]);
}

/// Words of a private segment by which children meet.
struct Meeting(Mapping);

impl Meeting {
    fn new() -> (Self, String) {
        let segment = SegmentOptions::new().size(4096).create(Key::Private).expect("create");
        let (mapping, id) = (segment.attach().expect("attach"), segment.id());
        segment.remove().expect("remove");
        (Self(mapping), id.to_string())
    }

    fn of(id: &str) -> Self {
        Self(Segment::from_id(id.parse().expect("id")).expect("segment").attach().expect("attach"))
    }

    /// Waits until so many have come `round` times: they leave within a microsecond of each other.
    fn meet(&self, round: u64, of: u64) {
        let word = self.0.word(0).expect("word");
        word.fetch_add(1, Ordering::AcqRel);
        while word.load(Ordering::Acquire) < (round + 1) * of {
            std::thread::yield_now();
        }
    }
}

const ROUNDS: u64 = 1000;

/// One of two processes that open the same fresh names at the same instant.
fn race(arguments: &[&str]) {
    let [name, meeting, role] = arguments else { panic!("{arguments:?}") };
    let meeting = Meeting::of(meeting);
    for round in 0..ROUNDS {
        let name = format!("{name}-{round}");
        let kind = KINDS[round as usize % 2];
        let options = options().kind(kind).capacity(2).message_size(16).participants(2);
        meeting.meet(2 * round, 2);
        if *role == "producer" {
            let mut producer = options.producer(&name).unwrap_or_else(|e| panic!("round {round}: {e}"));
            (0..4).for_each(|i: u64| producer.send(&(round + i).to_le_bytes()).expect("send"));
            drop(producer);
            meeting.meet(2 * round + 1, 2);
        } else {
            let mut consumer = options.consumer(&name).unwrap_or_else(|e| panic!("round {round}: {e}"));
            for i in 0..4 {
                let message = consumer.recv().unwrap_or_else(|e| panic!("round {round}: {e}"));
                assert_eq!(message.data, (round + i).to_le_bytes());
            }
            assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
            meeting.meet(2 * round + 1, 2);
            let channel = consumer.channel();
            let status = channel.status().expect("status");
            assert_eq!((status.sent, status.received), (4, 4), "one channel, not two");
            channel.remove().expect("remove");
        }
    }
}

#[test]
fn two_creators_race_a_thousand_times() {
    let name = Name::new("race");
    let (_meeting, id) = Meeting::new();
    let mut racers = ["producer", "consumer"].map(|role| Child::start("race", &[&name, &id, role]));
    racers.iter_mut().for_each(|r| assert!(r.end().success()));
    let left = semring::segment::list().expect("list");
    for round in 0..ROUNDS {
        let key = Key::from(format!("{}-{round}", &*name));
        assert_eq!(sys::find_set(key.set_key().expect("key")), None);
        let key = key.segment_key().expect("key");
        assert!(left.iter().all(|s| s.key != Key::Number(key)));
    }
}

/// One of several processes that open, use and remove the same name all the time.
fn storm(arguments: &[&str]) {
    let [name, meeting] = arguments else { panic!("{arguments:?}") };
    let meeting = Meeting::of(meeting);
    let options = small(Kind::Mpmc, 4).participants(8);
    meeting.meet(0, 3);
    for _ in 0..400 {
        let gone = |e: &Error| *e == Error::Removed;
        let used = options.producer(*name).and_then(|mut producer: Producer| {
            match producer.try_send(b"1") {
                Err(semring::TrySendError::Failed(_, e)) if !gone(&e) => return Err(e),
                _ => {}
            }
            producer.channel().remove()
        });
        if let Err(e) = used {
            assert!(gone(&e), "{e}");
        }
    }
}

#[test]
fn creators_and_removers_storm() {
    let name = Name::new("storm");
    let (_meeting, id) = Meeting::new();
    let mut children = [0; 3].map(|_| Child::start("storm", &[&name, &id]));
    children.iter_mut().for_each(|c| assert!(c.end().success()));
    // Whatever is left is whole.
    match options().open(&name) {
        Ok(channel) => channel.remove().expect("remove"),
        Err(e) => assert!(matches!(e, Error::NotFound { .. }), "{e}"),
    }
    eventually("nothing is left", || name.is_absent());
}
