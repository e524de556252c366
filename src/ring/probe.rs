//! What tests do to the protocol: remove one of its rules, kill its author before one of its stores, or change a word
//! under its eyes. In every other build each function is a constant and disappears.

use crate::sync::{AtomicU64, Ordering};

pub(crate) use hooks::*;

/// `order`, or Relaxed where the rule of that name is removed.
#[inline(always)]
pub(crate) fn unless(name: &str, order: Ordering) -> Ordering {
    if mutant(name) { Ordering::Relaxed } else { order }
}

#[cfg(not(any(test, fuzzing)))]
mod hooks {
    /// Whether the rule of that name is removed.
    #[inline(always)]
    pub(crate) const fn mutant(_name: &str) -> bool {
        false
    }

    /// Stands before every store to a shared word that recovery depends on.
    #[inline(always)]
    pub(crate) const fn step() {}

    /// Stands before every access to a word of the segment.
    #[inline(always)]
    pub(crate) const fn access(_offset: usize, _word: &super::AtomicU64) {}
}

#[cfg(any(test, fuzzing))]
#[cfg_attr(any(loom, fuzzing), allow(dead_code))] // each uses a part
mod hooks {
    use std::cell::Cell;

    use super::AtomicU64;

    /// Gets the offset of a word and the word.
    type Meddler = Box<dyn FnMut(usize, &AtomicU64)>;

    std::thread_local! {
        static MUTANT: Cell<&'static str> = const { Cell::new("") };
        static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
        static MEDDLER: Cell<Option<Meddler>> = const { Cell::new(None) };
        /// Is there one? A look at a flag is all that the other tests pay.
        static MEDDLED: Cell<bool> = const { Cell::new(false) };
    }

    /// What a killed operation unwinds with.
    pub(crate) struct Killed;

    pub(crate) fn mutant(name: &str) -> bool {
        MUTANT.get().split(" + ").any(|removed| removed == name)
    }

    pub(crate) fn step() {
        match FUSE.get() {
            None => {}
            // `resume_unwind` rather than `panic_any`: a death is no news and prints nothing.
            Some(0) => std::panic::resume_unwind(Box::new(Killed)),
            Some(left) => FUSE.set(Some(left - 1)),
        }
    }

    pub(crate) fn access(offset: usize, word: &AtomicU64) {
        if MEDDLED.get() {
            // Out while it is at work: its own accesses are not meddled with.
            if let Some(mut meddle) = MEDDLER.take() {
                meddle(offset, word);
                MEDDLER.set(Some(meddle));
            }
        }
    }

    /// Runs `work` while `meddle` is called before each of its accesses to the segment, and may change the word.
    pub(crate) fn meddled<T>(meddle: impl FnMut(usize, &AtomicU64) + 'static, work: impl FnOnce() -> T) -> T {
        /// Also when `work` panics.
        struct Stop;
        impl Drop for Stop {
            fn drop(&mut self) {
                MEDDLED.set(false);
                MEDDLER.take();
            }
        }
        MEDDLER.set(Some(Box::new(meddle)));
        MEDDLED.set(true);
        let _stop = Stop;
        work()
    }

    /// Runs `work` with one rule removed, or several joined by ` + `. Loom's threads are coroutines of this
    /// thread, so they see it too.
    pub(crate) fn with_mutant<T>(name: &'static str, work: impl FnOnce() -> T) -> std::thread::Result<T> {
        MUTANT.set(name);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        MUTANT.set("");
        result
    }

    /// Runs `work` and kills it before its `steps`-th store; `None` if it was killed.
    pub(crate) fn killed_after<T>(steps: Option<u32>, work: impl FnOnce() -> T) -> Option<T> {
        FUSE.set(steps);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        FUSE.set(None);
        match result {
            Ok(value) => Some(value),
            Err(cause) if cause.is::<Killed>() => None,
            Err(cause) => std::panic::resume_unwind(cause),
        }
    }
}
