//! A mutex between processes that a death cannot leave locked, and that tells the next holder of it.
//!
//! ```text
//! semaphore 0  LOCK   0 free, 1 held; with SEM_UNDO, so that the kernel frees it when the holder dies
//!           1  HELD   0 free, 1 held; without undo. A holder that died left it behind
//!           2  spare  always 0
//!
//! lock    one semop {LOCK, 0} {LOCK, +1, UNDO} {HELD, +1}        then HELD > 1: somebody died in there
//!         one semop {HELD, -(HELD - 1)}                          died before this: the next one is told, too
//! unlock  one semop {LOCK, -1, UNDO} {HELD, -1}
//! ```
//!
//! All 0 is a free mutex, which is how the kernel makes a set: nothing to initialise, so no race about it.

use super::{Set, SetOptions};
use crate::error::{Error, OsError, Result};
use crate::os::clock;
use crate::os::process::Generation;
use crate::os::sem::{self, MAX_VALUE, NOWAIT, UNDO, Waited, sembuf};
use crate::segment::Key;
use std::time::{Duration, Instant};

const LOCK: u16 = 0;
const HELD: u16 = 1;

/// A mutex between processes, and between threads of one.
///
/// If a holder dies (`exit`, `kill -9`, all the same) the kernel unlocks, and the next
/// [`Guard::previous_holder_died`] says so: what the mutex protects may be half changed. There is no poisoning;
/// repairing is up to that next holder. Stopping a process (SIGSTOP) is not dying: it keeps the mutex.
///
/// Locking twice from one thread waits for ever. `exec` keeps the mutex locked until the new program ends. Waiters
/// are not served in the order of their arrival.
///
/// # Examples
///
/// ```
/// use semring::segment::Key;
/// use semring::sem::Mutex;
///
/// let mutex = Mutex::open_or_create(Key::Private)?;
/// let guard = mutex.lock()?;
/// assert!(!guard.previous_holder_died());
/// assert_eq!(mutex.holder()?, Some(std::process::id() as i32));
/// assert!(mutex.try_lock()?.is_none());
/// drop(guard);
/// mutex.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mutex {
    set: Set,
}

/// The right to what a [`Mutex`] protects, until it is dropped.
///
/// A copy inherited through `fork` is inert: the parent holds the mutex, the child does not.
#[derive(Debug)]
#[must_use = "dropping it unlocks"]
pub struct Guard<'a> {
    mutex: &'a Mutex,
    /// The process that locked.
    owner: Generation,
    previous_holder_died: bool,
}

impl Mutex {
    /// Semaphores of the set that a mutex is made of.
    pub const SEMAPHORES: usize = 3;

    /// A mutex over a set that is all its own.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if the set does not look like a mutex; those of [`Set::values`].
    pub fn new(set: Set) -> Result<Self> {
        let foreign = |detail: String| Err(Error::Foreign { name: set.key().to_string(), detail });
        if set.len() != Self::SEMAPHORES {
            return foreign(format!("a set of {} semaphores, a mutex has {}", set.len(), Self::SEMAPHORES));
        }
        // One snapshot: in every state LOCK is 0 or 1, HELD at least LOCK, and the spare 0.
        match set.values()?[..] {
            [lock @ 0..=1, held, 0] if held >= lock => Ok(Self { set }),
            ref values => foreign(format!("values {values:?} are not those of a mutex")),
        }
    }

    /// Opens the mutex, or creates it, free and with mode 0600. For another mode give [`new`](Self::new) a set.
    ///
    /// # Errors
    ///
    /// As [`SetOptions::open_or_create`] and [`new`](Self::new).
    pub fn open_or_create(key: impl Into<Key>) -> Result<Self> {
        Self::new(SetOptions::new(Self::SEMAPHORES).open_or_create(key)?)
    }

    /// Opens a mutex that exists.
    ///
    /// # Errors
    ///
    /// As [`SetOptions::open`] and [`new`](Self::new).
    pub fn open(key: impl Into<Key>) -> Result<Self> {
        Self::new(SetOptions::new(Self::SEMAPHORES).open(key)?)
    }

    /// Waits until the mutex is free, and locks it.
    ///
    /// # Errors
    ///
    /// [`Error::Removed`]; [`Error::PermissionDenied`] without read and write permission.
    pub fn lock(&self) -> Result<Guard<'_>> {
        // Without a deadline and without NOWAIT there is always a guard; `Removed` stands for what cannot be.
        self.acquire(0, None)?.ok_or(Error::Removed)
    }

    /// Locks the mutex if it is free.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<Option<Guard<'_>>> {
        self.acquire(NOWAIT, None)
    }

    /// Waits until the mutex is free, no longer than `timeout`, and locks it.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<Guard<'_>>> {
        self.acquire(0, clock::deadline(timeout))
    }

    /// The process that holds the mutex at some moment of this call; `None` if it is free. 0 if the process is in
    /// another pid namespace.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn holder(&self) -> Result<Option<i32>> {
        let id = self.set.id();
        let held = sem::value(id, LOCK).map_err(|e| self.set.key.error(e))? != 0;
        // Should it be released in between, the last to operate on it is the holder we saw, or its successor.
        held.then(|| sem::pid(id, LOCK).map_err(|e| self.set.key.error(e))).transpose()
    }

    /// The set, for its id, key, status and mode.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// Removes the mutex, held or not. Whoever waits for it wakes up with [`Error::Removed`].
    ///
    /// # Errors
    ///
    /// As [`Set::remove`].
    pub fn remove(self) -> Result<()> {
        self.set.remove()
    }

    fn acquire(&self, flags: i16, deadline: Option<Instant>) -> Result<Option<Guard<'_>>> {
        // Asked for first: once we hold the lock nothing may fail before there is a guard.
        let owner = Generation::current()?;
        let operations = [sembuf(LOCK, 0, flags), sembuf(LOCK, 1, UNDO), sembuf(HELD, 1, 0)];
        let id = self.set.id();
        let wait = || sem::wait(id, &operations, deadline, &|| false);
        let waited = match wait() {
            Err(OsError { errno: libc::ERANGE, .. }) => {
                // 32,767 holders died before they could bring HELD down. Bring it halfway, if nobody else did.
                let drain = [sembuf(LOCK, 0, NOWAIT), sembuf(HELD, -(MAX_VALUE as i16 / 2), NOWAIT)];
                self.set.try_op(&drain)?;
                wait()
            }
            other => other,
        };
        if waited.map_err(|e| self.set.key.error(e))? != Waited::Done {
            return Ok(None);
        }
        let mut guard = Guard { mutex: self, owner, previous_holder_died: false };
        // Only holders change HELD, and that is us.
        let held = sem::value(id, HELD).map_err(|e| self.set.key.error(e))?;
        guard.previous_holder_died = held > 1;
        if let Ok(surplus @ 1..) = i16::try_from(held.saturating_sub(1)) {
            self.set.try_op(&[sembuf(HELD, -surplus, NOWAIT)])?;
        }
        Ok(Some(guard))
    }
}

impl Guard<'_> {
    /// Whether a process died while it held the mutex, and nobody has been told yet. What the mutex protects may
    /// be half changed then.
    pub fn previous_holder_died(&self) -> bool {
        self.previous_holder_died
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.owner.is_current() {
            return; // a copy in a forked child
        }
        let (lock, held) = (sembuf(LOCK, -1, UNDO | NOWAIT), sembuf(HELD, -1, NOWAIT));
        // An error means that the set was removed: there is nothing to unlock. `false` means that somebody took
        // HELD from under us; the lock must go all the same.
        if matches!(self.mutex.set.try_op(&[lock, held]), Ok(false)) {
            let _ = self.mutex.set.try_op(&[lock]);
        }
    }
}

#[cfg(test)]
#[path = "mutex_tests.rs"]
mod tests;
