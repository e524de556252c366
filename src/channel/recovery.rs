//! Looking after the dead: who needs it, and what a holder of LOCK does for them. The ring's part is
//! `ring::recover`; this file finds the dead, keeps the records and the counters, and chooses indices.
//!
//! A record is OWNED (a role) or VACANT. Dead and OWNED means: not recovered yet. It becomes VACANT last, so that only
//! a completely recovered index is registered again, and so that a recoverer may be killed anywhere.

use super::attachment::Attachment;
use crate::error::{Error, Result};
use crate::layout::{MAX_PARTICIPANTS, record, shared};
use crate::park;
pub(crate) use crate::ring::Author;
use crate::ring::{self, Index, Settled, Side};
use crate::sync::Ordering;

/// The role in a participant's record; `None` if it is vacant.
pub(crate) fn role(channel: &Attachment, index: Index) -> Option<Side> {
    // Ordered by lease and LOCK where it matters; elsewhere a hint.
    match channel.mem().record(index, record::STATE).load(Ordering::Acquire) {
        1 => Some(Side::Producers),
        2 => Some(Side::Consumers),
        _ => None,
    }
}

/// The indices ever used.
pub(crate) fn indices(channel: &Attachment) -> impl Iterator<Item = Index> + use<> {
    let participants = channel.mem().geometry().participants();
    (0..channel.used()).filter_map(move |i| Index::new(i, participants))
}

fn dead(channel: &Attachment, alive: u64) -> impl Iterator<Item = (Index, Side)> + '_ {
    indices(channel)
        .filter(move |i| alive & i.bit() == 0)
        .filter_map(|i| role(channel, i).map(|side| (i, side)))
}

/// The park words of all who were ever here: to be observed before the leases, see [`mark_dead_sleepers`].
pub(crate) fn observe_sleepers(channel: &Attachment) -> [u64; MAX_PARTICIPANTS] {
    let mut words = [0; MAX_PARTICIPANTS];
    for (word, index) in words.iter_mut().zip(indices(channel)) {
        *word = park::observe(channel.mem(), index);
    }
    words
}

/// Marks dead sleepers, so that wakers skip them; needs no lock. `observed` is from before the snapshot of `alive`.
pub(crate) fn mark_dead_sleepers(channel: &Attachment, observed: &[u64; MAX_PARTICIPANTS], alive: u64) {
    for (index, _) in dead(channel, alive) {
        if let Some(&word) = observed.get(index.get()) {
            park::mark_dead(channel.mem(), index, word);
        }
    }
}

/// Has a consumer other than `me` given a message back that nobody has taken?
pub(crate) fn gifts(channel: &Attachment, me: Index) -> bool {
    channel.given().load(Ordering::Acquire) & !me.bit() != 0 // SYNC(given)
}

/// Is somebody dead and not recovered, or has a living consumer given a message back for us to take?
pub(crate) fn needed(channel: &Attachment, me: Index, alive: u64) -> bool {
    dead(channel, alive).next().is_some() || gifts(channel, me)
}

/// Recovers all the dead as far as this author can, and takes what was given back; under LOCK. True if anything
/// changed that others may be waiting for.
pub(crate) fn repair(channel: &Attachment, author: Author, alive: u64) -> bool {
    let mem = channel.mem();
    let mut changed = false;
    // Only the living give: a dead owner's gift is recovered with everything else it had, and a bit that stands for
    // nobody would be looked at for ever.
    channel.given().fetch_and(alive, Ordering::AcqRel);
    for (index, side) in dead(channel, alive) {
        park::bury(mem, index, side);
        if let Settled::Done { adopted, voided } = ring::settle(mem, channel.header.kind, index, side, author)
        {
            channel.mem().record(index, record::STATE).store(0, Ordering::Release);
            note(channel, side, u64::from(adopted), u64::from(voided));
            changed = true;
        }
    }
    if let Author::Consumer(me) = author {
        // All the living, not only those whose bit is set: whoever adopted last may have died in `refresh_gift`.
        for giver in indices(channel).filter(|i| alive & i.bit() != 0) {
            let adopted = ring::adopt_given(mem, giver, me);
            refresh_gift(channel, giver);
            if adopted {
                channel.counter(shared::ADOPTED).fetch_add(1, Ordering::Relaxed);
                return true; // one range at a time is all that one consumer can hold
            }
        }
    }
    changed
}

/// Clears the bit of a giver that offers nothing: it must not be looked at for ever. What is on offer keeps its bit,
/// or nobody else would look: what this author had no room for, and what the giver gave back just now, after the
/// gift before was taken.
fn refresh_gift(channel: &Attachment, giver: Index) {
    channel.given().fetch_and(!giver.bit(), Ordering::AcqRel); // SYNC(given): before the look
    if ring::offers(channel.mem(), giver) {
        channel.given().fetch_or(giver.bit(), Ordering::AcqRel); // SYNC(given)
    }
}

/// Counts a recovery, and tells the other side of it.
fn note(channel: &Attachment, side: Side, adopted: u64, voided: u64) {
    for (counter, by) in [(shared::RECOVERIES, 1), (shared::ADOPTED, adopted), (shared::TOMBSTONES, voided)] {
        channel.counter(counter).fetch_add(by, Ordering::Relaxed);
    }
    channel.changes(side).fetch_add(1, Ordering::Relaxed);
}

/// An index for a new participant; under LOCK, after [`repair`]. A consumer may come back as one that died with
/// messages that nobody could adopt, and inherits them.
///
/// # Errors
/// `NoRoom`.
pub(crate) fn choose_index(channel: &Attachment, side: Side, alive: u64) -> Result<Index> {
    let participants = channel.mem().geometry().participants();
    let all =
        || (0..participants).filter_map(|i| Index::new(i, participants)).filter(|i| alive & i.bit() == 0);
    let heir = (side == Side::Consumers)
        .then(|| all().find(|&i| role(channel, i) == Some(Side::Consumers)))
        .flatten();
    if let Some(index) = heir {
        let settled = ring::settle(channel.mem(), channel.header.kind, index, side, Author::Heir);
        if let Settled::Done { adopted, voided } = settled {
            note(channel, side, u64::from(adopted), u64::from(voided));
            return Ok(index);
        }
    }
    all()
        .find(|&i| role(channel, i).is_none())
        .ok_or(Error::NoRoom { what: "participant", limit: participants })
}
