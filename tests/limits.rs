//! Every parameter at and beyond its limits, what differs from an existing channel, and positions near their wrap.

mod common;

use common::puppet::Puppet;
use common::{KINDS, Name, child, small, within};
use semring::segment::Mapping;
use semring::{
    Batch, Error, Kind, Options, RecvError, SendError, SendTimeoutError, TryRecvError, TrySendError,
    WakeMode, WhenNoConsumer,
};

#[test]
fn child_entry() {
    child::entry(&[]);
}

/// Refused for what it is, with nothing made.
#[track_caller]
fn invalid(options: &Options, what: &str) {
    let name = Name::new("invalid");
    for result in [options.create(&name).err(), options.producer(&name).err(), options.consumer(&name).err()]
    {
        match result {
            Some(Error::Invalid { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{options:?}: {other:?}"),
        }
    }
    assert!(name.is_absent());
}

#[test]
fn capacities() {
    invalid(&Options::new().capacity(0), "capacity");
    invalid(&Options::new().capacity((1 << 40) + 1), "capacity");
    invalid(&Options::new().capacity(u64::MAX), "capacity");
    for (asked, given) in [(1, 1), (2, 2), (3, 4), (1000, 1024), (1024, 1024), (1025, 2048)] {
        let name = Name::new("capacity");
        let channel = Options::new().capacity(asked).message_size(0).create(&name).expect("create");
        assert_eq!((channel.capacity(), channel.status().expect("status").capacity), (given, given));
        // What was asked for, and what was given, both open it.
        assert!(Options::new().capacity(asked).open(&name).is_ok());
        assert!(Options::new().capacity(given).open(&name).is_ok());
    }
}

/// Within every limit of ours, but beyond the machine's: the kernel's error with a remedy, and nothing left behind.
#[test]
fn beyond_what_memory_allows() {
    for (capacity, size) in [(1 << 40, 0), (1 << 40, 64), (1 << 30, 1 << 20), (1 << 20, u64::from(u32::MAX))]
    {
        for prefault in [true, false] {
            let name = Name::new("huge");
            let options = Options::new().capacity(capacity).message_size(size).prefault(prefault);
            match options.producer(&name) {
                Err(Error::Os(e)) => {
                    assert_eq!(e.call, "shmget", "{e}");
                    assert!(!e.remedy.is_empty() && !e.arguments.is_empty(), "{e}");
                }
                other => panic!("{capacity} x {size}: {other:?}"),
            }
            assert!(name.is_absent(), "{capacity} x {size}");
        }
    }
}

/// Both in range, but not their product.
#[test]
fn beyond_the_address_space() {
    invalid(&Options::new().capacity(1 << 40).message_size(u64::from(u32::MAX)), "capacity");
    invalid(&Options::new().capacity(1 << 32).message_size(u64::from(u32::MAX)), "capacity");
}

#[test]
fn message_sizes() {
    invalid(&Options::new().message_size(1 << 32), "message size");
    invalid(&Options::new().message_size(u64::MAX), "message size");
    for kind in KINDS {
        for size in [0, 1, 7, 8, 15, 16, 17, 47, 48, 49, 63, 64, 65, 111, 112, 113, 4096, 100_000] {
            let name = Name::new("message-size");
            let mut producer =
                Options::new().kind(kind).capacity(4).message_size(size).producer(&name).expect("open");
            let mut consumer = Options::new().message_size(size).consumer(&name).expect("consumer");
            assert_eq!((producer.message_size(), consumer.message_size()), (size as usize, size as usize));
            // Every slot, full to the brim, so that neighbours would be seen to run into each other.
            let full = |i: u64| (0..size).map(|b| (b * 3 + i + 1) as u8).collect::<Vec<_>>();
            for lap in 0..3 {
                (0..4).for_each(|i| producer.try_send(&full(lap * 4 + i)).expect("send"));
                assert_eq!(producer.try_send(b""), Err(TrySendError::Full(())));
                (0..4).for_each(|i| assert_eq!(consumer.try_recv().expect("recv").data, full(lap * 4 + i)));
            }
            let long = vec![1; size as usize + 1];
            let refused = || Error::MessageTooLong { len: size as usize + 1, max: size as usize };
            let second = std::time::Duration::from_secs(1);
            assert_eq!(producer.send(&long), Err(SendError::Failed((), refused())));
            assert_eq!(producer.try_send(&long), Err(TrySendError::Failed((), refused())));
            assert_eq!(producer.send_timeout(&long, second), Err(SendTimeoutError::Failed((), refused())));
            assert_eq!(producer.reserve(long.len()).err(), Some(SendError::Failed((), refused())));
            assert_eq!(producer.try_send_batch(&[&long]), Err(TrySendError::Failed((), refused())));
            let batch = producer.send_batch(&[&long]).expect_err("too long");
            assert_eq!((batch.sent, batch.error), (0, SendError::Failed((), refused())));
            assert_eq!((producer.len(), consumer.try_recv()), (0, Err(TryRecvError::Empty)));
        }
    }
}

/// The longest message there can be, in memory that nobody touches.
#[test]
fn the_longest_message() {
    let name = Name::new("longest");
    let options = Options::new().capacity(1).message_size(u64::from(u32::MAX)).prefault(false);
    match options.producer(&name) {
        Ok(mut producer) => {
            let mut consumer = Options::new().prefault(false).consumer(&name).expect("consumer");
            producer.send(b"short all the same").expect("send");
            assert_eq!(&*consumer.recv().expect("recv"), b"short all the same");
            let mut grant = producer.reserve(u32::MAX as usize).expect("reserve");
            grant.write(u32::MAX as usize - 3, b"end").expect("write");
            grant.commit();
            let lease = consumer.lease().expect("lease");
            let mut end = [0; 3];
            lease.read(u32::MAX as usize - 3, &mut end).expect("read");
            assert_eq!((lease.len(), &end), (u32::MAX as usize, b"end"));
            drop(lease);
            assert!(matches!(
                producer.reserve(1 << 32),
                Err(SendError::Failed(_, Error::MessageTooLong { .. }))
            ));
        }
        Err(Error::Os(e)) => assert_eq!((e.call, e.errno), ("shmget", libc::ENOMEM), "a small machine"),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn numbers_of_participants() {
    for participants in [0, 1, 65, usize::MAX] {
        invalid(&Options::new().participants(participants), "number of participants");
    }
    for kind in KINDS {
        let name = Name::new("two");
        let mut producer = small(kind, 4).participants(2).producer(&name).expect("producer");
        let mut consumer = Options::new().consumer(&name).expect("consumer");
        let full = Options::new().consumer(&name).err();
        match kind {
            Kind::Mpmc => assert_eq!(full, Some(Error::NoRoom { what: "participant", limit: 2 })),
            Kind::Spsc => assert!(matches!(full, Some(Error::NoRoom { limit: 1, .. }))),
        }
        producer.send(b"1").expect("send");
        assert_eq!(&*consumer.recv().expect("recv"), b"1");
    }
}

#[test]
fn the_sixty_fifth_participant() {
    let name = Name::new("sixty-five");
    let mut producers: Vec<_> =
        (0..32).map(|_| small(Kind::Mpmc, 64).producer(&name).expect("producer")).collect();
    let mut consumers: Vec<_> = (0..31).map(|_| Options::new().consumer(&name).expect("consumer")).collect();
    let mut last = Puppet::with(&format!("consumer {name}"));
    let mut other = Puppet::new();
    other.expect(&format!("consumer {name}"), "err NoRoom { what: \"participant\", limit: 64 }");
    assert_eq!(producers[0].try_clone().err(), Some(Error::NoRoom { what: "participant", limit: 64 }));
    for (i, producer) in producers.iter_mut().enumerate() {
        producer.send(i.to_string().as_bytes()).expect("send");
    }
    for (i, consumer) in consumers.iter_mut().enumerate() {
        assert_eq!(consumer.recv().expect("recv").data, i.to_string().as_bytes());
    }
    last.expect("lease", "leased 31 0 1");
    last.kill();
    other.expect(&format!("consumer {name}"), "ok");
    // The one whose place it took was recovered, by somebody: nothing is lost.
    let mut all = consumers.iter_mut().map(|c| c.recv_timeout(common::PAUSE / 10).map(|m| m.attempt));
    assert!(other.ask("recv_timeout 100") == "got 31 0 2" || all.any(|a| a == Ok(2)));
}

/// What differs is an error with both values; what is unsaid comes from the existing channel.
#[test]
fn mismatches() {
    let name = Name::new("mismatch");
    let made = Options::new()
        .kind(Kind::Spsc)
        .capacity(100)
        .message_size(40)
        .participants(6)
        .mode(0o640)
        .when_no_consumer(WhenNoConsumer::Wait)
        .wake_mode(WakeMode::Fence);
    let channel = made.create(&name).expect("create");
    let all = [
        ("kind", Options::new().kind(Kind::Mpmc), "mpmc", "spsc"),
        ("capacity", Options::new().capacity(200), "256", "128"),
        ("message size", Options::new().message_size(41), "41", "40"),
        ("message size", Options::new().message_size(u64::MAX), "18446744073709551615", "40"),
        ("number of participants", Options::new().participants(7), "7", "6"),
        ("mode", Options::new().mode(0o600), "0600", "0640"),
        (
            "policy without consumers",
            Options::new().when_no_consumer(WhenNoConsumer::Disconnect),
            "disconnect",
            "wait",
        ),
        ("wake mode", Options::new().wake_mode(WakeMode::Membarrier), "membarrier", "fence"),
    ];
    for (what, options, asked, existing) in all {
        let expected = Some(Error::Mismatch { what, asked: asked.into(), existing: existing.into() });
        assert_eq!(options.open(&name).err(), expected);
        assert_eq!(options.open_or_create(&name).err(), expected);
        assert_eq!(options.producer(&name).err(), expected);
        assert_eq!(options.existing().consumer(&name).err(), expected);
    }
    assert!(made.open(&name).is_ok(), "all said, and all the same");
    let plain = Options::new().open(&name).expect("nothing said");
    assert_eq!((plain.kind(), plain.capacity(), plain.message_size()), (Kind::Spsc, 128, 40));
    let status = plain.status().expect("status");
    assert_eq!((status.when_no_consumer, status.mode, status.limit), (WhenNoConsumer::Wait, 0o640, 6));
    assert_eq!((status.segment_id, channel.status().expect("status").message_type), (channel.id(), None));
    let typed = Options::new().typed_producer::<u64>(&name, "u64").err();
    assert!(matches!(typed, Some(Error::Mismatch { .. })), "{typed:?}");
}

#[test]
fn mismatching_types() {
    let name = Name::new("mismatching-types");
    let _producer = Options::new().capacity(4).typed_producer::<u64>(&name, "Price").expect("producer");
    let mismatch = |asked: &str| {
        let existing = "Price (8 bytes, aligned to 8)".to_string();
        Some(Error::Mismatch { what: "message type", asked: asked.into(), existing })
    };
    let other_name = Options::new().typed_consumer::<u64>(&name, "Volume").err();
    assert_eq!(other_name, mismatch("Volume (8 bytes, aligned to 8)"));
    let other_alignment = Options::new().typed_consumer::<[u8; 8]>(&name, "Price").err();
    assert_eq!(other_alignment, mismatch("Price (8 bytes, aligned to 1)"));
    let other_size = Options::new().typed_consumer::<u32>(&name, "Price").err();
    assert!(matches!(other_size, Some(Error::Mismatch { .. })));
    for bad in ["", &"x".repeat(249)] {
        let e = Options::new().typed_producer::<u64>(&name, bad).err();
        assert!(matches!(e, Some(Error::Invalid { what: "type name", .. })));
    }
    assert!(Options::new().typed_consumer::<u64>(&name, "Price").is_ok());
}

#[test]
fn modes() {
    for mode in [0o1000, 0o1600, 600, u32::MAX] {
        invalid(&Options::new().mode(mode), "mode");
    }
    let name = Name::new("modes");
    let channel = small(Kind::Mpmc, 2).mode(0o777).create(&name).expect("create");
    assert_eq!(channel.status().expect("status").mode, 0o777);
    assert!(matches!(Options::new().mode(0o1777).open(&name), Err(Error::Invalid { what: "mode", .. })));
}

fn mapping(name: &Name) -> Mapping {
    semring::segment::Segment::from_id(name.segment().expect("segment"))
        .expect("segment")
        .attach()
        .expect("attach")
}

/// Made by another version of this crate: said in so many words, and left alone.
#[test]
fn another_version() {
    use std::sync::atomic::Ordering::Relaxed;
    let name = Name::new("version");
    drop(small(Kind::Mpmc, 4).producer(&name).expect("producer"));
    let memory = mapping(&name);
    let version = memory.word(8).expect("version");
    let ours = version.fetch_add(41, Relaxed);
    let before = (name.segment(), name.set());
    for options in [Options::new(), small(Kind::Spsc, 9), Options::new().existing()] {
        let expected = Some(Error::Version { found: ours + 41, expected: ours });
        assert_eq!(options.open(&name).err(), expected);
        assert_eq!(options.create(&name).err(), expected);
        assert_eq!(options.producer(&name).err(), expected);
    }
    assert_eq!((name.segment(), name.set()), before);
    version.store(ours, Relaxed);
    assert!(Options::new().open(&name).is_ok(), "nothing else was touched, and the lock is free");
}

/// Positions may begin anywhere: streams across the wrap of each of the three widths in which they are written.
#[test]
fn positions_wrap() {
    for kind in KINDS {
        for origin in [(1 << 46) - 3, (1 << 58) - 3, u64::MAX - 2, u64::MAX - 5000, (1 << 45) - 7, 1 << 63] {
            for capacity in [1, 4, 64] {
                wrap(kind, origin, capacity, if capacity == 1 { 200 } else { 10_000 });
            }
        }
    }
}

fn wrap(kind: Kind, origin: u64, capacity: u64, count: u64) {
    let name = Name::new("wrap");
    let mut producer = small(kind, capacity).origin(origin).producer(&name).expect("producer");
    let mut consumer = Options::new().consumer(&name).expect("consumer");
    let sending = common::start(move || {
        let all: Vec<_> = (0..count).map(u64::to_le_bytes).collect();
        for (i, some) in all.chunks(7).enumerate() {
            match i % 3 {
                0 => producer.send_batch(some).expect("batch"),
                1 => some.iter().for_each(|m| producer.send(m).expect("send")),
                _ => some.iter().for_each(|m| {
                    std::mem::forget(producer.reserve(1).expect("forgotten"));
                    let mut grant = producer.reserve(8).expect("reserve");
                    grant.write(0, m).expect("write");
                    grant.commit();
                }),
            }
        }
    });
    within("the stream", move || {
        let mut batch = Batch::new();
        let mut next = 0u64;
        let mut check = |data: &[u8]| {
            assert_eq!(data, next.to_le_bytes(), "{kind} from {origin}");
            next += 1;
            next
        };
        loop {
            match consumer.lease() {
                Ok(lease) if lease.attempt() == 1 => lease.retry(),
                Ok(lease) => drop(lease),
                Err(e) => break assert_eq!(e, RecvError::Disconnected),
            }
            let lease = consumer.lease().expect("given back");
            assert_eq!(lease.attempt(), 2);
            let done = check(&lease.to_vec());
            drop(lease);
            assert!(consumer.len() <= capacity);
            if done < count && consumer.recv_batch(&mut batch, 5).is_ok() {
                batch.iter().for_each(|m| {
                    check(m.data);
                });
            }
        }
        assert_eq!(next, count);
        let status = consumer.status().expect("status");
        assert_eq!((status.len, status.sent), (0, status.received));
        assert!(status.sent >= count);
    });
    sending.end("sending");
}
