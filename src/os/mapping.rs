//! [`Mapping`]: a segment attached to this process's address space. `segment` re-exports it; it lives here because
//! it turns offsets into pointers.
//!
//! Safe methods touch the memory in aligned 64-bit atomic words only, whatever the byte range: other threads and
//! processes may write at the same time, and accesses of one size never tear within a word.
#![allow(unsafe_code)]

use super::attached::Attached;
use super::shm;
use crate::error::{Error, OsError, Result};
use crate::sync::{AtomicU64, Ordering};
use std::ptr::NonNull;

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// A segment mapped into this process; detached on drop.
///
/// The memory is shared with other processes, which may write at any time: between two calls everything may
/// change. [`read`](Self::read) and [`write`](Self::write) copy and are safe against any peer; a slice needs
/// your promise that nobody else writes.
///
/// The mapping outlives the removal of its segment, and is inherited through `fork`.
///
/// # Examples
///
/// ```
/// use semring::segment::{Key, SegmentOptions};
///
/// let segment = SegmentOptions::new().size(4096).create(Key::Private)?;
/// let mapping = segment.attach()?;
/// segment.remove()?; // the memory stays until the last detach
/// mapping.write(10, b"hello")?;
/// let mut copy = [0; 5];
/// mapping.read(10, &mut copy)?;
/// assert_eq!(&copy, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Mapping {
    /// Attached for as long as this lives, page-aligned; zeroes follow up to the end of the last page, then a guard.
    attached: Attached,
    /// Bytes, as the kernel said after attaching.
    len: usize,
    read_only: bool,
}

// SAFETY: the mapping belongs to the process, not to a thread, and shmdt may be called by any.
unsafe impl Send for Mapping {}
// SAFETY: safe methods access the memory through atomics only; the others are unsafe and state what they need.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Attaches a segment. The size that counts is asked for afterwards: an attached segment's id cannot be given to
    /// another.
    pub(crate) fn attach(id: i32, read_only: bool) -> std::result::Result<Self, OsError> {
        let attached = Attached::new(id, shm::stat(id)?.size, read_only)?;
        Ok(Self { attached, len: shm::stat(id)?.size, read_only })
    }

    /// Size of the segment in bytes, as asked for when it was created.
    #[allow(clippy::len_without_is_empty)] // there are no empty segments
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether this was attached for reading only.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Start of the memory, aligned to a page. Valid while the mapping lives.
    pub fn as_ptr(&self) -> *const u8 {
        self.base().as_ptr()
    }

    /// Start of the memory, aligned to a page. Valid while the mapping lives; writing through it when the mapping
    /// is read-only is a segmentation fault.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.base().as_ptr()
    }

    /// Start of the memory, for the rest of the crate.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.attached.base()
    }

    /// Copies from byte `at` on into `buf`.
    ///
    /// Bytes that others write at the same time come out old or new, each for itself.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the range is not within the segment.
    pub fn read(&self, at: usize, buf: &mut [u8]) -> Result<()> {
        let mut next = self.range(at, buf.len())?.start;
        let mut rest = buf;
        while !rest.is_empty() {
            let from = next % WORD;
            let (piece, others) = rest.split_at_mut(rest.len().min(WORD - from));
            let bytes = self.aligned(next - from).load(Ordering::Relaxed).to_ne_bytes();
            // In bounds: `from + piece.len() <= WORD`.
            piece.copy_from_slice(&bytes[from..from + piece.len()]);
            next += piece.len();
            rest = others;
        }
        Ok(())
    }

    /// Copies `bytes` to byte `at` and on.
    ///
    /// Leaves every other byte as it is, also if others change it at the same time. Publishes nothing: to tell
    /// another process that the bytes are there, store to a [`word`](Self::word) with `Release`, or use a semaphore.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the range is not within the segment or the mapping is read-only.
    pub fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        if self.read_only {
            return Err(Error::Invalid { what: "write", detail: "the mapping is read-only".into() });
        }
        let mut next = self.range(at, bytes.len())?.start;
        let mut rest = bytes;
        while !rest.is_empty() {
            let from = next % WORD;
            let (piece, others) = rest.split_at(rest.len().min(WORD - from));
            let (mut mask, mut new) = ([0; WORD], [0; WORD]);
            // In bounds, both: `from + piece.len() <= WORD`.
            mask[from..from + piece.len()].fill(0xff);
            new[from..from + piece.len()].copy_from_slice(piece);
            store(self.aligned(next - from), u64::from_ne_bytes(mask), u64::from_ne_bytes(new));
            next += piece.len();
            rest = others;
        }
        Ok(())
    }

    /// The 64-bit word at byte `at`; `None` if that is not a multiple of 8, the word is not within the segment, or
    /// the mapping is read-only (see [`load`](Self::load)).
    pub fn word(&self, at: usize) -> Option<&AtomicU64> {
        let whole = self.range(at, WORD).is_ok();
        (whole && at % WORD == 0 && !self.read_only).then(|| self.aligned(at))
    }

    /// Loads the 64-bit word at byte `at` with `Acquire`, also from a read-only mapping; `None` if `at` is not a
    /// multiple of 8 or the word is not within the segment.
    pub fn load(&self, at: usize) -> Option<u64> {
        let whole = self.range(at, WORD).is_ok();
        // SYNC(user-word): pairs with whatever Release store to `word` the user's own protocol makes.
        (whole && at % WORD == 0).then(|| self.aligned(at).load(Ordering::Acquire))
    }

    /// All whole words of the memory. Of a mapping that is read-only, nothing but loads may be made.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let first = self.base().cast::<AtomicU64>().as_ptr();
        // SAFETY: the base is page-aligned and `len` bytes are mapped while `self` lives. Any bytes are valid AtomicU64s.
        unsafe { std::slice::from_raw_parts(first, self.len / WORD) }
    }

    /// The memory as a slice.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody may write to the segment, in this process or any other.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes are mapped while `self` lives; the caller excludes writers.
        unsafe { std::slice::from_raw_parts(self.base().as_ptr(), self.len) }
    }

    /// The memory as a slice that can be written.
    ///
    /// # Safety
    ///
    /// The mapping is not read-only, and while the slice lives nobody else may read or write the segment, in this
    /// process (through another mapping of it) or any other.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `len` initialised bytes are mapped while `self` lives; the caller excludes everybody else.
        unsafe { std::slice::from_raw_parts_mut(self.base().as_ptr(), self.len) }
    }

    /// Checks that `len` bytes from `at` on are within the segment.
    fn range(&self, at: usize, len: usize) -> Result<std::ops::Range<usize>> {
        match at.checked_add(len) {
            Some(end) if end <= self.len => Ok(at..end),
            _ => {
                let detail = format!("{len} bytes at {at}; the segment has {} bytes", self.len);
                Err(Error::Invalid { what: "range", detail })
            }
        }
    }

    /// The word at an offset that the callers checked: a multiple of `WORD` below `len`.
    fn aligned(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at < self.len && at % WORD == 0);
        // SAFETY: `at < len`, which is within the mapping.
        let word = unsafe { self.base().add(at) }.cast::<AtomicU64>();
        // SAFETY: the base is page-aligned and `at` a multiple of 8, and pages are whole, so 8 bytes are mapped
        // here while `self` lives. Any bytes are a valid AtomicU64. Of a read-only mapping it is only loaded.
        unsafe { word.as_ref() }
    }
}

/// Stores the bytes of `new` that `mask` selects. Never loops for longer than a few tries: after that the bits are
/// cleared and set by two steps of which each succeeds, so a peer that stores incessantly cannot hold us up.
fn store(word: &AtomicU64, mask: u64, new: u64) {
    if mask == u64::MAX {
        return word.store(new, Ordering::Relaxed);
    }
    let mut old = word.load(Ordering::Relaxed);
    for _ in 0..64 {
        match word.compare_exchange(old, old & !mask | new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(found) => old = found,
        }
    }
    word.fetch_and(!mask | new, Ordering::Relaxed);
    word.fetch_or(new, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::testing::Segment;

    fn segment(size: usize) -> Segment {
        Segment(shm::get(libc::IPC_PRIVATE, size, shm::CREATE | 0o600).expect("shmget"))
    }

    #[test]
    fn copies_at_every_alignment_and_length() {
        let segment = segment(61);
        let mapping = Mapping::attach(segment.0, false).expect("attach");
        let mut model = [0_u8; 61];
        for at in 0..61 {
            for len in 0..=61 - at {
                let bytes: Vec<u8> = (0..len).map(|i| (at * 7 + len * 3 + i) as u8).collect();
                mapping.write(at, &bytes).expect("write");
                model[at..at + len].copy_from_slice(&bytes);
                let mut all = [0; 61];
                mapping.read(0, &mut all).expect("read");
                assert_eq!(all, model);
                let mut back = vec![0; len];
                mapping.read(at, &mut back).expect("read");
                assert_eq!(back, bytes);
            }
        }
        // SAFETY: nobody else has this segment.
        assert_eq!(unsafe { mapping.as_slice() }, model);
    }

    #[test]
    fn bounds() {
        let segment = segment(20);
        let mapping = Mapping::attach(segment.0, false).expect("attach");
        assert_eq!(mapping.len(), 20);
        assert!(mapping.read(20, &mut []).is_ok());
        for (at, len) in [(20, 1), (0, 21), (usize::MAX, 2), (21, 0)] {
            assert!(matches!(mapping.read(at, &mut vec![0; len]), Err(Error::Invalid { .. })));
            assert!(matches!(mapping.write(at, &vec![0; len]), Err(Error::Invalid { .. })));
        }
        assert!(mapping.word(8).is_some());
        assert!([4, 16, 24, usize::MAX - 7].iter().all(|&at| mapping.word(at).is_none()));
        assert!([4, 16, usize::MAX - 7].iter().all(|&at| mapping.load(at).is_none()));
    }

    #[test]
    fn read_only_mappings_see_writes_and_refuse_their_own() {
        let segment = segment(4096);
        let mapping = Mapping::attach(segment.0, false).expect("attach");
        let reader = Mapping::attach(segment.0, true).expect("attach read-only");
        assert!(reader.is_read_only() && !mapping.is_read_only());
        mapping.word(16).expect("word").store(0x1234, Ordering::Release);
        assert_eq!(reader.load(16), Some(0x1234));
        assert!(reader.word(16).is_none());
        assert!(matches!(reader.write(0, b"x"), Err(Error::Invalid { .. })));
        assert_ne!(mapping.as_ptr(), reader.as_ptr());
        shm::remove(segment.0).expect("remove");
        drop(mapping);
        assert_eq!(reader.load(16), Some(0x1234), "lives until the last detach");
    }

    /// Neighbours within one word write at the same time; neither may undo the other's bytes.
    #[test]
    fn neighbouring_bytes_are_left_alone() {
        let segment = segment(8);
        let mapping = Mapping::attach(segment.0, false).expect("attach");
        std::thread::scope(|scope| {
            for at in [0, 3] {
                let mapping = &mapping;
                scope.spawn(move || {
                    let mut last = [0; 3];
                    for i in 1..=50_000_u32 {
                        // Time passed since our last write: whoever stored a stale copy of our bytes did so by now.
                        let mut found = [9; 3];
                        mapping.read(at, &mut found).expect("read");
                        assert_eq!(found, last, "round {i}");
                        last.copy_from_slice(&i.to_le_bytes()[..3]);
                        mapping.write(at, &last).expect("write");
                        if i % 8 == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
    }
}
