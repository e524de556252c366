//! A table's segment as words, and copies between them and bytes. Every access is an atomic one: whoever changes the
//! memory meanwhile can garble a copy, and no more. There is no pointer here: the mapping lends its words as a slice.

use crate::ring::probe;
use crate::sync::{AtomicU64, Ordering};

const WORD: usize = size_of::<u64>();

/// The words of a segment.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    words: &'a [AtomicU64],
    /// As in `ring/modelled.rs`: loom tries more orders of two accesses if something changes at each.
    #[cfg(all(test, loom))]
    turnstiles: &'a [AtomicU64],
}

impl<'a> Memory<'a> {
    #[cfg(not(all(test, loom)))]
    pub(crate) fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    #[cfg(all(test, loom))]
    pub(crate) fn new(words: &'a [AtomicU64], turnstiles: &'a [AtomicU64]) -> Self {
        Self { words, turnstiles }
    }

    /// One word, by an index of `layout`.
    #[inline(always)]
    pub(crate) fn at(&self, index: usize) -> &'a AtomicU64 {
        let word = &self.words[index];
        #[cfg(all(test, loom))]
        self.turnstiles[index].fetch_add(1, Ordering::Relaxed);
        probe::access(index * WORD, word);
        word
    }

    #[cfg(not(all(test, loom)))]
    #[inline(always)]
    fn run(&self, from: usize, count: usize) -> impl Iterator<Item = &'a AtomicU64> {
        let words = &self.words[from..from + count];
        if let Some(first) = words.first() {
            probe::access(from * WORD, first);
        }
        words.iter()
    }

    #[cfg(all(test, loom))]
    fn run(&self, from: usize, count: usize) -> impl Iterator<Item = &'a AtomicU64> {
        let memory = *self;
        (from..from + count).map(move |index| memory.at(index))
    }

    /// Copies bytes out.
    #[inline(always)]
    pub(crate) fn load(&self, from: usize, bytes: &mut [u8]) {
        let words = self.run(from, bytes.len().div_ceil(WORD));
        for (chunk, word) in bytes.chunks_mut(WORD).zip(words) {
            let word = word.load(Ordering::Relaxed).to_ne_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// Copies bytes in; the last word is filled up with zeroes.
    #[inline(always)]
    pub(crate) fn store(&self, to: usize, bytes: &[u8]) {
        let words = self.run(to, bytes.len().div_ceil(WORD));
        for (chunk, word) in bytes.chunks(WORD).zip(words) {
            probe::step();
            word.store(padded(chunk), Ordering::Relaxed);
        }
    }

    /// Are these the bytes there?
    #[inline(always)]
    pub(crate) fn equals(&self, at: usize, bytes: &[u8]) -> bool {
        let words = self.run(at, bytes.len().div_ceil(WORD));
        bytes.chunks(WORD).zip(words).all(|(chunk, word)| word.load(Ordering::Relaxed) == padded(chunk))
    }
}

/// A word of up to eight bytes.
#[inline(always)]
fn padded(bytes: &[u8]) -> u64 {
    let mut word = [0; WORD];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(word)
}

/// A hash of bytes under the table's seed: a multiplication folded in half for each word, as wyhash has it. Part of the
/// format. Who does not know the seed cannot make keys that meet.
#[inline(always)]
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let fold = |h: u64, word: u64| {
        let product = u128::from(h ^ word ^ 0xa076_1d64_78bd_642f) * 0xe703_7ed1_a0b4_28db;
        product as u64 ^ (product >> 64) as u64
    };
    let end = bytes.len() as u64;
    fold(bytes.chunks(WORD).fold(seed, |h, chunk| fold(h, padded(chunk))), end)
}
