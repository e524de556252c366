//! Looking at messages that wait, without claiming them: for people, not for the protocol.
//!
//! Nothing keeps a consumer from taking the message while we copy it, nor the next producer from writing over it. So
//! the copy counts only if afterwards HEAD has not passed it and the stamp is the same: a producer writes to a slot
//! after it has seen HEAD (SPSC) or the stamp (MPMC) move on, and a consumer that scrubs does so after it has moved
//! HEAD (MPMC) or noted the message IN_HAND (SPSC). The payload's stores are relaxed, so it is the hardware's order (TSO; ARMv8, where a store that one has seen
//! all have seen) rather than the language's that makes this sound; nothing but what is shown depends on it.

use super::word::{InHand, Phase, Stamp, ahead};
use super::{Found, Kind, Shared, received, sent};
use crate::layout::shared;
use crate::sync::{Ordering, fence};

/// A message as it lay in its slot.
pub(crate) struct Seen {
    pub(crate) position: u64,
    /// As its slot says; at most the message size, or the ring is corrupt.
    pub(crate) len: u32,
    /// The first bytes, as many as were asked for.
    pub(crate) bytes: Vec<u8>,
}

/// The positions that hold messages nobody has claimed, as of now. At most `capacity` of them.
pub(crate) fn waiting(shared: &Shared, kind: Kind) -> impl Iterator<Item = u64> {
    let head = received(shared, kind);
    let waiting = u64::try_from(ahead(sent(shared, kind), head)).unwrap_or(0);
    (0..waiting.min(shared.geometry().capacity())).map(move |i| head.wrapping_add(i))
}

/// The message at a position, and of its bytes at most `most`. `None` if there is none (yet), or not any more.
pub(crate) fn peek(shared: &Shared, kind: Kind, position: u64, most: usize) -> Option<Seen> {
    // SYNC(ready)
    let before = Stamp::from_bits(shared.stamp(position).load(Ordering::Acquire));
    if !before.is(position, Phase::Ready) {
        return None;
    }
    let Found { len, .. } = Found::read(shared, position, 0);
    let copied = (len as usize).min(shared.geometry().message_size()).min(most);
    let bytes = shared.copy_payload(position, copied);
    fence(Ordering::Acquire);
    let after = Stamp::from_bits(shared.stamp(position).load(Ordering::Relaxed));
    // The SPSC consumer moves HEAD last: what it looks at, and may scrub, IN_HAND says.
    let in_hand = InHand::from_bits(shared.word(shared::IN_HAND).load(Ordering::Relaxed));
    let untouched = kind == Kind::Mpmc || in_hand.attempts(position) == 0;
    let unclaimed = ahead(position, received(shared, kind)) >= 0;
    (after == before && untouched && unclaimed).then_some(Seen { position, len, bytes })
}
