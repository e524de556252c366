//! Observers: whoever may only read sees the channel and hears of deaths, and changes nothing.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::child::{self, Child};
use common::puppet::Puppet;
use common::{DEADLINE, KINDS, Name, PAUSE, eventually, small, start, sys};
use semring::segment::{Segment, SegmentOptions};
use semring::sem::Set;
use semring::{Error, Observer, Options, Role};

#[test]
fn child_entry() {
    child::entry(&[("observe", observe), ("refused", refused)]);
}

/// Says what it sees and waits for what it is told to, as somebody else.
fn observe(arguments: &[&str]) {
    let [name] = arguments else { panic!("{arguments:?}") };
    sys::become_nobody();
    for options in [Options::new(), Options::new().prefault(false)] {
        let refused = [
            options.open(*name).err(),
            options.clone().existing().producer(*name).err(),
            options.clone().existing().consumer(*name).err(),
        ];
        assert!(refused.iter().all(|e| matches!(e, Some(Error::PermissionDenied { .. }))), "{refused:?}");
    }
    let observer = Options::new().observe(*name).expect("observe");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let mapped: Vec<_> = maps.lines().filter(|line| line.contains("/SYSV")).collect();
    assert!(!mapped.is_empty() && mapped.iter().all(|line| line.contains(" r--s ")), "{mapped:?}");
    child::say("here");
    while let Some(command) = child::hear() {
        let words: Vec<&str> = command.split_whitespace().collect();
        let long = Duration::MAX;
        child::say(&match words[..] {
            ["len"] => {
                format!("{} {:?}", observer.len(), observer.status().map(|s| (s.producers, s.consumers)))
            }
            ["gone", "producers"] => format!("{:?}", observer.wait_until_gone(Role::Producer, long)),
            ["gone", "consumers"] => format!("{:?}", observer.wait_until_gone(Role::Consumer, long)),
            ["death", index] => format!("{:?}", observer.wait_for_death(index.parse().expect("index"), long)),
            _ => panic!("{command}"),
        });
    }
}

fn refused(arguments: &[&str]) {
    let [name] = arguments else { panic!("{arguments:?}") };
    sys::become_nobody();
    match Options::new().observe(*name) {
        Err(Error::PermissionDenied { name: found, detail }) => assert!(found == *name && !detail.is_empty()),
        other => panic!("{other:?}"),
    }
    child::say("refused");
}

/// Every byte of the segment and every semaphore.
fn everything(name: &Name) -> (Vec<u8>, Vec<u16>) {
    let memory = Segment::from_id(name.segment().expect("segment"))
        .and_then(|s| s.attach_read_only())
        .expect("attach");
    let mut bytes = vec![0; memory.len()];
    memory.read(0, &mut bytes).expect("read");
    (bytes, Set::from_id(name.set().expect("set")).and_then(|set| set.values()).expect("values"))
}

/// Another user with the right to read, through the life of a channel.
#[test]
fn a_reader_sees_and_disturbs_nothing() {
    if !sys::is_root() {
        return eprintln!("skipped: it takes root to become somebody else");
    }
    for kind in KINDS {
        let name = Name::new("observed");
        let _channel = small(kind, 4).mode(0o644).create(&name).expect("create");
        let mut producer = Puppet::with(&format!("producer {name}"));
        let mut consumer = Puppet::with(&format!("consumer {name}"));
        producer.expect("send 1", "ok");
        let before = everything(&name);
        let mut reader = Child::start("observe", &[&name]);
        assert_eq!(reader.answer(), "here");
        assert_eq!(reader.ask("len"), "1 Ok((1, 1))");
        reader.tell("death 0");
        reader.is_silent();
        assert_eq!(everything(&name), before, "something has changed");
        consumer.expect("recv", "got 1 0 1");
        producer.kill();
        assert_eq!(reader.answer(), "Ok(true)");
        assert_eq!(reader.ask("gone producers"), "Ok(true)");
        reader.tell("gone consumers");
        reader.is_silent();
        // A reader that is stopped, or killed, in the middle holds nothing up.
        reader.signal(libc::SIGSTOP);
        let mut second = Puppet::with(&format!("producer {name}"));
        second.expect("send 2", "ok");
        consumer.expect("recv", "got 2 0 1");
        reader.signal(libc::SIGCONT);
        reader.is_silent();
        consumer.kill();
        assert_eq!(reader.answer(), "Ok(true)");
        reader.tell("gone producers");
        reader.is_silent();
        name.channel().remove().expect("remove");
        assert_eq!(reader.answer(), "Err(Removed)");
        assert_eq!(reader.ask("gone consumers"), "Err(Removed)");
    }
}

#[test]
fn who_may_not_read_may_not_observe() {
    if !sys::is_root() {
        return eprintln!("skipped: it takes root to become somebody else");
    }
    for mode in [0o600, 0o622] {
        let name = Name::new("unseen");
        let _channel = small(KINDS[0], 4).mode(mode).create(&name).expect("create");
        assert_eq!(Child::start("refused", &[&name]).answer(), "refused");
    }
}

/// An observer is no participant: nobody waits for it, and nothing is left of it.
#[test]
fn an_observer_is_nobody() {
    let name = Name::new("nobody");
    let channel = small(KINDS[1], 4).participants(2).create(&name).expect("create");
    let observer = Options::new().observe(&name).expect("observe");
    let (producer, consumer) = (channel.producer().expect("producer"), channel.consumer().expect("consumer"));
    let (seen, mut theirs) = (observer.status().expect("status"), channel.status().expect("status"));
    // Another test that starts a process has everything attached once more for a moment, between fork and exec.
    assert!(seen.attached >= 2 && theirs.attached >= 2);
    theirs.attached = seen.attached;
    assert_eq!(seen, theirs);
    assert_eq!(seen.participants.len(), 2);
    assert!(matches!(observer.wait_for_death(2, Duration::MAX), Err(Error::Invalid { .. })));
    let waiting = Instant::now();
    assert_eq!(observer.wait_until_gone(Role::Consumer, PAUSE), Ok(false));
    assert_eq!(observer.wait_for_death(0, PAUSE), Ok(false));
    assert!(waiting.elapsed() >= 2 * PAUSE);
    let watching = start(move || (observer.wait_until_gone(Role::Consumer, Duration::MAX), observer));
    drop(consumer);
    let (gone, observer) = watching.end("the consumer's end");
    assert_eq!(gone, Ok(true));
    drop(producer);
    assert_eq!(observer.wait_for_death(0, Duration::MAX), Ok(true));
    assert_eq!(channel.remove_if_unused(), Ok(true));
    assert_eq!(observer.status().map(drop), Err(Error::Removed));
    eventually("the segment goes with its last observer", || name.is_absent());
}

fn observe_as(name: &Name, options: Options) -> Result<Observer, Error> {
    options.observe(name)
}

/// What is not there, or is not ours, or is something else.
#[test]
fn what_cannot_be_observed() {
    let name = Name::new("absent");
    assert!(matches!(observe_as(&name, Options::new()), Err(Error::NotFound { .. })));
    let segment = SegmentOptions::new().size(4096).create(&name).expect("segment");
    assert!(matches!(observe_as(&name, Options::new()), Err(Error::NotFound { .. })));
    segment.remove().expect("remove");
    let _channel = small(KINDS[0], 4).create(&name).expect("create");
    assert!(matches!(observe_as(&name, Options::new().capacity(8)), Err(Error::Mismatch { .. })));
    assert!(observe_as(&name, small(KINDS[0], 4)).is_ok());
    let memory = Segment::from_id(name.segment().expect("segment")).and_then(|s| s.attach()).expect("attach");
    memory.write(8, &[9]).expect("version");
    assert!(matches!(observe_as(&name, Options::new()), Err(Error::Version { found: 9, .. })));
    memory.write(0, &[0; 8]).expect("magic");
    assert!(matches!(observe_as(&name, Options::new()), Err(Error::Foreign { .. })));
}

/// While others send and receive as fast as they can, what is seen is a message as it was sent, under its number.
#[test]
fn what_is_peeked_at_is_never_torn() {
    const LOOKS: usize = 300;
    /// Also when a look fails: or the others would go on for ever.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    for (kind, scrub) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let name = Name::new("peeked");
        let options = Options::new().kind(kind).capacity(4).message_size(512).scrub(scrub);
        let mut consumer = options.consumer(&name).expect("consumer");
        let mut producer = options.producer(&name).expect("producer");
        let observer = Options::new().observe(&name).expect("observe");
        let (stop, mut seen) = (AtomicBool::new(false), 0);
        let deadline = Instant::now() + DEADLINE;
        std::thread::scope(|scope| {
            let stop = Stop(&stop);
            let stopped = stop.0;
            scope.spawn(move || {
                for number in (0u64..).take_while(|_| !stopped.load(Ordering::Relaxed)) {
                    producer.send(&[number as u8; 512][..256 + number as usize % 256]).expect("send");
                }
            });
            scope.spawn(move || while consumer.recv().is_ok() {});
            while seen < LOOKS {
                assert!(Instant::now() < deadline, "{kind:?}: only {seen} seen");
                for message in observer.peek(usize::MAX, usize::MAX).expect("peek") {
                    let (number, bytes) = (message.number, &message.bytes);
                    assert_eq!(message.len as u64, 256 + number % 256);
                    assert_eq!(bytes.len(), message.len);
                    assert!(bytes.iter().all(|&byte| byte == number as u8), "{kind:?} {number}: {bytes:?}");
                    seen += 1;
                }
            }
        });
    }
}

/// The length in a slot is anybody's word.
#[test]
fn peeking_at_a_corrupt_length_is_an_error() {
    for kind in KINDS {
        let name = Name::new("peeked-corrupt");
        let mut producer = small(kind, 4).producer(&name).expect("producer");
        producer.send(b"ordinary").expect("send");
        let memory =
            Segment::from_id(name.segment().expect("segment")).and_then(|s| s.attach()).expect("attach");
        let slots = 2048 + 256 * producer.status().expect("status").limit;
        // The META word of the first slot: length low, tag high.
        memory.word(slots.next_multiple_of(128) + 8).expect("word").store(u64::MAX, Ordering::Relaxed);
        let observer = Options::new().observe(&name).expect("observe");
        match observer.peek(1, usize::MAX) {
            Err(Error::Corrupt { what: "message length", found, .. }) => {
                assert_eq!(found, u64::from(u32::MAX))
            }
            other => panic!("{other:?}"),
        }
        producer.channel().remove().expect("remove");
        assert_eq!(observer.peek(1, 1), Err(Error::Removed));
    }
}
