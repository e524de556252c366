//! Who may use a channel. Needs root, which becomes an ordinary user in a child; without it there is nothing to test.

mod common;

use common::child::{self, Child};
use common::puppet::Puppet;
use common::{KINDS, Name, asleep, small, sys, within};
use semring::segment::{Segment, SegmentOptions};
use semring::sem::SetOptions;
use semring::{Error, Options, TryRecvError};

#[test]
fn child_entry() {
    child::entry(&[("refused", everything_is_refused), ("squat", squat)]);
}

/// Root, or a word why not.
fn root() -> bool {
    if !sys::is_root() {
        eprintln!("skipped: it takes root to become somebody else");
    }
    sys::is_root()
}

fn nobody(command: &str) -> Puppet {
    let mut puppet = Puppet::with("nobody");
    puppet.expect(command, "ok");
    puppet
}

/// In a child that has become somebody else: every operation on that name is refused.
fn everything_is_refused(arguments: &[&str]) {
    let [name] = arguments else { panic!("{arguments:?}") };
    sys::become_nobody();
    for options in [Options::new(), Options::new().allow_any_owner(), Options::new().prefault(false)] {
        let all = [
            ("open", options.open(*name).err()),
            ("create", options.create(*name).err()),
            ("open_or_create", options.open_or_create(*name).err()),
            ("producer", options.producer(*name).err()),
            ("consumer", options.consumer(*name).err()),
            ("existing", options.clone().existing().producer(*name).err()),
            ("typed_producer", options.typed_producer::<u64>(*name, "u64").err()),
            ("typed_consumer", options.typed_consumer::<u64>(*name, "u64").err()),
            ("segment", SegmentOptions::new().open(*name).err()),
            ("set", SetOptions::new(0).open(*name).and_then(|set| set.v(0)).err()),
        ];
        for (operation, error) in all {
            match error {
                Some(Error::PermissionDenied { name: found, detail }) => {
                    assert!(found.contains(name) && !detail.is_empty(), "{operation}: {found}, {detail}");
                }
                other => panic!("{operation}: {other:?}"),
            }
        }
    }
    child::say("refused");
}

/// Owner only by default; readers may not take part either, nor those who may only write.
#[test]
fn strangers_are_refused() {
    if !root() {
        return;
    }
    for kind in KINDS {
        for mode in [0o600, 0o660] {
            let name = Name::new("strangers");
            let channel = small(kind, 4).mode(mode).create(&name).expect("create");
            let mut producer = channel.producer().expect("producer");
            producer.send(b"not for everybody").expect("send");
            let mut stranger = Child::start("refused", &[&name]);
            assert_eq!(stranger.answer(), "refused");
            assert!(stranger.end().success());
            let mut consumer = channel.consumer().expect("consumer");
            assert_eq!(&*consumer.try_recv().expect("still there"), b"not for everybody");
        }
    }
}

/// Reading alone is not enough to take part, and says so.
#[test]
fn readers_and_writers_are_no_participants() {
    if !root() {
        return;
    }
    for mode in [0o644, 0o622] {
        let name = Name::new("readers");
        let _channel = small(KINDS[1], 4).mode(mode).create(&name).expect("create");
        let mut stranger = Puppet::with("nobody");
        for command in ["producer", "consumer", "open", "open_or_create", "remove"] {
            let answer = stranger.ask(&format!("{command} {name}"));
            assert!(answer.starts_with("err PermissionDenied"), "{mode:o} {command}: {answer}");
        }
    }
}

/// A mode that shuts its own creator out is refused without leaving half a channel.
#[test]
fn a_mode_for_nobody() {
    if !root() {
        return;
    }
    for mode in ["000", "200", "400"] {
        let name = Name::new("shut-out");
        let mut creator = Puppet::with("nobody");
        for command in ["create", "producer", "consumer"] {
            let answer = creator.ask(&format!("{command} {name} mode={mode}"));
            assert!(answer.starts_with("err Invalid"), "{mode} {command}: {answer}");
            assert!(name.is_absent(), "{mode} {command}");
        }
    }
}

#[test]
fn a_shared_channel_works_in_both_directions() {
    if !root() {
        return;
    }
    for kind in KINDS {
        let name = Name::new("shared");
        let mut producer = small(kind, 4).mode(0o666).producer(&name).expect("producer");
        // Root's channels are trusted without being asked for.
        let mut stranger = nobody(&format!("consumer {name}"));
        stranger.tell("recv");
        asleep(&name, stranger.pid());
        producer.send(b"hello").expect("send");
        stranger.then("got hello 0 1");
        // A sleeper of another user is woken by our end.
        stranger.tell("recv");
        asleep(&name, stranger.pid());
        drop(producer);
        stranger.then("err Disconnected");
        // And by our death: a process of root's that is killed.
        let mut dying = Puppet::with(&format!("producer {name}"));
        stranger.tell("recv");
        asleep(&name, stranger.pid());
        dying.kill();
        stranger.then("err Disconnected");
    }
}

/// A channel that an ordinary user made is no trap for root, unless root says that it wants it.
#[test]
fn a_channel_of_somebody_else() {
    if !root() {
        return;
    }
    for kind in KINDS {
        let name = Name::new("theirs");
        let mut theirs = nobody(&format!("producer {name} kind={kind} capacity=4 size=16 mode=666"));
        theirs.expect("send from-nobody", "ok");
        for options in [Options::new(), Options::new().allow_owner(1), Options::new().existing()] {
            for error in
                [options.open(&name).err(), options.producer(&name).err(), options.create(&name).err()]
            {
                match error {
                    Some(Error::Foreign { detail, .. }) => assert!(detail.contains("65534"), "{detail}"),
                    other => panic!("{other:?}"),
                }
            }
        }
        let mut consumer = Options::new().allow_owner(sys::NOBODY).consumer(&name).expect("allowed");
        assert_eq!(&*consumer.try_recv().expect("recv"), b"from-nobody");
        theirs.kill();
        let mut consumer = within("end", move || {
            assert!(consumer.recv().is_err());
            consumer
        });
        assert!(matches!(consumer.try_recv(), Err(TryRecvError::Disconnected | TryRecvError::Empty)));
    }
}

/// Makes one of the two objects, or both, where another program will look for its channel.
fn squat(arguments: &[&str]) {
    let [name, what, semaphores] = arguments else { panic!("{arguments:?}") };
    sys::become_nobody();
    if what.contains("segment") {
        SegmentOptions::new().size(1 << 20).mode(0o666).create(*name).expect("segment");
    }
    if what.contains("set") {
        SetOptions::new(semaphores.parse().expect("number")).mode(0o666).create(*name).expect("set");
    }
    child::say("done");
    child::hear();
}

/// Objects that an ordinary user put where root's channel would be, blank as new ones: root does not use them.
#[test]
fn squatters_are_not_trusted() {
    if !root() {
        return;
    }
    for what in ["segment", "set", "segment+set"] {
        for semaphores in ["133", "9"] {
            let name = Name::new("squatter");
            let mut squatter = Child::start("squat", &[&name, what, semaphores]);
            assert_eq!(squatter.answer(), "done");
            let before = (name.segment(), name.set());
            for error in [
                Options::new().producer(&name).err(),
                Options::new().create(&name).err(),
                small(KINDS[0], 4).participants(2).consumer(&name).err(),
            ] {
                assert!(matches!(error, Some(Error::Foreign { .. })), "{what} {semaphores}: {error:?}");
            }
            assert_eq!((name.segment(), name.set()), before, "{what} {semaphores}");
            if let Some(id) = name.segment() {
                let memory = Segment::from_id(id).expect("segment").attach().expect("attach");
                assert!((0..memory.len()).step_by(8).all(|at| memory.load(at) == Some(0)), "untouched");
            }
        }
    }
}

/// Who may use a channel but does not own it cannot remove it, and must not break it by trying: the channel was marked
/// as being removed before the kernel refused.
#[test]
fn a_guest_cannot_remove() {
    if !root() {
        return;
    }
    for kind in KINDS {
        let name = Name::new("guest");
        let mut producer = small(kind, 4).mode(0o666).producer(&name).expect("producer");
        let mut consumer = Options::new().consumer(&name).expect("consumer");
        let mut guest = Puppet::with("nobody");
        let answer = guest.ask(&format!("remove {name}"));
        assert!(answer.starts_with("err PermissionDenied"), "{answer}");
        producer.send(b"unharmed").expect("send");
        assert_eq!(&*within("recv", move || consumer.recv()).expect("recv"), b"unharmed");
        assert!(Options::new().open(&name).is_ok());
    }
}
