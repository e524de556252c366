//! The messages of the crash tests: who sent it, its number, filling that depends on both, a checksum.

/// Most bytes of a message.
pub(crate) const SIZE: usize = 64;
const LEAST: usize = 24;

/// A message's producer and its number among that producer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) producer: usize,
    pub(crate) number: u64,
}

impl Id {
    /// In one word: the producer in the highest byte.
    pub(crate) fn bits(self) -> u64 {
        (self.producer as u64) << 56 | self.number
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Id { producer: (bits >> 56) as usize, number: bits << 8 >> 8 }
    }

    /// The tag that goes with it.
    pub(crate) fn tag(self) -> u32 {
        self.bits() as u32 ^ 0x5eed
    }

    fn len(self) -> usize {
        LEAST + (self.number % 6) as usize * 8
    }
}

/// A message's bytes; lengths differ.
pub(crate) struct Bytes {
    bytes: [u8; SIZE],
    len: usize,
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

pub(crate) fn write(id: Id) -> Bytes {
    let len = id.len();
    let mut bytes = [0; SIZE];
    bytes[..8].copy_from_slice(&id.bits().to_le_bytes());
    for (at, byte) in bytes.iter_mut().enumerate().take(len - 8).skip(8) {
        *byte = (id.number as usize * 7 + at + id.producer) as u8;
    }
    let sum = checksum(&bytes[..len - 8]);
    bytes[len - 8..len].copy_from_slice(&sum.to_le_bytes());
    Bytes { bytes, len }
}

/// Which message it is; `None` if it is torn.
pub(crate) fn read(bytes: &[u8]) -> Option<Id> {
    let id = Id::from_bits(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?));
    (bytes == write(id).as_ref()).then_some(id)
}

/// Likewise, of a buffer that begins with a message.
pub(crate) fn read_start(buffer: &[u8]) -> Option<Id> {
    let id = Id::from_bits(u64::from_le_bytes(buffer.get(..8)?.try_into().ok()?));
    read(buffer.get(..id.len())?)
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}
