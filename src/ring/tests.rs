//! Property tests of both rings against the plain model of [`world`](super::world), and the rules of recovery:
//! each, when removed, must be missed by the same random walks.

use core::mem::MaybeUninit;

use proptest::prelude::*;

use super::probe::with_mutant;
use super::word::{Adopted, Announcement, Cursor, InHand, Phase, Stamp, ahead, distance};
use super::world::{Action, World, memory};
use super::{Author, Index, Kind, Receiver, Sender, Side, init, occupancy, settle};
use crate::layout::{Geometry, MAX_BATCH};
use crate::sync::Ordering;

/// Positions around every edge of the formats.
const ORIGINS: [u64; 8] =
    [0, 5, (1 << 45) - 3, (1 << 46) - 3, (1 << 57) - 2, (1 << 58) - 3, u64::MAX - 2, 0x1234_5678_9abc];

fn actions(most: usize) -> impl Strategy<Value = Vec<Action>> {
    // Mostly steps of operations; one in eight is killed inside.
    let fuse = prop_oneof![7 => Just(None), 1 => (0u8..6).prop_map(Some)];
    let what = prop_oneof![1 => 0u8..6, 2 => 3u8..6, 12 => Just(8u8)];
    prop::collection::vec((any::<u8>(), what, any::<u8>(), fuse), 0..most)
}

fn walk(kind: Kind, capacity: u64, size: u64, participants: usize, origin: u64, actions: &[Action]) {
    let mut world = World::new(kind, capacity, size, participants, origin);
    for action in actions {
        world.act(*action);
    }
    world.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn mpmc_is_a_queue_whoever_dies(
        shift in 0u32..5, size in 0u64..40, participants in 2usize..7, origin in prop::sample::select(&ORIGINS[..]),
        actions in actions(250),
    ) {
        walk(Kind::Mpmc, 1 << shift, size, participants, origin, &actions);
    }

    #[test]
    fn spsc_is_a_queue_whoever_dies(
        shift in 0u32..6, size in 0u64..40, participants in 2usize..4, origin in prop::sample::select(&ORIGINS[..]),
        actions in actions(250),
    ) {
        walk(Kind::Spsc, 1 << shift, size, participants, origin, &actions);
    }

    #[test]
    fn nothing_found_in_the_segment_panics_or_loops(
        words in prop::collection::vec((0usize..400, any::<u64>()), 0..60), actions in actions(60), spsc in any::<bool>(),
    ) {
        let kind = if spsc { Kind::Spsc } else { Kind::Mpmc };
        let geometry = Geometry::new(4, 24, 4).unwrap();
        let (mut memory, shared) = memory(geometry);
        init(&shared, kind, 7);
        let index = |i: u8| Index::new(usize::from(i) % 4, 4).unwrap();
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for i in 0..2 {
            senders.push(Sender::resume(kind, &shared, index(i)));
            receivers.push(Receiver::resume(kind, &shared, index(2 + i)));
        }
        let mut words = words.into_iter();
        for (who, what, how, _) in actions {
            if let Some((at, value)) = words.next() {
                let at = 1408 / 8 + at % ((geometry.size() - 1408) / 8);
                memory[at] = if value % 3 == 0 { value % 8 } else { value };
            }
            let (i, want) = (usize::from(who % 2), u32::from(how));
            match what % 5 {
                0 | 4 => if let Ok(mut claim) = senders[i].claim(&shared, want) {
                    prop_assert!(claim.len() <= 4);
                    prop_assert!(shared.write_payload(claim.position(), 3, &[1; 21]));
                    while claim.len() != 0 {
                        senders[i].publish(&shared, &mut claim, u32::MAX, 1);
                    }
                },
                1 => if let Ok(mut claim) = receivers[i].claim(&shared, want) {
                    while claim.len() != 0 {
                        if let Some(found) = receivers[i].look(&shared, &mut claim) {
                            prop_assert!((1..=16).contains(&found.attempt));
                        }
                        if how == 5 {
                            receivers[i].give_back(&shared, &mut claim);
                        }
                        receivers[i].release(&shared, &mut claim);
                    }
                },
                2 => {
                    receivers[i].take_back(&shared);
                    prop_assert!(occupancy(&shared, kind) <= 4);
                }
                _ => {
                    let side = if how % 2 == 0 { Side::Producers } else { Side::Consumers };
                    settle(&shared, kind, index(how), side, Author::Consumer(index(2 + who % 2)));
                }
            }
        }
    }

    #[test]
    fn payloads_are_copied_byte_for_byte(size in 0usize..80, at in 0usize..90, len in 0usize..90) {
        let (_memory, shared) = memory(Geometry::new(2, size as u64, 2).unwrap());
        let fits = at + len <= size;
        prop_assert!(shared.write_payload(1, 0, &vec![0xaa; size]));
        let bytes: Vec<u8> = (1..=len as u8).collect();
        prop_assert_eq!(shared.write_payload(1, at, &bytes), fits);
        let mut all = vec![MaybeUninit::new(0); size];
        prop_assert!(shared.read_payload(1, 0, &mut all));
        let mut part = vec![MaybeUninit::new(0); len];
        prop_assert_eq!(shared.read_payload(1, at, &mut part), fits);
        // SAFETY: initialised from the start.
        #[allow(unsafe_code)]
        let of = |bytes: Vec<MaybeUninit<u8>>| -> Vec<u8> { bytes.into_iter().map(|b| unsafe { b.assume_init() }).collect() };
        let all = of(all);
        if fits {
            prop_assert_eq!(&of(part), &bytes);
            prop_assert_eq!(&all[at..at + len], &bytes[..]);
        }
        let before = if fits && len > 0 { at } else { size };
        prop_assert!(all[..before].iter().all(|byte| *byte == 0xaa));
        let behind = if fits && len > 0 { (at + len).next_multiple_of(8).min(size) } else { size };
        prop_assert!(all[behind..].iter().all(|byte| *byte == 0xaa));
        // The neighbour's stamp is untouched.
        prop_assert_eq!(shared.stamp(0).load(Ordering::Relaxed), 0);
    }

    #[test]
    fn formats_keep_what_they_are_given(
        position in any::<u64>(), len in 1u32..=MAX_BATCH, prev in 0usize..64, own in 0usize..64, attempts in 0u32..40,
        step in -1000i64..1000,
    ) {
        let (prev, own) = (Index::new(prev, 64).unwrap(), Index::new(own, 64).unwrap());
        let stamp = Stamp::taken(position, prev.into(), own.into(), attempts);
        prop_assert!(stamp.is_taken_by(position, own) && stamp.prev() == prev);
        prop_assert_eq!((stamp.attempts(), stamp.phase()), (attempts.min(15), Phase::Taken));
        prop_assert_eq!(stamp.distance_from(position.wrapping_add_signed(step)), -step);
        prop_assert!(!stamp.is(position, Phase::Ready) && !stamp.is(position.wrapping_add(1), Phase::Taken));
        let cursor = Cursor::new(position, own.into());
        prop_assert!(ahead(cursor.position(), position) == 0 && cursor.owner() == own);
        for side in [Side::Producers, Side::Consumers] {
            let announced = Announcement::new(side, position, len, prev.into());
            let other = if side == Side::Producers { Side::Consumers } else { Side::Producers };
            prop_assert_eq!(Announcement::read(announced.bits(), side), Some(announced));
            prop_assert_eq!(Announcement::read(announced.bits(), other), None);
            prop_assert!(announced.len() == len && announced.prev() == prev);
            prop_assert_eq!(distance(announced.position(), position), 0);
        }
        let range = Adopted::new(position, len);
        prop_assert!(range.len() == len && range.covers(position, len) && !range.covers(position, len + 1));
        prop_assert!(!range.covers(position.wrapping_sub(1), 1) && range.given().is_given());
        prop_assert_eq!(range.given().kept(), range);
        prop_assert_eq!(InHand::new(position, attempts.max(1)).attempts(position), attempts.clamp(1, 16));
        prop_assert_eq!(InHand::new(position, 1).attempts(position.wrapping_add(1)), 0);
        prop_assert_eq!(distance(position.wrapping_add_signed(step), position), step);
    }
}

/// A generator of our own, so that every mutant sees the same walks.
fn generator() -> impl FnMut(u64) -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    }
}

/// The same walks.
fn random_walks(kind: Kind, walks: u64) {
    let mut random = generator();
    for _ in 0..walks {
        let actions: Vec<Action> = (0..random(200))
            .map(|_| {
                let what = [0, 1, 2, 3, 4, 5, 3, 4, 8, 8, 8, 8, 8, 8, 8, 8][random(16) as usize];
                let fuse = (random(6) == 0).then(|| random(5) as u8);
                (random(256) as u8, what, random(256) as u8, fuse)
            })
            .collect();
        let participants = if kind == Kind::Spsc { 2 } else { 2 + random(4) as usize };
        walk(kind, 1 << random(3), 16, participants, ORIGINS[random(8) as usize], &actions);
    }
}

/// Walks in which now the producer gets far ahead, now the consumer catches up, on rings with room for it.
fn streams(walks: u64) {
    let mut random = generator();
    for _ in 0..walks {
        let mut actions: Vec<Action> = Vec::new();
        for phase in 0..random(12) {
            let mostly = phase % 2;
            for _ in 0..random(200) {
                let who = if random(16) == 0 { 1 - mostly } else { mostly };
                let what = if random(64) == 0 { random(6) as u8 } else { 8 };
                let how = 2 * random(128) + if random(8) == 0 { 1 - who } else { who };
                let fuse = (random(32) == 0).then(|| random(5) as u8);
                actions.push((who as u8, what, how as u8, fuse));
            }
        }
        walk(Kind::Spsc, 1 << (5 + random(4)), 16, 2, ORIGINS[random(8) as usize], &actions);
    }
}

#[test]
fn whoever_looks_far_ahead_finds_the_same() {
    streams(3_000);
}

#[test]
fn random_walks_find_nothing() {
    random_walks(Kind::Mpmc, 30_000);
    random_walks(Kind::Spsc, 10_000);
}

#[test]
fn every_rule_of_recovery_is_needed() {
    let rules = [
        (Kind::Mpmc, "announced after the CAS"),
        (Kind::Mpmc, "an announcement counts as a win"),
        (Kind::Mpmc, "announcements not consulted"),
        (Kind::Mpmc, "position word not consulted"),
        (Kind::Mpmc, "tombstone drops prev"),
        (Kind::Mpmc, "taken drops prev"),
        (Kind::Mpmc, "release drops prev"),
        (Kind::Mpmc, "release of an adopted slot drops prev"),
        (Kind::Mpmc, "record cleared before its slots are settled"),
        (Kind::Mpmc, "taken before it is recorded"),
        (Kind::Mpmc, "adopted range cleared before its slots are freed"),
        (Kind::Mpmc, "second range over an unfinished one"),
        (Kind::Mpmc, "a dead consumer's message stays ready"),
        (Kind::Mpmc, "no tombstone"),
        (Kind::Mpmc, "adopted range not inherited"),
        (Kind::Spsc, "spsc: hand forgotten"),
        (Kind::Spsc, "spsc: tail stored before the stamp"),
    ];
    let missed: Vec<_> = rules
        .iter()
        .filter(|(kind, rule)| with_mutant(rule, || random_walks(*kind, 30_000)).is_ok())
        .map(|(_, rule)| rule)
        .collect();
    assert!(missed.is_empty(), "not missed when removed: {missed:?}");
}
