//! Everything once: what a channel is for, between processes and within one.

mod common;

use std::mem::forget;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use common::child;
use common::puppet::Puppet;
use common::{KINDS, Name, eventually, small, start, within};
use semring::{
    Batch, Consumer, Error, Kind, Options, Producer, RecvError, RecvTimeoutError, SendError, TryRecvError,
    TrySendError,
};

#[test]
fn child_entry() {
    child::entry(&[]);
}

#[test]
fn the_consumer_may_come_first() {
    for kind in ["spsc", "mpmc"] {
        let name = Name::new("consumer-first");
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} size=64"));
        consumer.tell("recv");
        consumer.is_silent();
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send hello 7", "ok");
        consumer.then("got hello 7 1");
        producer.expect("drop", "ok");
        consumer.expect("recv", "err Disconnected");
    }
}

#[test]
fn the_producer_may_come_first() {
    for kind in ["spsc", "mpmc"] {
        let name = Name::new("producer-first");
        let mut producer = Puppet::with(&format!("producer {name} kind={kind} size=64"));
        producer.expect("send_range 0 5", "ok");
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        producer.expect("send last", "ok");
        producer.expect("drop", "ok");
        consumer.expect("drain", "drained 0,1,2,3,4,last Disconnected");
    }
}

/// A channel of each kind with both ends in this process.
fn for_both_kinds(test: &str, capacity: u64, run: fn(Kind, Producer, Consumer)) {
    for kind in KINDS {
        let name = Name::new(test);
        let producer = small(kind, capacity).producer(&name).expect("producer");
        let consumer = Options::new().consumer(&name).expect("consumer");
        within("one of the calls hangs", move || run(kind, producer, consumer));
    }
}

#[test]
fn tags_and_lengths() {
    for_both_kinds("tags", 8, |_, mut producer, mut consumer| {
        producer.send_tagged(u32::MAX, b"").expect("send");
        producer.try_send_tagged(5, &[9; 64]).expect("send");
        producer.send(b"plain").expect("send");
        assert_eq!((producer.len(), consumer.is_empty()), (3, false));
        let message = consumer.recv().expect("recv");
        assert_eq!((message.len(), message.tag, message.attempt), (0, u32::MAX, 1));
        let mut buffer = [0; 64];
        let received = consumer.recv_into(&mut buffer).expect("recv");
        assert_eq!((received.len, received.tag, received.redelivered()), (64, 5, false));
        assert_eq!(buffer, [9; 64]);
        assert_eq!(consumer.recv().expect("recv").tag, 0);
        assert!(producer.is_empty() && consumer.is_empty());
    });
}

#[test]
fn a_small_buffer_takes_nothing() {
    for_both_kinds("buffer", 8, |_, mut producer, mut consumer| {
        producer.send(b"short").expect("send");
        let mut buffer = [0; 63];
        let refused = Error::BufferTooSmall { len: 63, needed: 64 };
        assert_eq!(consumer.recv_into(&mut buffer), Err(RecvError::Failed(refused.clone())));
        assert_eq!(consumer.try_recv_into(&mut buffer), Err(TryRecvError::Failed(refused.clone())));
        let timeout = Duration::from_secs(1);
        assert_eq!(consumer.recv_into_timeout(&mut buffer, timeout), Err(RecvTimeoutError::Failed(refused)));
        assert_eq!(consumer.len(), 1);
        assert_eq!(&*consumer.recv().expect("recv"), b"short");
    });
}

#[test]
fn batches() {
    for_both_kinds("batches", 8, |_, mut producer, mut consumer| {
        let all: Vec<String> = (0..20).map(|i| format!("message {i}")).collect();
        assert_eq!(producer.try_send_batch(&all), Ok(8));
        assert_eq!(producer.try_send_batch(&all[8..]), Err(TrySendError::Full(())));
        assert_eq!(producer.try_send_batch::<&str>(&[]), Ok(0));
        let mut batch = Batch::new();
        assert_eq!(consumer.recv_batch(&mut batch, 3), Ok(3));
        assert_eq!(
            batch.iter().map(|m| m.data).collect::<Vec<_>>(),
            [b"message 0", b"message 1", b"message 2"]
        );
        assert_eq!(consumer.recv_batch(&mut batch, 0), Ok(0));
        assert!(batch.is_empty());
        assert_eq!(consumer.recv_batch(&mut batch, usize::MAX), Ok(5));
        assert_eq!(batch.as_bytes(), b"message 3message 4message 5message 6message 7");
        assert_eq!(consumer.try_recv_batch(&mut batch, 5), Err(TryRecvError::Empty));
        // What is too long stops the batch before it, and the error says where.
        let long = [vec![1; 10], vec![2; 64], vec![3; 65], vec![4; 1]];
        let e = producer.send_batch(&long).expect_err("too long");
        assert_eq!(e.sent, 2);
        assert_eq!(e.error, SendError::Failed((), Error::MessageTooLong { len: 65, max: 64 }));
        assert_eq!(consumer.recv_batch(&mut batch, 5), Ok(2));
    });
}

#[test]
fn iterators() {
    for_both_kinds("iterators", 8, |_, mut producer, mut consumer| {
        producer.send_batch(&["a", "b"]).expect("send");
        let there: Vec<_> = consumer.try_iter().map(|m| m.expect("recv").data).collect();
        assert_eq!(there, [b"a", b"b"]);
        assert_eq!(consumer.try_iter().count(), 0);
        producer.send_batch(&["c", "d", "e"]).expect("send");
        assert_eq!(&*consumer.iter().next().expect("there").expect("recv"), b"c");
        drop(producer);
        assert_eq!(
            (&mut consumer).into_iter().map(|m| m.expect("recv").data).collect::<Vec<_>>(),
            [b"d", b"e"]
        );
        assert!(consumer.into_iter().next().is_none());
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Tick {
    instrument: u64,
    price: f64,
}

#[test]
fn typed() {
    for kind in KINDS {
        let name = Name::new("typed");
        let options = Options::new().kind(kind).capacity(2);
        let mut producer = options.typed_producer::<Tick>(&name, "Tick").expect("producer");
        let mut consumer = Options::new().typed_consumer::<Tick>(&name, "Tick").expect("consumer");
        let tick = |instrument| Tick { instrument, price: 0.5 };
        producer.send(tick(1)).expect("send");
        producer.try_send(tick(2)).expect("send");
        assert_eq!(producer.try_send(tick(3)), Err(TrySendError::Full(tick(3))));
        let late = producer.send_timeout(tick(3), Duration::from_millis(5)).expect_err("full");
        assert_eq!(late.into_inner(), tick(3));
        assert_eq!((consumer.recv(), consumer.try_recv()), (Ok(tick(1)), Ok(tick(2))));
        assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(consumer.recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
        let status = producer.inner().status().expect("status");
        assert_eq!((status.message_type.as_deref(), status.message_size), (Some("Tick"), 16));
        // A producer of plain bytes is not refused, but what it sends must fit.
        drop(producer);
        Options::new().producer(&name).expect("plain").send(b"nonsense").expect("send");
        assert!(matches!(
            consumer.recv(),
            Err(RecvError::Failed(Error::Mismatch { what: "message length", .. }))
        ));
        assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
    }
}

#[test]
fn grants() {
    for_both_kinds("grants", 4, |_, mut producer, mut consumer| {
        let mut grant = producer.reserve(8).expect("reserve");
        assert!(grant.as_mut_slice().is_err_and(|e| e == Error::NotTrusted));
        assert_eq!(grant.write(5, b"1234"), Err(Error::MessageTooLong { len: 9, max: 8 }));
        assert!(grant.write(usize::MAX, b"1").is_err());
        grant.write(0, b"12345678").expect("write");
        grant.set_tag(3);
        assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
        grant.commit();
        let message = consumer.recv().expect("recv");
        assert_eq!((&*message, message.tag), (&b"12345678"[..], 3));
        // Aborted and forgotten ones send nothing. In MPMC they keep their slots until a consumer passes over them.
        for _ in 0..20 {
            drop(producer.reserve(1).expect("reserve"));
            forget(producer.try_reserve(64).expect("reserve"));
            producer.send(b"next").expect("send");
            assert_eq!(&*consumer.recv().expect("recv"), b"next");
        }
        assert!(matches!(producer.reserve(65), Err(SendError::Failed(_, Error::MessageTooLong { .. }))));
        forget(producer.reserve(1).expect("reserve"));
        drop(producer);
        assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
        assert!(consumer.is_empty());
    });
}

#[test]
fn leases() {
    for_both_kinds("leases", 4, |_, mut producer, mut consumer| {
        let take = |consumer: &mut Consumer| {
            let lease = consumer.lease().expect("lease");
            (lease.to_vec(), lease.tag(), lease.attempt(), lease.redelivered())
        };
        producer.send_tagged(9, b"work").expect("send");
        producer.send(b"more").expect("send");
        let lease = consumer.lease().expect("lease");
        assert_eq!((lease.len(), lease.tag(), lease.attempt(), lease.redelivered()), (4, 9, 1, false));
        assert!(lease.as_slice().is_err_and(|e| e == Error::NotTrusted));
        let mut part = [0; 2];
        lease.read(2, &mut part).expect("read");
        assert_eq!(&part, b"rk");
        assert!(lease.read(3, &mut part).is_err());
        lease.retry();
        forget(consumer.lease().expect("second"));
        assert_eq!(take(&mut consumer), (b"work".into(), 9, 3, true));
        // An ordinary drop acknowledges.
        assert_eq!(take(&mut consumer), (b"more".into(), 0, 1, false));
        assert_eq!(consumer.try_lease().map(|_| ()), Err(TryRecvError::Empty));
        let brief = Duration::from_millis(5);
        assert_eq!(consumer.lease_timeout(brief).map(|_| ()), Err(RecvTimeoutError::Timeout));
        // A batch that was given back is delivered one by one, in order.
        producer.send_batch(&["1", "2", "3", "4"]).expect("send");
        consumer.lease().expect("lease").retry();
        for (text, attempt) in [("1", 2), ("2", 1), ("3", 1), ("4", 1)] {
            assert_eq!(take(&mut consumer), (text.into(), 0, attempt, attempt > 1));
        }
        // What was given back is there at once, also for whoever does not wait.
        producer.send(b"again").expect("send");
        for attempt in 1..=10 {
            let lease = consumer.try_lease().unwrap_or_else(|e| panic!("attempt {attempt}: {e}"));
            lease.retry();
        }
        assert_eq!(consumer.try_recv().map(|m| m.attempt), Ok(11));
        // The attempts are counted up to 16.
        producer.send(b"hard").expect("send");
        for attempt in 1..=20 {
            let lease = consumer.lease().expect("lease");
            assert_eq!(lease.attempt(), attempt.min(16));
            lease.retry();
        }
        assert_eq!(take(&mut consumer).2, 16);
    });
}

#[test]
#[allow(unsafe_code)]
fn views_of_trusted_peers() {
    for kind in KINDS {
        let name = Name::new("views");
        // SAFETY: only this test has the channel open.
        let options = unsafe { small(kind, 4).trust_peers() };
        let mut producer = options.producer(&name).expect("producer");
        let mut consumer = options.consumer(&name).expect("consumer");
        let mut grant = producer.reserve(64).expect("reserve");
        grant.as_mut_slice().expect("trusted").copy_from_slice(&[7; 64]);
        grant.commit();
        assert_eq!(consumer.lease().expect("lease").as_slice().expect("trusted"), [7; 64]);
    }
}

/// What a consumer gives back, or loses by a panic, goes to another one that waits, flagged.
#[test]
fn another_consumer_gets_what_was_given_back() {
    for (how, tag) in [("retry", 1), ("panic", 2), ("forget", 3), ("exit", 4)] {
        let name = Name::new("given-back");
        let mut first = Puppet::with(&format!("consumer {name} size=64"));
        let mut other = Puppet::with(&format!("consumer {name}"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect(&format!("send work {tag}"), "ok");
        first.expect("lease", &format!("leased work {tag} 1"));
        other.tell("recv");
        other.is_silent();
        first.tell(how);
        match how {
            "retry" => first.then("ok"),
            // A forgotten lease is given back by the next call or the end of the handle.
            "forget" => {
                first.then("ok");
                first.expect("drop", "ok");
            }
            _ => assert!(!first.end().success()),
        }
        other.then(&format!("got work {tag} 2"));
        producer.expect("drop", "ok");
        other.expect("recv", "err Disconnected");
    }
}

#[test]
fn status_says_who_is_there() {
    let name = Name::new("status");
    let mut producer = small(Kind::Mpmc, 100).mode(0o640).participants(5).producer(&name).expect("producer");
    let mut consumer = Options::new().consumer(&name).expect("consumer");
    producer.send_batch(&["1", "2", "3"]).expect("send");
    consumer.recv().expect("recv");
    let lease = consumer.lease().expect("lease");
    let status = producer.status().expect("status");
    assert_eq!((status.kind, status.capacity, status.message_size), (Kind::Mpmc, 128, 64));
    assert_eq!((status.mode, status.limit, status.name.as_str()), (0o640, 5, &*name));
    assert_eq!((status.producers, status.consumers, status.sent, status.received), (1, 1, 3, 2));
    assert_eq!((status.len, status.lock_holder), (1, None));
    assert!(status.attached >= 2); // more while another test starts a process
    assert_eq!((Some(status.segment_id), Some(status.semaphore_id)), (name.segment(), name.set()));
    let pids: Vec<_> = status.participants.iter().map(|p| (p.pid as u32, p.alive, p.sleeping)).collect();
    assert_eq!(pids, [(std::process::id(), true, false); 2]);
    let roles: Vec<_> = status.participants.iter().map(|p| p.role.to_string()).collect();
    assert_eq!(roles, ["producer", "consumer"]);
    assert_eq!(status.participants.iter().filter_map(|p| p.holds).collect::<Vec<_>>(), [(1, 1)]);
    lease.ack();
    assert!(producer.leave_and_remove_if_unused().is_ok_and(|removed| !removed), "somebody is there");
    assert_eq!(&*consumer.recv().expect("recv"), b"3");
    assert!(consumer.leave_and_remove_if_unused().is_ok_and(|removed| removed));
    assert!(name.is_absent());
}

#[test]
fn clones_are_participants_of_their_own() {
    let name = Name::new("clones");
    let producer = small(Kind::Mpmc, 4).producer(&name).expect("producer");
    let consumer = Options::new().consumer(&name).expect("consumer");
    let mut second = producer.try_clone().expect("clone");
    let mut other = consumer.try_clone().expect("clone");
    drop((producer, consumer));
    let status = second.status().expect("status");
    assert_eq!((status.producers, status.consumers), (1, 1));
    let sending = start(move || (0..1000).try_for_each(|i: u32| second.send(&i.to_le_bytes())));
    let received =
        within("all arrive", move || other.iter().inspect(|m| assert!(m.is_ok(), "{m:?}")).count());
    assert_eq!((sending.end("sending"), received), (Ok(()), 1000));
    for kind in KINDS.into_iter().filter(|&kind| kind == Kind::Spsc) {
        let name = Name::new("no-clones");
        let producer = small(kind, 4).producer(&name).expect("producer");
        assert!(matches!(producer.try_clone(), Err(Error::NoRoom { limit: 1, .. })));
    }
}

#[test]
fn a_canceller_ends_a_blocked_call() {
    for_both_kinds("cancel", 1, |_, mut producer, mut consumer| {
        let (of_producer, of_consumer) = (producer.canceller(), consumer.canceller());
        let receiving = start(move || (consumer.recv().map(|_| ()), consumer));
        receiving.still_running("recv from an empty channel");
        of_consumer.cancel();
        let (result, mut consumer) = receiving.end("cancelled recv");
        assert_eq!(result, Err(RecvError::Failed(Error::Cancelled)));
        // Sticky, but only for calls that would block.
        assert!(of_consumer.is_cancelled());
        producer.send(b"there").expect("send");
        assert_eq!(&*consumer.recv().expect("there"), b"there");
        let mut consumer = within("sticky", move || {
            assert_eq!(consumer.recv().map(|_| ()), Err(RecvError::Failed(Error::Cancelled)));
            consumer
        });
        of_consumer.reset();
        assert_eq!(consumer.recv_timeout(Duration::from_millis(5)), Err(RecvTimeoutError::Timeout));
        producer.send(b"fills it").expect("send");
        let sending = start(move || (producer.send(b"too much"), producer));
        sending.still_running("send into a full channel");
        of_producer.cancel();
        let (result, producer) = sending.end("cancelled send");
        assert_eq!(result, Err(SendError::Failed((), Error::Cancelled)));
        assert_eq!(&*consumer.recv().expect("recv"), b"fills it");
        drop(producer);
        eventually("the end of stream", || consumer.try_recv() == Err(TryRecvError::Disconnected));
    });
}
