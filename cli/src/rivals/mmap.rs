//! What one would write by hand over mmap(2): slots with a flag each, in memory that two processes share. No system call,
//! but nobody can sleep, notice that the other is gone, or say anything about a message that a death left half-way.
//!
//! A slot is a flag, 0 while it is the sender's, and the bytes behind it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Rx, Tx};

/// Bytes before those of the message.
const FLAG: usize = 8;
/// Looks before another process gets the processor, which may be the one that we wait for.
const LOOKS: u32 = 256;

/// An end of it.
pub struct Mmap {
    map: MmapRaw,
    stride: usize,
    slots: usize,
    size: usize,
    /// The slot that is next.
    next: usize,
}

/// Bytes from slot to slot: no two share a line.
fn stride(size: usize) -> usize {
    (size + FLAG).next_multiple_of(64)
}

/// Memory for so many slots of so many bytes.
///
/// # Errors
/// Those of memfd_create(2) and ftruncate(2).
pub fn create(slots: usize, size: usize) -> io::Result<OwnedFd> {
    let memory = memfd_create(c"semring-bench", MFdFlags::MFD_CLOEXEC)?;
    let file = File::from(memory);
    file.set_len((slots * stride(size)) as u64)?;
    Ok(file.into())
}

impl Mmap {
    /// An end of memory made by [`create`] with the same numbers.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn open(memory: OwnedFd, slots: usize, size: usize) -> io::Result<Self> {
        let stride = stride(size);
        let map = MmapOptions::new().len(slots * stride).populate().map_raw(&File::from(memory))?;
        Ok(Mmap { map, stride, slots, size, next: 0 })
    }

    #[inline]
    fn flag(&self) -> &AtomicU64 {
        let slot = self.map.as_mut_ptr().wrapping_add(self.next * self.stride).cast();
        // SAFETY: within the mapping, aligned to 64 bytes, and accessed as an atomic only.
        unsafe { AtomicU64::from_ptr(slot) }
    }

    /// Where the bytes of the next slot are, once its flag says so.
    #[inline]
    fn await_slot(&self, flag: u64) -> *mut u8 {
        let mut looks = 0_u32;
        while self.flag().load(Ordering::Acquire) != flag {
            looks = looks.wrapping_add(1);
            if looks % LOOKS == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        self.map.as_mut_ptr().wrapping_add(self.next * self.stride + FLAG)
    }

    #[inline]
    fn pass(&mut self, flag: u64) {
        self.flag().store(flag, Ordering::Release);
        self.next = if self.next + 1 == self.slots { 0 } else { self.next + 1 };
    }
}

impl Tx for Mmap {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let bytes = self.await_slot(0);
        // SAFETY: at most the bytes of the slot, which is ours until its flag says otherwise.
        unsafe { bytes.copy_from_nonoverlapping(message.as_ptr(), message.len().min(self.size)) };
        self.pass(1);
        Ok(())
    }
}

impl Rx for Mmap {
    #[inline]
    fn recv(&mut self, message: &mut [u8]) -> io::Result<()> {
        let bytes = self.await_slot(1);
        // SAFETY: at most the bytes of the slot, which is ours until its flag says otherwise.
        unsafe { bytes.copy_to_nonoverlapping(message.as_mut_ptr(), message.len().min(self.size)) };
        self.pass(0);
        Ok(())
    }
}
