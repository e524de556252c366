//! From offsets to memory: the only file of the ring that holds a pointer. It knows where words are, not what they
//! mean.
//!
//! Every address is computed from the private [`Geometry`] and an argument that is masked or clamped on the way, so
//! no value found in the segment, and no caller's mistake, leads outside of it. Nothing here reads a shared byte
//! but through an atomic: a peer that does not follow the protocol can garble a message, not this process.
#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::{Index, probe};
use crate::layout::{Geometry, record, slot};
use crate::sync::{AtomicU64, Ordering};

/// Bytes of the words that payloads are copied by.
const WORD: usize = size_of::<u64>();

/// What one prefetch brings.
pub(super) const LINE: usize = 64;
/// Most lines of a slot that are asked for.
const MOST_LINES: usize = 8;

#[inline(always)]
fn prefetch_for_write(line: *mut u8) {
    // SAFETY: a prefetch accesses nothing, whatever the address.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("prfm pstl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = line;
}

/// Asks for a line, to be read soon.
#[inline(always)]
pub(crate) fn prefetch(line: *const u8) {
    // SAFETY: a prefetch accesses nothing, whatever the address.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line.cast());
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = line;
}

/// Whether `len` bytes from `at` on lie within a message of this geometry.
fn fits(geometry: &Geometry, at: usize, len: usize) -> bool {
    at.checked_add(len).is_some_and(|end| end <= geometry.message_size())
}

/// A mapped segment of a known geometry. Copied into whatever works on it, so that base and geometry stay in registers: the
/// compiler cannot know that no store to the segment changes what it finds behind a reference.
#[derive(Clone, Copy)]
pub(crate) struct Shared {
    base: NonNull<u8>,
    geometry: Geometry,
}

// SAFETY: the mapping is valid in every thread, as `new` demands, and is only accessed atomically.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Wraps a mapping.
    ///
    /// # Safety
    ///
    /// `base` must be aligned to 8 and readable for `geometry.size()` bytes, for as long as the value or a copy of it lives; and
    /// writable, unless nothing is stored through it. All access to it, from here or elsewhere, must be atomic as long as another thread or
    /// process can write to it.
    pub(crate) unsafe fn new(base: NonNull<u8>, geometry: Geometry) -> Self {
        Shared { base, geometry }
    }

    /// A copy for a call out of line. Whoever passes on the address of its own copy has it in memory from then on, and no
    /// more in registers.
    #[inline(always)]
    pub(crate) fn aside(&self) -> Shared {
        *self
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// A word of the fixed area, by an offset of `layout::header` or `layout::shared`. The clamp folds away
    /// for constants.
    #[inline(always)]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        self.at(offset.min(record::BASE - WORD) & !(WORD - 1))
    }

    /// A word of a participant's record, by an offset of `layout::record`.
    #[inline(always)]
    pub(crate) fn record(&self, index: Index, field: usize) -> &AtomicU64 {
        let index = index.get().min(self.geometry.participants() - 1);
        self.at(self.geometry.record(index) + (field.min(record::SIZE - WORD) & !(WORD - 1)))
    }

    #[inline(always)]
    pub(crate) fn stamp(&self, position: u64) -> &AtomicU64 {
        self.at(self.geometry.slot(position) + slot::STAMP)
    }

    #[inline(always)]
    pub(crate) fn meta(&self, position: u64) -> u64 {
        self.at(self.geometry.slot(position) + slot::META).load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set_meta(&self, position: u64, meta: u64) {
        self.at(self.geometry.slot(position) + slot::META).store(meta, Ordering::Relaxed);
    }

    /// Asks for a slot's lines, to be written soon: a hint, without any effect but on time. Whoever streams
    /// otherwise waits for the other side's processor to give up one line after the other.
    #[inline(always)]
    pub(crate) fn prefetch_for_write(&self, position: u64) {
        let slot = self.geometry.slot(position);
        prefetch_for_write(self.pointer(slot));
        self.each_further_line(slot, |line| prefetch_for_write(self.pointer(line)));
    }

    /// Likewise, to be read.
    #[inline(always)]
    pub(crate) fn prefetch_message(&self, position: u64) {
        prefetch(self.pointer(self.geometry.slot(position)));
        self.prefetch_rest(position);
    }

    /// The rest of a message in a slot whose first line is here.
    #[inline(always)]
    pub(crate) fn prefetch_rest(&self, position: u64) {
        self.each_further_line(self.geometry.slot(position), |line| prefetch(self.pointer(line)));
    }

    /// Where the lines of a slot begin but the first, up to the eighth: what follows in order, the hardware asks for by itself.
    #[inline(always)]
    fn each_further_line(&self, slot: usize, ask: impl Fn(usize)) {
        if slot::PAYLOAD + self.geometry.message_size() > LINE {
            ask(slot + LINE);
            if self.has_wide_slots() {
                let bytes = (slot::PAYLOAD + self.geometry.message_size()).min(MOST_LINES * LINE);
                (2 * LINE..bytes).step_by(LINE).for_each(|line| ask(slot + line));
            }
        }
    }

    /// Whether a slot has more than two lines.
    #[inline(always)]
    pub(crate) fn has_wide_slots(&self) -> bool {
        slot::PAYLOAD + self.geometry.message_size() > 2 * LINE
    }

    /// Where the payload of a slot begins; `message_size` bytes are there.
    #[inline(always)]
    pub(crate) fn payload_ptr(&self, position: u64) -> *mut u8 {
        self.pointer(self.geometry.slot(position) + slot::PAYLOAD)
    }

    /// Copies into a slot's payload from byte `at` on; false, and nothing copied, where it does not fit.
    #[inline(always)]
    #[must_use]
    pub(crate) fn write_payload(&self, position: u64, at: usize, bytes: &[u8]) -> bool {
        if !fits(&self.geometry, at, bytes.len()) {
            return false;
        }
        if (at | bytes.len()) % WORD != 0 {
            self.aside().write_part(position, at, bytes);
            return true;
        }
        let words = self.whole_words(position, at, bytes.len());
        // For one word a loop costs more than the copy.
        if let (Ok(bytes), [word]) = (bytes.try_into(), words) {
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
            return true;
        }
        for (chunk, word) in bytes.chunks_exact(WORD).zip(words) {
            word.store(u64::from_ne_bytes(padded(chunk)), Ordering::Relaxed);
        }
        true
    }

    /// Likewise where it fits, and the first or last word may be written in part.
    #[inline(never)]
    fn write_part(&self, position: u64, at: usize, bytes: &[u8]) {
        let (mut words, mut bytes) = (self.words(position, at), bytes);
        let skew = at % WORD;
        if let (1.., [word, behind @ ..], false) = (skew, words, bytes.is_empty()) {
            let (first, rest) = bytes.split_at(bytes.len().min(WORD - skew));
            let mut old = word.load(Ordering::Relaxed).to_ne_bytes();
            old[skew..skew + first.len()].copy_from_slice(first);
            word.store(u64::from_ne_bytes(old), Ordering::Relaxed);
            (words, bytes) = (behind, rest);
        }
        let whole = bytes.chunks_exact(WORD);
        let last = whole.remainder();
        if let (false, Some(word)) = (last.is_empty(), words.get(whole.len())) {
            let mut old = word.load(Ordering::Relaxed).to_ne_bytes();
            old[..last.len()].copy_from_slice(last);
            word.store(u64::from_ne_bytes(old), Ordering::Relaxed);
        }
        for (chunk, word) in whole.zip(words) {
            word.store(u64::from_ne_bytes(padded(chunk)), Ordering::Relaxed);
        }
    }

    /// Copies out of a slot's payload from byte `at` on; false, and nothing copied, where it does not fit.
    /// True means that all of `bytes` is initialised.
    #[inline(always)]
    #[must_use]
    pub(crate) fn read_payload(&self, position: u64, at: usize, bytes: &mut [MaybeUninit<u8>]) -> bool {
        if !fits(&self.geometry, at, bytes.len()) {
            return false;
        }
        if (at | bytes.len()) % WORD != 0 {
            self.aside().read_part(position, at, bytes);
            return true;
        }
        let words = self.whole_words(position, at, bytes.len());
        // As in `write_payload`.
        if let (WORD, [word]) = (bytes.len(), words) {
            fill(bytes, &word.load(Ordering::Relaxed).to_ne_bytes());
            return true;
        }
        for (chunk, word) in bytes.chunks_exact_mut(WORD).zip(words) {
            fill(chunk, &word.load(Ordering::Relaxed).to_ne_bytes());
        }
        true
    }

    /// Likewise where it fits, and the first or last word may be read in part.
    #[inline(never)]
    fn read_part(&self, position: u64, at: usize, bytes: &mut [MaybeUninit<u8>]) {
        let (mut words, mut bytes) = (self.words(position, at), bytes);
        let skew = at % WORD;
        if let (1.., [word, behind @ ..]) = (skew, words) {
            let (first, rest) = bytes.split_at_mut(bytes.len().min(WORD - skew));
            fill(first, &word.load(Ordering::Relaxed).to_ne_bytes()[skew..]);
            (words, bytes) = (behind, rest);
        }
        let count = bytes.len() / WORD;
        let (whole, last) = bytes.split_at_mut(count * WORD);
        for (chunk, word) in whole.chunks_exact_mut(WORD).zip(words) {
            fill(chunk, &word.load(Ordering::Relaxed).to_ne_bytes());
        }
        if let (false, Some(word)) = (last.is_empty(), words.get(count)) {
            fill(last, &word.load(Ordering::Relaxed).to_ne_bytes());
        }
    }

    /// Zeroes the first `len` bytes of a slot's payload, and what its meta word says. By whoever has claimed the slot.
    pub(crate) fn scrub(&self, position: u64, len: usize) {
        self.payload(position)
            .iter()
            .take(len.div_ceil(WORD))
            .for_each(|word| word.store(0, Ordering::Relaxed));
        self.set_meta(position, 0);
    }

    /// The payload's words, from the one with byte `at` on.
    #[inline(always)]
    fn words(&self, position: u64, at: usize) -> &[AtomicU64] {
        self.payload(position).get(at / WORD..).unwrap_or_default()
    }

    #[inline(always)]
    fn payload(&self, position: u64) -> &[AtomicU64] {
        // A slot's stride is a multiple of 8, so the last word lies within it, too.
        self.whole_words(position, 0, self.geometry.message_size().next_multiple_of(WORD))
    }

    /// The words of `len` bytes of the payload from byte `at` on, both multiples of 8 and, together, at most the
    /// message size rounded up.
    #[inline(always)]
    fn whole_words(&self, position: u64, at: usize, len: usize) -> &[AtomicU64] {
        debug_assert!(at + len <= self.geometry.message_size().next_multiple_of(WORD));
        let offset = self.geometry.slot(position) + slot::PAYLOAD + at;
        let start = self.pointer(offset).cast::<AtomicU64>();
        // SAFETY: a slot's stride is a multiple of 8 and holds 16 bytes and the message, so the rounded-up
        // words lie within the segment; slots start at multiples of 16; `new` promises the rest.
        let words = unsafe { core::slice::from_raw_parts(start, len / WORD) };
        if let Some(first) = words.first() {
            probe::access(offset, first);
        }
        words
    }

    #[inline(always)]
    fn at(&self, offset: usize) -> &AtomicU64 {
        let word = self.pointer(offset).cast::<AtomicU64>();
        // SAFETY: the callers pass multiples of 8 below `geometry.size()`; `new` promises the rest.
        let word = unsafe { &*word };
        probe::access(offset, word);
        word
    }

    #[inline(always)]
    fn pointer(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.geometry.size());
        // SAFETY: the geometry's offsets do not exceed its size, which `new` promises is mapped.
        unsafe { self.base.as_ptr().add(offset) }
    }
}

#[inline(always)]
fn padded(bytes: &[u8]) -> [u8; WORD] {
    let mut word = [0; WORD];
    word[..bytes.len()].copy_from_slice(bytes);
    word
}

#[inline(always)]
fn fill(to: &mut [MaybeUninit<u8>], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        to.write(*from);
    }
}
