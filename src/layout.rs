//! The byte map of a channel's segment: offsets and the arithmetic of its geometry. Pure; `docs/design.md`
//! section 2 draws it.
//!
//! Everything but the payload is an aligned 64-bit word, at the same offset for every process and for every
//! architecture. Lines that different processes write are 128 bytes apart, because prefetchers fetch pairs of
//! 64-byte lines; that is a property of the format, not of the machine, so it is a constant of our own.
//!
//! ```text
//! byte 0       header            written once by the creator, magic last
//!      1024    counters          joins of both sides, recoveries, adopted, tombstones, failed joins of both sides
//!      1152    producers' side   bitmap of sleeping producers, count of changes among producers
//!      1280    consumers' side   the same for consumers, and a bitmap of messages given back
//!      1408    tail              producers' position
//!      1536    head              consumers' position; SPSC: and the message in hand
//!      1664    free              SPSC: position below which the producer may write, published lazily
//!      2048    records           participants x 256: a line for the owner's claims, a line for its identity
//!      ...     slots             capacity x stride: stamp, length and tag, payload
//! ```

use static_assertions::const_assert;

/// Distance between words that different processes write, in bytes.
pub(crate) const LINE: usize = 128;

/// First word of every channel segment: `semring1` in ASCII.
pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"semring1");
/// Version of this map. Another version's channel is refused by name.
pub(crate) const VERSION: u64 = 1;

/// Most participants of a channel: bitmaps of them are one word and owners six bits.
pub(crate) const MAX_PARTICIPANTS: usize = 64;
/// Most messages that one claim can cover: eight bits in an announcement.
pub(crate) const MAX_BATCH: u32 = 256;
/// Bits of a position as stamps and announcements carry it.
pub(crate) const POSITION_BITS: u32 = 46;
/// Most slots of a ring. Positions compare as signed distances of 46 bits; this keeps far from half of that.
pub(crate) const MAX_CAPACITY: u64 = 1 << 40;
/// Largest message in bytes: its length is 32 bits in the slot.
pub(crate) const MAX_MESSAGE: u64 = u32::MAX as u64;

/// Byte offsets of the header's words: those of every pair, and a channel's own.
pub(crate) mod header {
    pub(crate) use crate::pair::layout::header::*;

    pub(crate) const KIND: usize = 40;
    pub(crate) const CAPACITY: usize = 48;
    pub(crate) const MESSAGE_SIZE: usize = 56;
    pub(crate) const PARTICIPANTS: usize = 64;
    pub(crate) const POLICY: usize = 72;
    pub(crate) const WAKE: usize = 80;
    pub(crate) const TYPE_SIZE: usize = 88;
    pub(crate) const TYPE_ALIGN: usize = 96;
    pub(crate) const CREATED: usize = 104;
    pub(crate) const CREATOR: usize = 112;
    pub(crate) const ORIGIN: usize = 120;
    pub(crate) const SCRUB: usize = 128;
}

/// Byte offsets of the words that participants change.
pub(crate) mod shared {
    /// Participants of each side that ever began to register: `JOINS + 8 * side`.
    pub(crate) const JOINS: usize = 1024;
    pub(crate) const RECOVERIES: usize = 1040;
    pub(crate) const ADOPTED: usize = 1048;
    pub(crate) const TOMBSTONES: usize = 1056;
    /// Indices below this one have been used: the records that are worth a look.
    pub(crate) const USED: usize = 1064;
    /// Those of [`JOINS`] whose registration failed: `FAILED + 8 * side`.
    pub(crate) const FAILED: usize = 1072;
    /// Bitmap of sleepers: `SLEEPERS + LINE * side`.
    pub(crate) const SLEEPERS: usize = 1152;
    /// Counts what a peer of that side should look at: `CHANGES + LINE * side`.
    pub(crate) const CHANGES: usize = 1160;
    /// Bitmap of consumers that have given a message back for others to take.
    pub(crate) const GIVEN: usize = 1296;
    pub(crate) const TAIL: usize = 1408;
    pub(crate) const HEAD: usize = 1536;
    /// SPSC only: the message in the consumer's hand.
    pub(crate) const IN_HAND: usize = 1544;
    pub(crate) const FREE: usize = 1664;
}

/// Byte offsets within a participant's record.
pub(crate) mod record {
    pub(crate) const BASE: usize = 2048;
    pub(crate) const SIZE: usize = 256;
    /// The claim announced, and the range adopted: the owner's own line.
    pub(crate) const ANNOUNCED: usize = 0;
    pub(crate) const ADOPTED: usize = 8;
    /// Who is here: the second line.
    pub(crate) const STATE: usize = 128;
    pub(crate) const PID: usize = 136;
    pub(crate) const JOINED: usize = 144;
    pub(crate) const PARK: usize = 152;
}

/// Byte offsets within a slot.
pub(crate) mod slot {
    pub(crate) const STAMP: usize = 0;
    pub(crate) const META: usize = 8;
    pub(crate) const PAYLOAD: usize = 16;
}

const_assert!(header::SCRUB + 8 <= header::NAME && header::BYTES <= shared::JOINS);
const_assert!(shared::USED + 8 <= shared::FAILED && shared::FAILED + 16 <= shared::SLEEPERS);
const_assert!(shared::CHANGES + LINE + 8 == shared::GIVEN && shared::GIVEN + 8 <= shared::TAIL);
const_assert!(shared::TAIL + LINE == shared::HEAD && shared::HEAD + LINE == shared::FREE);
const_assert!(shared::FREE + LINE <= record::BASE && record::BASE % LINE == 0);
const_assert!(record::SIZE == 2 * LINE);

/// The validated sizes of one ring. Copied into private memory when a channel is opened and never read from the
/// segment again: everything that indexes shared memory is computed from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Slots less one: what masks a position.
    mask: u64,
    message_size: usize,
    participants: usize,
    stride: usize,
    slots: usize,
    size: usize,
}

impl Geometry {
    /// Computes the geometry for at least `capacity` messages of at most `message_size` bytes; `None` if it is
    /// out of range or does not fit the address space. The capacity is rounded up to a power of two.
    pub(crate) fn new(capacity: u64, message_size: u64, participants: usize) -> Option<Self> {
        let in_range = (1..=MAX_CAPACITY).contains(&capacity)
            && message_size <= MAX_MESSAGE
            && (2..=MAX_PARTICIPANTS).contains(&participants);
        if !in_range {
            return None;
        }
        let capacity = capacity.checked_next_power_of_two()?;
        let message_size = usize::try_from(message_size).ok()?;
        let stride = stride(message_size)?;
        let slots = (record::BASE + participants * record::SIZE).next_multiple_of(LINE);
        let size = usize::try_from(capacity).ok()?.checked_mul(stride)?.checked_add(slots)?;
        (size <= isize::MAX as usize).then_some(Self {
            mask: capacity - 1,
            message_size,
            participants,
            stride,
            slots,
            size,
        })
    }

    /// Slots of the ring, a power of two.
    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// Largest message in bytes, as asked for.
    pub(crate) fn message_size(&self) -> usize {
        self.message_size
    }

    /// Bytes from slot to slot.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Participants there is room for.
    pub(crate) fn participants(&self) -> usize {
        self.participants
    }

    /// One bit for each participant there is room for.
    pub(crate) fn everybody(&self) -> u64 {
        u64::MAX >> (64 - self.participants)
    }

    /// Bytes of the segment.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Byte offset of the slot of a position.
    pub(crate) fn slot(&self, position: u64) -> usize {
        // The product fits: `position & mask` is below the capacity, and `size` did not overflow.
        self.slots + (position & self.mask) as usize * self.stride
    }

    /// Byte offset of a participant's record.
    pub(crate) fn record(&self, index: usize) -> usize {
        debug_assert!(index < self.participants);
        record::BASE + index * record::SIZE
    }
}

/// A slot of up to 64 bytes is a power of two, so that it never straddles a cache line; a larger one is a
/// multiple of the line.
fn stride(message_size: usize) -> Option<usize> {
    let bytes = message_size.checked_add(slot::PAYLOAD)?;
    if bytes <= 64 { Some(bytes.next_power_of_two()) } else { bytes.checked_next_multiple_of(64) }
}
