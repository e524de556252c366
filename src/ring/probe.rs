//! What tests do to the protocol: remove one of its rules, or kill its author before one of its stores. In every
//! other build each function is a constant and disappears.

use crate::sync::Ordering;

pub(crate) use hooks::*;

/// `order`, or Relaxed where the rule of that name is removed.
#[inline(always)]
pub(crate) fn unless(name: &str, order: Ordering) -> Ordering {
    if mutant(name) { Ordering::Relaxed } else { order }
}

#[cfg(not(test))]
mod hooks {
    /// Whether the rule of that name is removed.
    #[inline(always)]
    pub(crate) const fn mutant(_name: &str) -> bool {
        false
    }

    /// Stands before every store to a shared word that recovery depends on.
    #[inline(always)]
    pub(crate) const fn step() {}
}

#[cfg(test)]
mod hooks {
    use std::cell::Cell;

    std::thread_local! {
        static MUTANT: Cell<&'static str> = const { Cell::new("") };
        static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
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

    /// Runs `work` with one rule removed, or several joined by ` + `. Loom's threads are coroutines of this thread, so they see it too.
    pub(crate) fn with_mutant<T>(name: &'static str, work: impl FnOnce() -> T) -> std::thread::Result<T> {
        MUTANT.set(name);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        MUTANT.set("");
        result
    }

    /// Runs `work` and kills it before its `steps`-th store; `None` if it was killed.
    #[cfg_attr(loom, allow(dead_code))]
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
