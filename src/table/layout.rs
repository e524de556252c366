//! The byte map of a table's segment and the arithmetic of its geometry. Pure; `docs/design.md` section 11 draws it.
//!
//! Offsets of the header are in bytes, as in the other formats; everything behind it is counted in words of 64 bits,
//! which is how the table reads its memory.

use static_assertions::const_assert;

/// First word of every table's segment.
pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"semtable");
/// Version of this map.
pub(crate) const VERSION: u64 = 1;
/// Most records: indices and buckets have 32 bits in a link, and 0 is taken.
pub(crate) const MAX_CAPACITY: u64 = 1 << 31;
/// Most bytes of a key or a value.
pub(crate) const MAX_SIZE: u64 = u32::MAX as u64;
/// Most stripes: semaphores of the set besides two. Writers of one stripe wait for each other.
pub(crate) const MAX_STRIPES: usize = 256;

/// Byte offsets of the header's words: those of every pair, and a table's own.
pub(crate) mod header {
    pub(crate) use crate::pair::layout::header::*;

    pub(crate) const CAPACITY: usize = 40;
    pub(crate) const STRIPES: usize = 48;
    pub(crate) const KEY_SIZE: usize = 56;
    pub(crate) const VALUE_SIZE: usize = 64;
    pub(crate) const SEED: usize = 72;
    pub(crate) const CREATED: usize = 80;
    pub(crate) const CREATOR: usize = 88;
}

const_assert!(header::CREATOR + 8 <= header::NAME);

/// The word of the hint.
pub(crate) const HINT: usize = header::BYTES / 8;
/// The first stripe's word; each has a line of its own.
const INTENTS: usize = HINT + 16;
const LINE: usize = 8;
/// Words of a record before its copies, at least: its link, two versions, and one unused.
const ENTRY: usize = 4;

/// The validated sizes of one table; copied when it is opened and never read from the segment again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    capacity: usize,
    buckets: usize,
    stripes: usize,
    key: usize,
    value: usize,
    heads: usize,
    records: usize,
    stride: usize,
    /// Words from a record's first to its first copy, and of a copy.
    ahead: usize,
    copy: usize,
    words: usize,
}

impl Geometry {
    /// Computes the geometry; `None` if it is out of range or does not fit the address space.
    pub(crate) fn new(capacity: u64, key_size: u64, value_size: u64) -> Option<Self> {
        let in_range =
            (1..=MAX_CAPACITY).contains(&capacity) && key_size <= MAX_SIZE && value_size <= MAX_SIZE;
        if !in_range {
            return None;
        }
        let capacity = usize::try_from(capacity).ok()?;
        let [key, value] = [usize::try_from(key_size).ok()?, usize::try_from(value_size).ok()?];
        let buckets = capacity.checked_next_power_of_two()?.max(2);
        let stripes = buckets.min(MAX_STRIPES);
        let copy = copy_words(key.div_ceil(8) + value.div_ceil(8))?;
        let heads = INTENTS + stripes * LINE;
        let ahead = copy.clamp(ENTRY, LINE);
        let stride = (ahead + 2 * copy).checked_next_multiple_of(LINE)?;
        let records = (heads + buckets).next_multiple_of(LINE);
        let words = capacity.checked_mul(stride)?.checked_add(records)?;
        let fits = words.checked_mul(8).is_some_and(|bytes| bytes <= isize::MAX as usize);
        let geometry =
            Geometry { capacity, buckets, stripes, key, value, heads, records, stride, ahead, copy, words };
        fits.then_some(geometry)
    }

    /// Records there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn stripes(&self) -> usize {
        self.stripes
    }

    pub(crate) fn key_size(&self) -> usize {
        self.key
    }

    pub(crate) fn value_size(&self) -> usize {
        self.value
    }

    pub(crate) fn key_words(&self) -> usize {
        self.key.div_ceil(8)
    }

    /// Bytes of the segment.
    pub(crate) fn size(&self) -> usize {
        self.words * 8
    }

    /// The bucket of a hash.
    pub(crate) fn bucket(&self, hash: u64) -> usize {
        hash as usize & (self.buckets - 1)
    }

    /// The stripe whose holder may change a bucket.
    pub(crate) fn stripe(&self, bucket: usize) -> usize {
        bucket & (self.stripes - 1)
    }

    pub(crate) fn intent(&self, stripe: usize) -> usize {
        INTENTS + (stripe & (self.stripes - 1)) * LINE
    }

    pub(crate) fn head(&self, bucket: usize) -> usize {
        self.heads + (bucket & (self.buckets - 1))
    }

    /// `record` is below the capacity, here and below.
    pub(crate) fn link(&self, record: usize) -> usize {
        self.records + record * self.stride
    }

    /// The version word of a record's copy, 0 or 1; beside the link, for whoever follows a chain needs all three.
    pub(crate) fn version(&self, record: usize, copy: usize) -> usize {
        self.link(record) + 1 + (copy & 1)
    }

    /// First word of a record's copy.
    pub(crate) fn copy(&self, record: usize, copy: usize) -> usize {
        self.link(record) + self.ahead + (copy & 1) * self.copy
    }
}

/// Words of a copy: up to a line a power of two, so that it never straddles two; a larger one is a multiple of the line. The
/// whole record is in one place, for the sake of the TLB.
fn copy_words(words: usize) -> Option<usize> {
    if words <= LINE { Some(words.next_power_of_two()) } else { words.checked_next_multiple_of(LINE) }
}
