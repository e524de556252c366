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

    /// Asks for the line of a word, to be read soon.
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: usize) {
        crate::ring::prefetch(self.words.as_ptr().wrapping_add(index).cast());
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
        let mut words = self.run(from, bytes.len().div_ceil(WORD));
        let mut chunks = bytes.chunks_exact_mut(WORD);
        for (chunk, word) in chunks.by_ref().zip(words.by_ref()) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        let rest = chunks.into_remainder();
        if let (false, Some(word)) = (rest.is_empty(), words.next()) {
            rest.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes()[..rest.len()]);
        }
    }

    /// Copies bytes in; the last word is filled up with zeroes.
    #[inline(always)]
    pub(crate) fn store(&self, to: usize, bytes: &[u8]) {
        for (word, new) in self.run(to, bytes.len().div_ceil(WORD)).zip(words_of(bytes)) {
            probe::step();
            word.store(new, Ordering::Relaxed);
        }
    }

    /// Are these the bytes there?
    #[inline(always)]
    pub(crate) fn equals(&self, at: usize, bytes: &[u8]) -> bool {
        let words = self.run(at, bytes.len().div_ceil(WORD));
        words.zip(words_of(bytes)).all(|(word, key)| word.load(Ordering::Relaxed) == key)
    }
}

/// Bytes as words, the last one filled up with zeroes. Whole words apart, so that they are loads and not calls.
#[inline(always)]
fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let whole = bytes.chunks_exact(WORD);
    let rest = whole.remainder();
    whole.map(padded).chain((!rest.is_empty()).then(|| padded(rest)))
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
    fold(words_of(bytes).fold(seed, fold), end)
}
