//! The record table among real processes: changed side by side, killed in the middle of changes.

mod common;

use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use common::child::{Child, hear, say};
use common::{DEADLINE, Name, checksum, sys, within};
use semring::{Error, Table, TableOptions};

const SCENARIOS: [common::child::Scenario; 4] =
    [("count", count), ("claim", claim), ("churn", churn), ("hold", hold)];

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
