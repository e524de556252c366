//! What a channel is found by: names, numbers, paths, ids; and channels that have no key.

mod common;

use common::puppet::{Leave, Puppet};
use common::{KINDS, Name, child, small};
use semring::segment::{Key, SegmentOptions};
use semring::{Error, Kind, Options, RecvError};

#[test]
fn child_entry() {
    child::entry(&[]);
}

#[test]
fn names() {
    for bad in [String::new(), "x".repeat(249), "a\nb".into(), "a\0b".into()] {
        assert!(matches!(Options::new().producer(&bad), Err(Error::Invalid { .. })), "{bad:?}");
    }
    let name = Name::new("names");
    let long = format!("{}{}", &*name, "é".repeat((248 - name.len()) / 2));
    let channel = small(Kind::Mpmc, 2).create(&long).expect("a long name");
    assert_eq!(channel.name(), long);
    channel.remove().expect("remove");
}

/// The key may be given as a number, as `ipcs` prints it, or as a path like that of ftok(3).
#[test]
fn numbers_and_paths() {
    let number = (std::process::id() as i32) << 8 | 0x11;
    let path = Key::Path { path: std::env::current_exe().expect("path"), project: 0x51 };
    for key in [Key::Number(number), path] {
        let mut consumer = small(Kind::Mpmc, 2).consumer(&key).expect("consumer");
        let text = format!("{:#010x}", key.segment_key().expect("key"));
        // All ways to say the same key lead to the same channel.
        let mut producer = Options::new().existing().producer(&text).expect("producer");
        producer.send(b"1").expect("send");
        let received = consumer.try_recv();
        let (named, status) = (consumer.name().to_string(), consumer.status());
        consumer.channel().remove().expect("remove");
        assert_eq!((received.map(|m| m.data), named), (Ok(b"1".into()), text));
        let status = status.expect("status");
        assert_eq!(
            (status.segment_key, status.semaphore_key),
            (key.segment_key().expect("key"), status.segment_key)
        );
        assert!(matches!(Options::new().open(key), Err(Error::NotFound { .. })));
    }
    assert!(matches!(Options::new().producer(Key::Number(0)), Err(Error::Invalid { .. })));
    assert!(matches!(Options::new().open(Key::Private), Err(Error::NotFound { .. })));
}

/// Handed over by the id, to whoever may open it.
#[test]
fn by_id() {
    for kind in KINDS {
        let channel = small(kind, 2).create(Key::Private).expect("create");
        let id = channel.id();
        let mut puppet = Puppet::new();
        puppet.expect(&format!("producer id:{id}"), "ok");
        puppet.expect("send inside 5", "ok");
        let mut consumer = Options::new().consumer(Key::Id(id)).expect("consumer");
        assert_eq!(consumer.try_recv().map(|m| m.data), Ok(b"inside".into()));
        assert_eq!(consumer.channel().name(), "private channel");
        assert!(matches!(small(kind, 4).open(Key::Id(id)), Err(Error::Mismatch { what: "capacity", .. })));
        assert!(matches!(Options::new().create(Key::Id(id)), Err(Error::Invalid { what: "key", .. })));
        puppet.leave(Leave::Kill);
        assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
        channel.remove().expect("remove");
        for key in [Key::Id(id), Key::Id(-1)] {
            assert!(matches!(Options::new().producer(key), Err(Error::NotFound { .. })));
        }
    }
    let name = Name::new("by-id");
    let named = small(KINDS[1], 2).create(&name).expect("create");
    assert_eq!(Options::new().open(Key::Id(named.id())).expect("open").name(), &*name);
    let plain = SegmentOptions::new().size(8192).create(Key::Private).expect("create");
    assert!(matches!(Options::new().open(Key::Id(plain.id())), Err(Error::Foreign { .. })));
    assert_eq!(SegmentOptions::new().open(Key::Id(plain.id())).expect("open").id(), plain.id());
    plain.remove().expect("remove");
}

#[test]
fn private_channels() {
    for kind in KINDS {
        let channel = small(kind, 2).create(Key::Private).expect("create");
        let other = small(kind, 2).create(Key::Private).expect("another one");
        assert_ne!(channel.id(), other.id());
        let mut producer = channel.producer().expect("producer");
        let mut consumer = channel.consumer().expect("consumer");
        producer.send(b"1").expect("send");
        assert_eq!(consumer.try_recv().map(|m| m.data), Ok(b"1".into()));
        let statuses = [&channel, &other].map(|c| c.status().expect("status"));
        channel.remove().expect("remove");
        other.remove().expect("remove");
        assert!(statuses.iter().all(|s| (s.segment_key, s.semaphore_key) == (0, 0)));
        let sets = semring::sem::list().expect("list");
        assert!(sets.iter().all(|set| statuses.iter().all(|s| s.semaphore_id != set.id)), "a set was left");
    }
}

#[test]
fn existing_or_not() {
    for kind in KINDS {
        let name = Name::new("existing");
        let missing = |e: Option<Error>| match e {
            Some(Error::NotFound { name: found }) => assert!(found.contains(&*name), "{found}"),
            other => panic!("{other:?}"),
        };
        missing(Options::new().open(&name).err());
        missing(small(kind, 4).existing().producer(&name).err());
        missing(small(kind, 4).existing().consumer(&name).err());
        missing(small(kind, 4).existing().open_or_create(&name).err());
        assert!(name.is_absent());
        let _channel = small(kind, 4).create(&name).expect("create");
        let again = small(kind, 4).create(&name).err();
        assert!(matches!(again, Some(Error::AlreadyExists { name: found }) if found.contains(&*name)));
        assert!(small(kind, 4).existing().producer(&name).is_ok());
    }
}
