//! The formats of the ring's shared words, and the arithmetic of positions.
//!
//! A position counts messages and never goes back; its slot is the position modulo the capacity. It starts
//! anywhere and wraps, so positions are only ever compared by their signed distance. [`Cursor`] carries 58 bits of
//! it, so that a participant may sleep for years and its CAS still fails; the other words carry 46 bits, which is
//! ambiguous only across 2^45 messages. The capacity divides both moduli.
//!
//! ```text
//!                63          18 17   16 15   10 9    4 3        0
//! Stamp         | position 46  | phase | prev  | own  | attempts |   a slot
//!                63                                 6 5         0
//! Cursor        | position 58                        |  owner    |   tail, head (MPMC)
//!                63          18 17    12 11      4  3 2    1    0
//! Announcement  | position 46  | prev   | len - 1 |  -  | side | 1 |  a claim that its author may win
//! Adopted       | position 46  |   -    | len - 1 |  -  | given| 1 |  slots taken over from a dead consumer
//! InHand        | position 46  |   -    | attempt |  -  |  -   | 1 |  the message that the SPSC consumer looks at
//!
//! phase   the slot of position x ...
//! 0 FREE  waits for the message x              prev: consumer that claimed x - capacity - 1
//! 1 READY holds the message x                  prev: producer that claimed x - 1
//! 2 VOID  will never hold message x, skip it   prev: producer that claimed x - 1
//! 3 TAKEN holds message x for consumer `own`,  prev: consumer that claimed x - 1
//!         which adopted it; its delivery was started `attempts` times (saturates at 15)
//! ```
//!
//! Whoever reads one of these words from the segment may find any bits in it: every accessor masks, none panics,
//! and no index found in one is used to address memory.

use super::{Index, Side};
use crate::layout::POSITION_BITS;

const POSITION_SHIFT: u32 = 64 - POSITION_BITS;
const CURSOR_SHIFT: u32 = 6;
const OWNER_MASK: u64 = (1 << 6) - 1;

/// Signed distance `a - b` of positions of which at least 46 bits are known.
pub(crate) const fn distance(a: u64, b: u64) -> i64 {
    (a.wrapping_sub(b) << POSITION_SHIFT) as i64 >> POSITION_SHIFT
}

/// Signed distance `a - b` of positions that come from cursors: 58 bits.
pub(crate) const fn ahead(a: u64, b: u64) -> i64 {
    (a.wrapping_sub(b) << CURSOR_SHIFT) as i64 >> CURSOR_SHIFT
}

/// Who owns a claim, as a shared word says it: six bits, not validated, only ever compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u8);

impl Owner {
    /// For words that must say somebody although nobody will ask.
    pub(crate) const NOBODY: Owner = Owner(0);

    const fn from_bits(bits: u64) -> Self {
        Owner((bits & OWNER_MASK) as u8)
    }

    const fn bits(self) -> u64 {
        self.0 as u64
    }
}

impl From<Index> for Owner {
    fn from(index: Index) -> Self {
        Owner::from_bits(index.get() as u64)
    }
}

impl PartialEq<Index> for Owner {
    fn eq(&self, index: &Index) -> bool {
        self.0 as usize == index.get()
    }
}

/// What a slot is doing. The discriminants are the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Free = 0,
    Ready = 1,
    Void = 2,
    Taken = 3,
}

/// The state of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    const fn pack(position: u64, phase: Phase, prev: Owner) -> u64 {
        position << POSITION_SHIFT | (phase as u64) << 16 | prev.bits() << 10
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Stamp(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// A stamp of the three phases in which nobody in particular holds the slot.
    pub(crate) const fn new(position: u64, phase: Phase, prev: Owner) -> Self {
        Stamp(Self::pack(position, phase, prev))
    }

    /// `own` has adopted the message; `attempts` deliveries of it were started.
    pub(crate) const fn taken(position: u64, prev: Owner, own: Owner, attempts: u32) -> Self {
        let attempts = if attempts > 15 { 15 } else { attempts as u64 };
        Stamp(Self::pack(position, Phase::Taken, prev) | own.bits() << 4 | attempts)
    }

    /// Whether this is the stamp of that position in that phase.
    pub(crate) const fn is(self, position: u64, phase: Phase) -> bool {
        self.0 >> 16 == Self::pack(position, phase, Owner::NOBODY) >> 16
    }

    /// Whether `own` holds the message of that position as an adopted one.
    pub(crate) fn is_taken_by(self, position: u64, own: Index) -> bool {
        self.is(position, Phase::Taken) && self.own() == own
    }

    /// Signed distance from `position` to the stamp's.
    pub(crate) const fn distance_from(self, position: u64) -> i64 {
        distance(self.0 >> POSITION_SHIFT, position)
    }

    pub(crate) const fn phase(self) -> Phase {
        match self.0 >> 16 & 3 {
            0 => Phase::Free,
            1 => Phase::Ready,
            2 => Phase::Void,
            _ => Phase::Taken,
        }
    }

    pub(crate) const fn prev(self) -> Owner {
        Owner::from_bits(self.0 >> 10)
    }

    pub(crate) const fn own(self) -> Owner {
        Owner::from_bits(self.0 >> 4)
    }

    pub(crate) const fn attempts(self) -> u32 {
        (self.0 & 15) as u32
    }
}

/// Tail or head of an MPMC ring: the next position to claim, and who won the last claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor(u64);

impl Cursor {
    pub(crate) const fn new(position: u64, owner: Owner) -> Self {
        Cursor(position << CURSOR_SHIFT | owner.bits())
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Cursor(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn position(self) -> u64 {
        self.0 >> CURSOR_SHIFT
    }

    pub(crate) const fn owner(self) -> Owner {
        Owner::from_bits(self.0)
    }
}

/// The fields that the remaining words have in common. A word without its lowest bit says nothing.
const VALID: u64 = 1;
const FLAG: u64 = 1 << 1;

const fn pack_range(position: u64, len: u32) -> u64 {
    position << POSITION_SHIFT | (len.wrapping_sub(1) as u64 & 0xff) << 4 | VALID
}

const fn range_len(bits: u64) -> u32 {
    (bits >> 4 & 0xff) as u32 + 1
}

/// A claim that its author announced before it tried to win it. It counts only if it won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement(u64);

impl Announcement {
    pub(crate) const NONE: u64 = 0;

    /// `prev` is the owner that the cursor named while it stood at `position`.
    pub(crate) const fn new(side: Side, position: u64, len: u32, prev: Owner) -> Self {
        let flag = match side {
            Side::Producers => 0,
            Side::Consumers => FLAG,
        };
        Announcement(pack_range(position, len) | prev.bits() << 12 | flag)
    }

    /// Reads a word; `None` if it announces nothing for that side. An index changes sides between two lives, so
    /// the word itself says whose claim it is.
    pub(crate) fn read(bits: u64, side: Side) -> Option<Self> {
        let flag = if side == Side::Consumers { FLAG } else { 0 };
        (bits & (VALID | FLAG) == VALID | flag).then_some(Announcement(bits))
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// 46 bits of it.
    pub(crate) const fn position(self) -> u64 {
        self.0 >> POSITION_SHIFT
    }

    /// Between 1 and 256.
    pub(crate) const fn len(self) -> u32 {
        range_len(self.0)
    }

    pub(crate) const fn prev(self) -> Owner {
        Owner::from_bits(self.0 >> 12)
    }
}

/// A range of slots in which a consumer holds those that are TAKEN by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Adopted(u64);

impl Adopted {
    pub(crate) const NONE: u64 = 0;

    pub(crate) const fn new(position: u64, len: u32) -> Self {
        Adopted(pack_range(position, len))
    }

    pub(crate) fn read(bits: u64) -> Option<Self> {
        (bits & VALID != 0).then_some(Adopted(bits))
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// 46 bits of it.
    pub(crate) const fn position(self) -> u64 {
        self.0 >> POSITION_SHIFT
    }

    /// Between 1 and 256.
    pub(crate) const fn len(self) -> u32 {
        range_len(self.0)
    }

    /// Whether a living owner offers the range to whoever holds LOCK.
    pub(crate) const fn is_given(self) -> bool {
        self.0 & FLAG != 0
    }

    pub(crate) const fn given(self) -> Self {
        Adopted(self.0 | FLAG)
    }

    pub(crate) const fn kept(self) -> Self {
        Adopted(self.0 & !FLAG)
    }

    /// Whether the `len` slots from `position` on lie within the range.
    pub(crate) const fn covers(self, position: u64, len: u32) -> bool {
        let from = distance(position, self.position());
        from >= 0 && from + len as i64 <= self.len() as i64
    }
}

/// The message that the SPSC consumer looks at. The attempt stands in the bits of a range's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InHand(u64);

impl InHand {
    /// Where counting the deliveries of one message ends.
    pub(crate) const MOST: u32 = 16;

    pub(crate) const fn new(position: u64, attempt: u32) -> Self {
        InHand(pack_range(position, if attempt > Self::MOST { Self::MOST } else { attempt }))
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        InHand(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Does this word speak of the message at `position`?
    #[inline(always)]
    pub(crate) const fn is_of(self, position: u64) -> bool {
        self.attempts(position) != 0
    }

    /// How many deliveries of the message at `position` were started, as far as this word knows.
    pub(crate) const fn attempts(self, position: u64) -> u32 {
        let same = self.0 & VALID != 0 && distance(self.0 >> POSITION_SHIFT, position) == 0;
        if same { range_len(self.0) } else { 0 }
    }
}
