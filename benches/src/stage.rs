//! A page that the processes of a sample share: where they meet before the start, and learn who is the last.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};

/// Words of the stage that are in use, each on a line of its own.
const ARRIVED: usize = 0;
const FINISHED: usize = 16;

/// A mapping of zeroes that processes share through its descriptor. It stays until the process ends.
#[derive(Clone, Copy)]
pub struct Memory {
    words: &'static [AtomicU64],
}

/// A descriptor of so many bytes of shared memory, inherited by the processes that we start.
pub fn shared_memory(bytes: usize) -> std::io::Result<OwnedFd> {
    let fd = memfd_create("semring-benches", MFdFlags::empty())?;
    nix::unistd::ftruncate(&fd, bytes as i64)?;
    Ok(fd)
}

impl Memory {
    pub fn map(fd: i32, bytes: usize) -> Self {
        // SAFETY: the caller names a descriptor that it inherited and keeps open.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let len = NonZeroUsize::new(bytes).expect("a mapping of some bytes");
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start =
            unsafe { mmap(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags, fd.as_fd(), 0) };
        let start = start.expect("mmap of the shared memory").cast::<AtomicU64>();
        // SAFETY: the mapping has so many bytes, is page-aligned, is never unmapped, and atomics hold any bits.
        let words = unsafe { std::slice::from_raw_parts(start.as_ptr(), bytes / 8) };
        Memory { words }
    }

    pub fn words(self) -> &'static [AtomicU64] {
        self.words
    }
}

/// Where the parties of a sample meet.
#[derive(Clone, Copy)]
pub struct Stage(&'static [AtomicU64]);

impl Stage {
    pub const BYTES: usize = 4096;

    pub fn open(fd: i32) -> Self {
        Stage(Memory::map(fd, Self::BYTES).words())
    }

    /// Waits until all parties are here.
    pub fn meet(self, parties: usize) {
        self.0[ARRIVED].fetch_add(1, Ordering::AcqRel);
        let mut looks = 0;
        while self.0[ARRIVED].load(Ordering::Acquire) < parties as u64 {
            looks += 1;
            if looks % 64 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// Says that a producer is done; true for the last of them.
    pub fn finish(self, producers: usize) -> bool {
        self.0[FINISHED].fetch_add(1, Ordering::AcqRel) + 1 == producers as u64
    }

    /// Producers that are done.
    pub fn finished(self) -> usize {
        self.0[FINISHED].load(Ordering::Acquire) as usize
    }
}
