//! Counting semaphores between processes, and a [`Mutex`] made of them. Useful alone to whoever would write `semop`.
//!
//! A [`Set`] is a System V semaphore set: an array of counters from 0 to 32,767 with Dijkstra's operations
//! [`p`](Set::p), which waits until it can subtract, and [`v`](Set::v), which adds. Linux starts every counter at 0,
//! so a set that is 0 when idle needs no initialisation, and there is no race about it. The calls are those of
//! semget(2), semop(2) and semctl(2), see svipc(7). `channel` does not use this module: it talks to `os::sem`.
//!
//! Signals never end a wait here: it goes on, with the time that is left. There is no way to set a value: in the
//! kernel that would make every process forget what it has to give back when it dies.
//!
//! A set stays until [`Set::remove`], `ipcrm -s`, or the end of the IPC namespace; for ordinary users systemd-logind
//! may remove it at logout (`RemoveIPC` in logind.conf(5)).
//!
//! # Examples
//!
//! ```
//! use semring::segment::Key;
//! use semring::sem::SetOptions;
//!
//! let set = SetOptions::new(2).create(Key::Private)?;
//! set.v(1)?;
//! set.p(1)?; // would wait if it were 0
//! assert!(!set.try_p(1)?);
//! set.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod mutex;
mod status;

pub use mutex::{Guard, Mutex};
pub use status::SetStatus;

use crate::error::{Error, OsError, Result};
use crate::os::clock;
use crate::os::sem::{self, MAX_VALUE, Operation, SetId, Waited, sembuf};
use crate::segment::{Key, open_or_create, permissions};
use std::time::{Duration, Instant};

/// How to create or open a semaphore set.
///
/// # Examples
///
/// ```
/// use semring::sem::SetOptions;
///
/// let key = format!("doc-set-{}", std::process::id());
/// let set = SetOptions::new(3).mode(0o660).create(&key)?;
/// assert_eq!(SetOptions::new(3).open(&key)?.id(), set.id());
/// set.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SetOptions {
    semaphores: usize,
    mode: u32,
}

impl SetOptions {
    /// A set of `semaphores` semaphores, mode 0600. When opening, 0 means any number.
    pub fn new(semaphores: usize) -> Self {
        Self { semaphores, mode: 0o600 }
    }

    /// Permissions of a new set, nine bits: reading is looking and waiting for zero, writing is P and V. Not
    /// subject to the umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Creates a set that does not exist yet; every value is 0.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`]; [`Error::Invalid`] for a bad key, mode or number; [`Error::Os`] if a limit of
    /// `sysctl kernel.sem` is reached.
    pub fn create(&self, key: impl Into<Key>) -> Result<Set> {
        self.create_exclusive(key.into())
    }

    /// Opens a set that exists.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Mismatch`] if it has another number of semaphores;
    /// [`Error::PermissionDenied`] without read permission; [`Error::Invalid`] for a bad key.
    pub fn open(&self, key: impl Into<Key>) -> Result<Set> {
        self.open_existing(key.into())
    }

    /// Opens the set, or creates it if there is none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`create`](Self::create), without `NotFound` and `AlreadyExists` unless others
    /// create and remove it incessantly.
    pub fn open_or_create(&self, key: impl Into<Key>) -> Result<Set> {
        open_or_create(key.into(), |key| self.open_existing(key), |key| self.create_exclusive(key))
    }

    fn create_exclusive(&self, key: Key) -> Result<Set> {
        if self.semaphores == 0 {
            return Err(Error::Invalid {
                what: "number of semaphores",
                detail: "0, a set has at least 1".into(),
            });
        }
        let mode = permissions(self.mode)?;
        let number = if key == Key::Private { libc::IPC_PRIVATE } else { key.set_key()? };
        let flags = sem::CREATE | sem::EXCLUSIVE | mode as i32;
        let id = sem::get(number, self.semaphores, flags).map_err(|e| key.error(e))?;
        match sem::verify(id) {
            Ok(id) => Ok(Set { id, key }),
            Err(e) => {
                // A mode without read permission for its owner. Ours and new: nobody can miss it.
                let _ = sem::remove(id);
                Err(key.error(e))
            }
        }
    }

    fn open_existing(&self, key: Key) -> Result<Set> {
        let id = match key {
            Key::Id(id) => Set::from_id(id)?.id(),
            _ => sem::get(key.set_key()?, 0, 0).map_err(|e| key.error(e))?,
        };
        let id = sem::verify(id).map_err(|e| key.error(e))?;
        if self.semaphores != 0 && self.semaphores != id.len() {
            return Err(Error::Mismatch {
                what: "number of semaphores",
                asked: self.semaphores.to_string(),
                existing: id.len().to_string(),
            });
        }
        Ok(Set { id, key })
    }
}

/// A semaphore set: the object. Dropping it leaves the object alone.
///
/// Indices count from 0; one outside the set is [`Error::Invalid`]. Another process may operate on it between any
/// two calls, and remove it at any time: every call, also one that waits, may then fail with [`Error::Removed`].
/// Changing values needs write permission, looking at them read permission ([`Error::PermissionDenied`]).
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use semring::segment::Key;
/// use semring::sem::SetOptions;
///
/// let set = SetOptions::new(1).create(Key::Private)?;
/// set.v(0)?;
/// set.p(0)?;
/// assert!(!set.try_p(0)?);
/// assert!(!set.p_timeout(0, Duration::from_millis(1))?);
/// set.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Set {
    id: SetId,
    key: Key,
}

impl Set {
    /// Opens a set by its id, as `ipcs -s` shows it, also one without a key.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::PermissionDenied`] without read permission.
    pub fn from_id(id: i32) -> Result<Self> {
        let name = Key::Name(format!("semid {id}"));
        match sem::stat(id) {
            Ok(stat) => Ok(Self { id: stat.set_id(), key: SetStatus::new(&stat).key }),
            Err(OsError { errno: libc::EINVAL | libc::EIDRM, .. }) => {
                Err(Error::NotFound { name: name.to_string() })
            }
            Err(e) => Err(name.error(e)),
        }
    }

    /// Its id, which stays the same as long as it exists.
    pub fn id(&self) -> i32 {
        self.id.id()
    }

    /// The key it was created or opened by.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Number of semaphores; never changes.
    #[allow(clippy::len_without_is_empty)] // there are no empty sets
    pub fn len(&self) -> usize {
        self.id.len()
    }

    /// P: waits until semaphore `i` is above 0, and takes 1.
    ///
    /// # Errors
    ///
    /// Those of every operation, see [`Set`].
    pub fn p(&self, i: usize) -> Result<()> {
        self.p_by(i, 1)
    }

    /// P by `amount`: waits until semaphore `i` is at least that, and takes it, all at once.
    ///
    /// # Errors
    ///
    /// As [`p`](Self::p), and [`Error::Invalid`] unless the amount is 1 to 32,767.
    pub fn p_by(&self, i: usize, amount: u16) -> Result<()> {
        self.wait(&[sembuf(self.index(i)?, -units(amount)?, 0)], None).map(drop)
    }

    /// P that does not wait: `false` if semaphore `i` is 0.
    ///
    /// # Errors
    ///
    /// As [`p`](Self::p).
    pub fn try_p(&self, i: usize) -> Result<bool> {
        self.try_op(&[sembuf(self.index(i)?, -1, sem::NOWAIT)])
    }

    /// P that waits no longer than `timeout`: `false` if that is over and semaphore `i` still 0.
    ///
    /// # Errors
    ///
    /// As [`p`](Self::p).
    pub fn p_timeout(&self, i: usize, timeout: Duration) -> Result<bool> {
        self.p_by_timeout(i, 1, timeout)
    }

    /// P by `amount` that waits no longer than `timeout`: `false`, and nothing taken, if that is over.
    ///
    /// # Errors
    ///
    /// As [`p_by`](Self::p_by).
    pub fn p_by_timeout(&self, i: usize, amount: u16, timeout: Duration) -> Result<bool> {
        self.wait(&[sembuf(self.index(i)?, -units(amount)?, 0)], clock::deadline(timeout))
    }

    /// P that the kernel takes back (adds 1 again) when this process dies without [`v_undo`](Self::v_undo).
    ///
    /// The right belongs to the process, not the thread; it survives `exec` and is not inherited through `fork`.
    ///
    /// # Errors
    ///
    /// As [`p`](Self::p).
    pub fn p_undo(&self, i: usize) -> Result<()> {
        self.wait(&[sembuf(self.index(i)?, -1, sem::UNDO)], None).map(drop)
    }

    /// V: adds 1 to semaphore `i` and wakes whoever can go on.
    ///
    /// # Errors
    ///
    /// As [`p`](Self::p), and [`Error::Os`] with `ERANGE` if the value is 32,767 already.
    pub fn v(&self, i: usize) -> Result<()> {
        self.v_by(i, 1)
    }

    /// V by `amount`, all at once.
    ///
    /// # Errors
    ///
    /// As [`v`](Self::v), and [`Error::Invalid`] unless the amount is 1 to 32,767.
    pub fn v_by(&self, i: usize, amount: u16) -> Result<()> {
        self.wait(&[sembuf(self.index(i)?, units(amount)?, 0)], None).map(drop)
    }

    /// V that the kernel takes back (subtracts 1 again, but not below 0) when this process dies; also the
    /// counterpart of [`p_undo`](Self::p_undo), after which there is nothing to take back.
    ///
    /// # Errors
    ///
    /// As [`v`](Self::v).
    pub fn v_undo(&self, i: usize) -> Result<()> {
        self.wait(&[sembuf(self.index(i)?, 1, sem::UNDO)], None).map(drop)
    }

    /// Waits until semaphore `i` is 0.
    ///
    /// # Errors
    ///
    /// As [`p`](Self::p), but read permission is enough.
    pub fn wait_zero(&self, i: usize) -> Result<()> {
        self.wait(&[sembuf(self.index(i)?, 0, 0)], None).map(drop)
    }

    /// Waits until semaphore `i` is 0, no longer than `timeout`: `false` if that is over.
    ///
    /// # Errors
    ///
    /// As [`wait_zero`](Self::wait_zero).
    pub fn wait_zero_timeout(&self, i: usize, timeout: Duration) -> Result<bool> {
        self.wait(&[sembuf(self.index(i)?, 0, 0)], clock::deadline(timeout))
    }

    /// The value of semaphore `i`, at some moment of this call.
    ///
    /// # Errors
    ///
    /// As [`p`](Self::p), but it takes read permission.
    pub fn value(&self, i: usize) -> Result<u16> {
        sem::value(self.id(), self.index(i)?).map_err(|e| self.key.error(e))
    }

    /// All values, at one moment of this call.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn values(&self) -> Result<Vec<u16>> {
        let mut values = vec![0; self.len()];
        sem::values(self.id, &mut values).map_err(|e| self.key.error(e))?;
        Ok(values)
    }

    /// The process that last operated on semaphore `i`: `None` if there was none, or it is in another pid namespace.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn last_pid(&self, i: usize) -> Result<Option<i32>> {
        let pid = sem::pid(self.id(), self.index(i)?).map_err(|e| self.key.error(e))?;
        Ok((pid != 0).then_some(pid))
    }

    /// How many threads wait in a P of semaphore `i`.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn waiting(&self, i: usize) -> Result<u32> {
        sem::waiting(self.id(), self.index(i)?).map_err(|e| self.key.error(e))
    }

    /// How many threads wait for semaphore `i` to become 0.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn waiting_for_zero(&self, i: usize) -> Result<u32> {
        sem::waiting_for_zero(self.id(), self.index(i)?).map_err(|e| self.key.error(e))
    }

    /// What the kernel knows of the set.
    ///
    /// # Errors
    ///
    /// As [`value`](Self::value).
    pub fn status(&self) -> Result<SetStatus> {
        sem::stat(self.id()).map(|stat| SetStatus::new(&stat)).map_err(|e| self.key.error(e))
    }

    /// Changes the permissions, nine bits.
    ///
    /// # Errors
    ///
    /// [`Error::PermissionDenied`] unless we are owner, creator or root; [`Error::Invalid`] for other bits.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        let mode = permissions(mode)?;
        let status = self.status()?;
        sem::set(self.id(), status.uid, status.gid, mode).map_err(|e| self.key.error(e))
    }

    /// Removes the set. Whoever waits on it wakes up with [`Error::Removed`].
    ///
    /// # Errors
    ///
    /// [`Error::PermissionDenied`] unless we are owner, creator or root.
    pub fn remove(self) -> Result<()> {
        sem::remove(self.id()).map_err(|e| self.key.error(e))
    }

    /// Checks an index. That the number fits 16 bits is the kernel's limit, too.
    fn index(&self, i: usize) -> Result<u16> {
        let number = u16::try_from(i).ok().filter(|_| i < self.len());
        let detail = || format!("{i}, the set has {} semaphores", self.len());
        number.ok_or_else(|| Error::Invalid { what: "index of a semaphore", detail: detail() })
    }

    /// All operations or none: `false` if the deadline passes. Signals do not end it.
    fn wait(&self, operations: &[Operation], deadline: Option<Instant>) -> Result<bool> {
        let waited = sem::wait(self.id(), operations, deadline, &|| false).map_err(|e| self.key.error(e))?;
        Ok(waited == Waited::Done)
    }

    /// All operations, which have `NOWAIT`, or none: `false`.
    fn try_op(&self, operations: &[Operation]) -> Result<bool> {
        sem::try_op(self.id(), operations).map_err(|e| self.key.error(e))
    }
}

/// Every semaphore set of this IPC namespace, as `ipcs -s` lists them.
///
/// # Errors
///
/// [`Error::Os`] if the kernel has no System V IPC.
pub fn list() -> Result<Vec<SetStatus>> {
    Ok(sem::list()?.iter().map(SetStatus::new).collect())
}

/// An amount as an operation takes it; 0 would mean waiting for zero.
fn units(amount: u16) -> Result<i16> {
    let units = i16::try_from(amount).ok().filter(|&u| u > 0);
    units
        .ok_or_else(|| Error::Invalid { what: "amount", detail: format!("{amount}, it is 1 to {MAX_VALUE}") })
}

#[cfg(test)]
mod tests;
