//! A semaphore that is 0 while nobody has it, taken: given back on drop, and by the kernel when we die.

use std::time::Instant;

use libc::EAGAIN;

use super::set::lost;
use crate::error::{Error, Result};
use crate::os::sem::{NOWAIT, UNDO, Waited, op_quietly, pid, sembuf, try_op, wait};

/// A semaphore of a set, held by us.
#[must_use = "dropping it gives it back"]
pub(crate) struct Held {
    set: i32,
    semaphore: u16,
}

impl Drop for Held {
    fn drop(&mut self) {
        Self::give_back(self.set, self.semaphore);
    }
}

impl Held {
    /// Waits until it is free.
    ///
    /// # Errors
    /// `LockBusy` with the holder after the deadline, `Removed`.
    pub(crate) fn take(set: i32, semaphore: u16, deadline: Option<Instant>) -> Result<Self> {
        let ops = [sembuf(semaphore, 0, 0), sembuf(semaphore, 1, UNDO)];
        match wait(set, &ops, deadline, &|| false).map_err(lost)? {
            Waited::Done => Ok(Held { set, semaphore }),
            _ => Err(Error::LockBusy { holder: pid(set, semaphore).map_err(lost)? }),
        }
    }

    /// Takes it if it is free now.
    pub(crate) fn try_take(set: i32, semaphore: u16) -> Result<Option<Self>> {
        let ops = [sembuf(semaphore, 0, NOWAIT), sembuf(semaphore, 1, UNDO)];
        // Made only if it is ours: dropping one gives the semaphore back, whoever holds it.
        Ok(try_op(set, &ops).map_err(lost)?.then(|| Held { set, semaphore }))
    }

    /// Gives one back that this process took. Never waits. Of one that somebody else has zeroed only our undo is taken
    /// back, or the kernel would release the next holder's at our end. Nothing to report: it fails only if the set is gone.
    pub(crate) fn give_back(set: i32, semaphore: u16) {
        let down = sembuf(semaphore, -1, UNDO | NOWAIT);
        if op_quietly(set, &[down]) == Err(EAGAIN) {
            let _gone = op_quietly(set, &[sembuf(semaphore, 1, 0), down]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::testing::Set;

    /// A try at a taken one gave it back in its holder's stead: the value that was made for the case of success was
    /// dropped in the other. A writer that met a full table so took the stripes of living writers from them.
    #[test]
    fn a_try_in_vain_releases_nothing() {
        let set = Set::new(2);
        let held = Held::take(set.0, 1, None).expect("take");
        for _ in 0..3 {
            assert!(Held::try_take(set.0, 1).expect("try").is_none());
        }
        let soon = Some(Instant::now());
        assert!(matches!(Held::take(set.0, 1, soon), Err(Error::LockBusy { holder }) if holder != 0));
        drop(held);
        assert!(Held::try_take(set.0, 1).expect("try").is_some());
    }
}
