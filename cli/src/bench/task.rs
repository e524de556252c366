//! What the two processes of a sample are told, and what their messages say.

use serde::{Deserialize, Serialize};

use super::carrier::{Carrier, Handles};

/// What is done with the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    /// All in one direction, as fast as they go.
    Stream,
    /// Each is sent back before the next one.
    RoundTrip,
}

impl Work {
    pub(super) const ALL: [Work; 2] = [Work::Stream, Work::RoundTrip];

    /// Directions in which messages travel.
    pub(super) fn lanes(self) -> usize {
        match self {
            Work::Stream => 1,
            Work::RoundTrip => 2,
        }
    }
}

/// One sample.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) carrier: Carrier,
    pub(super) work: Work,
    pub(super) size: usize,
    pub(super) messages: u64,
    /// Of the first side and of the second, if there are two processors.
    pub(super) cpus: Option<[usize; 2]>,
    /// From the first side to the second, and back.
    pub(super) lanes: Vec<Handles>,
    /// The process that started both.
    pub(super) parent: u32,
}

/// When a side began and when it was done, in nanoseconds of the common clock.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) start: u64,
    pub(super) end: u64,
}

const WORD: usize = size_of::<u64>();

/// Word `index` of message `number`: none is that of another message nearby, at the same place.
#[inline]
fn word(number: u64, index: usize) -> [u8; WORD] {
    number.wrapping_add(index as u64).to_le_bytes()
}

/// Writes all of a message.
#[inline]
pub(super) fn fill(message: &mut [u8], number: u64) {
    for (index, bytes) in message.chunks_mut(WORD).enumerate() {
        bytes.copy_from_slice(&word(number, index)[..bytes.len()]);
    }
}

/// Reads all of a message: is it that of this number?
#[inline]
pub(super) fn is_whole(message: &[u8], number: u64) -> bool {
    let mut words = message.chunks_exact(WORD);
    let (mut wrong, mut index) = (false, 0);
    for bytes in &mut words {
        wrong |= bytes != word(number, index);
        index += 1;
    }
    let rest = words.remainder();
    !wrong && *rest == word(number, index)[..rest.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_seen_and_every_other_message() {
        for size in [1, 7, 8, 9, 64, 100] {
            let mut message = vec![0; size];
            fill(&mut message, 1000);
            assert!(is_whole(&message, 1000));
            assert!((900..1100).filter(|number| is_whole(&message, *number)).eq([1000]), "{size} bytes");
            for byte in 0..size {
                message[byte] ^= 0x10;
                assert!(!is_whole(&message, 1000), "byte {byte} of {size}");
                message[byte] ^= 0x10;
            }
        }
    }
}
