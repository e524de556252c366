//! Record tables in `semring ls`, `stat` and `rm`.

mod common;

use common::*;
use semring::segment::{Key, Segment};
use semring::sem::Set;
use semring::{Error, Options, Table, TableOptions, TableStatus};
use serde_json::Value;

type Records = Table<u32, [u64; 3]>;

fn create(name: &Name) -> Records {
    let table: Records = TableOptions::new().capacity(8).mode(0o640).create(name.as_str(), "orders").unwrap();
    (0..3).for_each(|key| assert_eq!(table.insert(&key, &[1, 2, 3]), Ok(None)));
    table
}

fn status(name: &Name) -> TableStatus {
    TableOptions::new().status(name.as_str()).unwrap()
}

fn named(name: &Name) -> Option<Value> {
    listed("tables", |table| table["name"] == name.as_str())
}

#[test]
fn ls_lists_tables() {
    let name = Name::new();
    assert!(named(&name).is_none());
    let table = create(&name);
    let status = status(&name);
    let line = named(&name).expect("listed");
    let expected = [
        ("kind", "table".into()),
        ("segment_key", format!("{:#010x}", status.segment_key).into()),
        ("segment_id", table.id().into()),
        ("semaphore_id", status.semaphore_id.into()),
        ("size_bytes", status.size_bytes.into()),
        ("mode", "0640".into()),
        ("owner_uid", status.owner_uid.into()),
        ("attached", 1.into()),
        ("records", 3.into()),
        ("capacity", 8.into()),
        ("messages", Value::Null),
        ("problems", Value::Array(Vec::new())),
    ];
    for (what, value) in expected {
        assert_eq!(line[what], value, "{what}");
    }
    let lines = text(run(semring(["ls"])));
    let line = lines.lines().find(|line| line.starts_with(name.as_str())).expect("a line");
    assert!(line.contains(" table ") && line.contains(" 3/8 ") && line.contains(" 0640 "), "{lines}");
    let channels = run(semring(["ls", "--json"])).ok().json()["channels"].to_string();
    assert!(!channels.contains(name.as_str()), "{channels}");
}

#[test]
fn stat_tells_a_table_from_a_channel() {
    let (name, channel) = (Name::new(), Name::new());
    drop(create(&name));
    run(channel.command("create", "")).ok();
    let stat = run(name.command("stat", "--json")).ok().json();
    let expected = [
        ("kind", "table".into()),
        ("records", 3.into()),
        ("capacity", 8.into()),
        ("record_type", "orders".into()),
        ("key_size", 4.into()),
        ("value_size", 24.into()),
        ("mode", "0640".into()),
        ("creator_pid", std::process::id().into()),
        ("writers", Value::Array(Vec::new())),
        ("unfinished", 0.into()),
        ("lock_holder", Value::Null),
    ];
    for (what, value) in expected {
        assert_eq!(stat[what], value, "{what}");
    }
    let lines = text(run(name.command("stat", "")));
    assert!(lines.contains("3 of 8") && lines.contains("orders: keys of 4, values of 24 bytes"), "{lines}");
    assert_eq!(run(channel.command("stat", "--json")).ok().json()["kind"], "mpmc");
    run(Name::new().command("stat", "")).fails(1, "does not exist");
}

#[test]
fn who_writes_now_is_named() {
    let name = Name::new();
    let table = create(&name);
    table
        .update(&1, |_| {
            let stat = run(name.command("stat", "--json")).ok().json();
            assert_eq!(stat["writers"], Value::Array(vec![std::process::id().into()]));
        })
        .unwrap();
}

#[test]
fn a_table_in_use_is_removed_only_if_that_is_confirmed() {
    let name = Name::new();
    let table = create(&name);
    run(name.command("rm", "")).fails(1, "in use: 1 mappings");
    assert_eq!(table.get(&1), Ok(Some([1, 2, 3])));
    let removed = run(name.command("rm", "--yes --json")).ok().json();
    assert_eq!((&removed["removed"], &removed["records_discarded"]), (&name.as_str().into(), &3.into()));
    assert_eq!(table.get(&1), Err(Error::Removed));
    name.assert_gone();
}

#[test]
fn a_table_goes_by_its_name_its_key_and_its_id() {
    let [by_name, by_key, by_id] = [(); 3].map(|()| Name::new());
    [&by_name, &by_key, &by_id].into_iter().for_each(|name| drop(create(name)));
    run(by_name.command("rm", "")).ok();
    run(semring(["rm", "--key", &format!("{:#010x}", status(&by_key).segment_key)])).ok();
    run(semring(["rm", "--id", &status(&by_id).segment_id.to_string()])).ok();
    for name in [by_name, by_key, by_id] {
        name.assert_gone();
        assert!(matches!(TableOptions::new().status(name.as_str()), Err(Error::NotFound { .. })));
    }
}

/// Each half of a table is said to be one, and goes when it is asked for as what it is; nothing else does.
#[test]
fn halves_of_tables_are_orphans() {
    let [whole, no_set, no_segment] = [(); 3].map(|()| Name::new());
    let channel = Options::new().capacity(1).create(Key::Private).unwrap();
    let tables = [&whole, &no_set, &no_segment].map(create);
    let (left, alone) = (tables[1].id(), status(&no_segment).semaphore_id);
    Set::from_id(status(&no_set).semaphore_id).unwrap().remove().unwrap();
    Segment::from_id(status(&no_segment).segment_id).unwrap().remove().unwrap();
    let problem = |line: Option<Value>| line.expect("listed")["problems"].to_string();
    assert!(problem(named(&no_set)).contains("its semaphore set is gone"));
    let set = listed("tables", |table| table["semaphore_id"] == alone && table["segment_id"].is_null());
    assert!(problem(set).contains("its segment is gone"));
    for found in semring::tables().unwrap().iter().filter(|found| found.is_orphaned()) {
        let ours = [found.segment.as_ref().map(|s| s.id), found.set.as_ref().map(|s| s.id)];
        if ours[0] == Some(left) || ours[0].is_none() && ours[1] == Some(alone) {
            assert_eq!(found.remove_if_orphaned(), Ok(true));
        }
    }
    assert!(Set::from_id(alone).is_err() && named(&no_set).is_none());
    assert_eq!(tables[0].len(), Ok(3));
    assert_eq!(channel.len(), 0);
    channel.remove().unwrap();
}
