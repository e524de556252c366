//! LOCK of a channel, held: what opening, registering, repair from outside and removing do is done under it.

use std::time::Instant;

use super::attachment::Attachment;
use super::set::Set;
use crate::error::Result;

/// LOCK, held by us; given back on drop.
pub(crate) struct Lock {
    set: Set,
    held: bool,
}

impl Lock {
    /// Takes the lock of a channel that is open already.
    pub(crate) fn take(channel: &Attachment) -> Result<Lock> {
        let lock = Lock::of(channel.set, Instant::now().checked_add(channel.lock_timeout))?;
        channel.check_live()?;
        Ok(lock)
    }

    pub(super) fn of(set: Set, deadline: Option<Instant>) -> Result<Lock> {
        set.lock(deadline)?;
        Ok(Lock { set, held: true })
    }

    /// Gives the lock back and says whether that worked.
    pub(crate) fn release(mut self) -> Result<()> {
        self.held = false;
        self.set.unlock()
    }

    /// The lock was given back by the same step that did something else.
    pub(crate) fn passed_on(mut self) {
        self.held = false;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held {
            // It can only fail when the set is gone, and the lock with it.
            let _ = self.set.unlock();
        }
    }
}
