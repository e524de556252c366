//! Boards of heartbeats in `semring ls`, `stat` and `rm`.

mod common;

use common::*;
use semring::heartbeat::{Board, BoardOptions, BoardStatus};
use semring::segment::Segment;
use semring::sem::Set;
use semring::{Error, Found};
use serde_json::Value;

fn create(name: &Name) -> Board {
    BoardOptions::new().places(8).mode(0o640).create(name.as_str()).unwrap()
}

fn status(name: &Name) -> BoardStatus {
    BoardOptions::new().observe(name.as_str()).unwrap().status().unwrap()
}

fn named(name: &Name) -> Option<Value> {
    listed("boards", |board| board["name"] == name.as_str())
}

#[test]
fn ls_lists_boards() {
    let name = Name::new();
    assert!(named(&name).is_none());
    let board = create(&name);
    let _heart = board.register("web", None).unwrap();
    let status = status(&name);
    let line = named(&name).expect("listed");
    let expected = [
        ("kind", "board".into()),
        ("segment_key", format!("{:#010x}", status.segment_key).into()),
        ("segment_id", status.segment_id.into()),
        ("semaphore_id", status.semaphore_id.into()),
        ("size_bytes", status.size_bytes.into()),
        ("mode", "0640".into()),
        ("attached", 1.into()),
        ("records", 1.into()),
        ("capacity", 8.into()),
        ("messages", Value::Null),
        ("problems", Value::Array(Vec::new())),
    ];
    for (what, value) in expected {
        assert_eq!(line[what], value, "{what}");
    }
    let lines = text(run(semring(["ls"])));
    let line = lines.lines().find(|line| line.starts_with(name.as_str())).expect("a line");
    assert!(line.contains(" board ") && line.contains(" 1/8 ") && line.contains(" 0640 "), "{lines}");
    let report = run(semring(["ls", "--json", "--all"])).ok().json();
    for kind in ["channels", "tables", "foreign"] {
        assert!(!report[kind].to_string().contains(name.as_str()), "{report}");
    }
    let foreign = report["foreign"]["segments"].as_array().unwrap();
    assert!(foreign.iter().all(|segment| segment["id"] != status.segment_id), "{report}");
}

#[test]
fn stat_shows_who_lives_on_a_board() {
    let name = Name::new();
    let board = create(&name);
    let _heart = board.register("web", Some(std::time::Duration::from_secs(3600))).unwrap();
    let _keeper = board.try_keep().unwrap().expect("nobody else");
    let stat = run(name.command("stat", "--json")).ok().json();
    let pid = std::process::id();
    let expected: [(&str, Value); 7] = [
        ("kind", "board".into()),
        ("places", 8.into()),
        ("alive", 1.into()),
        ("keeper", pid.into()),
        ("standbys", 0.into()),
        ("mode", "0640".into()),
        ("creator_pid", pid.into()),
    ];
    for (what, value) in expected {
        assert_eq!(stat[what], value, "{what}");
    }
    let member = &stat["members"][0];
    assert_eq!((&member["name"], &member["state"]), (&"web".into(), &"alive".into()));
    assert_eq!((&member["pid"], &member["silence_seconds"]), (&pid.into(), &3600.0.into()));
    let lines = text(run(name.command("stat", "")));
    for what in ["1 of 8 named", &format!("process {pid}, 0 standing by"), " of 3600s"] {
        assert!(lines.contains(what), "{what}: {lines}");
    }
}

#[test]
fn a_board_in_use_is_removed_only_if_that_is_confirmed() {
    let name = Name::new();
    let board = create(&name);
    let heart = board.register("web", None).unwrap();
    run(name.command("rm", "")).fails(1, "in use: 1 live on it");
    drop(heart);
    let keeper = board.try_keep().unwrap();
    run(name.command("rm", "")).fails(1, &format!("kept by process {}", std::process::id()));
    assert_eq!(board.members(), Ok(Vec::new()));
    drop(keeper);
    assert_eq!(run(name.command("rm", "--json")).ok().json()["removed"], name.as_str());
    assert_eq!(board.members(), Err(Error::Removed));
    name.assert_gone();
}

/// Halves are orphans, unless somebody lives on them, keeps them or waits to.
#[test]
fn halves_of_boards_are_orphans_once_nobody_lives_on_them() {
    let names = [(); 4].map(|()| Name::new());
    let [whole, no_set, lived_on, kept] = names.each_ref().map(create);
    let sets = names.each_ref().map(|name| status(name).semaphore_id);
    let segments = names.each_ref().map(|name| status(name).segment_id);
    let heart = lived_on.register("web", None).unwrap();
    let keeper = kept.try_keep().unwrap().expect("nobody else");
    Set::from_id(sets[1]).unwrap().remove().unwrap();
    Segment::from_id(segments[2]).unwrap().remove().unwrap();
    Segment::from_id(segments[3]).unwrap().remove().unwrap();
    let found = |set: i32| -> Found {
        let mut boards = semring::boards().unwrap().into_iter();
        boards.find(|found| found.set.as_ref().is_some_and(|found| found.id == set)).expect("listed")
    };
    let problem = |set: i32| {
        listed("boards", |board| board["semaphore_id"] == set && board["segment_id"].is_null())
            .expect("listed")["problems"]
            .to_string()
    };
    for set in [sets[2], sets[3]] {
        assert!(problem(set).contains("removed under 1 participants"));
        assert!(!found(set).is_orphaned());
        assert_eq!(found(set).remove_if_orphaned(), Ok(false));
    }
    assert!(named(&names[1]).unwrap()["problems"].to_string().contains("its semaphore set is gone"));
    let before = found(sets[2]);
    drop((heart, keeper));
    let orphans = semring::boards().unwrap().into_iter().filter(Found::is_orphaned);
    let ours = |found: &Found| {
        let set = found.set.as_ref().map(|set| set.id);
        found.segment.as_ref().is_some_and(|s| s.id == segments[1]) || set.is_some_and(|s| sets.contains(&s))
    };
    let orphans: Vec<Found> = orphans.filter(ours).collect();
    assert_eq!(orphans.len(), 3);
    // As it is found now, not as it was listed.
    assert_eq!(before.remove_if_orphaned(), Ok(true));
    assert!(orphans.iter().all(|orphan| orphan.remove_if_orphaned() == Ok(true)));
    assert!(sets[1..].iter().all(|&set| Set::from_id(set).is_err()));
    assert_eq!((whole.members(), no_set.ended()), (Ok(Vec::new()), 0));
}
