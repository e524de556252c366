//! Who won a claim that its author did not live to complete. Nothing here changes a word.
//!
//! The cursor names the winner of the last claim only. Once it has moved on from q, the end of the claim in question,
//! somebody claimed q, and that claimer knew who had owned the slot before:
//!
//! ```text
//! cursor before q         nobody won that claim yet: not won
//! cursor at q             it names the winner
//! stamp[q] completed      its prev is the winner; from a later lap: all below q was completed long ago
//! an announcement at q    its prev is the winner, whoever made it and whether or not it won: one owner stood there
//! stamp[q] once more      if neither was there, the claimer completed q and announced something else in between
//! ```

use super::claim::cursor_of;
use super::probe::{self, unless};
use super::word::{Announcement, Cursor, Owner, Phase, Stamp, distance};
use super::{Index, Shared, Side};
use crate::layout::record;
use crate::sync::Ordering;

/// The claim that `dead` announced last, if it won it.
pub(super) fn won(shared: &Shared, side: Side, dead: Index) -> Option<Announcement> {
    let bits = shared.record(dead, record::ANNOUNCED).load(Ordering::Relaxed);
    let claim = Announcement::read(bits, side)?;
    if probe::mutant("an announcement counts as a win") {
        return Some(claim);
    }
    let next = claim.position().wrapping_add(u64::from(claim.len()));
    // SYNC(tail), SYNC(head): seeing a position beyond `next` shows the announcement of whoever claimed `next`.
    let order = unless("position not acquired", Ordering::Acquire);
    let cursor = Cursor::from_bits(shared.word(cursor_of(side)).load(order));
    let cursor_distance = distance(cursor.position(), next);
    let owner = match cursor_distance {
        ..0 => return None,
        0 if !probe::mutant("position word not consulted") => cursor.owner(),
        // The claim of `next` knew its predecessor. Its announcement says so until its completion does, and
        // whoever overwrote or cleared the announcement had completed it.
        _ => successor_says(shared, side, next)
            .or_else(|| announcements_say(shared, side, next))
            .or_else(|| successor_says(shared, side, next).filter(|_| !probe::mutant("no second look")))??,
    };
    (owner == dead).then_some(claim)
}

/// The owner of the slot before `next`, as the stamp of `next` names it once its claimer has completed it;
/// `Some(None)` from a later lap on: then everything below was completed long ago.
fn successor_says(shared: &Shared, side: Side, next: u64) -> Option<Option<Owner>> {
    let stamp = load(shared, next);
    let lap = shared.geometry().capacity();
    let completed = match side {
        Side::Producers => stamp.distance_from(next) == 0 && stamp.phase() != Phase::Free,
        Side::Consumers => stamp.is(next, Phase::Taken) || stamp.is(next.wrapping_add(lap), Phase::Free),
    };
    match completed {
        true => Some(Some(stamp.prev())),
        false if stamp.distance_from(next) > 0 => Some(None),
        false => None,
    }
}

/// The same from the announcement of any claim at `next`: the cursor had one owner while it stood there.
fn announcements_say(shared: &Shared, side: Side, next: u64) -> Option<Option<Owner>> {
    if probe::mutant("announcements not consulted") {
        return None;
    }
    let participants = shared.geometry().participants();
    (0..participants).filter_map(|index| Index::new(index, participants)).find_map(|index| {
        // SYNC(announce): if it was overwritten, the stamp of `next` is there when we look again.
        let order = unless("announcement not acquired", Ordering::Acquire);
        let announced = Announcement::read(shared.record(index, record::ANNOUNCED).load(order), side)?;
        (distance(announced.position(), next) == 0).then(|| Some(announced.prev()))
    })
}

/// Each slot with the owner of the slot before it.
pub(super) fn slots_of(
    position: u64,
    len: u32,
    [first, others]: [Owner; 2],
) -> impl Iterator<Item = (u64, Owner)> {
    (0..len).map(move |i| (position.wrapping_add(u64::from(i)), if i == 0 { first } else { others }))
}

pub(super) fn load(shared: &Shared, position: u64) -> Stamp {
    // SYNC(ready), SYNC(free), SYNC(taken). The dead one had acquired what we touch, so no known execution needs
    // this; recovery can afford it.
    Stamp::from_bits(shared.stamp(position).load(Ordering::Acquire))
}
