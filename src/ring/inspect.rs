//! Looking at a ring without claiming anything: for whoever decides whether to sleep, and for status.

use super::recover;
use super::word::{Phase, Stamp, ahead};
use super::{Index, Kind, Nothing, Receiver, Sender, Shared, Side, received, sent};
use crate::sync::Ordering;

impl Index {
    /// Its bit in a bitmap of participants.
    #[inline]
    pub(crate) fn bit(self) -> u64 {
        1 << self.get()
    }
}

impl Side {
    /// The side across the ring.
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Producers => Side::Consumers,
            Side::Consumers => Side::Producers,
        }
    }
}

impl Sender {
    /// Could a claim succeed now?
    #[inline]
    pub(crate) fn poll(&self, shared: &Shared) -> Result<(), Nothing> {
        match self {
            Self::Spsc(end) if end.poll(shared) => Ok(()),
            Self::Spsc(_) => Err(Nothing::None),
            Self::Mpmc(_) => poll_mpmc(shared, Side::Producers),
        }
    }
}

impl Receiver {
    /// Could a claim succeed now?
    #[inline]
    pub(crate) fn poll(&self, shared: &Shared) -> Result<(), Nothing> {
        match self {
            Self::Spsc(end) if end.poll(shared) => Ok(()),
            Self::Spsc(_) => Err(Nothing::None),
            Self::Mpmc(_) if self.given_back(shared) => Err(Nothing::Midway),
            Self::Mpmc(_) if self.has_adopted(shared) => Ok(()),
            Self::Mpmc(_) => poll_mpmc(shared, Side::Consumers),
        }
    }
}

impl Sender {
    /// `poll` for a loop that spins: false may be wrong for an eighth of a lap, but no look takes a line away from the
    /// side that is to change it, but the one whose change we wait for.
    #[inline]
    pub(crate) fn glance(&self, shared: &Shared) -> bool {
        match self {
            Self::Spsc(end) => end.glance(shared),
            Self::Mpmc(_) => roomy(shared),
        }
    }
}

/// How many slots a spinning producer wants to see free, so that the consumers get ahead and no look takes the line from
/// them that they are about to write. If they do not free so many while it spins, it goes by the next slot again.
const ROOM: u64 = 256;

/// Whether a good part of an MPMC ring is free.
fn roomy(shared: &Shared) -> bool {
    let room = (shared.geometry().capacity() / 8).min(ROOM);
    let position = sent(shared, Kind::Mpmc).wrapping_add(room.saturating_sub(1));
    // Consumers finish in any order, so this promises nothing.
    let stamp = Stamp::from_bits(shared.stamp(position).load(Ordering::Relaxed));
    stamp.distance_from(position) >= 0
}

impl Receiver {
    /// `poll` for a loop that spins: reads no cursor of the producers.
    #[inline]
    pub(crate) fn glance(&self, shared: &Shared) -> bool {
        match self {
            Self::Spsc(end) => end.poll(shared),
            Self::Mpmc(_) => self.has_adopted(shared) || worth_a_claim(shared, Side::Consumers).1,
        }
    }
}

/// The cursor of a side, and whether the stamp there promises something to a claim.
#[inline]
fn worth_a_claim(shared: &Shared, side: Side) -> (u64, bool) {
    let mine = match side {
        Side::Producers => sent(shared, Kind::Mpmc),
        Side::Consumers => received(shared, Kind::Mpmc),
    };
    // SYNC(ready), SYNC(free)
    let stamp = Stamp::from_bits(shared.stamp(mine).load(Ordering::Acquire));
    // Any later stamp than the one we wait for: the cursor has moved on meanwhile, and a claim will see more.
    let worth = match (side, stamp.distance_from(mine)) {
        (_, ..0) => false,
        (Side::Producers, _) | (Side::Consumers, 1..) => true,
        (Side::Consumers, 0) => stamp.phase() != Phase::Free,
    };
    (mine, worth)
}

/// What the stamp at a side's cursor says.
#[inline]
fn poll_mpmc(shared: &Shared, side: Side) -> Result<(), Nothing> {
    let (mine, worth_a_claim) = worth_a_claim(shared, side);
    if worth_a_claim {
        return Ok(());
    }
    let theirs_to_do = match side {
        // Full: a whole lap ahead of the consumers' cursor. Otherwise one of them has claimed the slot.
        Side::Producers => ahead(mine, received(shared, Kind::Mpmc)) >= shared.geometry().capacity() as i64,
        // Empty: the producers' cursor is here too. Otherwise one of them has claimed the slot.
        Side::Consumers => ahead(sent(shared, Kind::Mpmc), mine) <= 0,
    };
    Err(if theirs_to_do { Nothing::None } else { Nothing::Midway })
}

/// Messages sent and received since the ring began at `origin`.
pub(crate) fn traffic(shared: &Shared, kind: Kind, origin: u64) -> (u64, u64) {
    let since = |position| u64::try_from(ahead(position, origin)).unwrap_or(0);
    (since(sent(shared, kind)), since(received(shared, kind)))
}

/// What a participant has claimed, won and not completed, as far as a look without LOCK can tell: from which position
/// and how many slots.
pub(crate) fn holds(shared: &Shared, kind: Kind, index: Index, side: Side) -> Option<(u64, u32)> {
    match kind {
        Kind::Spsc => None,
        Kind::Mpmc => recover::holds(shared, index, side),
    }
}
