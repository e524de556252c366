//! Loom models of the table: every order of events, and every value that a weakly ordered machine may return, for a
//! reader and two writers. `RUSTFLAGS="--cfg loom" cargo test --release --lib table::models`
//!
//! The mutex stands for a stripe and for the kernel that gives it back. Each model returns what its reader saw; the tests
//! list all that may be seen, and remove one ordering after the other: each must then let a model fail.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as Plain};

use loom::sync::Mutex;
use loom::thread;

use super::index::{Failure, Index};
use super::layout::Geometry;
use super::memory::Memory;
use crate::ring::probe::{killed_after, with_mutant};
use crate::sync::AtomicU64;

/// Keys of one word, values of two equal ones, and all of a table's stripes in one.
struct World {
    words: Vec<AtomicU64>,
    turnstiles: Vec<AtomicU64>,
    geometry: Geometry,
    stripe: Mutex<()>,
}

impl World {
    fn new(capacity: u64) -> Arc<Self> {
        let geometry = Geometry::new(capacity, 8, 16).unwrap();
        let zeroes = || (0..geometry.size() / 8).map(|_| AtomicU64::new(0)).collect();
        Arc::new(World { words: zeroes(), turnstiles: zeroes(), geometry, stripe: Mutex::new(()) })
    }

    fn index(&self) -> Index<'_> {
        let memory = Memory::new(&self.words, &self.turnstiles);
        Index { memory, geometry: &self.geometry, seed: 7 }
    }

    fn get(&self, key: u64) -> Outcome {
        let (index, key, mut value) = (self.index(), key.to_ne_bytes(), [0; 16]);
        let found = index.find(index.bucket(&key), &key, &mut value)?;
        let (first, second) = (value[0], value[8]);
        Ok(found.map(|_| if first == second { first } else { TORN }))
    }

    fn change(&self, key: u64, new: Option<u8>) {
        let held = self.stripe.lock().unwrap();
        self.change_held(key, new);
        drop(held);
    }

    /// Killed before one of its stores; the stripe is given back.
    fn die_changing(&self, steps: u32, key: u64, new: Option<u8>) {
        let held = self.stripe.lock().unwrap();
        killed_after(Some(steps), || self.change_held(key, new));
        drop(held);
    }

    fn change_held(&self, key: u64, new: Option<u8>) {
        let (index, key, mut old) = (self.index(), key.to_ne_bytes(), [0; 16]);
        let bucket = index.bucket(&key);
        index.repair(self.geometry.stripe(bucket)).unwrap();
        match (index.find(bucket, &key, &mut old).unwrap(), new.map(|new| [new; 16])) {
            (Some(record), Some(new)) => index.record(record).write(&key, &new).unwrap(),
            (None, Some(new)) => index.insert(bucket, &key, &new).unwrap(),
            (Some(record), None) => index.remove(bucket, record).unwrap(),
            (None, None) => {}
        }
    }
}

const TORN: u8 = 255;

/// What the reader saw.
type Outcome = Result<Option<u8>, Failure>;
type Model = fn() -> Outcome;

fn outcomes(model: Model) -> BTreeSet<String> {
    let seen = Arc::new(Plain::new(BTreeSet::new()));
    let all = seen.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.max(Some(2));
    builder.check(move || {
        let outcome = model();
        seen.lock().unwrap().insert(format!("{outcome:?}"));
    });
    Arc::into_inner(all).unwrap().into_inner().unwrap()
}

fn expect(model: Model, expected: &[Outcome]) {
    let expected = expected.iter().map(|outcome| format!("{outcome:?}")).collect();
    let found = outcomes(model);
    assert_eq!(found, expected);
}

/// Runs a writer beside a reader of key 0.
fn read_beside(world: Arc<World>, write: impl FnOnce(&World) + 'static) -> Outcome {
    let writer = thread::spawn({
        let world = world.clone();
        move || write(&world)
    });
    let found = world.get(0);
    writer.join().unwrap();
    found
}

/// A record that is replaced twice: so the copy that was the newest at first is written again.
fn replaced() -> Outcome {
    let world = World::new(1);
    world.change(0, Some(1));
    read_beside(world, |world| (2..4).for_each(|new| world.change(0, Some(new))))
}

/// A new record.
fn inserted() -> Outcome {
    read_beside(World::new(1), |world| world.change(0, Some(1)))
}

/// The only place is given to another key and back: its reader never sees the other's value.
fn place_reused() -> Outcome {
    let world = World::new(1);
    world.change(0, Some(1));
    read_beside(world, |world| {
        world.change(0, None);
        world.change(1, Some(2));
    })
}

/// A writer dies before one of its stores, and another one changes the record.
fn dead_writer<const STEPS: u32>() -> Outcome {
    let world = World::new(1);
    world.change(0, Some(1));
    read_beside(world, |world| {
        world.die_changing(STEPS, 0, Some(2));
        world.change(0, Some(3));
    })
}

#[test]
fn replaced_is_whole() {
    expect(replaced, &[Ok(Some(1)), Ok(Some(2)), Ok(Some(3))]);
}

#[test]
fn inserted_is_whole() {
    expect(inserted, &[Ok(None), Ok(Some(1))]);
}

#[test]
fn a_reused_place_is_another_record() {
    expect(place_reused, &[Ok(None), Ok(Some(1))]);
}

#[test]
fn a_death_is_old_or_new() {
    expect(dead_writer::<0>, &[Ok(Some(1)), Ok(Some(3))]);
    expect(dead_writer::<3>, &[Ok(Some(1)), Ok(Some(3))]);
}

#[test]
fn every_ordering_is_needed() {
    let rules = [
        "table: version not released",
        "table: version not acquired",
        "table: copy not acquired",
        "table: mark not released",
        "table: not marked",
        "table: copy not behind its mark",
        "table: gap overlooked",
        "table: no second look",
        "table: written in place",
    ];
    let missed: Vec<_> =
        rules.into_iter().filter(|rule| with_mutant(rule, replaced_is_whole).is_ok()).collect();
    assert!(missed.is_empty(), "not missed when removed: {missed:?}");
}
