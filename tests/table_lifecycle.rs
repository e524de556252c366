//! The record table as a pair of objects: opened in any order, found again, removed; and what is not a table left alone.

mod common;

use std::sync::atomic::Ordering;

use common::child::{Child, say};
use common::{Name, eventually, sys};
use semring::segment::{Key, SegmentOptions};
use semring::sem::SetOptions;
use semring::{Error, Options, Table, TableOptions};

#[test]
fn child_entry() {
    common::child::entry(&[("fill", fill)]);
}

fn counters(name: &str) -> Table<u64, u64> {
    TableOptions::new().capacity(64).open_or_create(name, "counters").expect("table")
}

/// Arguments: name. Fills the table, looks at the error, and goes.
fn fill(arguments: &[&str]) {
    let table = counters(arguments[0]);
    (0..64).for_each(|key| assert_eq!(table.insert(&key, &(key * key)), Ok(None)));
    assert!(matches!(table.insert(&64, &0), Err(Error::NoRoom { limit: 64, .. })));
    assert_eq!(table.insert(&63, &1), Ok(Some(63 * 63)), "what is there can be replaced");
    say("done");
}

#[test]
fn it_stays_when_everybody_is_gone() {
    let name = Name::new("table-stays");
    let open = || TableOptions::new().open::<u64, u64>(&name, "counters");
    assert!(matches!(open(), Err(Error::NotFound { .. })));
    let mut child = Child::start("fill", &[&name]);
    assert_eq!(child.answer(), "done");
    assert!(child.end().success());
    let table = open().expect("found again");
    assert_eq!((table.len(), table.capacity(), table.name()), (Ok(64), 64, &*name));
    (0..63).for_each(|key| assert_eq!(table.get(&key), Ok(Some(key * key))));
    assert_eq!(table.get(&64), Ok(None));
    assert_eq!(table.remove(&0), Ok(Some(0)));
    assert_eq!(table.insert(&64, &7), Ok(None));
    assert!(matches!(
        TableOptions::new().create::<u64, u64>(&name, "counters"),
        Err(Error::AlreadyExists { .. })
    ));
    let by_id = TableOptions::new().open::<u64, u64>(Key::Id(table.id()), "counters").expect("by id");
    assert_eq!(by_id.get(&64), Ok(Some(7)));
}

#[test]
fn what_differs_is_said() {
    let name = Name::new("table-differs");
    let _table = counters(&name);
    let what = |e: Option<Error>| match e {
        Some(Error::Mismatch { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let options = TableOptions::new();
    assert_eq!(what(options.open::<u64, u64>(&name, "other").err()), "type name");
    assert_eq!(what(options.open::<u32, u64>(&name, "counters").err()), "key size");
    assert_eq!(what(options.open::<u64, u32>(&name, "counters").err()), "value size");
    let larger = options.clone().capacity(65);
    assert_eq!(what(larger.open::<u64, u64>(&name, "counters").err()), "capacity");
    assert_eq!(what(options.mode(0o660).open::<u64, u64>(&name, "counters").err()), "mode");
    for capacity in [0, (1 << 31) + 1, u64::MAX] {
        let options = TableOptions::new().capacity(capacity);
        let made = options.create::<u64, u64>(Key::Private, "t");
        assert!(matches!(made, Err(Error::Invalid { .. })), "{capacity}");
    }
}

#[test]
fn removal_is_noticed_and_final() {
    let name = Name::new("table-removed");
    let (table, other) = (counters(&name), counters(&name));
    table.insert(&1, &1).expect("insert");
    table.destroy().expect("destroy");
    assert!(name.is_absent());
    assert_eq!(other.get(&1), Err(Error::Removed));
    assert_eq!(other.insert(&1, &2), Err(Error::Removed));
    assert_eq!(other.iter().err(), Some(Error::Removed));
    assert_eq!(other.destroy(), Err(Error::Removed));
    assert_eq!(counters(&name).get(&1), Ok(None), "a new one");
}

/// Neither kind takes the other's objects for its own, nor anybody else's; and all of them stay as they are.
#[test]
fn foreign_objects_are_left_alone() {
    let name = Name::new("table-foreign");
    let open = || TableOptions::new().open_or_create::<u64, u64>(&name, "t").map(drop);
    let foreign =
        |result: Result<(), Error>| assert!(matches!(result, Err(Error::Foreign { .. })), "{result:?}");

    let channel = Options::new().create(&name).expect("channel");
    foreign(open());
    channel.remove().expect("untouched");

    let table = counters(&name);
    foreign(Options::new().open_or_create(&name).map(drop));
    table.insert(&1, &1).expect("untouched");
    table.destroy().expect("untouched");

    let set = SetOptions::new(10).create(&*name).expect("set");
    set.v(3).expect("V");
    foreign(open());
    assert_eq!(set.value(3), Ok(1));
    set.remove().expect("untouched");

    let segment = SegmentOptions::new().size(4096).create(&*name).expect("segment");
    segment.attach().expect("attach").write(0, b"somebody's").expect("write");
    foreign(open());
    assert!(name.set().is_none(), "nothing of ours is left beside it");
    segment.remove().expect("untouched");
}

/// What a creator killed midway leaves: a set under construction, and perhaps a segment without its magic.
#[test]
fn wrecks_are_cleared_away() {
    for with_segment in [false, true] {
        let name = Name::new("table-wreck");
        let table = counters(&name);
        let (id, mapping) = (table.id(), SegmentOptions::new().open(&*name).expect("segment"));
        assert_eq!(id, mapping.id());
        // IDENT goes back from READY to BUILDING, as it was before the magic was written.
        let set = SetOptions::new(0).open(&*name).expect("set");
        set.p_by(0, 0x6ae9 - 0x3d71).expect("P");
        mapping.attach().expect("attach").write(0, &[0; 8]).expect("write");
        drop(table);
        if !with_segment {
            mapping.remove().expect("remove");
        }
        let other = TableOptions::new().open::<u64, u64>(&name, "counters");
        assert!(matches!(other, Err(Error::NotFound { .. })), "{other:?}");
        let table = counters(&name);
        assert!(table.id() != id && table.insert(&1, &1) == Ok(None));
    }
}

#[test]
fn an_orphan_is_replaced() {
    let name = Name::new("table-orphan");
    let id = counters(&name).id();
    sys::remove_set(Key::from(&*name).set_key().expect("key"));
    let missing = TableOptions::new().open::<u64, u64>(&name, "counters");
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    assert_ne!(counters(&name).id(), id);
    sys::remove_segment(Key::from(&*name).segment_key().expect("key"));
    assert_eq!(counters(&name).len(), Ok(0));
}

/// Each word of the header in turn holds something else: an error that names it, no fault, and the table whole after.
#[test]
fn corrupt_headers() {
    let name = Name::new("table-corrupt");
    drop(counters(&name));
    let mapping = SegmentOptions::new().open(&*name).expect("segment").attach().expect("attach");
    for offset in [8, 16, 32, 40, 48, 56, 64, 256, 512] {
        let word = mapping.word(offset).expect("word");
        let old = word.load(Ordering::Relaxed);
        for bad in [old + 1, old ^ 1 << 40, old ^ 1 << 63, u64::MAX] {
            if (offset, bad) == (32, 2) {
                continue; // that somebody is removing it: opening would help
            }
            word.store(bad, Ordering::Relaxed);
            let opened = TableOptions::new().open::<u64, u64>(&name, "counters");
            // A size or a name that goes with all the rest is one that somebody else may have asked for.
            let refused = match opened {
                Err(Error::Corrupt { .. } | Error::Version { .. } | Error::Foreign { .. }) => true,
                Err(Error::Mismatch { .. }) => offset > 32,
                _ => false,
            };
            assert!(refused, "{offset} {bad:#x}: {opened:?}");
        }
        word.store(old, Ordering::Relaxed);
    }
    assert_eq!(counters(&name).insert(&1, &1), Ok(None));
}

/// Two processes create at once, many times: one makes it, and both have the same.
#[test]
fn creators_race() {
    for round in 0..200 {
        let name = Name::new("table-race");
        let barrier = std::sync::Barrier::new(3);
        let tables = std::thread::scope(|scope| {
            let open = || {
                barrier.wait();
                counters(&name)
            };
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().expect("thread")).collect::<Vec<_>>()
        });
        tables[0].insert(&1, &round).expect("insert");
        tables.iter().for_each(|table| assert_eq!(table.get(&1), Ok(Some(round))));
        eventually("no segment of a loser is left", || name.segment() == Some(tables[0].id()));
    }
}
