//! The record table among real processes: opened in any order, changed side by side, killed in the middle of changes,
//! removed, found again, and what is not a table left alone.

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use common::child::{Child, hear, say};
use common::{DEADLINE, Name, checksum, eventually, sys, within};
use semring::segment::{Key, SegmentOptions};
use semring::sem::SetOptions;
use semring::{Error, Options, Table, TableOptions};

const SCENARIOS: [common::child::Scenario; 5] =
    [("count", count), ("claim", claim), ("churn", churn), ("hold", hold), ("fill", fill)];

#[test]
fn child_entry() {
    common::child::entry(&SCENARIOS);
}

/// A value that shows if it is of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Checked {
    bytes: [u8; 128],
    sum: u64,
}

impl Checked {
    fn new(key: u64, seed: u64) -> Self {
        let mut bytes = [seed as u8; 128];
        bytes[..8].copy_from_slice(&key.to_ne_bytes());
        bytes[8..16].copy_from_slice(&seed.to_ne_bytes());
        Self { bytes, sum: checksum(&bytes) }
    }

    #[track_caller]
    fn check(&self, key: u64) {
        assert_eq!(checksum(&self.bytes), self.sum, "torn");
        assert_eq!(self.bytes[..8], key.to_ne_bytes(), "another key's");
    }
}

fn counters(name: &str) -> Table<u64, u64> {
    TableOptions::new().capacity(64).open_or_create(name, "counters").expect("table")
}

fn checked(name: &str, capacity: u64) -> Table<u64, Checked> {
    TableOptions::new().capacity(capacity).open_or_create(name, "checked").expect("table")
}

/// Arguments: name, rounds. Adds 1 to each of ten counters in each round.
fn count(arguments: &[&str]) {
    let table = counters(arguments[0]);
    for _ in 0..arguments[1].parse().expect("a number") {
        for key in 0..10 {
            table.insert_if_absent(&key, &0).expect("insert");
            table.update(&key, |count| *count += 1).expect("update").expect("there");
        }
    }
    say("done");
}

#[test]
fn no_update_is_lost() {
    let name = Name::new("table-count");
    let mut children: Vec<_> = (0..4).map(|_| Child::start("count", &[&name, "500"])).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.answer(), "done"));
    let table = counters(&name);
    let mut all = table.iter().expect("iterate").collect::<Result<Vec<_>, _>>().expect("records");
    all.sort();
    assert_eq!(all, (0..10).map(|key| (key, 2000)).collect::<Vec<_>>());
}

/// Arguments: name, own number. Claims all keys that are free.
fn claim(arguments: &[&str]) {
    let (table, me) = (counters(arguments[0]), arguments[1].parse().expect("a number"));
    let won = (0..64).filter(|key| table.insert_if_absent(key, &me).expect("insert").is_none()).count();
    say(&won.to_string());
}

#[test]
fn each_key_is_inserted_once() {
    let name = Name::new("table-claim");
    let mut children: Vec<_> = ["1", "2", "3"].map(|i| Child::start("claim", &[&name, i])).into();
    let won: Vec<usize> =
        children.iter_mut().map(|child| child.answer().parse().expect("a number")).collect();
    let table = counters(&name);
    assert_eq!((won.iter().sum::<usize>(), table.len()), (64, Ok(64)));
    for (i, won) in (1..).zip(won) {
        let all = table.iter().expect("iterate").map(|record| record.expect("record").1);
        assert_eq!(all.filter(|value| *value == i).count(), won);
    }
}

const CHURNED: u64 = 24;
const CAPACITY: u64 = 32;

/// Arguments: name, seed. Inserts, replaces, removes and reads for ever.
fn churn(arguments: &[&str]) {
    let table = checked(arguments[0], CAPACITY);
    let mut random: u64 = arguments[1].parse().expect("a number");
    say("ready");
    loop {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = (random >> 33) % CHURNED;
        match random >> 60 {
            0..8 => drop(table.insert(&key, &Checked::new(key, random)).expect("insert")),
            8..14 => {
                table.remove(&key).expect("remove").inspect(|value| value.check(key));
            }
            _ => {
                table.get(&key).expect("get").inspect(|value| value.check(key));
            }
        }
    }
}

#[test]
fn deaths_tear_nothing_block_nobody_and_lose_no_place() {
    let name = Name::new("table-kills");
    let table = checked(&name, CAPACITY);
    let start = |seed: u64| Child::start("churn", &[&name, &(seed * 7919).to_string()]);
    let mut children: Vec<_> = (1..4).map(start).collect();
    for kill in 0..60_u64 {
        let victim = &mut children[kill as usize % 3];
        assert_eq!(victim.answer(), "ready");
        // Not too regular, so that it dies in other places.
        std::thread::sleep(Duration::from_micros(3000 + kill * 37 % 1000));
        victim.kill();
        for key in 0..CHURNED {
            table.get(&key).expect("get").inspect(|value| value.check(key));
        }
        let before = Instant::now();
        table.insert(&kill, &Checked::new(kill, kill)).map(drop).or_else(full).expect("insert");
        assert!(before.elapsed() < DEADLINE / 5, "waited for a dead process");
        table.remove(&kill).expect("remove");
        children[kill as usize % 3] = start(kill + 10);
    }
    drop(children);
    let left = table.iter().expect("iterate").map(|record| record.expect("record"));
    let left: Vec<u64> = left.inspect(|(key, value)| value.check(*key)).map(|(key, _)| key).collect();
    // Every place that is not a record's is free, whoever died with it in hand.
    let room = CAPACITY as usize - left.len();
    for key in (1000..).take(room) {
        assert_eq!(table.insert(&key, &Checked::new(key, 1)), Ok(None));
    }
    let no_room = Error::NoRoom { what: "record", limit: CAPACITY as usize };
    assert_eq!(table.insert(&5000, &Checked::new(5000, 1)), Err(no_room));
    assert_eq!(table.len(), Ok(CAPACITY as usize));
}

/// A test that may find the table full says so.
fn full(e: Error) -> Result<(), Error> {
    if matches!(e, Error::NoRoom { .. }) { Ok(()) } else { Err(e) }
}

/// Arguments: name. Stays in the middle of an update of key 1.
fn hold(arguments: &[&str]) {
    counters(arguments[0])
        .update(&1, |value| {
            *value = 2;
            say("in the middle");
            let _ = hear();
        })
        .expect("update");
    say("done");
}

#[test]
fn a_writer_in_the_middle_holds_up_no_reader_and_its_death_nobody() {
    let name = Name::new("table-hold");
    let table: Table<u64, u64> = TableOptions::new()
        .capacity(64)
        .lock_timeout(Duration::from_millis(100))
        .create(&name, "counters")
        .expect("create");
    (0..64).for_each(|key| assert_eq!(table.insert(&key, &1), Ok(None)));
    let mut child = Child::start("hold", &[&name]);
    assert_eq!(child.answer(), "in the middle");
    assert_eq!(table.get(&1), Ok(Some(1)));
    assert_eq!(table.iter().expect("iterate").count(), 64);
    assert_eq!(table.update(&1, |v| *v += 10), Err(Error::LockBusy { holder: child.pid() as i32 }));
    // Few keys share the stripe.
    let busy = (0..64).filter(|key| matches!(table.insert(key, &1), Err(Error::LockBusy { .. }))).count();
    assert!((1..8).contains(&busy), "{busy} of 64 wait for one");
    child.kill();
    assert_eq!(table.update(&1, |value| *value += 10), Ok(Some(11)));

    let mut child = Child::start("hold", &[&name]);
    assert_eq!(child.answer(), "in the middle");
    assert_eq!(child.ask("go on"), "done");
    assert_eq!(table.get(&1), Ok(Some(2)));
}

#[test]
fn a_panic_in_an_update_changes_nothing() {
    let name = Name::new("table-panic");
    let table = counters(&name);
    table.insert(&1, &1).expect("insert");
    let update =
        std::panic::AssertUnwindSafe(|| table.update(&1, |_| std::panic::resume_unwind(Box::new(()))));
    assert!(std::panic::catch_unwind(update).is_err());
    assert_eq!(table.update(&1, |value| *value += 1), Ok(Some(2)));
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

#[test]
fn a_writer_who_waits_notices_removal() {
    let name = Name::new("table-removed-waiting");
    let table = counters(&name);
    table.insert(&1, &1).expect("insert");
    let mut child = Child::start("hold", &[&name]);
    assert_eq!(child.answer(), "in the middle");
    let waiting = common::start({
        let table = counters(&name);
        move || table.insert(&1, &3)
    });
    waiting.still_running("waits for the stripe");
    table.destroy().expect("destroy");
    assert_eq!(waiting.end("the set is gone"), Err(Error::Removed));
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

#[test]
fn a_forked_child_reads_and_does_not_write() {
    let name = Name::new("table-fork");
    let table = counters(&name);
    table.insert(&1, &1).expect("insert");
    let child = sys::fork(|| {
        let reads = table.get(&1) == Ok(Some(1));
        let writes = table.insert(&1, &2) != Err(Error::Forked);
        i32::from(!reads || writes)
    });
    assert_eq!(sys::wait(child), 0);
    assert_eq!(table.get(&1), Ok(Some(1)));
}

#[test]
fn threads_share_a_handle() {
    let name = Name::new("table-threads");
    let name_of_table = name.to_string();
    within("threads exclude each other", move || {
        let table = counters(&name_of_table);
        table.insert(&1, &0).expect("insert");
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    (0..200).for_each(|_| {
                        table.update(&1, |value| *value += 1).expect("update");
                    })
                });
            }
        });
        assert_eq!(table.get(&1), Ok(Some(600)));
    });
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
