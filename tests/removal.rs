//! Removal under the feet of those who use a channel, by one of ours and behind our back.

mod common;

use common::child;
use common::puppet::Puppet;
use common::{KINDS, Name, asleep, options, small, sys, within};
use semring::segment::Key;
use semring::{Error, RecvError, SendError};

#[test]
fn child_entry() {
    child::entry(&[]);
}

/// Removed with a message in it and nobody asleep: "removed" was said once, and then messages went on.
#[test]
fn removal_is_final() {
    for kind in KINDS {
        let name = Name::new("final");
        let mut producer = small(kind, 1024).producer(&name).expect("producer");
        let mut consumer = options().consumer(&name).expect("consumer");
        producer.send(b"lost with the channel").expect("send");
        producer.channel().remove().expect("remove");
        within("either", move || {
            for _ in 0..3 {
                assert_eq!(consumer.recv(), Err(RecvError::Failed(Error::Removed)));
                assert_eq!(producer.send(b"1"), Err(SendError::Failed((), Error::Removed)));
                assert!(producer.reserve(1).is_err() && consumer.lease().is_err());
            }
        });
    }
}

#[test]
fn removal_wakes_and_ends_everybody() {
    for kind in KINDS {
        let name = Name::new("remove");
        let mut producer = Puppet::with(&format!("producer {name} kind={kind} capacity=2 size=16"));
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        let channel = name.channel();
        consumer.tell("recv");
        asleep(&name, consumer.pid());
        channel.clone().remove().expect("remove");
        consumer.then("err Failed(Removed)");
        // For good: also when there is room, and when a message was left.
        (0..3).for_each(|_| producer.expect("send 1", "err Failed(.., Removed)"));
        (0..3).for_each(|_| consumer.expect("recv", "err Failed(Removed)"));
        assert!(name.is_absent());
        assert_eq!(channel.status().err(), Some(Error::Removed));
        assert_eq!(channel.producer().err(), Some(Error::Removed));
        assert_eq!(channel.clone().remove_if_unused(), Ok(true));
        assert_eq!(channel.remove(), Err(Error::Removed));
        // The name is free: the handles of the old channel do not touch the new one.
        let mut next = Puppet::with(&format!("producer {name} kind={kind} capacity=2 size=16"));
        next.expect("send_range 0 2", "ok");
        producer.expect("drop", "ok");
        consumer.expect("drop", "ok");
        next.tell("send 2");
        asleep(&name, next.pid());
        assert_eq!(name.channel().status().map(|s| (s.producers, s.consumers, s.len)), Ok((1, 0, 2)));
        name.channel().remove().expect("remove");
        next.then("err Failed(.., Removed)");
    }
}

/// What `ipcrm -s` or systemd-logind's RemoveIPC does.
#[test]
fn the_set_is_removed_behind_our_back() {
    for kind in KINDS {
        let name = Name::new("set-removed");
        let mut producer = small(kind, 2).message_size(16).producer(&name).expect("producer");
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        consumer.tell("recv");
        asleep(&name, consumer.pid());
        sys::remove_set(Key::from(&name).set_key().expect("key"));
        consumer.then("err Failed(Removed)");
        let send = move || (0..3).map(|_| (0..3).find_map(|_| producer.send(b"1").err())).collect::<Vec<_>>();
        assert_eq!(within("send", send), [0; 3].map(|_| Some(SendError::Failed((), Error::Removed))));
        // The segment without its set is an orphan: the next opener replaces it.
        assert!(name.segment().is_some() && name.set().is_none());
        assert!(matches!(options().existing().producer(&name), Err(Error::NotFound { .. })));
        let mut fresh = Puppet::with(&format!("producer {name} kind={kind} capacity=8"));
        fresh.expect("send_range 0 5", "ok");
        assert_eq!((name.channel().capacity(), name.channel().len()), (8, 5));
    }
}

/// What `ipcrm -m` does: those who have it attached go on, the next opener starts a new channel and tells them.
#[test]
fn the_segment_is_removed_behind_our_back() {
    for kind in KINDS {
        let name = Name::new("segment-removed");
        let mut producer = Puppet::with(&format!("producer {name} kind={kind} capacity=2 size=16"));
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        consumer.tell("recv");
        asleep(&name, consumer.pid());
        sys::remove_segment(Key::from(&name).segment_key().expect("key"));
        producer.expect("send 1", "ok");
        consumer.then("got 1 0 1");
        consumer.tell("recv");
        consumer.is_silent();
        let mut fresh = Puppet::with(&format!("producer {name} kind={kind} capacity=8"));
        consumer.then("err Failed(Removed)");
        fresh.expect("send new", "ok");
        consumer.expect("drop", "ok");
        consumer.expect(&format!("consumer {name} capacity=8"), "ok");
        consumer.expect("recv", "got new 0 1");
    }
}

#[test]
fn remove_if_unused_spares_what_is_in_use() {
    for kind in KINDS {
        let name = Name::new("unused");
        let channel = small(kind, 2).create(&name).expect("create");
        let mut producer = channel.producer().expect("producer");
        assert_eq!(channel.clone().remove_if_unused(), Ok(false), "a producer");
        producer.send(b"1").expect("send");
        drop(producer);
        assert_eq!(channel.clone().remove_if_unused(), Ok(false), "a message");
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        consumer.expect("lease", "leased 1 0 1");
        consumer.kill();
        assert_eq!(channel.clone().remove_if_unused(), Ok(false), "a message to be delivered again");
        let mut heir = channel.consumer().expect("consumer");
        assert_eq!(heir.recv().expect("recv").attempt, 2);
        assert_eq!(channel.clone().remove_if_unused(), Ok(false), "a consumer");
        drop(heir);
        assert_eq!(channel.remove_if_unused(), Ok(true));
        assert!(name.is_absent());
    }
}
