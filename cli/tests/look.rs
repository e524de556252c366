//! `semring ls`, `stat`, `peek`, `create` and the finer ways of `rm`: what they see, and what they leave alone.

mod common;

use common::*;
use semring::segment::{Key, Segment, SegmentOptions};
use semring::sem::{Set, SetOptions};
use semring::{Options, Role};
use serde_json::Value;

/// The line of a channel in `semring ls --json`.
fn named(name: &Name) -> Option<Value> {
    listed("channels", |channel| channel["name"] == name.as_str())
}

#[test]
fn ls_lists_what_there_is() {
    let name = Name::new();
    assert!(named(&name).is_none());
    run_with_input(name.command("send", "--capacity 4 --mode 640"), "one\ntwo\n").ok();
    let line = named(&name).expect("listed");
    let status = Options::new().observe(name.as_str()).unwrap().status().unwrap();
    let expected = [
        ("segment_key", format!("{:#010x}", status.segment_key).into()),
        ("segment_id", status.segment_id.into()),
        ("semaphore_id", status.semaphore_id.into()),
        ("kind", "mpmc".into()),
        ("size_bytes", status.size_bytes.into()),
        ("mode", "0640".into()),
        ("messages", 2.into()),
        ("capacity", 4.into()),
        ("sent", 2.into()),
        ("received", 0.into()),
        ("producers", 0.into()),
        ("consumers", 0.into()),
        ("attached", 0.into()),
        ("problems", Value::Array(Vec::new())),
    ];
    for (what, value) in expected {
        assert_eq!(line[what], value, "{what}");
    }
    let table = text(run(semring(["ls"])));
    let line = table.lines().find(|line| line.starts_with(name.as_str())).expect("a line");
    assert!(line.contains(" 2/4 ") && line.contains(" mpmc ") && line.contains(" 0640 "), "{table}");
    run(name.command("recv", "--keep")).ok();
    assert_eq!(named(&name).expect("listed")["received"], 2);
}

#[test]
fn ls_and_stat_name_the_dead() {
    let name = Name::new();
    let mut receiver = Running::start(name.command("recv", ""));
    assert!(within(LIMIT, || named(&name).is_some_and(|line| line["consumers"] == 1)));
    assert!(text(run(name.command("stat", ""))).contains(&format!("1 ({})", receiver.id())));
    let _alive = Options::new().producer(name.as_str()).unwrap();
    receiver.signal(SIGKILL);
    assert!(within(LIMIT, || !receiver.is_running()));
    let dead = format!("dead consumer {}", receiver.id());
    let problems = named(&name).expect("listed")["problems"].to_string();
    assert!(problems.contains(&dead) && problems.contains("recovery"), "{problems}");
    let stat = run(name.command("stat", "--json")).ok().json();
    let participants = stat["participants"].as_array().unwrap();
    let find = |role: &str| participants.iter().find(|p| p["role"] == role).unwrap();
    assert_eq!(find("producer")["alive"], true);
    assert_eq!(
        (&find("consumer")["alive"], &find("consumer")["pid"]),
        (&false.into(), &receiver.id().into())
    );
    assert!(text(run(name.command("stat", ""))).contains(&dead));
}

#[test]
fn stat_shows_what_a_participant_holds() {
    let name = Name::new();
    run_with_input(name.command("send", ""), "one\ntwo\n").ok();
    let mut consumer = Options::new().consumer(name.as_str()).unwrap();
    let lease = consumer.lease().unwrap();
    let stat = run(name.command("stat", "--json")).ok().json();
    assert_eq!((&stat["participants"][0]["holds"], &stat["messages"]), (&1.into(), &1.into()));
    lease.ack();
    assert_eq!(run(name.command("stat", "--json")).ok().json()["participants"][0]["holds"], 0);
    run(Name::new().command("stat", "")).fails(1, "does not exist");
}

#[test]
fn peek_leaves_everything_where_it_is() {
    for kind in ["spsc", "mpmc"] {
        let name = Name::new();
        run_with_input(name.command("send", &format!("--kind {kind}")), "first\n\x1b[2Jsecond\nthird").ok();
        for _ in 0..2 {
            let seen = run(name.command("peek", "--count 2 --json")).ok().json();
            let texts: Vec<_> =
                seen["messages"].as_array().unwrap().iter().map(|m| m["text"].clone()).collect();
            assert_eq!(
                (texts, &seen["waiting"]),
                (vec!["first\n".into(), "\x1b[2Jsecond\n".into()], &3.into())
            );
        }
        let lines = text(run(name.command("peek", "--bytes 9")));
        assert!(lines.contains("first\\n\n") && lines.contains("\\u{1b}[2Jsecon…\n"), "{lines}");
        let raw = run(name.command("peek", "--raw")).ok().stdout;
        assert_eq!(raw, b"first\n\x1b[2Jsecond\nthird");
        let received = run(name.command("recv", "")).ok().stdout;
        assert_eq!(received, raw, "{kind}");
    }
}

#[test]
fn peek_leaves_out_what_is_taken() {
    let name = Name::new();
    run_with_input(name.command("send", ""), "one\ntwo\nthree\n").ok();
    let mut consumer = Options::new().consumer(name.as_str()).unwrap();
    consumer.recv().unwrap();
    let lease = consumer.lease().unwrap();
    assert_eq!(run(name.command("peek", "--raw")).ok().stdout, b"three\n");
    lease.ack();
    let seen = run(name.command("peek", "--json")).ok().json();
    assert_eq!(seen["messages"][0]["number"], 2);
    run(Name::new().command("peek", "")).fails(1, "does not exist");
}

#[test]
fn create_makes_what_is_asked_for_and_only_once() {
    let name = Name::new();
    let all = "--kind spsc --capacity 5 --size 99 --participants 3 --mode 644 --wait --scrub --fence --lazy";
    let created = run(name.command("create", &format!("{all} --json"))).ok().json();
    let status = Options::new().observe(name.as_str()).unwrap().status().unwrap();
    assert_eq!(created["segment_id"], status.segment_id);
    let (capacity, size) = (status.capacity, status.message_size);
    assert_eq!((capacity, size, status.limit, status.mode), (8, 99, 3, 0o644));
    assert_eq!((status.kind, status.when_no_consumer), (semring::Kind::Spsc, semring::WhenNoConsumer::Wait));
    Options::new().scrub(true).wake_mode(semring::WakeMode::Fence).open(name.as_str()).unwrap();
    run(name.command("create", "")).fails(1, "exists already");
    run(name.command("create", "--if-absent --size 99")).ok();
    run(name.command("create", "--if-absent --size 98")).fails(1, "message size differs");
    run(semring(["create"])).status.code().filter(|&code| code == 2).expect("wrong usage");
}

#[test]
fn a_private_channel_is_removed_by_its_id() {
    let id = text(run(semring(["create", "--private", "--capacity", "1"])));
    let id = id.strip_prefix("id ").expect("an id").trim();
    run(semring(["rm", "--id", id])).ok();
    run(semring(["rm", "--id", id])).fails(1, "does not exist");
}

#[test]
fn rm_finds_a_channel_by_its_segments_key() {
    let name = Name::new();
    let created = run(name.command("create", "--json")).ok().json();
    let key = created["segment_key"].as_str().unwrap();
    let receiver = Options::new().consumer(name.as_str()).unwrap();
    run(semring(["rm", "--key", key])).fails(1, "in use");
    drop(receiver);
    run(semring(["rm", "--key", key])).ok();
    name.assert_gone();
    run(semring(["rm", "--key", "0"])).status.code().filter(|&code| code == 2).expect("wrong usage");
    run(semring(["rm", "--orphaned", "jobs"])).status.code().filter(|&code| code == 2).expect("wrong usage");
}

/// Two half channels, a whole one and somebody else's objects: only the halves go, and only if that is confirmed.
#[test]
fn only_orphans_are_removed_as_orphans() {
    if !alone() {
        return;
    }
    let [whole, no_set, no_segment, used] = [(); 4].map(|()| Name::new());
    for name in [&whole, &no_set, &no_segment] {
        run(name.command("create", "--capacity 1 --size 8")).ok();
    }
    let user = Options::new().capacity(1).consumer(used.as_str()).unwrap();
    let status = |name: &Name| Options::new().observe(name.as_str()).unwrap().status().unwrap();
    Set::from_id(status(&no_set).semaphore_id).unwrap().remove().unwrap();
    for name in [&no_segment, &used] {
        Segment::from_id(status(name).segment_id).unwrap().remove().unwrap();
    }
    let size = Segment::from_id(status(&whole).segment_id).unwrap().status().unwrap().size;
    let foreign = SegmentOptions::new().size(size).create(Key::Private).unwrap();
    let foreign_set = SetOptions::new(9).create(Key::Private).unwrap();

    let table = text(run(semring(["ls", "--all"])));
    let wrong = |what: &str| table.lines().filter(|line| line.contains(what)).count();
    assert_eq!((wrong("its semaphore set is gone"), wrong("its segment is gone")), (1, 1), "{table}");
    assert_eq!((wrong("was removed under 1 participants"), wrong("set  ")), (1, 1), "{table}");
    assert!(
        table.lines().any(|l| l.starts_with("segment ") && l.contains(&foreign.id().to_string())),
        "{table}"
    );

    run(semring(["rm", "--orphaned"])).fails(1, "nothing was removed");
    let removed = run(semring(["rm", "--orphaned", "--yes", "--json"])).ok().json();
    assert_eq!(removed["removed"].as_array().unwrap().len(), 2, "{removed}");
    let left = run(semring(["ls", "--json", "--all"])).ok().json();
    assert_eq!(left["channels"].as_array().unwrap().len(), 2, "{left}");
    // The segment that was removed under its user is nobody's, and there.
    assert_eq!(left["foreign"]["segments"][0]["removed"], true);
    assert_eq!(
        (&left["foreign"]["segments"][1]["id"], &left["foreign"]["sets"][0]["id"]),
        (&foreign.id().into(), &foreign_set.id().into())
    );
    assert_eq!(status(&whole).consumers, 0);
    drop(user);
    assert_eq!(
        run(semring(["rm", "--orphaned", "--yes", "--json"])).ok().json()["removed"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// What claims to be somebody else's channel is said to be wrong, and removed by nobody's orphan hunt.
#[test]
fn a_forged_channel_is_told_from_a_real_one() {
    if !alone() {
        return;
    }
    let name = Name::new();
    run(name.command("create", "--capacity 1 --size 8")).ok();
    let real = Segment::from_id(Options::new().observe(name.as_str()).unwrap().status().unwrap().segment_id)
        .unwrap();
    let mut bytes = vec![0; real.status().unwrap().size];
    real.attach_read_only().unwrap().read(0, &mut bytes).unwrap();
    let forged = SegmentOptions::new().size(bytes.len()).create(Key::Number(0x5e3a_91c4)).unwrap();
    forged.attach().unwrap().write(0, &bytes).unwrap();
    let table = text(run(semring(["ls"])));
    assert!(table.lines().any(|line| line.contains("is not that of the name it claims")), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with(name.as_str())).count(), 2, "{table}");
    run(semring(["rm", "--orphaned", "--yes"])).ok();
    forged.status().expect("still there");
    let found = semring::channels().unwrap();
    assert_eq!(
        found.iter().filter(|found| matches!(found.condition, semring::Condition::Live(_))).count(),
        1
    );
    let observer = Options::new().observe(name.as_str()).unwrap();
    assert!(observer.wait_until_gone(Role::Producer, LIMIT).unwrap());
}

#[test]
fn foreign_objects_go_only_as_foreign() {
    if !alone() {
        return;
    }
    let key = "0x5e3a91c4";
    let make = || {
        let segment = SegmentOptions::new().size(100).create(key).unwrap();
        (segment, SetOptions::new(1).create(key).unwrap())
    };
    let (segment, set) = make();
    for arguments in [vec!["rm", key], vec!["rm", "--yes", key], vec!["rm", "--key", key, "--yes"]] {
        run(semring(arguments)).fails(1, "leads to something else");
    }
    run(semring(["rm", "--foreign", "--key", key])).fails(1, "nothing was removed");
    assert!(segment.status().is_ok() && set.status().is_ok());
    run(semring(["rm", "--foreign", "--key", key, "--yes"])).ok();
    assert!(segment.status().is_err() && set.status().is_err());
    let (segment, set) = make();
    run(semring(["rm", "--foreign", "--yes", "--id", &segment.id().to_string()])).ok();
    assert!(segment.status().is_err() && set.status().is_ok());
    run(semring(["rm", "--foreign", "--yes", "--set-id", &set.id().to_string()])).ok();
    assert!(set.status().is_err());
    run(semring(["rm", "--foreign", "--key", key])).fails(1, "does not exist");
}

/// Whoever sits at a terminal is asked.
#[test]
fn at_a_terminal_rm_asks() {
    let name = Name::new();
    let _receiver = Options::new().consumer(name.as_str()).unwrap();
    for (answer, status) in [("n\n", 1), ("y\n", 0)] {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut command = name.command("rm", "");
        command.stdin(std::process::Stdio::from(pty.slave));
        nix::unistd::write(&pty.master, answer.as_bytes()).unwrap();
        let done = run(command);
        assert!(
            done.stderr.contains("in use by consumer") && done.stderr.contains("[y/N]"),
            "{}",
            done.stderr
        );
        assert_eq!(done.status.code(), Some(status), "{}", done.stderr);
    }
    name.assert_gone();
}
