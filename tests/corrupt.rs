//! Channels whose bytes have been changed: what opening them says, and what handles that were open say. The header's
//! rules themselves are judged 100,000 times over in `src/channel/corrupt_tests.rs`; here they meet the kernel.

mod common;

use std::fmt::Debug;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use common::{KINDS, Name, small, within};
use semring::segment::{Mapping, Segment};
use semring::{
    Batch, Channel, Consumer, Error, Kind, Options, Producer, RecvError, RecvTimeoutError, SendError,
    TryRecvError, TrySendError,
};

/// Offsets of docs/design.md section 2.
const HEADER: [(&str, usize); 19] = [
    ("magic", 0),
    ("version", 8),
    ("size", 16),
    ("semid", 24),
    ("state", 32),
    ("kind", 40),
    ("capacity", 48),
    ("message size", 56),
    ("number of participants", 64),
    ("policy", 72),
    ("wake mode", 80),
    ("type's size", 88),
    ("type's alignment", 96),
    ("created", 104),
    ("creator", 112),
    ("origin", 120),
    ("scrubbing", 128),
    ("name's length", 256),
    ("type name's length", 512),
];
const STATE: usize = 32;
const PARTICIPANTS: usize = 2;
const HEAD: usize = 1536;
const GIVEN: usize = 1296;
const SLOTS: usize = 2048 + 256 * PARTICIPANTS;

fn memory(channel: &Channel) -> Mapping {
    Segment::from_id(channel.id()).and_then(|segment| segment.attach()).expect("attach")
}

fn set(memory: &Mapping, at: usize, value: u64) -> u64 {
    memory.word(at).expect("a word").swap(value, Relaxed)
}

fn channel(name: &Name, kind: Kind, capacity: u64) -> Channel {
    small(kind, capacity).participants(PARTICIPANTS).create(name).expect("create")
}

/// Whatever the value, the answer is one of a few, and what is not ours any more is left as it is.
#[test]
fn every_field_of_a_real_header() {
    let (mut opened, mut refused) = (0, 0);
    for kind in KINDS {
        for (field, at) in HEADER {
            let name = Name::new("corrupt-header");
            let was = memory(&channel(&name, kind, 4)).load(at).expect("a word");
            let near = [was.wrapping_sub(1), was.wrapping_add(1), !was, was << 1, was ^ 1 << 63];
            for value in
                [0, 1, 2, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1 << 32].into_iter().chain(near)
            {
                if value == was {
                    continue;
                }
                let name = Name::new("corrupt-header");
                let channel = channel(&name, kind, 4);
                set(&memory(&channel), at, value);
                let errors = [
                    Options::new().existing().open(&name).err(),
                    Options::new().existing().producer(&name).err(),
                    Options::new().existing().consumer(&name).err(),
                ];
                for error in errors {
                    opened += 1;
                    refused += u32::from(error.is_some());
                    let right = match (field, &error) {
                        ("created" | "creator" | "origin", None) => true,
                        ("scrubbing", None) => value <= 1,
                        ("magic" | "name's length", Some(Error::Foreign { .. })) => true,
                        ("version", Some(Error::Version { found, expected: 1 })) => *found == value,
                        // An orphan, or a channel that somebody began to remove: finished, and not there any more.
                        ("semid", Some(Error::NotFound { .. })) => true,
                        ("state", Some(Error::NotFound { .. })) => value == 2,
                        ("kind" | "policy" | "wake mode", None) => value == 1 || value == 2,
                        ("message size", None) => (49..=112).contains(&value), // slots of the same size
                        (
                            "capacity" | "message size" | "number of participants",
                            Some(Error::Corrupt { what, .. }),
                        ) => *what == field || *what == "size",
                        // A type of that name, then, but of no alignment.
                        ("type name's length", Some(Error::Corrupt { what: "type's alignment", .. })) => {
                            value <= 248
                        }
                        (_, Some(Error::Corrupt { what, found, .. })) => *what == field && *found == value,
                        _ => false,
                    };
                    assert!(right, "{kind}, {field} {was:#x} -> {value:#x}: {error:?}");
                }
                let untouched = !matches!(field, "semid" | "state");
                assert!(!untouched || name.segment() == Some(channel.id()), "{field} {value:#x}: removed");
            }
        }
    }
    assert!(refused > 1000, "{refused}");
    println!(
        "\n| real segments opened with a wrong field | {opened} | {refused} refused, each with the right error |"
    );
}

/// Each call of a producer fails with that.
#[track_caller]
fn producer_refuses(producer: &mut Producer, what: &str) {
    let calls = [
        producer.try_send(b"x").map_err(|e| if let TrySendError::Failed((), e) = e { Some(e) } else { None }),
        producer.send(b"x").map_err(|e| if let SendError::Failed((), e) = e { Some(e) } else { None }),
        producer.try_send_batch(&[b"x"]).map(drop).map_err(|e| match e {
            TrySendError::Failed((), e) => Some(e),
            _ => None,
        }),
        producer
            .reserve(1)
            .map(drop)
            .map_err(|e| if let SendError::Failed((), e) = e { Some(e) } else { None }),
    ];
    calls.into_iter().for_each(|call| is_corrupt(call, what));
}

/// Each call of a consumer fails with that.
#[track_caller]
fn consumer_refuses(consumer: &mut Consumer, what: &str) {
    let failed = |e: TryRecvError| if let TryRecvError::Failed(e) = e { Some(e) } else { None };
    let failed_blocking = |e: RecvError| if let RecvError::Failed(e) = e { Some(e) } else { None };
    let mut batch = Batch::new();
    let calls = [
        consumer.try_recv().map(drop).map_err(failed),
        consumer.recv().map(drop).map_err(failed_blocking),
        consumer.try_recv_into(&mut [0; 64]).map(drop).map_err(failed),
        consumer.recv_batch(&mut batch, 4).map(drop).map_err(failed_blocking),
        consumer.lease().map(drop).map_err(failed_blocking),
    ];
    calls.into_iter().for_each(|call| is_corrupt(call, what));
}

#[track_caller]
fn is_corrupt<T: Debug>(call: Result<T, Option<Error>>, field: &str) {
    match call {
        Err(Some(Error::Corrupt { what, expected, .. })) => {
            assert_eq!(what, field);
            assert!(!expected.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

/// A length beyond the message size is the peer's lie; the consumer that met it believes nothing any more, not even
/// when the word is right again. Another one may look.
#[test]
fn a_length_beyond_the_slot() {
    for kind in KINDS {
        for lie in [65, 1 << 16, u32::MAX] {
            let name = Name::new("corrupt-length");
            let channel = channel(&name, kind, 4);
            let memory = memory(&channel);
            let (mut producer, mut consumer) =
                (channel.producer().expect("p"), channel.consumer().expect("c"));
            producer.send(b"four").expect("send");
            let was = set(&memory, SLOTS + 8, u64::from(lie));
            match consumer.recv() {
                Err(RecvError::Failed(Error::Corrupt { what: "message length", found, .. })) => {
                    assert_eq!(found, u64::from(lie));
                }
                other => panic!("{other:?}"),
            }
            set(&memory, SLOTS + 8, was);
            consumer_refuses(&mut consumer, "message length");
            assert!(channel.status().is_ok());
            drop(consumer);
            assert_eq!(channel.consumer().expect("another").recv().expect("as it was").data, b"four");
        }
    }
}

/// A cursor or a stamp that contradicts the others, met by a call that waits for ever: it ends.
#[test]
fn a_ring_that_contradicts_itself() {
    // SPSC: the consumer's position beyond the producer's, or more than a lap behind.
    for lie in [1, 5, 1 << 40, 0u64.wrapping_sub(5)] {
        let name = Name::new("corrupt-head");
        let channel = channel(&name, Kind::Spsc, 4);
        set(&memory(&channel), HEAD, lie);
        let (mut producer, _consumer) = (channel.producer().expect("p"), channel.consumer().expect("c"));
        // The consumer believes its own word, and publishes it.
        within("send", move || producer_refuses(&mut producer, "head"));
    }
    // MPMC: stamps that only a claimed slot has, where nothing is claimed.
    for (lie, producers) in [(1 << 18, true), (1 << 16, true), (3 << 16, false), (9 << 18, false)] {
        let name = Name::new("corrupt-stamp");
        let channel = channel(&name, Kind::Mpmc, 4);
        set(&memory(&channel), SLOTS, lie);
        let (mut producer, mut consumer) = (channel.producer().expect("p"), channel.consumer().expect("c"));
        within("refused", move || match producers {
            true => producer_refuses(&mut producer, "stamp"),
            false => consumer_refuses(&mut consumer, "stamp"),
        });
    }
}

/// The word that says whether the channel lives is looked at again and again.
#[test]
fn a_state_that_is_none() {
    for kind in KINDS {
        for lie in [0, 3, u64::MAX] {
            let name = Name::new("corrupt-state");
            let channel = channel(&name, kind, 4);
            let (mut producer, mut consumer) =
                (channel.producer().expect("p"), channel.consumer().expect("c"));
            set(&memory(&channel), STATE, lie);
            for _ in 0..2 {
                match consumer.recv_timeout(Duration::from_secs(20)) {
                    Err(RecvTimeoutError::Failed(Error::Corrupt { what: "state", found, .. })) => {
                        assert_eq!(found, lie)
                    }
                    other => panic!("{other:?}"),
                }
            }
            within("send", move || {
                loop {
                    if let Err(e) = producer.send(b"x") {
                        break is_corrupt(
                            Err::<(), _>(if let SendError::Failed((), e) = e { Some(e) } else { None }),
                            "state",
                        );
                    }
                }
            });
            assert!(matches!(channel.producer(), Err(Error::Corrupt { what: "state", .. })));
            set(&memory(&channel), STATE, 1);
            consumer_refuses(&mut consumer, "state");
            drop(consumer);
            assert!(channel.consumer().is_ok());
        }
    }
}

/// A bit of somebody who is not there once kept the consumers awake for ever, and away from the end of the stream.
#[test]
fn a_gift_of_nobody() {
    /// The consumer's own bit, at which it does not look.
    const OWN: u64 = 2;
    for kind in KINDS {
        for lie in [1 << 63, 1 << 2, !0] {
            let name = Name::new("corrupt-given");
            let channel = channel(&name, kind, 4);
            let (producer, mut consumer) = (channel.producer().expect("p"), channel.consumer().expect("c"));
            set(&memory(&channel), GIVEN, lie);
            assert!(matches!(
                consumer.recv_timeout(Duration::from_millis(5)),
                Err(RecvTimeoutError::Timeout)
            ));
            let left = memory(&channel).load(GIVEN).expect("a word");
            assert_eq!(left & !OWN, 0, "still looked at");
            set(&memory(&channel), GIVEN, lie);
            drop(producer);
            assert_eq!(within("recv", move || consumer.recv().map(drop)), Err(RecvError::Disconnected));
        }
    }
}
