//! The byte map of a board's segment. Pure; `docs/design.md` section 14 draws it.

use static_assertions::const_assert;

/// First word of every board's segment.
pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"sembeats");
/// Version of this map.
pub(crate) const VERSION: u64 = 1;
/// Most places of a board.
pub const MAX_PLACES: usize = 1024;
/// Longest name of a place in bytes.
pub const MAX_NAME: usize = 64;
/// Notes of a place.
pub(crate) const NOTES: usize = 9;

/// Byte offsets of the header's words, besides those that all pairs have.
pub(crate) mod header {
    pub(crate) const PLACES: usize = 40;
    pub(crate) const CREATED: usize = 48;
    pub(crate) const CREATOR: usize = 56;
}

/// How often the services of the board were ended on purpose.
pub(crate) const ENDED: usize = 1024;

/// Byte offsets within a place.
pub(crate) mod place {
    pub(crate) const BASE: usize = 2048;
    pub(crate) const SIZE: usize = 3 * crate::layout::LINE;
    /// The only word of its line: who beats shares it with nobody.
    pub(crate) const BEAT: usize = 0;
    /// What the holder says about itself: the second line.
    pub(crate) const PID: usize = 128;
    pub(crate) const SILENCE: usize = 136;
    pub(crate) const SINCE: usize = 144;
    pub(crate) const RAN: usize = 152;
    pub(crate) const STARTS: usize = 160;
    /// Whose the place is.
    pub(crate) const VERSION: usize = 168;
    pub(crate) const NOTES: usize = 176;
    /// When the holder's process began: says whose PID is, should its number be used again.
    pub(crate) const BEGAN: usize = 248;
    /// Length in bytes, then the bytes: the third line.
    pub(crate) const NAME: usize = 256;
}

const_assert!(place::NOTES + 8 * NOTES <= place::BEGAN && place::BEGAN + 8 <= place::NAME);
const_assert!(place::NAME + 8 + MAX_NAME <= place::SIZE);
const_assert!(ENDED + 8 <= place::BASE);

/// Bytes of a board's segment.
pub(crate) fn size(places: usize) -> usize {
    place::BASE + places * place::SIZE
}

/// Could a board's segment have so many bytes?
pub(crate) fn is_size(bytes: usize) -> bool {
    let places = bytes.saturating_sub(place::BASE) / place::SIZE;
    (1..=MAX_PLACES).contains(&places) && size(places) == bytes
}

/// Byte offset of a word of a place.
pub(crate) fn word(place: usize, at: usize) -> usize {
    place::BASE + place * place::SIZE + at
}
