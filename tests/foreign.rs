//! Somebody else's objects under our keys: said so, never touched, never removed.

mod common;

use std::sync::atomic::Ordering::Relaxed;

use common::{KINDS, Name, child, small};
use semring::segment::{Mapping, Segment, SegmentOptions};
use semring::sem::{Set, SetOptions};
use semring::{Error, Kind, Options};

#[test]
fn child_entry() {
    child::entry(&[]);
}

/// Every way to open says that the object is foreign.
#[track_caller]
fn refused(name: &Name) {
    let options = [Options::new(), small(Kind::Spsc, 4), small(Kind::Mpmc, 64).allow_any_owner()];
    for options in &options {
        let all = [
            options.open(name).err(),
            options.create(name).err(),
            options.open_or_create(name).err(),
            options.producer(name).err(),
            options.consumer(name).err(),
            options.typed_producer::<u64>(name, "u64").err(),
            options.clone().existing().consumer(name).err(),
        ];
        for error in all {
            match error {
                Some(Error::Foreign { name: found, detail }) => {
                    assert_eq!(found, **name);
                    assert!(!detail.is_empty());
                }
                // Whoever never creates may also say that there is no channel of that name.
                Some(Error::NotFound { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        let create = options.create(name).err();
        assert!(matches!(create, Some(Error::Foreign { .. })), "{create:?}");
    }
}

fn bytes(memory: &Mapping) -> Vec<u8> {
    let mut bytes = vec![0; memory.len()];
    memory.read(0, &mut bytes).expect("read");
    bytes
}

/// A segment that is none of ours stays as it is, to the byte, and a set that had to be made is gone again.
#[track_caller]
fn segment_is_spared(name: &Name, segment: &Segment) {
    let memory = segment.attach().expect("attach");
    let (before, set) = (bytes(&memory), name.set());
    refused(name);
    assert_eq!(bytes(&memory), before);
    assert_eq!(name.segment(), Some(segment.id()));
    assert!(!segment.status().expect("status").removed);
    assert_eq!(name.set(), set, "a semaphore set was left behind");
}

/// Bytes of the segment of a channel of those options.
fn channel_size(options: &Options) -> usize {
    let name = Name::new("size");
    options.create(&name).expect("create").status().expect("status").size_bytes
}

#[test]
fn a_foreign_segment() {
    let ours = channel_size(&small(Kind::Spsc, 4));
    for size in [1, 100, 4096, ours - 1, ours, ours + 1, 1 << 20] {
        for zeroed in [true, false] {
            let name = Name::new("foreign-segment");
            let segment = SegmentOptions::new().size(size).create(&name).expect("create");
            if !zeroed {
                let noise: Vec<u8> = (0..size).map(|i| (i * 7 + 1) as u8).collect();
                segment.attach().expect("attach").write(0, &noise).expect("write");
            }
            segment_is_spared(&name, &segment);
        }
    }
}

/// It begins as one of ours, but is of another name: two names have met in one key.
#[test]
fn a_channel_of_another_name() {
    for kind in KINDS {
        let name = Name::new("other-name");
        let channel = small(kind, 4).create(&name).expect("create");
        let segment = Segment::from_id(channel.id()).expect("segment");
        segment.attach().expect("attach").write(264, b"S").expect("the first letter");
        let e = Options::new().producer(&name).expect_err("another name").to_string();
        assert!(e.contains(&name.replacen('s', "S", 1)), "{e}");
        segment_is_spared(&name, &segment);
        // Those who have it open are not disturbed.
        channel.producer().expect("producer").send(b"1").expect("send");
    }
}

/// Alive or dead as it may be, a segment without a magic that somebody has attached is not ours to remove.
#[test]
fn a_channel_that_lost_its_magic() {
    let name = Name::new("no-magic");
    let mut producer = small(Kind::Mpmc, 4).producer(&name).expect("producer");
    let segment = Segment::from_id(name.segment().expect("segment")).expect("segment");
    let memory = segment.attach().expect("attach");
    let magic = memory.word(0).expect("word").swap(0, Relaxed);
    segment_is_spared(&name, &segment);
    memory.word(0).expect("word").store(!magic, Relaxed);
    segment_is_spared(&name, &segment);
    producer.send(b"as ever").expect("send");
}

fn values(set: &Set) -> Vec<u16> {
    set.values().expect("values")
}

#[test]
fn a_foreign_set() {
    let ours = 5 + 2 * 64;
    let mut all: Vec<(usize, Vec<(usize, u16)>)> =
        [1, 2, 8, 9, 132, 134, 135, 250].map(|n| (n, vec![(0, 3)])).into();
    // Of a size that could be ours, with values that could not.
    all.extend([
        (ours, vec![(0, 1)]),           // no stage of a channel
        (ours, vec![(1, 2)]),           // a lock held twice
        (ours, vec![(2, 65)]),          // too many producers
        (ours, vec![(2, 1)]),           // producers of a new set
        (ours, vec![(4, 2)]),           // a lease held twice
        (ours, vec![(ours - 1, 1)]),    // the spare semaphore
        (9, vec![(3, 3), (0, 0x5eb1)]), // more consumers than participants
        (11, vec![(10, 1), (0, 0x2b5d)]),
    ]);
    for (size, set_values) in all {
        let name = Name::new("foreign-set");
        let set = SetOptions::new(size).create(&name).expect("create");
        for &(i, v) in set_values.iter().filter(|(i, _)| *i < size) {
            set.v_by(i, v).expect("v");
        }
        let before = values(&set);
        refused(&name);
        assert_eq!(values(&set), before, "{size} {set_values:?}");
        assert_eq!((name.set(), name.segment()), (Some(set.id()), None), "{size} {set_values:?}");
    }
}

/// A set of a size that ours never has, all zero.
#[test]
fn a_foreign_set_of_zeroes() {
    for size in [1, 2, 3, 7, 8, 10, 64, 132, 135, 1000] {
        let name = Name::new("foreign-zeroes");
        let set = SetOptions::new(size).create(&name).expect("create");
        refused(&name);
        assert_eq!((values(&set), name.segment()), (vec![0; size], None));
    }
}

/// Both at once.
#[test]
fn a_foreign_pair() {
    let name = Name::new("foreign-pair");
    let set = SetOptions::new(3).create(&name).expect("create");
    set.v(1).expect("v");
    let segment = SegmentOptions::new().size(1 << 16).create(&name).expect("create");
    segment_is_spared(&name, &segment);
    assert_eq!(values(&set), [0, 1, 0]);
}
