//! What the messages say, and whether it arrived: every word is written, and every word is read.
//!
//! The first word names the producer and the number of the message; each further word is its predecessor plus one.

/// The first word of the message after the last.
pub const END: u64 = u64::MAX;

const NUMBER_BITS: u32 = 48;

/// First word of message `number` of a producer.
pub fn first(producer: usize, number: u64) -> u64 {
    (producer as u64) << NUMBER_BITS | number
}

/// Writes a message.
#[inline(always)]
pub fn fill(message: &mut [u8], first: u64) {
    let mut word = first;
    for chunk in message.chunks_exact_mut(8) {
        chunk.copy_from_slice(&word.to_ne_bytes());
        word = word.wrapping_add(1);
    }
}

/// A message in a local buffer.
#[inline(always)]
pub fn make<const N: usize>(first: u64) -> [u8; N] {
    let mut message = [0; N];
    fill(&mut message, first);
    message
}

#[inline(always)]
fn word(chunk: &[u8]) -> u64 {
    u64::from_ne_bytes(chunk.try_into().expect("eight bytes"))
}

/// Reads all of a message; its first word, if the others fit it.
#[inline(always)]
pub fn check(message: &[u8]) -> Option<u64> {
    let mut chunks = message.chunks_exact(8);
    let first = word(chunks.next()?);
    let (mut expected, mut wrong) = (first, 0);
    for chunk in chunks {
        expected = expected.wrapping_add(1);
        wrong |= word(chunk) ^ expected;
    }
    (wrong == 0).then_some(first)
}

/// What a consumer expects of the messages that it receives: of each producer in ascending order, none twice.
pub struct Checker {
    /// For each producer the least number that may come next.
    next: Vec<u64>,
    /// Numbers follow without a gap: there is only one consumer.
    gapless: bool,
    pub received: u64,
}

impl Checker {
    pub fn new(producers: usize, consumers: usize) -> Self {
        Checker { next: vec![0; producers], gapless: consumers == 1, received: 0 }
    }

    /// Looks at a message; false if it is the end.
    #[inline(always)]
    pub fn look(&mut self, message: &[u8]) -> bool {
        let Some(first) = check(message) else {
            panic!("a garbled message: {:?}", &message[..message.len().min(64)])
        };
        if first == END {
            return false;
        }
        let (producer, number) = ((first >> NUMBER_BITS) as usize, first & ((1 << NUMBER_BITS) - 1));
        let next = &mut self.next[producer];
        assert!(number == *next || number > *next && !self.gapless, "message {number} instead of {next}");
        *next = number + 1;
        self.received += 1;
        true
    }
}
