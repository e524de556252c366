//! After fork: the child's inherited handles are inert and say so, and nothing it does with them hurts the parent.
//!
//! A test binary has threads, so the process that forks is a child of its own, where the only other thread sleeps.

mod common;

use std::time::Duration;

use common::child::{self, Child};
use common::{KINDS, Name, small, sys};
use semring::{
    Batch, Error, Kind, Options, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};

#[test]
fn child_entry() {
    child::entry(&[("inert", inert), ("guards", guards), ("reopen", reopen)]);
}

fn run(scenario: &str) {
    for kind in KINDS {
        let name = Name::new("fork");
        let mut child = Child::start(scenario, &[&name, &kind.to_string()]);
        assert_eq!(child.answer(), "done");
        assert!(child.end().success());
    }
}

fn arguments<'a>(arguments: &[&'a str]) -> (&'a str, Options) {
    let [name, kind] = arguments else { panic!("{arguments:?}") };
    (name, small(if *kind == "spsc" { Kind::Spsc } else { Kind::Mpmc }, 4))
}

#[test]
fn inherited_handles_are_inert() {
    run("inert");
}

fn inert(words: &[&str]) {
    let (name, options) = arguments(words);
    let mut producer = options.producer(name).expect("producer");
    let consumer = Options::new().consumer(name).expect("consumer");
    let channel = producer.channel();
    producer.send(b"1").expect("send");
    let brief = Duration::from_millis(1);
    let mut all = Some((producer, consumer, channel));
    let status = sys::wait(sys::fork(|| {
        let (mut producer, mut consumer, channel) = all.take().expect("the child's copy");
        let f = || Error::Forked;
        assert_eq!(producer.send(b"2"), Err(SendError::Failed((), f())));
        assert_eq!(producer.send_tagged(1, b"2"), Err(SendError::Failed((), f())));
        assert_eq!(producer.try_send(b"2"), Err(TrySendError::Failed((), f())));
        assert_eq!(producer.send_timeout(b"2", brief), Err(SendTimeoutError::Failed((), f())));
        assert_eq!(producer.send_batch(&["2"]).expect_err("inert").error, SendError::Failed((), f()));
        assert_eq!(producer.try_send_batch(&["2"]), Err(TrySendError::Failed((), f())));
        assert_eq!(producer.reserve(1).err(), Some(SendError::Failed((), f())));
        assert_eq!(producer.try_reserve(1).err(), Some(TrySendError::Failed((), f())));
        assert_eq!(consumer.recv(), Err(RecvError::Failed(f())));
        assert_eq!(consumer.try_recv(), Err(TryRecvError::Failed(f())));
        assert_eq!(consumer.recv_timeout(brief), Err(RecvTimeoutError::Failed(f())));
        assert_eq!(consumer.recv_into(&mut [0; 64]), Err(RecvError::Failed(f())));
        assert_eq!(consumer.recv_batch(&mut Batch::new(), 1), Err(RecvError::Failed(f())));
        assert_eq!(consumer.lease().err(), Some(RecvError::Failed(f())));
        assert_eq!(consumer.try_lease().err(), Some(TryRecvError::Failed(f())));
        assert_eq!(consumer.iter().next(), Some(Err(f())));
        assert_eq!(consumer.try_iter().next(), Some(Err(f())));
        assert_eq!((producer.try_clone().err(), consumer.try_clone().err()), (Some(f()), Some(f())));
        assert_eq!((producer.status().err(), channel.status().err()), (Some(f()), Some(f())));
        assert_eq!((channel.producer().err(), channel.consumer().err()), (Some(f()), Some(f())));
        assert_eq!(channel.clone().remove(), Err(f()));
        assert_eq!(channel.clone().remove_if_unused(), Err(f()));
        consumer.canceller().cancel();
        drop((producer, consumer));
        drop(channel);
        0
    }));
    assert_eq!(status, 0);
    let (mut producer, mut consumer, channel) = all.expect("the parent's");
    // The child's drops, and its end, were not ours.
    let status = channel.status().expect("status");
    assert_eq!((status.producers, status.consumers, status.len), (1, 1, 1));
    assert!(status.participants.iter().all(|p| p.alive));
    assert_eq!(&*consumer.recv().expect("recv"), b"1");
    producer.send(b"2").expect("send");
    assert_eq!(&*consumer.recv().expect("recv"), b"2");
    assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
    drop(producer);
    assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
    child::say("done");
}

/// A lease or a grant that is in hand when the process forks is the parent's: the child's drop of its copy released
/// the parent's slot under its eyes.
#[test]
fn inherited_guards_are_inert() {
    run("guards");
}

fn guards(words: &[&str]) {
    let (name, options) = arguments(words);
    let mut producer = options.producer(name).expect("producer");
    let mut consumer = Options::new().consumer(name).expect("consumer");
    producer.send(b"in the parent's hand").expect("send");

    for what in ["ack", "retry", "drop"] {
        let lease = consumer.lease().expect("lease");
        let mut kept = Some(lease);
        let status = sys::wait(sys::fork(|| {
            let lease = kept.take().expect("the child's copy");
            match what {
                "ack" => lease.ack(),
                "retry" => lease.retry(),
                _ => drop(lease),
            }
            0
        }));
        assert_eq!(status, 0);
        kept.expect("the parent's").retry(); // it goes round again, with its bytes and its place
        let lease = consumer.lease().expect("given back");
        assert_eq!(
            (lease.to_vec().as_slice(), lease.redelivered()),
            (&b"in the parent's hand"[..], true),
            "{what}"
        );
        lease.retry();
    }
    assert_eq!(&*consumer.recv().expect("recv"), b"in the parent's hand");

    for what in ["commit", "drop"] {
        let mut grant = producer.reserve(6).expect("reserve");
        grant.write(0, b"parent").expect("write");
        let mut kept = Some(grant);
        let status = sys::wait(sys::fork(|| {
            let mut grant = kept.take().expect("the child's copy");
            assert_eq!(grant.write(0, b"child!"), Err(Error::Forked));
            if what == "commit" {
                grant.commit()
            } else {
                drop(grant)
            }
            0
        }));
        assert_eq!(status, 0);
        assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty), "{what}");
        kept.expect("the parent's").commit();
        assert_eq!(&*consumer.recv_timeout(common::DEADLINE).expect("recv"), b"parent", "{what}");
    }
    assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
    child::say("done");
}

/// A child that wants to take part opens the channel itself, and its death is its own.
#[test]
fn a_forked_child_opens_its_own() {
    run("reopen");
}

fn reopen(words: &[&str]) {
    let (name, options) = arguments(words);
    let mut consumer = options.consumer(name).expect("consumer");
    for how in ["leave", "exit", "abort"] {
        let pid = sys::fork(|| {
            assert_eq!(consumer.recv(), Err(RecvError::Failed(Error::Forked)));
            let mut own = Options::new().producer(name).expect("its own");
            own.send(how.as_bytes()).expect("send");
            match how {
                "leave" => drop(own),
                "exit" => sys::exit_now(0),
                _ => std::process::abort(),
            }
            0
        });
        assert_eq!(sys::wait(pid), if how == "abort" { -libc::SIGABRT } else { 0 });
        assert_eq!(&*consumer.recv_timeout(common::DEADLINE).expect("recv"), how.as_bytes());
        assert_eq!(consumer.recv_timeout(common::DEADLINE), Err(RecvTimeoutError::Disconnected));
        let status = consumer.status().expect("status");
        assert_eq!((status.producers, status.consumers), (0, 1));
    }
    child::say("done");
}
