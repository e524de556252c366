//! Calls that block: their time limits, signals that interrupt them, what they cost while they sleep.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::child::{self, Child};
use common::puppet::Puppet;
use common::{KINDS, Name, PAUSE, asleep, options, small, start, sys, within};
use semring::{Consumer, Error, Kind, Options, Producer, RecvError, RecvTimeoutError, SendTimeoutError};

#[test]
fn child_entry() {
    child::entry(&[("idle", idle)]);
}

fn pair(name: &Name, kind: Kind, capacity: u64) -> (Producer, Consumer) {
    let producer = small(kind, capacity).producer(name).expect("producer");
    (producer, options().consumer(name).expect("consumer"))
}

/// Never early, and the message is where it was.
#[test]
fn time_limits() {
    for kind in KINDS {
        let name = Name::new("timeout");
        let (mut producer, mut consumer) = pair(&name, kind, 2);
        within("a time limit", move || {
            for limit in [0, 1, 20, 100].map(Duration::from_millis) {
                let start = Instant::now();
                assert_eq!(consumer.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
                assert!(start.elapsed() >= limit);
                assert_eq!(consumer.recv_deadline(Instant::now() + limit), Err(RecvTimeoutError::Timeout));
                assert_eq!(consumer.recv_deadline(start), Err(RecvTimeoutError::Timeout), "long past");
                assert_eq!(consumer.recv_into_timeout(&mut [0; 64], limit), Err(RecvTimeoutError::Timeout));
                assert_eq!(consumer.lease_timeout(limit).err(), Some(RecvTimeoutError::Timeout));
                producer.send_batch(&["first", "second"]).expect("send");
                let start = Instant::now();
                assert_eq!(producer.send_timeout(b"third", limit), Err(SendTimeoutError::Timeout(())));
                assert!(start.elapsed() >= limit);
                let late = producer.send_deadline(b"third", start);
                assert_eq!(late, Err(SendTimeoutError::Timeout(())));
                // Nothing was lost, and nothing of the third came through. With room or messages no time is needed.
                assert_eq!(&*consumer.recv_timeout(Duration::ZERO).expect("there"), b"first");
                producer.send_timeout(b"fourth", Duration::ZERO).expect("room");
                assert_eq!(&*consumer.recv_timeout(Duration::MAX).expect("there"), b"second");
                assert_eq!(&*consumer.recv_deadline(start).expect("there"), b"fourth");
                assert!(producer.is_empty());
            }
            producer.send_timeout(b"for ever", Duration::MAX).expect("room");
        });
    }
}

/// A producer that changes its mind all the time keeps nobody beyond the limit.
#[test]
fn tombstones_without_end() {
    let name = Name::new("tombstones");
    let (mut producer, mut consumer) = pair(&name, Kind::Mpmc, 256);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let indecision = start(move || {
        while !stopped.load(Ordering::Relaxed) {
            match producer.reserve(1) {
                Ok(grant) => drop(grant),
                // The consumer ends right after it has said so.
                Err(e) => assert!(stopped.load(Ordering::Relaxed), "{e}"),
            }
        }
    });
    within("a time limit", move || {
        let mut batch = semring::Batch::new();
        for _ in 0..20 {
            assert_eq!(consumer.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
            assert_eq!(consumer.try_recv_batch(&mut batch, 1), Err(semring::TryRecvError::Empty));
        }
        let canceller = consumer.canceller();
        let cancel = start(move || {
            std::thread::sleep(PAUSE);
            canceller.cancel();
        });
        assert_eq!(consumer.recv(), Err(RecvError::Failed(Error::Cancelled)));
        cancel.end("cancelling");
        stop.store(true, Ordering::Relaxed);
    });
    indecision.end("the producer");
}

/// One that waits with a limit gets what comes in time.
#[test]
fn in_time() {
    for kind in KINDS {
        let name = Name::new("in-time");
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=1 size=16"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        consumer.tell("recv_timeout 20000");
        asleep(&name, consumer.pid());
        producer.expect("send 1", "ok");
        consumer.then("got 1 0 1");
        producer.expect("send 2", "ok");
        producer.tell("send_timeout 20000 3");
        asleep(&name, producer.pid());
        consumer.expect("recv", "got 2 0 1");
        producer.then("ok");
        consumer.expect("recv", "got 3 0 1");
    }
}

/// Two producers that time out all the time, two consumers too: every message that was sent arrives.
#[test]
fn time_limits_lose_nothing() {
    let name = Name::new("impatient");
    let (producer, consumer) = pair(&name, Kind::Mpmc, 2);
    let tick = Duration::from_micros(50);
    let sending: Vec<_> = (0..2u64)
        .map(|side| {
            let mut producer = producer.try_clone().expect("clone");
            start(move || {
                for i in 0..1500 {
                    let message = (i * 2 + side).to_le_bytes();
                    while producer.send_timeout(&message, tick) == Err(SendTimeoutError::Timeout(())) {}
                }
            })
        })
        .collect();
    let receiving: Vec<_> = (0..2)
        .map(|_| {
            let mut consumer = consumer.try_clone().expect("clone");
            start(move || {
                let mut all = Vec::new();
                loop {
                    match consumer.recv_timeout(tick) {
                        Ok(message) => {
                            all.push(u64::from_le_bytes((*message).try_into().expect("eight bytes")))
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(e) => return (all, e),
                    }
                }
            })
        })
        .collect();
    drop((producer, consumer));
    sending.into_iter().for_each(|s| s.end("sending"));
    let mut all = Vec::new();
    for (some, end) in receiving.into_iter().map(|r| r.end("receiving")) {
        assert_eq!(end, RecvTimeoutError::Disconnected);
        all.extend(some);
    }
    all.sort_unstable();
    assert_eq!(all, (0..3000).collect::<Vec<_>>());
}

/// A signal handler that runs during a blocked call neither ends it, nor makes it longer or shorter.
#[test]
fn signals_do_not_disturb() {
    for kind in KINDS {
        let name = Name::new("signals");
        let (mut producer, mut consumer) = pair(&name, kind, 1);
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&done);
        let blocked = start(move || {
            sender.send(sys::interruptible()).expect("tell");
            let limit = Duration::from_millis(100);
            let start = Instant::now();
            assert_eq!(consumer.recv_timeout(limit), Err(RecvTimeoutError::Timeout));
            assert!(start.elapsed() >= limit, "early, after {:?}", start.elapsed());
            let message = consumer.recv();
            // The thread must not end while it is interrupted.
            while !over.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            (message, consumer)
        });
        let thread = receiver.recv_timeout(common::DEADLINE).expect("thread");
        for _ in 0..400 {
            thread.interrupt();
            std::thread::sleep(Duration::from_micros(500));
        }
        producer.send(b"at last").expect("send");
        std::thread::sleep(Duration::from_millis(1));
        thread.interrupt();
        done.store(true, Ordering::Release);
        let (message, consumer) = blocked.end("interrupted recv");
        assert_eq!(message.map(|m| m.data), Ok(b"at last".into()));
        drop(consumer);
    }
}

/// A blocked call of a process that was stopped goes on with it.
#[test]
fn stopped_and_continued() {
    for kind in KINDS {
        let name = Name::new("stopped");
        let mut consumer = Puppet::with(&format!("consumer {name} kind={kind} capacity=1 size=16"));
        let mut producer = Puppet::with(&format!("producer {name}"));
        consumer.tell("recv");
        asleep(&name, consumer.pid());
        for _ in 0..3 {
            consumer.signal(libc::SIGSTOP);
            std::thread::sleep(PAUSE / 10);
            consumer.signal(libc::SIGCONT);
            consumer.is_silent();
        }
        // A stopped process is not a dead one: its peer waits, and gets no broken pipe.
        consumer.stop();
        producer.expect("send 1", "ok");
        producer.tell("send 2");
        asleep(&name, producer.pid());
        producer.is_silent();
        consumer.signal(libc::SIGCONT);
        consumer.then("got 1 0 1");
        producer.then("ok");
        consumer.expect("recv", "got 2 0 1");
    }
}

/// While somebody of several sleepers is stopped, the others get the messages.
#[test]
fn a_stopped_sleeper_holds_up_nobody() {
    let name = Name::new("stopped-sleeper");
    let mut consumers = [0; 3].map(|_| Puppet::with(&format!("consumer {name} capacity=8 size=16")));
    let mut producer = Puppet::with(&format!("producer {name}"));
    consumers.iter_mut().for_each(|c| c.tell("recv"));
    consumers.iter().for_each(|c| asleep(&name, c.pid()));
    consumers[0].stop();
    producer.expect("send_range 0 2", "ok");
    let mut got = [consumers[1].answer(), consumers[2].answer()];
    got.sort();
    assert_eq!(got, ["got 0 0 1", "got 1 0 1"]);
    consumers[0].signal(libc::SIGCONT);
    producer.expect("send 2", "ok");
    consumers[0].then("got 2 0 1");
}

/// Who was woken and stopped before it took the message has it to itself only until another sleeper looks again.
#[test]
fn two_stopped_sleepers_of_three_do_not_swallow_a_message() {
    for recheck in [true, false] {
        let name = Name::new("swallowed");
        let again = if recheck { " recheck=100" } else { "" };
        let mut consumers = [0; 3]
            .map(|_| Puppet::with(&format!("consumer {name} capacity=8 size=16 participants=4{again}")));
        let mut producer = Puppet::with(&format!("producer {name}"));
        consumers.iter_mut().for_each(|c| c.tell("recv"));
        consumers.iter().for_each(|c| asleep(&name, c.pid()));
        consumers[..2].iter().for_each(|c| c.stop());
        producer.expect("send 1", "ok");
        if !recheck {
            // The first two were the ones to be woken.
            consumers[2].is_silent();
            consumers[0].signal(libc::SIGCONT);
            consumers[0].then("got 1 0 1");
            continue;
        }
        consumers[2].then("got 1 0 1");
        consumers[..2].iter().for_each(|c| c.signal(libc::SIGCONT));
        producer.expect("send_range 2 4", "ok");
        let mut got = [consumers[0].answer(), consumers[1].answer()];
        got.sort();
        assert_eq!(got, ["got 2 0 1", "got 3 0 1"]);
    }
}

/// A message of a batch whose bytes are not to be had.
struct Bytes(Option<&'static str>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        // Asked for the second time: first for the length.
        static ASKED: AtomicBool = AtomicBool::new(false);
        match self.0 {
            Some(bytes) => bytes.as_bytes(),
            None if ASKED.fetch_not(Ordering::Relaxed) => std::panic::resume_unwind(Box::new("no bytes")),
            None => b"",
        }
    }
}

/// Those who sleep get what was sent before, and nobody waits for the rest, though the producer does nothing more.
#[test]
fn a_panic_within_a_batch() {
    for kind in KINDS {
        let name = Name::new("panic-in-batch");
        let (mut producer, mut consumer) = pair(&name, kind, 4);
        let mut waiting = start(move || (consumer.recv().map(|m| m.data), consumer));
        waiting.still_running("nothing was sent");
        let batch = [Bytes(Some("sent")), Bytes(None), Bytes(Some("not sent"))];
        let sending = std::panic::AssertUnwindSafe(|| producer.send_batch(&batch));
        assert!(std::panic::catch_unwind(sending).is_err());
        let (first, mut consumer) = waiting.end("the message before the panic");
        assert_eq!(first.as_deref(), Ok(&b"sent"[..]));
        waiting = start(move || (consumer.recv().map(|m| m.data), consumer));
        waiting.still_running("no more was sent");
        producer.send(b"next").expect("send");
        assert_eq!(waiting.end("the next message").0.as_deref(), Ok(&b"next"[..]));
    }
}

/// Blocks in one call; says how much CPU time that took.
fn idle(arguments: &[&str]) {
    let [name, role] = arguments else { panic!("{arguments:?}") };
    if *role == "consumer" {
        let mut consumer = Options::new().consumer(*name).expect("consumer");
        child::say("ready");
        let before = sys::cpu_time();
        assert_eq!(consumer.recv(), Err(RecvError::Failed(Error::Removed)));
        child::say(&(sys::cpu_time() - before).as_micros().to_string());
    } else {
        let mut producer = Options::new().producer(*name).expect("producer");
        producer.send(b"fills it").expect("send");
        child::say("ready");
        let before = sys::cpu_time();
        assert!(producer.send(b"waits").is_err());
        child::say(&(sys::cpu_time() - before).as_micros().to_string());
    }
}

/// Ten seconds asleep, on either side, cost less than 10 ms of CPU time, with ten looks at the ring.
#[test]
fn sleeping_burns_no_processor_time() {
    let sides = KINDS.map(|kind| ["consumer", "producer"].map(|role| (kind, role)));
    let mut sleepers: Vec<_> = sides
        .into_iter()
        .flatten()
        .map(|(kind, role)| {
            let name = Name::new("idle");
            let channel = small(kind, 1).create(&name).expect("create");
            let mut sleeper = Child::start("idle", &[&name, role]);
            assert_eq!(sleeper.answer(), "ready");
            (sleeper, channel, name)
        })
        .collect();
    sleepers.iter().for_each(|(sleeper, _, name)| asleep(name, sleeper.pid()));
    std::thread::sleep(Duration::from_secs(10));
    for (sleeper, channel, _name) in &mut sleepers {
        channel.clone().remove().expect("remove");
        let micros: u64 = sleeper.answer().parse().expect("a number");
        assert!(micros < 10_000, "{micros} us");
        assert!(sleeper.end().success());
    }
}

/// A message in hand for long: producers wait for its slot, other consumers for the next message. They do not keep waking
/// each other meanwhile.
#[test]
fn waiting_on_both_sides_burns_no_processor_time() {
    let name = Name::new("both-sides");
    let consumer = |_| Puppet::with(&format!("consumer {name} capacity=1 size=16 recheck=1000"));
    let [mut holder, mut waiter] = [0, 1].map(consumer);
    let mut producer = Puppet::with(&format!("producer {name} recheck=1000"));
    producer.expect("send 1", "ok");
    holder.expect("lease", "leased 1 0 1");
    let cpu = |puppet: &mut Puppet| puppet.ask("cpu").parse::<u64>().expect("a number");
    let before = [cpu(&mut waiter), cpu(&mut producer)];
    waiter.tell("recv");
    producer.tell("send 2");
    asleep(&name, producer.pid());
    // Who is waited for.
    let holds =
        name.channel().status().expect("status").participants.into_iter().filter(|p| p.holds.is_some());
    assert_eq!(holds.map(|p| p.pid as u32).collect::<Vec<_>>(), [holder.pid()]);
    std::thread::sleep(Duration::from_secs(2));
    holder.expect("ack", "ok");
    waiter.then("got 2 0 1");
    producer.then("ok");
    let spent = [cpu(&mut waiter) - before[0], cpu(&mut producer) - before[1]];
    assert!(spent.iter().all(|&micros| micros < 20_000), "{spent:?} us");
}
