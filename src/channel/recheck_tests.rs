//! A waker that is stopped before it wakes anybody: those who sleep look again by themselves.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::testing::Bench;
use super::*;
use crate::ring::Kind;

/// Far more than a look takes.
const SOON: Duration = Duration::from_secs(20);
/// Long enough for somebody who would go on to go on.
const PAUSE: Duration = Duration::from_millis(100);

impl Bench {
    /// Of one slot, whose users look again after this time.
    fn rechecked(kind: Kind, recheck: Option<Duration>) -> Self {
        let options = Options::new().kind(kind).capacity(1).message_size(8).participants(3);
        Self::of(&options.recheck_interval(recheck))
    }

    /// Runs what blocks, and returns when it sleeps in the kernel.
    fn asleep<T: Send + 'static>(&self, run: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (say, hear) = channel();
        thread::spawn(move || say.send(run()));
        let sleeps = || {
            let status = self.0.status().expect("status");
            status.participants.iter().any(|p| p.sleeping)
        };
        while !sleeps() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(2)); // from armed to asleep
        hear
    }
}

/// `done` comes by itself if the sleeper looks again; else only when it is woken after all.
fn comes<T>(done: &Receiver<T>, recheck: Option<Duration>, wake: impl FnOnce()) -> T {
    if recheck.is_none() {
        assert!(done.recv_timeout(PAUSE).is_err(), "nobody has woken it");
        wake();
    }
    done.recv_timeout(SOON).expect("it looks again, or was woken")
}

fn cases() -> impl Iterator<Item = (Kind, Option<Duration>)> {
    let rechecks = [None, Some(Duration::from_millis(20))];
    [Kind::Spsc, Kind::Mpmc].into_iter().flat_map(move |kind| rechecks.map(|recheck| (kind, recheck)))
}

/// Stopped between its publication and its V.
#[test]
fn a_stopped_sender() {
    for (kind, recheck) in cases() {
        let bench = Bench::rechecked(kind, recheck);
        let mut sender = bench.0.producer().expect("producer");
        let mut receiver = bench.0.consumer().expect("consumer");
        let done = bench.asleep(move || (receiver.recv().map(|message| message.data), receiver));
        let participant = &mut sender.participant;
        let mem = participant.channel.mem();
        let mut claim = participant.end.claim(mem, 1).expect("room");
        assert!(mem.write_payload(claim.position(), 0, b"1"));
        participant.end.publish(mem, &mut claim, 1, 0);
        let (message, _receiver) = comes(&done, recheck, || sender.participant.wake_both());
        assert_eq!(message.as_deref(), Ok(&b"1"[..]));
    }
}

/// Stopped between making room and its V.
#[test]
fn a_stopped_receiver() {
    for (kind, recheck) in cases() {
        let bench = Bench::rechecked(kind, recheck);
        let mut sender = bench.0.producer().expect("producer");
        let mut receiver = bench.0.consumer().expect("consumer");
        sender.send(b"1").expect("room");
        let done = bench.asleep(move || (sender.send(b"2"), sender));
        let participant = &mut receiver.participant;
        let mem = participant.channel.mem();
        let mut claim = participant.end.claim(mem, 1).expect("a message");
        participant.end.release(mem, &mut claim);
        let (sent, _sender) = comes(&done, recheck, || receiver.participant.wake_both());
        assert_eq!(sent, Ok(()));
    }
}
