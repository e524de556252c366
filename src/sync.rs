//! The only door to atomics: `core` in every build but the loom models'. `tests/layers.rs` keeps it so.

#[cfg(not(all(test, loom)))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};

#[cfg(not(all(test, loom)))]
pub(crate) use core::hint::spin_loop;

#[cfg(all(test, loom))]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering, fence},
};

/// Loom does not reorder the instructions of one thread.
#[cfg(all(test, loom))]
pub(crate) fn compiler_fence(_: Ordering) {}
