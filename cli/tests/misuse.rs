//! Every command, used wrongly or with nowhere to write: a sentence on standard error, a status that is not 0, nothing
//! left behind, and no panic. `transfer_ends.rs` has the same for the data that `send` and `recv` move.

mod common;

use common::*;
use std::fs::{File, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use semring::sem::{Mutex, SetOptions};

/// `semring` with these words, `NAME` among them.
fn command(words: &str, name: &Name) -> Command {
    let words: Vec<&str> =
        words.split_whitespace().map(|w| if w == "NAME" { name.as_str() } else { w }).collect();
    semring(words)
}

/// A channel with two messages.
fn channel() -> Name {
    let name = Name::new();
    run_with_input(name.command("send", ""), "one\ntwo\n").ok();
    name
}

/// A semaphore set, removed in the end.
struct Slots(Name);

impl Slots {
    fn new() -> Self {
        let name = Name::new();
        run(name.command("sem", "create --value 1")).ok();
        Slots(name)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let _ = self.0.command("sem", "remove").output();
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let name = Name::new();
    for words in [
        "send NAME --existing",
        "recv NAME --existing",
        "stat NAME",
        "peek NAME",
        "rm NAME",
        "rm --key 0x7fffff17",
        "rm --foreign --key 0x7fffff17 --yes",
        "sem NAME p",
        "sem NAME v",
        "sem NAME zero",
        "sem NAME value",
        "sem NAME remove",
        "supervise status --board NAME",
        "supervise stop NAME",
        "supervise restart x --board NAME",
        "beat NAME",
    ] {
        let done = run(command(words, &name)).fails(1, "does not exist");
        assert!(
            done.stderr.contains(name.as_str()) || words.contains("0x7fffff17"),
            "{words}: {}",
            done.stderr
        );
        run(command(&format!("{words} --json"), &name)).fails(1, "does not exist");
    }
    name.assert_gone();
}

#[test]
fn sizes_that_cannot_be_are_refused_and_leave_nothing() {
    let name = Name::new();
    for (words, message) in [
        ("create NAME --capacity 0", "capacity"),
        ("create NAME --capacity 99999999999999999", "capacity"),
        ("create NAME --size 99999999999", "message size"),
        ("create NAME --capacity 1000000000 --size 1000000000", "shmget"),
        ("create NAME --participants 1", "participants"),
        ("create NAME --participants 65", "participants"),
        ("sem NAME create --semaphores 0", "semaphores"),
        ("sem NAME create --semaphores 1000000", "semaphores"),
        ("sem NAME create --value 65535", "32767"),
    ] {
        run(command(words, &name)).fails(1, message);
        assert!(run(command("sem NAME value", &name)).status.code() == Some(1), "{words} left a set");
        name.assert_gone();
    }
    let name = channel();
    for words in ["send NAME --size 17", "recv NAME --size 17", "create NAME --if-absent --size 17"] {
        let done = run(command(words, &name)).fails(1, "message size differs");
        assert!(done.stderr.contains("17") && done.stderr.contains("4096"), "{}", done.stderr);
    }
    for words in ["peek NAME --count many", "top --interval 0", "lock NAME", "sem NAME", "send", "ls NAME"] {
        assert_eq!(run(command(words, &name)).status.code(), Some(2), "{words}");
    }
    assert_eq!(run(name.command("recv", "")).ok().stdout, b"one\ntwo\n");
}

/// Commands that write to standard output, on a channel and a set that stay.
const WRITERS: [&str; 13] = [
    "ls",
    "ls --all --json",
    "stat NAME",
    "top --count 1",
    "top --count 1 --json",
    "peek NAME",
    "peek NAME --raw",
    "create NAME --if-absent --json",
    "doctor",
    "completions bash",
    "completions zsh --json",
    "sem SLOTS value",
    "sem SLOTS v --json",
];

/// Nobody reads, and nothing fits: said as an error, also of what was only in a buffer.
#[test]
fn who_cannot_write_says_so() {
    let (name, slots) = (Name::new(), Slots::new());
    run_with_input(name.command("send", "--chunks 3"), "abcd").ok();
    let (read, closed) = nix::unistd::pipe().unwrap();
    drop(read);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (output, reason) in [(File::from(closed), "Broken pipe"), (full, "No space left")] {
        for words in WRITERS {
            let words = words.replace("SLOTS", slots.0.as_str());
            let mut command = command(&words, &name);
            command.stdout(output.try_clone().unwrap());
            let done = run(command);
            assert!(done.stderr.contains("cannot write to standard output"), "{words}: {done:?}");
            done.fails(1, reason);
        }
    }
    assert_eq!(run(name.command("recv", "--chunks 3")).ok().stdout, b"abcd");
}

/// Its id was all that there was to find it by.
#[test]
fn a_private_channel_of_which_nobody_hears_is_removed() {
    if !alone() {
        return;
    }
    let mut create = semring(["create", "--private"]);
    create.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    run(create).fails(1, "No space left");
    assert_eq!((semring::segment::list().unwrap(), semring::sem::list().unwrap()), (vec![], vec![]));
}

#[test]
fn who_has_no_permission_is_told_so_and_changes_nothing() {
    let (name, slots) = (channel(), Slots::new());
    let mutex = Name::new();
    run(mutex.command("lock", "-- true")).ok();
    let nobody = |words: &str| {
        let mut command = command(words, &name);
        command.uid(65_534).gid(65_534);
        command
    };
    match nobody("--version").spawn() {
        Ok(mut child) => assert!(child.wait().unwrap().success()),
        Err(error) => return eprintln!("skipped: cannot run the tool as somebody else ({error})"),
    }
    let (slots_name, mutex_name) = (slots.0.as_str(), mutex.as_str());
    for words in [
        "send NAME",
        "recv NAME",
        "stat NAME",
        "peek NAME",
        "rm NAME --force",
        "rm NAME --force --any-owner",
        &format!("sem {slots_name} p --nonblock"),
        &format!("sem {slots_name} v"),
        &format!("sem {slots_name} value"),
        &format!("sem {slots_name} remove"),
        &format!("lock {mutex_name} -- true"),
    ] {
        let done = run(nobody(words)).fails(1, "permission denied");
        assert!(done.stderr.contains("cli-test"), "which one? {}", done.stderr);
    }
    assert_eq!(run(command(&format!("sem {slots_name} value"), &name)).ok().stdout, b"1\n");
    let listed = run(nobody("ls --json")).ok().json();
    assert!(!listed.to_string().contains(name.as_str()), "{listed}");
    // It is counted, and its number told: ipcs -m shows that to everybody, too.
    let id = run(name.command("stat", "--json")).ok().json()["segment_id"].clone();
    for command in ["ls --json", "rm --orphaned --yes --json"] {
        let report = run(nobody(command)).ok().json();
        assert!(report["unreadable"].as_array().unwrap().contains(&id), "{command}: {report}");
    }
    for command in ["ls", "rm --orphaned --yes"] {
        let said = run(nobody(command)).ok().stderr;
        assert!(said.contains("not ours to read") && said.lines().count() == 1, "{command}: {said}");
    }
    assert_eq!(run(command("ls", &name)).ok().stderr, "");
    assert_eq!(run(name.command("recv", "")).ok().stdout, b"one\ntwo\n");
    run(mutex.command("sem", "remove")).ok();
}

/// Whoever waits ends at once, and what it waited for is as it was.
#[test]
fn an_interrupt_ends_whoever_waits() {
    let slots = Slots::new();
    let set = SetOptions::new(0).open(slots.0.as_str()).unwrap();
    set.p(0).unwrap();
    let waiter = Running::start(slots.0.command("sem", "p"));
    assert!(within(LIMIT, || set.waiting(0).unwrap() == 1));
    waiter.signal(SIGINT);
    assert_eq!(waiter.end().status.signal(), Some(SIGINT));
    assert_eq!((set.waiting(0).unwrap(), set.value(0).unwrap()), (0, 0));

    let mutex = Mutex::open_or_create(slots.0.as_str().to_string() + "-mutex").unwrap();
    let guard = mutex.lock().unwrap();
    let waiter = Running::start(semring(["lock", &format!("{}-mutex", slots.0.as_str()), "--", "true"]));
    assert!(within(LIMIT, || mutex.set().waiting_for_zero(0).unwrap() == 1));
    waiter.signal(SIGINT);
    let status = waiter.end().status;
    assert!(status.signal() == Some(SIGINT) || status.code() == Some(128 + SIGINT), "{status}");
    drop(guard);
    mutex.remove().unwrap();

    let mut top = Running::start(semring(["top", "--interval", "0.05"]));
    assert!(top.is_running());
    std::thread::sleep(std::time::Duration::from_millis(200));
    top.signal(SIGINT);
    top.end().fails(128 + SIGINT, "stopped by SIGINT");
}
