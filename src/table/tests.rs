//! The table's algorithms alone: against a map, with a death before every store of every change, with rules removed, and
//! over hostile words.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::index::{Failure, Index};
use super::layout::Geometry;
use super::memory::Memory;
use crate::ring::probe::{killed_after, meddled, with_mutant};
use crate::sync::{AtomicU64, Ordering};

const KEY: usize = 8;
const VALUE: usize = 20;
type Value = [u8; VALUE];

/// A table of its own memory. Stripes are held by whoever calls: there is one thread.
struct World {
    words: Vec<AtomicU64>,
    geometry: Geometry,
}

impl World {
    fn new(capacity: u64) -> Self {
        let geometry = Geometry::new(capacity, KEY as u64, VALUE as u64).unwrap();
        World { words: (0..geometry.size() / 8).map(|_| AtomicU64::new(0)).collect(), geometry }
    }

    fn index(&self) -> Index<'_> {
        Index { memory: Memory::new(&self.words), geometry: &self.geometry, seed: 7 }
    }

    fn copy(&self) -> World {
        let words = self.words.iter().map(|word| AtomicU64::new(word.load(Ordering::Relaxed))).collect();
        World { words, geometry: self.geometry }
    }

    fn get(&self, key: u64) -> Result<Option<Value>, Failure> {
        let (index, key, mut value) = (self.index(), key.to_ne_bytes(), [0; VALUE]);
        Ok(index.find(index.bucket(&key), &key, &mut value)?.map(|_| value))
    }

    /// As `Table::writing` and what follows it; `None` removes.
    fn change(&self, key: u64, new: Option<Value>) -> Result<(), Failure> {
        let (index, key, mut old) = (self.index(), key.to_ne_bytes(), [0; VALUE]);
        let bucket = index.bucket(&key);
        index.repair(self.geometry.stripe(bucket))?;
        match (index.find(bucket, &key, &mut old)?, new) {
            (Some(record), Some(new)) => Ok(index.record(record).write(&key, &new)?),
            (None, Some(new)) => index.insert(bucket, &key, &new),
            (Some(record), None) => index.remove(bucket, record),
            (None, None) => Ok(()),
        }
    }

    fn repair(&self) -> Result<(), Failure> {
        (0..self.geometry.stripes()).try_for_each(|stripe| self.index().repair(stripe))
    }

    fn all(&self) -> Result<BTreeMap<u64, Value>, Failure> {
        let mut all = BTreeMap::new();
        for record in 0..self.geometry.capacity() {
            let (mut key, mut value) = ([0; KEY], [0; VALUE]);
            if self.index().record(record).read_any(&mut key, &mut value)? {
                assert_eq!(all.insert(u64::from_ne_bytes(key), value), None, "a key in two records");
            }
        }
        Ok(all)
    }

    /// It holds exactly this, by every way of looking, and every place that is free can be used.
    fn is_whole(&self, expected: &BTreeMap<u64, Value>) {
        assert_eq!(self.all().unwrap(), *expected);
        assert_eq!(self.index().count(), Ok(expected.len()));
        for (&key, &value) in expected {
            assert_eq!(self.get(key), Ok(Some(value)));
        }
        self.repair().unwrap();
        let world = self.copy();
        let room = self.geometry.capacity() - expected.len();
        let others: Vec<u64> = (1000..).take(room).collect();
        others.iter().for_each(|&key| assert_eq!(world.change(key, Some(value(key))), Ok(())));
        assert_eq!(world.change(5000, Some(value(1))), Err(Failure::Full(self.geometry.capacity())));
        others.iter().chain(expected.keys()).for_each(|&key| assert_eq!(world.change(key, None), Ok(())));
        assert_eq!(world.index().count(), Ok(0));
    }
}

fn value(number: u64) -> Value {
    core::array::from_fn(|i| (number as u8).wrapping_mul(31).wrapping_add(i as u8))
}

/// A full chain of every shape: the only stripes are two, the buckets four, the keys six.
fn changes() -> impl Strategy<Value = Vec<(u64, Option<u8>)>> {
    prop::collection::vec((0..6_u64, prop::option::weighted(0.7, any::<u8>())), 0..40)
}

fn apply(world: &World, model: &mut BTreeMap<u64, Value>, key: u64, new: Option<Value>) {
    let full = new.is_some() && !model.contains_key(&key) && model.len() == world.geometry.capacity();
    let expected = if full { Err(Failure::Full(world.geometry.capacity())) } else { Ok(()) };
    assert_eq!(world.change(key, new), expected);
    match new {
        Some(_) if full => {}
        Some(new) => drop(model.insert(key, new)),
        None => drop(model.remove(&key)),
    }
}

proptest! {
    #[test]
    fn it_is_a_map(capacity in 1..5_u64, changes in changes()) {
        let (world, mut model) = (World::new(capacity), BTreeMap::new());
        for (key, new) in changes {
            apply(&world, &mut model, key, new.map(|new| value(new.into())));
            for key in 0..6 {
                prop_assert_eq!(world.get(key), Ok(model.get(&key).copied()));
            }
        }
        world.is_whole(&model);
    }

    /// Whoever is killed before whichever store, and its repairer too: the old record or the new one, nothing else
    /// changed, no place lost.
    #[test]
    fn a_death_leaves_old_or_new(
        capacity in 1..5_u64, changes in changes(), key in 0..6_u64, new in prop::option::of(any::<u8>())
    ) {
        let (world, mut before) = (World::new(capacity), BTreeMap::new());
        for (key, new) in changes {
            apply(&world, &mut before, key, new.map(|new| value(new.into())));
        }
        deaths(&world, &before, key, new.map(|new| value(new.into())));
    }

    /// Whatever the words are: no panic, no endless loop, nothing outside.
    #[test]
    fn hostile_words(
        changes in changes(), words in prop::collection::vec((any::<prop::sample::Index>(), hostile()), 0..40)
    ) {
        let world = World::new(4);
        let mut words = words.into_iter();
        for (key, new) in changes {
            if let Some((at, word)) = words.next() {
                world.words[at.index(world.words.len())].store(word, Ordering::Relaxed);
            }
            let _ = world.change(key, new.map(|new| value(new.into())));
            let _ = world.get(key);
            let _ = (world.all_hostile(), world.index().count(), world.repair());
        }
    }

    /// The same with words that change between two looks of one call.
    #[test]
    fn words_that_change_meanwhile(changes in changes(), words in prop::collection::vec(hostile(), 1..200)) {
        let world = World::new(4);
        let mut next = 0;
        let meddle = move |_: usize, word: &AtomicU64| {
            next += 1;
            if next % 3 == 0 {
                word.store(words[next / 3 % words.len()], Ordering::Relaxed);
            }
        };
        meddled(meddle, || for (key, new) in changes {
            let _ = world.change(key, new.map(|new| value(new.into())));
            let _ = (world.get(key), world.all_hostile(), world.index().count(), world.repair());
        });
    }
}

impl World {
    fn all_hostile(&self) -> usize {
        let (mut key, mut value) = ([0; KEY], [0; VALUE]);
        let read = |record| self.index().record(record).read_any(&mut key, &mut value);
        (0..self.geometry.capacity()).map(read).filter(|found| *found == Ok(true)).count()
    }
}

/// Words near those that mean something.
fn hostile() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..8_u64,
        (0..6_u64, 0..8_u64).prop_map(|(bucket, next)| bucket << 32 | next),
        (0..16_u64).prop_map(|near| near.wrapping_sub(8)),
    ]
}

fn deaths(world: &World, before: &BTreeMap<u64, Value>, key: u64, new: Option<Value>) {
    let mut after = before.clone();
    apply(&world.copy(), &mut after, key, new);
    let mut seen = BTreeSet::new();
    for steps in 0.. {
        let world = world.copy();
        let survived = killed_after(Some(steps), || world.change(key, new)).is_some();
        // Readers, before anybody has repaired anything.
        let found = world.all().unwrap();
        assert!(found == *before || found == after, "neither old nor new after {steps} stores");
        for key in 0..6 {
            assert_eq!(world.get(key), Ok(found.get(&key).copied()));
        }
        seen.insert(found == after);
        for again in (0..).map_while(|again| {
            let world = world.copy();
            killed_after(Some(again), || world.repair()).is_none().then_some(world)
        }) {
            again.is_whole(&found);
        }
        world.is_whole(&found);
        if survived {
            break;
        }
    }
    assert!(seen.contains(&true));
}

/// One of each change, in a chain of three and in an empty table.
fn every_change_with_deaths() {
    let world = World::new(3);
    deaths(&world, &BTreeMap::new(), 1, Some(value(1)));
    let mut model = BTreeMap::new();
    for key in 0..2 {
        apply(&world, &mut model, key, Some(value(key)));
    }
    deaths(&world, &model, 2, Some(value(9)));
    apply(&world, &mut model, 2, Some(value(2)));
    for key in 0..3 {
        deaths(&world, &model, key, Some(value(9)));
        deaths(&world, &model, key, None);
    }
}

#[test]
fn every_change_survives_every_death() {
    every_change_with_deaths();
}

#[test]
fn every_rule_is_needed() {
    for rule in ["table: no intent", "table: written in place"] {
        assert!(with_mutant(rule, every_change_with_deaths).is_err(), "not missed when removed: {rule}");
    }
    let rule = "table: bucket not checked";
    assert!(with_mutant(rule, churn_hides_nothing).is_err(), "not missed when removed: {rule}");
}

/// What a reader does while others act between any two of its looks at the words.
fn looked_up_while(
    world: World,
    key: u64,
    mut act: impl FnMut(&World) + 'static,
) -> (World, Result<Option<Value>, Failure>) {
    let world = std::rc::Rc::new(world);
    let found = {
        let actor = world.clone();
        meddled(move |_, _| act(&actor), || world.get(key))
    };
    (std::rc::Rc::into_inner(world).unwrap(), found)
}

/// Churn in front of a key that stays does not hide it: at worst a reader is overtaken, if others change the record that it
/// is looking at between every few of its loads.
#[test]
fn churn_hides_nothing() {
    let world = World::new(64);
    let bucket = |key: u64| world.index().bucket(&key.to_ne_bytes());
    let same: Vec<u64> = (0..).filter(|&key| bucket(key) == bucket(0)).take(3).collect();
    let other = (1..).find(|&key| bucket(key) != bucket(0)).unwrap();
    for (i, &key) in same.iter().enumerate() {
        world.change(key, Some(value(i as u64))).unwrap();
    }
    let (oldest, in_front) = (same[0], same[2]);
    // At the n-th access of the lookup, from n on each time, or never again.
    for (first, period) in (0..30).flat_map(|first| [1, 3, 5, 6, 7, 11, 1000].map(|period| (first, period))) {
        let mut count = 0;
        let (_, found) = looked_up_while(world.copy(), oldest, move |world| {
            count += 1;
            if count >= first && (count - first) % period == 0 {
                // Removed, its place taken by a key of another bucket, and put back elsewhere; or the way back.
                let _ = world.change(in_front, None);
                let _ = world.change(other, if count / period % 2 == 0 { Some(value(7)) } else { None });
                let _ = world.change(in_front, Some(value(count)));
            }
        });
        let overtaken = period < 5 && found == Err(Failure::Overtaken);
        assert!(overtaken || found == Ok(Some(value(0))), "{first} {period}: {found:?}");
    }
}

/// A reader between whose looks the record changes again and again gives up after a bounded number of tries; one that is
/// overtaken a few times gets a whole value.
#[test]
fn overtaken_readers() {
    let world = World::new(1);
    world.change(0, Some(value(0))).unwrap();
    let (world, found) = looked_up_while(world, 0, |world| world.change(0, Some(value(1))).unwrap());
    assert_eq!(found, Err(Failure::Overtaken));
    let mut count = 0;
    let (_, found) = looked_up_while(world, 0, move |world| {
        count += 1;
        if count < 100 {
            world.change(0, Some(value(count))).unwrap();
        }
    });
    assert_eq!(found, Ok(Some(value(99))));
}

#[test]
fn copies_and_hashes() {
    let world = World::new(1);
    let memory = world.index().memory;
    for len in 0..=24 {
        let bytes: Vec<u8> = (1..=len).collect();
        memory.store(0, &bytes);
        assert!(memory.equals(0, &bytes));
        let mut back = vec![0; len.into()];
        memory.load(0, &mut back);
        assert_eq!(back, bytes);
    }
    let hash = |seed, bytes: &[u8]| super::memory::hash(seed, bytes);
    assert_ne!(hash(1, b""), hash(1, b"\0"));
    assert_ne!(hash(1, b"a"), hash(2, b"a"));
    let low: BTreeSet<u64> = (0..4096_u64).map(|key| hash(1, &key.to_ne_bytes()) & 4095).collect();
    assert!((2300..2900).contains(&low.len()), "{} of 4096, random would be 2589", low.len());
}
