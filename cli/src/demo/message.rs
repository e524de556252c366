//! A message of the demo, such that the receiver knows whose it is, which it is, how old it is and whether it is whole.
//!
//! ```text
//! 0   checksum (XXH3) of all that follows
//! 8   producer's index << 48 | number among its messages, from 0
//! 16  CLOCK_MONOTONIC when it was sent, in nanoseconds; 0: not measured
//! 24  bytes that a generator seeded with the second word makes
//! ```

use twox_hash::XxHash3_64;

/// The shortest message: its header alone.
pub(super) const HEADER: usize = 24;

/// Most messages of one producer.
pub(super) const MOST: u64 = 1 << 48;

/// What a whole message says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) producer: usize,
    pub(super) number: u64,
    pub(super) sent_at: u64,
}

/// Fills `bytes`, at least [`HEADER`], with a message.
pub(super) fn write(bytes: &mut [u8], stamp: &Stamp) {
    let identity = (stamp.producer as u64) << 48 | stamp.number;
    bytes[8..16].copy_from_slice(&identity.to_le_bytes());
    bytes[16..24].copy_from_slice(&stamp.sent_at.to_le_bytes());
    fastrand::Rng::with_seed(identity).fill(&mut bytes[HEADER..]);
    let checksum = XxHash3_64::oneshot(&bytes[8..]);
    bytes[..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads a message, if it is whole.
pub(super) fn read(bytes: &[u8]) -> Option<Stamp> {
    let word =
        |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
    let (checksum, identity, sent_at) = (word(0)?, word(8)?, word(16)?);
    let whole = checksum == XxHash3_64::oneshot(&bytes[8..]);
    whole.then_some(Stamp { producer: (identity >> 48) as usize, number: identity & (MOST - 1), sent_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_bit_is_seen() {
        for size in [HEADER, HEADER + 1, 64, 300] {
            let stamp = Stamp { producer: 5, number: 77, sent_at: 123 };
            let mut bytes = vec![0; size];
            write(&mut bytes, &stamp);
            assert_eq!(read(&bytes), Some(stamp));
            for bit in 0..size * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&bytes), None, "bit {bit} of {size} bytes");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            assert_eq!(read(&bytes[..size - 1]), None);
        }
        assert_eq!(read(b""), None);
    }
}
