//! A segment in this process's address space, between two inaccessible pages: an access that leaves it is a fault, not
//! somebody else's memory. `os::mapping` is the only caller.
//!
//! The kernel has no call for that. A region that is larger by two guards is reserved and its middle given up again,
//! where shmat(2) then puts the segment; without `SHM_REMAP`, so that it never replaces what is there. Should another
//! thread take the gap in between, or the segment be another one than was looked at, or want an alignment of its own
//! (huge pages), shmat refuses, and the segment is attached where the kernel likes, without guards.
#![allow(unsafe_code)]

use super::{check, errno, failed, shm};
use crate::error::OsError;
use libc::c_void;
use std::ptr::{self, NonNull};

/// An attached segment; detached on drop.
#[derive(Debug)]
pub(crate) struct Attached {
    base: NonNull<u8>,
    /// From the first guard's first byte to the last one's end: address and bytes.
    region: Option<(NonNull<u8>, usize)>,
}

impl Attached {
    /// Attaches a segment of at most `size` bytes.
    pub(crate) fn new(id: i32, size: usize, read_only: bool) -> Result<Self, OsError> {
        if let Some(attached) = between_guards(id, size, read_only) {
            return Ok(attached);
        }
        Ok(Self { base: shm::attach(id, None, read_only)?, region: None })
    }

    /// Start of the segment, aligned to a page.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = match self.region {
            // SAFETY: the region is ours from end to end, and by dropping its owner nobody uses it any more. All in one
            // step: a gap between two steps could be another thread's by the second one.
            Some((start, bytes)) => unsafe { unmap(start, bytes) },
            // SAFETY: `base` was attached by `new`, and nobody uses it any more.
            None => unsafe { shm::detach(self.base) },
        };
    }
}

/// `None` if it cannot be done.
fn between_guards(id: i32, size: usize, read_only: bool) -> Option<Attached> {
    let page = page_size()?;
    let inner = size.checked_next_multiple_of(page)?;
    let bytes = inner.checked_add(2 * page)?;
    let start = reserve(bytes).ok()?;
    // SAFETY: the region is longer than two pages.
    let base = unsafe { start.add(page) };
    // SAFETY: the middle of the region reserved just now, which nobody uses.
    let gap = unsafe { unmap(base, inner) };
    let attached = gap.and_then(|()| shm::attach(id, Some(base), read_only));
    if attached.is_ok() {
        return Some(Attached { base, region: Some((start, bytes)) });
    }
    // Only the guards are surely ours now.
    // SAFETY: the region's first page.
    let _ = unsafe { unmap(start, page) };
    // SAFETY: `inner` is within the region.
    let behind = unsafe { base.add(inner) };
    // SAFETY: the region's last page.
    let _ = unsafe { unmap(behind, page) };
    None
}

fn page_size() -> Option<usize> {
    // SAFETY: sysconf takes an integer and has no other preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two())
}

/// Address space that nobody can access.
fn reserve(bytes: usize) -> Result<NonNull<u8>, OsError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice changes no existing memory.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
    let error = errno();
    match NonNull::new(address.cast::<u8>()) {
        Some(start) if address != libc::MAP_FAILED => Ok(start),
        _ => Err(failed("mmap", format!("NULL, {bytes}"), error)),
    }
}

/// `munmap`, which also detaches a segment that is wholly within.
///
/// # Safety
///
/// Everything in these bytes is the caller's own, and nobody uses it any more.
unsafe fn unmap(start: NonNull<u8>, bytes: usize) -> Result<(), OsError> {
    // SAFETY: by this function's contract.
    let result = unsafe { libc::munmap(start.as_ptr().cast::<c_void>(), bytes) };
    check("munmap", result, || format!("{start:p}, {bytes}")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::testing::{Segment, fork};

    fn segment(size: usize) -> Segment {
        Segment(shm::get(libc::IPC_PRIVATE, size, shm::CREATE | 0o600).expect("shmget"))
    }

    /// The rights of the mapping that has this address. The list is read in pieces, and one may be missed while other
    /// tests map and unmap: again, then.
    fn rights(address: usize) -> Option<String> {
        (0..1000).find_map(|_| look_for(address))
    }

    fn look_for(address: usize) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let [from, to] = [from, to].map(|n| usize::from_str_radix(n, 16).expect("hexadecimal"));
            (from..to).contains(&address).then(|| rest[..4].to_string())
        })
    }

    /// More for a moment, while another test's child inherits it.
    fn attached_times(id: i32, times: u64) -> bool {
        (0..5_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            shm::stat(id).expect("stat").nattch == times
        })
    }

    #[test]
    fn guards_on_both_sides() {
        for size in [1, 4096, 4097, 1 << 20] {
            let segment = segment(size);
            for (read_only, own) in [(false, "rw-s"), (true, "r--s")] {
                let attached = Attached::new(segment.0, size, read_only).expect("attach");
                let base = attached.base().as_ptr().addr();
                let end = base + size.next_multiple_of(page_size().expect("a page"));
                assert_eq!(rights(base - 1).as_deref(), Some("---p"));
                assert_eq!([base, end - 1].map(|at| rights(at).expect("mapped")), [own, own]);
                assert_eq!(rights(end).as_deref(), Some("---p"));
                assert!(attached_times(segment.0, 1));
                drop(attached);
                assert!(attached_times(segment.0, 0), "detached with its guards");
            }
        }
    }

    #[test]
    fn an_access_beyond_the_end_is_a_fault() {
        let segment = segment(4096);
        let attached = Attached::new(segment.0, 4096, false).expect("attach");
        for (offset, fault) in [(0isize, false), (4095, false), (4096, true), (-1, true)] {
            let at = attached.base().as_ptr().wrapping_offset(offset);
            // SAFETY: a volatile read of one byte; outside of the segment it ends the child, which is the point.
            let child = fork(|| i32::from(unsafe { at.read_volatile() }));
            assert_eq!(child.wait() == 128 + libc::SIGSEGV, fault, "{offset}");
        }
    }

    /// An id may belong to another segment by the time it is attached.
    #[test]
    fn a_segment_larger_than_thought_replaces_nothing() {
        let segment = segment(1 << 16);
        let attached = Attached::new(segment.0, 4096, false).expect("attach");
        assert!(attached.region.is_none());
        assert_eq!(rights(attached.base().as_ptr().addr() + (1 << 16) - 1).as_deref(), Some("rw-s"));
    }
}
