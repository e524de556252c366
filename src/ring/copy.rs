//! Payloads into safe Rust's buffers.
#![allow(unsafe_code)]

use core::mem::MaybeUninit;

use super::Shared;

impl Shared {
    /// Copies a slot's payload from byte `at` on into `bytes`; false, and nothing copied, where it does not fit.
    #[inline(always)]
    pub(crate) fn read_payload_into(&self, position: u64, at: usize, bytes: &mut [u8]) -> bool {
        let uninit: *mut [MaybeUninit<u8>] = core::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>];
        // SAFETY: the same bytes under a type of the same layout; `read_payload` writes only initialised bytes to them.
        let bytes = unsafe { &mut *uninit };
        self.read_payload(position, at, bytes)
    }

    /// Appends the first `len` bytes of a slot's payload to `buffer`; nothing where they do not fit the slot.
    #[inline]
    pub(crate) fn append_payload(&self, position: u64, len: usize, buffer: &mut Vec<u8>) {
        buffer.reserve(len);
        let old = buffer.len();
        let spare = &mut buffer.spare_capacity_mut()[..len];
        if self.read_payload(position, 0, spare) {
            // SAFETY: `read_payload` has initialised the `len` bytes behind the old length.
            unsafe { buffer.set_len(old + len) };
        }
    }

    /// A copy of the first `len` bytes of a slot's payload.
    pub(crate) fn copy_payload(&self, position: u64, len: usize) -> Vec<u8> {
        let mut copy = Vec::new();
        self.append_payload(position, len, &mut copy);
        copy
    }
}
