//! A buffer before an inaccessible page, for the one call that writes as much as it likes: `semctl(GETALL)`.
//!
//! GETALL takes no length. The number of semaphores of a set never changes, so a length looked up once would do,
//! were it not that ids are used again: a set can be removed and, after 65,536 others, a larger one have its id.
//! The kernel copies with the same checks as everybody's write(2), so a page that we cannot write stops it with
//! EFAULT. `os::sem::values` is the only caller; a buffer belongs to a thread and costs address space only.
#![allow(unsafe_code)]

use super::{errno, failed};
use crate::error::OsError;
use libc::c_int;
use std::cell::OnceCell;
use std::ptr::{self, NonNull};

/// Most values that fit. A semaphore's number has 16 bits, so no set has more.
const VALUES: usize = 1 << 16;
/// Bytes before the guard.
const BYTES: usize = VALUES * size_of::<u16>();
/// Bytes of the guard: the largest page of the architectures we run on.
const GUARD: usize = 1 << 16;

/// The mapping: `BYTES` that can be written, then `GUARD` that cannot.
pub(crate) struct Guarded {
    base: NonNull<u8>,
}

thread_local! {
    static BUFFER: OnceCell<Guarded> = const { OnceCell::new() };
}

impl Guarded {
    fn new() -> Result<Self, OsError> {
        let (protection, flags) =
            (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice changes no existing memory.
        let address = unsafe { libc::mmap(ptr::null_mut(), BYTES + GUARD, protection, flags, -1, 0) };
        let error = errno();
        let base = match NonNull::new(address.cast::<u8>()) {
            Some(base) if address != libc::MAP_FAILED => base,
            _ => return Err(failed("mmap", format!("NULL, {}", BYTES + GUARD), error)),
        };
        let guarded = Self { base };
        // SAFETY: the first BYTES of our own mapping, which nobody uses yet.
        let result = unsafe { libc::mprotect(address, BYTES, libc::PROT_READ | libc::PROT_WRITE) };
        super::check("mprotect", result, || format!("{base:p}, {BYTES}"))?;
        Ok(guarded)
    }

    /// Runs `fill` on this thread's buffer.
    pub(crate) fn with<R>(fill: impl FnOnce(&Guarded) -> R) -> Result<R, OsError> {
        let mut fill = Some(fill);
        let outcome = BUFFER.try_with(|cell| {
            if cell.get().is_none() {
                // Nobody else can have set it: the cell is this thread's, and `new` does not come back here.
                let _ = cell.set(Guarded::new()?);
            }
            Ok(cell.get().and_then(|buffer| fill.take().map(|fill| fill(buffer))))
        });
        match (outcome, fill) {
            (Ok(Err(e)), _) => Err(e),
            (Ok(Ok(Some(result))), _) => Ok(result),
            // The thread is ending and its buffer is gone: a buffer for this once.
            (_, Some(fill)) => Guarded::new().map(|buffer| fill(&buffer)),
            (_, None) => Err(failed("mmap", "thread-local buffer".into(), libc::ENOMEM)),
        }
    }

    /// Has `write` store up to `values.len()` values and copies them out; what it does not store reads 0. `write`
    /// gets the address of the first value, with the guard right behind the last one.
    pub(crate) fn fill(&self, values: &mut [u16], write: impl FnOnce(*mut u16) -> c_int) -> Option<c_int> {
        let bytes = size_of_val(values);
        let offset = BYTES.checked_sub(bytes)?;
        // SAFETY: `offset <= BYTES` stays within the mapping.
        let start = unsafe { self.base.add(offset) };
        // SAFETY: `start..start + bytes` is the end of the writable part, which only this thread uses.
        unsafe { start.write_bytes(0, bytes) };
        let result = write(start.as_ptr().cast::<u16>());
        // SAFETY: the same bytes, initialised above; `values` is memory of its own and as long.
        unsafe { ptr::copy_nonoverlapping(start.as_ptr(), values.as_mut_ptr().cast::<u8>(), bytes) };
        Some(result)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; `fill` lends its address to nobody for longer than a call.
        let _ = unsafe { libc::munmap(self.base.as_ptr().cast(), BYTES + GUARD) };
    }
}
