//! What becomes of a dead participant's claim and adopted range. All of it runs under LOCK, between operations of
//! its author, and may be killed and repeated anywhere: a record is cleared only after what it names is done.
//!
//! The dead one's lease read 0, so it stores no more, and lease and LOCK order what it stored before ours. The
//! living go on meanwhile; what they store in between is why evidence is looked at twice.
//!
//! ```text
//! dead producer  won its claim?  each slot still FREE(x)  -> VOID(x): nothing will come, consumers skip it
//! dead consumer  adopted range:  each slot TAKEN(x, dead) -> TAKEN(x, author)   recorded as the author's before
//!                won its claim?  each slot still READY(x) -> TAKEN(x, author)   recorded as the author's before
//!                                each slot still VOID(x)  -> FREE(x + capacity)
//! ```
//!
//! A consumer has room for one adopted range: if it is in use, or the author is no consumer, the rest is postponed.
//! What a claim that is neither finished nor recorded still needs is its own room, so that a death never leaves more
//! than one heir can hold.

use super::evidence::{load, slots_of, won};
use super::probe::{self, unless};
use super::word::{Adopted, Announcement, Owner, Phase, Stamp, distance};
use super::{Index, Kind, Shared, Side};
use crate::layout::record;
use crate::sync::Ordering;

/// Who settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// Nobody registered, or a producer: cannot adopt.
    Outsider,
    /// A living consumer. If its own adopted range is empty, it adopts.
    Consumer(Index),
    /// A consumer about to be registered under the dead one's own index: inherits what the dead one held.
    Heir,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The record is clean: the index may be registered again.
    Done {
        /// Messages that the author holds now, to be delivered again.
        adopted: u32,
        /// Slots that will never hold a message.
        voided: u32,
    },
    /// A consumer with an empty adopted range has to do the rest. An heir must not be registered.
    Postponed,
}

/// Finishes what `dead` began. The caller holds LOCK; the lease of `dead` read 0 under it.
pub(crate) fn settle(shared: &Shared, kind: Kind, dead: Index, side: Side, author: Author) -> Settled {
    match (kind, side) {
        // An SPSC ring's words are always complete: a successor resumes from them.
        (Kind::Spsc, _) => Settled::Done { adopted: 0, voided: 0 },
        (Kind::Mpmc, Side::Producers) => settle_producer(shared, dead),
        (Kind::Mpmc, Side::Consumers) => settle_consumer(shared, dead, author),
    }
}

/// Lets `author`, a consumer, adopt what the living `owner` gave back; true if it did. The caller holds LOCK.
pub(crate) fn adopt_given(shared: &Shared, owner: Index, author: Index) -> bool {
    // SYNC(given): the owner's reads come before the writes of whoever reuses the slots we shall free.
    let order = unless("given not acquired", Ordering::Acquire);
    match Adopted::read(shared.record(owner, record::ADOPTED).load(order)) {
        Some(range) if range.is_given() && owner != author && !has_open_claim(shared, author) => {
            take_range(shared, range, owner, author).is_some()
        }
        _ => false,
    }
}

/// Whether the living `owner` offers messages that it gave back. The caller holds LOCK.
pub(crate) fn offers(shared: &Shared, owner: Index) -> bool {
    // SYNC(given)
    let adopted = shared.record(owner, record::ADOPTED).load(Ordering::Acquire);
    Adopted::read(adopted).is_some_and(Adopted::is_given)
}

fn settle_producer(shared: &Shared, dead: Index) -> Settled {
    let mut voided = 0;
    if probe::mutant("record cleared before its slots are settled") {
        let bits = shared.record(dead, record::ANNOUNCED).load(Ordering::Relaxed);
        set_announced(shared, dead);
        let claim = Announcement::read(bits, Side::Producers);
        voided = claim.map_or(0, |claim| bury(shared, claim, dead));
    } else if let Some(claim) = won(shared, Side::Producers, dead) {
        voided = bury(shared, claim, dead);
    }
    set_announced(shared, dead);
    Settled::Done { adopted: 0, voided }
}

/// Puts a tombstone into every slot that the dead producer left open.
fn bury(shared: &Shared, claim: Announcement, dead: Index) -> u32 {
    let mut voided = 0;
    for (position, prev) in slots_of(claim.position(), claim.len(), [claim.prev(), dead.into()]) {
        if load(shared, position).is(position, Phase::Free) && !probe::mutant("no tombstone") {
            let dropped = probe::mutant("tombstone drops prev");
            let prev = if dropped { Owner::NOBODY } else { prev };
            store(shared, position, Stamp::new(position, Phase::Void, prev));
            voided += 1;
        }
    }
    voided
}

fn settle_consumer(shared: &Shared, dead: Index, author: Author) -> Settled {
    let adopter = match author {
        Author::Outsider => None,
        Author::Consumer(index) => (!has_open_claim(shared, index)).then_some(index),
        Author::Heir => Some(dead),
    };
    let mut adopted = 0;
    if let Some(range) = read_adopted(shared, dead) {
        let held = slots_held(shared, range, dead);
        if held == 0 || probe::mutant("adopted range not inherited") {
            set_adopted(shared, dead, Adopted::NONE);
        } else if author == Author::Heir {
            // Its own in name already. No longer on offer: whoever is registered next expects to own it.
            adopted += held;
            if range.is_given() {
                set_adopted(shared, dead, range.kept().bits());
            }
        } else {
            match adopter.and_then(|author| take_range(shared, range, dead, author)) {
                Some(taken) => adopted += taken,
                None => return Settled::Postponed,
            }
        }
    }
    if let Some(claim) = won(shared, Side::Consumers, dead) {
        let range = Adopted::new(claim.position(), claim.len());
        let needed =
            ready_part(shared, range).filter(|_| !probe::mutant("a dead consumer's message stays ready"));
        let early = probe::mutant("taken before it is recorded");
        if let Some(needed) = needed {
            match adopter {
                Some(author) if early || make_room(shared, author, needed) => {}
                _ => return Settled::Postponed,
            }
        }
        let adopter = adopter.filter(|_| needed.is_some());
        adopted += adopt_ready(shared, range, [claim.prev(), dead.into()], adopter, [1, 1]);
        if let (Some(author), Some(needed), true) = (adopter, needed, early) {
            make_room(shared, author, needed);
        }
    }
    set_announced(shared, dead);
    Settled::Done { adopted, voided: 0 }
}

/// Makes what `owner` holds in `range` the author's; the number of messages, `None` if the author has no room.
fn take_range(shared: &Shared, range: Adopted, owner: Index, author: Index) -> Option<u32> {
    if !make_room(shared, author, range.kept()) {
        return None;
    }
    let mut taken = 0;
    for (position, _) in slots_of(range.position(), range.len(), [Owner::NOBODY; 2]) {
        let stamp = load(shared, position);
        if stamp.is_taken_by(position, owner) {
            let prev = if probe::mutant("taken drops prev") { Owner::NOBODY } else { stamp.prev() };
            store(shared, position, Stamp::taken(position, prev, author.into(), stamp.attempts()));
            taken += 1;
        }
    }
    set_adopted(shared, owner, Adopted::NONE);
    Some(taken)
}

/// Records `range` as the author's before its stamps are: an heir looks for TAKEN slots only where a record says.
/// False if the author has another one in use.
fn make_room(shared: &Shared, author: Index, range: Adopted) -> bool {
    match read_adopted(shared, author) {
        Some(own) if !probe::mutant("second range over an unfinished one") => {
            // An earlier author, or the dead one itself, came just so far.
            !own.is_given() && own.covers(range.position(), range.len())
        }
        _ => {
            set_adopted(shared, author, range.bits());
            true
        }
    }
}

/// Moves the READY slots of a consumer's claim to `adopter`, if there is one, and frees its VOID ones. `prev` are
/// the owners before the first slot and before the others, `started` the deliveries of the first and the others.
pub(super) fn adopt_ready(
    shared: &Shared,
    range: Adopted,
    prev: [Owner; 2],
    adopter: Option<Index>,
    started: [u32; 2],
) -> u32 {
    let mut adopted = 0;
    for (i, (position, prev)) in slots_of(range.position(), range.len(), prev).enumerate() {
        let stamp = load(shared, position);
        match adopter {
            Some(adopter) if stamp.is(position, Phase::Ready) => {
                let prev = if probe::mutant("taken drops prev") { Owner::NOBODY } else { prev };
                let started = started[usize::from(i != 0)];
                store(shared, position, Stamp::taken(position, prev, adopter.into(), started));
                adopted += 1;
            }
            _ if stamp.is(position, Phase::Void) => {
                let next = position.wrapping_add(shared.geometry().capacity());
                store(shared, position, Stamp::new(next, Phase::Free, prev));
            }
            _ => {}
        }
    }
    adopted
}

/// How many slots of the range are TAKEN by `owner`.
fn slots_held(shared: &Shared, range: Adopted, owner: Index) -> u32 {
    slots_of(range.position(), range.len(), [Owner::NOBODY; 2])
        .map(|(position, _)| u32::from(load(shared, position).is_taken_by(position, owner)))
        .sum()
}

/// Whether any slot of the range is TAKEN by `owner`.
pub(super) fn hold_by(shared: &Shared, range: Adopted, owner: Index) -> bool {
    slots_held(shared, range, owner) != 0
}

/// Whether a living consumer forgot messages of its last claim. It must not adopt before it has dealt with them:
/// its heir would have to hold two ranges.
fn has_open_claim(shared: &Shared, author: Index) -> bool {
    won(shared, Side::Consumers, author)
        .is_some_and(|claim| ready_part(shared, Adopted::new(claim.position(), claim.len())).is_some())
}

/// From the first READY slot of the range to the last.
fn ready_part(shared: &Shared, range: Adopted) -> Option<Adopted> {
    let mut ready = slots_of(range.position(), range.len(), [Owner::NOBODY; 2])
        .map(|(position, _)| position)
        .filter(|position| load(shared, *position).is(*position, Phase::Ready));
    let first = ready.next()?;
    let last = ready.last().unwrap_or(first);
    Some(Adopted::new(first, distance(last, first) as u32 + 1))
}

fn store(shared: &Shared, position: u64, stamp: Stamp) {
    probe::step();
    // SYNC(ready), SYNC(free), SYNC(taken): the dead one's accesses, which LOCK put before us, come before it.
    let order = unless("recovered stamp not released", Ordering::Release);
    shared.stamp(position).store(stamp.bits(), order);
}

fn read_adopted(shared: &Shared, index: Index) -> Option<Adopted> {
    Adopted::read(shared.record(index, record::ADOPTED).load(Ordering::Relaxed))
}

/// SYNC(given): what we did to the range comes before its owner's next use of the word.
fn set_adopted(shared: &Shared, index: Index, bits: u64) {
    probe::step();
    shared.record(index, record::ADOPTED).store(bits, Ordering::Release);
}

/// Forgets the claim of a dead participant. SYNC(announce): after its slots are settled.
fn set_announced(shared: &Shared, index: Index) {
    probe::step();
    shared.record(index, record::ANNOUNCED).store(Announcement::NONE, Ordering::Release);
}

/// What a participant has claimed, won and not completed: where from, and how many slots. A hint without LOCK.
pub(super) fn holds(shared: &Shared, index: Index, side: Side) -> Option<(u64, u32)> {
    if let Some(range) = read_adopted(shared, index) {
        let held = slots_held(shared, range, index);
        if held > 0 {
            return Some((range.position(), held));
        }
    }
    let claim = won(shared, side, index)?;
    let open = slots_of(claim.position(), claim.len(), [Owner::NOBODY; 2]).filter(|(position, _)| {
        let stamp = load(shared, *position);
        match side {
            Side::Producers => stamp.is(*position, Phase::Free),
            Side::Consumers => stamp.is(*position, Phase::Ready) || stamp.is(*position, Phase::Void),
        }
    });
    let mut open = open.map(|(position, _)| position);
    let first = open.next()?;
    Some((first, 1 + open.count() as u32))
}
