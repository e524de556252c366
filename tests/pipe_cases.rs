//! The four cases of a pipe, for both kinds and every way to leave: full blocks; empty blocks; the last producer gone:
//! drain, then end of stream; the last consumer gone: a broken pipe. Peers are processes, awake or asleep.

mod common;

use std::io::{Error as IoError, ErrorKind};

use common::puppet::{LEAVES, Leave, Puppet};
use common::{KINDS, Name, asleep, child, eventually, options, small, within};
use semring::{Kind, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};

#[test]
fn child_entry() {
    child::entry(&[]);
}

/// Every kind and every way to leave, each with a channel of its own.
fn for_all(test: &str, run: impl Fn(&Name, &str, Leave)) {
    for kind in KINDS {
        for how in LEAVES {
            eprintln!("{kind} {how:?}");
            run(&Name::new(test), &kind.to_string(), how);
        }
    }
}

#[test]
fn full_blocks() {
    for kind in KINDS {
        let name = Name::new("full");
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=4 size=16"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send_range 0 4", "ok");
        producer.expect("try_send 4", "err Full(..)");
        producer.tell("send 4");
        asleep(&name, producer.pid());
        producer.is_silent();
        consumer.expect("recv", "got 0 0 1");
        producer.then("ok");
        producer.expect("try_send 5", "err Full(..)");
        producer.expect("drop", "ok");
        consumer.expect("drain", "drained 1,2,3,4 Disconnected");
    }
}

#[test]
fn empty_blocks() {
    for kind in KINDS {
        let name = Name::new("empty");
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=4 size=16"));
        // No end of stream before the first producer comes, however long that takes.
        consumer.expect("try_recv", "err Empty");
        consumer.tell("recv");
        asleep(&name, consumer.pid());
        let mut producer = Puppet::with(&format!("producer {name}"));
        consumer.is_silent();
        producer.expect("send 1", "ok");
        consumer.then("got 1 0 1");
        consumer.tell("recv");
        asleep(&name, consumer.pid());
        producer.expect("send 2", "ok");
        consumer.then("got 2 0 1");
        consumer.expect("try_recv", "err Empty");
    }
}

/// Somebody of one's own side leaves: that is nobody's end.
#[test]
fn a_colleague_that_leaves_changes_nothing() {
    for how in LEAVES {
        let name = Name::new("colleague");
        let mut gone = Puppet::with(&format!("consumer {name} capacity=4 size=16"));
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        let mut other = Puppet::with(&format!("producer {name}"));
        consumer.tell("recv");
        asleep(&name, consumer.pid());
        other.leave(how);
        gone.leave(how);
        consumer.is_silent();
        producer.expect("send_range 0 5", "ok");
        consumer.then("got 0 0 1");
        producer.tell("send 5");
        asleep(&name, producer.pid());
        producer.is_silent();
        consumer.expect("recv", "got 1 0 1");
        producer.then("ok");
    }
}

/// The last producer leaves before anybody looks: what it sent is there, then the end, again and again.
#[test]
fn last_producer_gone_with_messages_left() {
    for_all("drain", |name, kind, how| {
        let mut consumer = options()
            .kind(if kind == "spsc" { Kind::Spsc } else { Kind::Mpmc })
            .message_size(16)
            .consumer(name)
            .expect("consumer");
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send_range 0 10", "ok");
        producer.leave(how);
        within("drain", move || {
            for i in 0..10 {
                assert_eq!(consumer.recv().expect("left behind").data, i.to_string().as_bytes());
            }
            for _ in 0..3 {
                assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
                assert_eq!(consumer.recv_timeout(common::DEADLINE), Err(RecvTimeoutError::Disconnected));
                assert_eq!(consumer.lease().map(|_| ()), Err(RecvError::Disconnected));
                eventually("try_recv", || consumer.try_recv() == Err(TryRecvError::Disconnected));
            }
            assert!(consumer.iter().next().is_none());
            assert_eq!(IoError::from(consumer.recv().expect_err("end")).kind(), ErrorKind::UnexpectedEof);
        });
    });
}

#[test]
fn last_producer_gone_while_the_consumer_sleeps() {
    for_all("sleeping-consumer", |name, kind, how| {
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} size=16"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send 1", "ok");
        consumer.expect("recv", "got 1 0 1");
        consumer.tell("recv");
        asleep(name, consumer.pid());
        producer.leave(how);
        consumer.then("err Disconnected");
        // Another producer, another stream.
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send 2", "ok");
        consumer.expect("recv", "got 2 0 1");
        consumer.tell("recv_timeout 20000");
        asleep(name, consumer.pid());
        producer.leave(how);
        consumer.then("err Disconnected");
    });
}

/// Of several, only the last counts, and everybody who sleeps hears of it.
#[test]
fn last_of_several_producers_gone() {
    for how in LEAVES {
        let name = Name::new("last-producer");
        let open = format!("consumer {name} capacity=4 size=16");
        let mut consumers = [0; 3].map(|_| Puppet::with(&open));
        let mut producers = [0; 3].map(|_| Puppet::with(&format!("producer {name}")));
        consumers.iter_mut().for_each(|c| c.tell("recv"));
        consumers.iter().for_each(|c| asleep(&name, c.pid()));
        for producer in &mut producers {
            consumers[0].is_silent();
            producer.leave(how);
        }
        consumers.iter_mut().for_each(|c| c.then("err Disconnected"));
    }
}

/// A consumer that leaves its handle is noticed by the next send; the end of one that is killed or exits, while there
/// is room, within 256 sends.
#[test]
fn last_consumer_gone_with_room_left() {
    for_all("broken-pipe", |name, kind, how| {
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=1024 size=16"));
        let mut producer = small(Kind::Mpmc, 1024);
        producer = if kind == "spsc" { producer.kind(Kind::Spsc) } else { producer };
        let mut producer = producer.message_size(16).producer(name).expect("producer");
        producer.send(b"received").expect("send");
        consumer.expect("recv", "got received 0 1");
        consumer.leave(how);
        within("send", move || {
            let sent = (0..1024).take_while(|_| producer.send(b"unheard").is_ok()).count();
            let most = if matches!(how, Leave::Drop | Leave::Panic) { 0 } else { 256 };
            assert!(sent <= most, "{sent} sends went through");
            assert_eq!(producer.send(b""), Err(SendError::Disconnected(())));
            assert_eq!(IoError::from(SendError::Disconnected(())).kind(), ErrorKind::BrokenPipe);
        });
    });
}

/// The same for every way to send, once the channel is full: at once.
#[test]
fn last_consumer_gone_from_a_full_channel() {
    for_all("full-broken-pipe", |name, kind, how| {
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=4 size=16"));
        let mut producer = options().producer(name).expect("producer");
        (0..4).for_each(|_| producer.send(b"unheard").expect("send"));
        consumer.leave(how);
        within("send", move || {
            for _ in 0..3 {
                assert_eq!(producer.send(b"1"), Err(SendError::Disconnected(())));
                let timeout = producer.send_timeout(b"2", common::DEADLINE);
                assert_eq!(timeout, Err(SendTimeoutError::Disconnected(())));
                assert_eq!(producer.reserve(1).map(|_| ()), Err(SendError::Disconnected(())));
                assert_eq!(producer.send_batch(&["3"]).expect_err("gone").error, SendError::Disconnected(()));
                eventually("try_send", || producer.try_send(b"4") == Err(TrySendError::Disconnected(())));
            }
        });
    });
}

#[test]
fn last_consumer_gone_while_the_producer_sleeps() {
    for_all("sleeping-producer", |name, kind, how| {
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=2 size=16"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send_range 0 2", "ok");
        producer.tell("send 2");
        asleep(name, producer.pid());
        consumer.leave(how);
        producer.then("err Disconnected(..)");
        // The next consumer finds what was sent, and the producer can go on.
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        consumer.expect("recv", "got 0 0 1");
        producer.expect("send 3", "ok");
        producer.tell("send_timeout 20000 4");
        asleep(name, producer.pid());
        consumer.leave(how);
        producer.then("err Disconnected(..)");
    });
}

#[test]
fn last_of_several_consumers_gone() {
    for how in LEAVES {
        let name = Name::new("last-consumer");
        let mut consumers = [0; 3].map(|_| Puppet::with(&format!("consumer {name} capacity=2 size=16")));
        let mut producers = [0; 3].map(|_| Puppet::with(&format!("producer {name}")));
        producers[0].expect("send_range 0 2", "ok");
        producers.iter_mut().for_each(|p| p.tell("send 2"));
        producers.iter().for_each(|p| asleep(&name, p.pid()));
        for consumer in &mut consumers {
            producers[0].is_silent();
            consumer.leave(how);
        }
        producers.iter_mut().for_each(|p| p.then("err Disconnected(..)"));
    }
}

/// A stream under way, and either end is killed in the middle of it.
#[test]
fn killed_in_the_stream() {
    for_all("mid-stream", |name, kind, _| {
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=16 size=16"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        let mut other = (kind == "mpmc").then(|| Puppet::with(&format!("producer {name}")));
        producer.tell("send_on");
        if let Some(other) = &mut other {
            other.tell("send_on");
        }
        consumer.tell("drain");
        consumer.is_silent();
        producer.kill();
        drop(other);
        let drained = consumer.answer();
        assert!(drained.starts_with("drained on,on,") && drained.ends_with(" Disconnected"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.tell("send_on");
        consumer.tell("drain");
        producer.is_silent();
        consumer.kill();
        producer.then("err Disconnected(..)");
    });
}
