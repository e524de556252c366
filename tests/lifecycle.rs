//! Generations of a channel: everybody killed and others come; what the dead held is delivered again.

mod common;

use std::time::Duration;

use common::child;
use common::puppet::{LEAVES, Leave, Puppet};
use common::{KINDS, Name, asleep, options, small};
use semring::{Error, Kind, RecvTimeoutError, WhenNoConsumer};

#[test]
fn child_entry() {
    child::entry(&[]);
}

const BRIEF: Duration = Duration::from_millis(20);

/// Whoever was there before: the next comers wait for each other as if nobody had been, and find what was left.
#[test]
fn everybody_killed_then_a_consumer_first() {
    for kind in KINDS {
        let name = Name::new("afresh-consumer");
        let mut producer = Puppet::with(&format!("producer {name} kind={kind} capacity=8 size=16"));
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        producer.expect("send_range 0 4", "ok");
        consumer.expect("recv", "got 0 0 1");
        consumer.kill();
        producer.kill();
        let mut consumer = options().consumer(&name).expect("consumer");
        for i in 1..4 {
            let message = consumer.recv_timeout(common::DEADLINE).expect("left behind");
            assert_eq!((message.data, message.attempt), (i.to_string().into(), 1));
        }
        // No end of stream from the generation before.
        assert_eq!(consumer.recv_timeout(BRIEF), Err(RecvTimeoutError::Timeout));
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send new", "ok");
        assert_eq!(consumer.recv_timeout(common::DEADLINE).expect("new").data, b"new");
        producer.kill();
        assert_eq!(consumer.recv_timeout(common::DEADLINE), Err(RecvTimeoutError::Disconnected));
    }
}

#[test]
fn everybody_killed_then_a_producer_first() {
    for kind in KINDS {
        let name = Name::new("afresh-producer");
        let mut producer = Puppet::with(&format!("producer {name} kind={kind} capacity=4 size=16"));
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        producer.expect("send_range 0 3", "ok");
        consumer.expect("recv", "got 0 0 1");
        producer.kill();
        consumer.kill();
        let mut producer = Puppet::with(&format!("producer {name}"));
        // No broken pipe from the generation before: there is room for two, then it waits.
        producer.expect("send_range 3 5", "ok");
        producer.tell("send 5");
        asleep(&name, producer.pid());
        producer.is_silent();
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        consumer.expect("recv", "got 1 0 1");
        producer.then("ok");
        producer.expect("drop", "ok");
        consumer.expect("drain", "drained 2,3,4,5 Disconnected");
    }
}

/// Many times, every way, both at once.
#[test]
fn generation_after_generation() {
    for kind in KINDS {
        let name = Name::new("generations");
        let channel = small(kind, 4).participants(4).create(&name).expect("create");
        for (round, how) in LEAVES.into_iter().cycle().take(12).enumerate() {
            let mut producer = Puppet::with(&format!("producer {name}"));
            let mut consumer = Puppet::with(&format!("consumer {name}"));
            consumer.tell("recv");
            producer.expect(&format!("send {round} {round}"), "ok");
            consumer.then(&format!("got {round} {round} 1"));
            consumer.tell("recv");
            asleep(&name, consumer.pid());
            producer.leave(how);
            consumer.then("err Disconnected");
            consumer.leave(how);
        }
        let status = channel.status().expect("status");
        assert_eq!((status.producers, status.consumers, status.len, status.sent), (0, 0, 0, 12));
    }
}

/// A service that is restarted: its clients notice nothing.
#[test]
fn waiting_for_a_consumer_that_is_restarted() {
    for kind in KINDS {
        let name = Name::new("restart");
        let mut producer =
            Puppet::with(&format!("producer {name} kind={kind} capacity=4 size=16 policy=wait"));
        let mut next = 0;
        for how in LEAVES {
            let mut consumer = Puppet::with(&format!("consumer {name}"));
            producer.expect(&format!("send_range {next} {}", next + 2), "ok");
            consumer.expect("recv", &format!("got {next} 0 1"));
            consumer.leave(how);
            // Three fit beside the one that is left, the fourth waits.
            producer.tell(&format!("send_range {} {}", next + 2, next + 6));
            asleep(&name, producer.pid());
            producer.is_silent();
            let mut consumer = Puppet::with(&format!("consumer {name}"));
            for i in next + 1..next + 6 {
                consumer.expect("recv", &format!("got {i} 0 1"));
            }
            producer.then("ok");
            consumer.leave(how);
            next += 6;
        }
        let producer = options().when_no_consumer(WhenNoConsumer::Disconnect);
        assert!(matches!(
            producer.open(&name),
            Err(Error::Mismatch { what: "policy without consumers", .. })
        ));
    }
}

#[test]
fn a_second_producer_or_consumer_of_spsc_is_refused() {
    let name = Name::new("spsc-second");
    let mut producer = Puppet::with(&format!("producer {name} kind=spsc size=16"));
    let mut consumer = Puppet::with(&format!("consumer {name}"));
    for how in LEAVES {
        let refused = |what: &str| Some(Error::NoRoom { what: what_of(what), limit: 1 });
        assert_eq!(options().producer(&name).err(), refused("producer"));
        assert_eq!(options().consumer(&name).err(), refused("consumer"));
        // A successor is accepted once the first is gone, and goes on exactly where it was.
        producer.expect("send_range 0 3", "ok");
        producer.leave(how);
        producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send_range 3 5", "ok");
        consumer.expect("recv", "got 0 0 1");
        consumer.leave(how);
        consumer = Puppet::with(&format!("consumer {name}"));
        for i in 1..5 {
            consumer.expect("recv", &format!("got {i} 0 1"));
        }
        consumer.expect("try_recv", "err Empty");
    }
}

fn what_of(side: &str) -> &'static str {
    if side == "producer" { "producer of an SPSC channel" } else { "consumer of an SPSC channel" }
}

/// A message in the hand of a consumer that dies is delivered again, flagged: to another one, or to the next.
#[test]
fn a_dead_consumers_lease_is_delivered_again() {
    for kind in KINDS {
        for how in [Leave::Kill, Leave::Exit, Leave::Panic] {
            let name = Name::new("dead-lease");
            let mut producer = Puppet::with(&format!("producer {name} kind={kind} capacity=4 size=16"));
            let mut first = Puppet::with(&format!("consumer {name}"));
            producer.expect("send a 1", "ok");
            producer.expect("send b 2", "ok");
            first.expect("lease", "leased a 1 1");
            first.leave(how);
            let mut second = Puppet::with(&format!("consumer {name}"));
            second.expect("lease", "leased a 1 2");
            second.leave(how);
            let mut third = Puppet::with(&format!("consumer {name}"));
            third.expect("recv", "got a 1 3");
            third.expect("recv", "got b 2 1");
            third.expect("try_recv", "err Empty");
            producer.expect("drop", "ok");
            third.expect("recv", "err Disconnected");
        }
    }
}

/// As many of them as there may be, and one is left to do all their work.
#[test]
fn one_consumer_inherits_from_many() {
    let name = Name::new("many-leases");
    let mut producer = Puppet::with(&format!("producer {name} capacity=16 size=16"));
    let mut dying: Vec<_> = (0..6).map(|_| Puppet::with(&format!("consumer {name}"))).collect();
    let mut heir = Puppet::with(&format!("consumer {name}"));
    producer.expect("send_range 0 7", "ok");
    for (i, consumer) in dying.iter_mut().enumerate() {
        consumer.expect("lease", &format!("leased {i} 0 1"));
    }
    dying.iter_mut().for_each(|c| c.leave(Leave::Kill));
    producer.expect("drop", "ok");
    let mut all = Vec::new();
    loop {
        match heir.ask("recv").as_str() {
            "err Disconnected" => break,
            got => all.push(got.to_string()),
        }
    }
    all.sort();
    assert_eq!(
        all,
        ["got 0 0 2", "got 1 0 2", "got 2 0 2", "got 3 0 2", "got 4 0 2", "got 5 0 2", "got 6 0 1"]
    );
    let status = name.channel().status().expect("status");
    assert_eq!((status.len, status.adopted, status.recoveries), (0, 6, 6));
}

/// With nobody left to adopt, those who come later inherit: one dead consumer each, and the rest of them too.
#[test]
fn later_consumers_inherit_from_the_dead() {
    let name = Name::new("orphans");
    let open = format!("consumer {name} capacity=8 size=16 participants=4");
    let mut dying: Vec<_> = (0..3).map(|_| Puppet::with(&open)).collect();
    let mut producer = Puppet::with(&format!("producer {name}"));
    producer.expect("send_range 0 4", "ok");
    dying.iter_mut().enumerate().for_each(|(i, c)| c.expect("lease", &format!("leased {i} 0 1")));
    producer.kill();
    dying.iter_mut().for_each(|c| c.leave(Leave::Kill));
    let mut heir = options().consumer(&name).expect("consumer");
    let mut all: Vec<_> = (0..4)
        .map(|_| heir.recv_timeout(common::DEADLINE).map(|m| (m.data, m.attempt)).expect("inherited"))
        .collect();
    all.sort();
    let expected = [(0, 2), (1, 2), (2, 2), (3, 1)].map(|(i, n)| (format!("{i}").into_bytes(), n));
    assert_eq!(all, expected);
    assert_eq!(heir.recv_timeout(BRIEF), Err(RecvTimeoutError::Timeout));
}

/// The slot of a producer that dies in the middle of a message is passed over.
#[test]
fn a_dead_producers_grant_holds_up_nobody() {
    for kind in KINDS {
        for how in [Leave::Kill, Leave::Exit, Leave::Panic] {
            let name = Name::new("dead-grant");
            let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=4 size=16"));
            let mut dying = Puppet::with(&format!("producer {name}"));
            let mut other = (kind == Kind::Mpmc).then(|| Puppet::with(&format!("producer {name}")));
            dying.expect("send 1", "ok");
            dying.expect("reserve never", "reserved");
            if let Some(other) = &mut other {
                other.expect("send_range 2 4", "ok");
            }
            consumer.expect("recv", "got 1 0 1");
            consumer.tell("recv"); // a message is there, but the slot before it is claimed
            consumer.is_silent();
            dying.leave(how);
            match other {
                Some(mut other) => {
                    consumer.then("got 2 0 1");
                    other.tell("send_range 4 10"); // more than fit: the dead one's slot is used again
                    (3..10).for_each(|i| consumer.expect("recv", &format!("got {i} 0 1")));
                    other.then("ok");
                }
                None => {
                    consumer.then("err Disconnected");
                    let mut successor = Puppet::with(&format!("producer {name}"));
                    successor.expect("send_range 4 8", "ok");
                    consumer.expect("recv", "got 4 0 1");
                }
            }
        }
    }
}

/// A lock that is held for too long is an error that names its holder; the kernel takes it from one that dies.
#[test]
fn a_lock_that_is_held() {
    for kind in KINDS {
        let name = Name::new("locked");
        let mut producer = small(kind, 8).producer(&name).expect("producer");
        let mut consumer = options().consumer(&name).expect("consumer");
        let mut holder = Puppet::with(&format!("hold_lock {name}"));
        let brief = options().lock_timeout(BRIEF);
        for e in [brief.open(&name).err(), brief.create(&name).err(), brief.producer(&name).err()] {
            assert_eq!(e, Some(Error::LockBusy { holder: holder.pid() as i32 }));
        }
        let status = producer.status().expect("status takes no lock");
        assert_eq!(status.lock_holder, Some(holder.pid() as i32));
        // Those who are there go on.
        for i in 0..100 {
            producer.send(&[i]).expect("send");
            assert_eq!(consumer.recv().expect("recv").data, [i]);
        }
        assert_eq!(consumer.recv_timeout(BRIEF), Err(RecvTimeoutError::Timeout));
        let waiting = {
            let name = name.to_string();
            common::start(move || options().open(name).map(|_| ()))
        };
        waiting.still_running("opening while the lock is held");
        holder.kill();
        assert_eq!(waiting.end("opening"), Ok(()));
    }
}

/// Nobody drains the wake semaphores of those who are not there: at 32,767 tokens registering failed for ever.
#[test]
fn tens_of_thousands_come_and_go() {
    let name = Name::new("turnover");
    let channel = small(Kind::Mpmc, 4).participants(3).create(&name).expect("create");
    for i in 0..35_000 {
        drop(channel.producer().unwrap_or_else(|e| panic!("the {i}th: {e}")));
    }
    let mut consumer = channel.consumer().expect("consumer");
    channel.producer().expect("producer").send(b"1").expect("send");
    assert_eq!(&*consumer.recv_timeout(common::DEADLINE).expect("recv"), b"1");
    assert_eq!(consumer.recv_timeout(common::DEADLINE), Err(RecvTimeoutError::Disconnected));
}

/// The end of the thread that opened a channel is nobody's death.
#[test]
fn a_thread_that_ends_is_no_death() {
    for kind in KINDS {
        let name = Name::new("thread");
        let opened = {
            let name = name.to_string();
            let open = move || (small(kind, 4).producer(&name), options().consumer(&name));
            std::thread::spawn(open).join().expect("thread")
        };
        let (mut producer, mut consumer) = (opened.0.expect("producer"), opened.1.expect("consumer"));
        let status = producer.status().expect("status");
        assert_eq!((status.producers, status.consumers), (1, 1));
        producer.send(b"1").expect("send");
        assert_eq!(&*consumer.recv().expect("recv"), b"1");
        assert_eq!(consumer.recv_timeout(BRIEF), Err(RecvTimeoutError::Timeout));
    }
}
