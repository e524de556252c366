//! Generations of a channel: everybody killed and others come; removal under the feet of those who use it; two creators
//! at the same instant; what the dead held is delivered again.

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::child::{self, Child};
use common::puppet::{LEAVES, Leave, Puppet};
use common::{KINDS, Name, asleep, eventually, options, small, sys, within};
use semring::segment::{Key, Mapping, Segment, SegmentOptions};
use semring::{Error, Kind, Producer, RecvError, RecvTimeoutError, SendError, WhenNoConsumer};

#[test]
fn child_entry() {
    child::entry(&[("race", race), ("storm", storm)]);
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
