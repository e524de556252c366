//! The quick way to an instruction: a breakpoint at the last one before it that is met for the first time, then steps.
//!
//! All victims are forked from one process, so an address means the same in each. A victim that takes another way, for
//! the clock or another process told it to, misses the breakpoint, and is stepped all the way instead.

use std::collections::HashSet;

/// The addresses that a victim came by: the n-th is where it stood after n instructions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    addresses: Vec<u64>,
    /// Which of them were new, in order.
    fresh: Vec<u64>,
}

/// How to come to a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Instructions from the mark.
    pub(crate) steps: u64,
    /// Where to run to first, and how many instructions that is.
    pub(crate) shortcut: Option<(u64, u64)>,
}

impl Trace {
    pub(crate) fn new(addresses: Vec<u64>) -> Self {
        let mut seen = HashSet::new();
        let fresh =
            (0..).zip(&addresses).filter(|&(_, &a)| a != 0 && seen.insert(a)).map(|(n, _)| n).collect();
        Self { addresses, fresh }
    }

    /// The instructions between the marks.
    pub(crate) fn steps(&self) -> u64 {
        self.addresses.len().saturating_sub(1) as u64
    }

    /// The way to the point after so many instructions.
    pub(crate) fn route(&self, steps: u64) -> Route {
        let before = self.fresh.partition_point(|&n| n <= steps);
        let shortcut = before.checked_sub(1).and_then(|i| self.fresh.get(i)).and_then(|&n| {
            let address = *self.addresses.get(n as usize)?;
            (n > 0).then_some((address, n))
        });
        Route { steps, shortcut }
    }
}
