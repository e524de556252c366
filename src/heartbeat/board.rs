//! [`Board`]: opening it is `options`' business, this is what can be done with it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::header::Header;
use super::heart::Heart;
use super::keeper::Keeper;
use super::layout::{ENDED, MAX_NAME};
use super::member::Member;
use super::place::{Place, describe};
use super::record::{Kind, Record, is_name};
use super::set::Set;
use crate::error::{Error, Result};
use crate::pair::{self, Held, Set as _, header};

pub(super) type Attachment = pair::Attachment<Set, Header>;

/// A board in shared memory on which processes have places by name, and show that they live. Made by
/// [`BoardOptions`](super::BoardOptions); handles may be cloned and used by all threads.
///
/// # Examples
/// ```
/// use semring::heartbeat::{BoardOptions, Life};
///
/// let name = format!("board-doc-{}", std::process::id());
/// let board = BoardOptions::new().open_or_create(&name)?;
/// let heart = board.register("me", None)?; // no silence promised: never hung
/// let members = board.members()?;
/// assert_eq!((members[0].name.as_str(), members[0].life), ("me", Life::Alive));
/// assert_eq!(members[0].pid, std::process::id() as i32);
/// assert!(board.register("me", None).is_err()); // one of each name
/// # drop(heart);
/// board.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone)]
pub struct Board {
    attachment: Arc<Attachment>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attachment { name, segment_id, header, .. } = &*self.attachment;
        f.debug_struct("Board")
            .field("name", name)
            .field("segment", segment_id)
            .field("header", header)
            .finish()
    }
}

impl Board {
    pub(super) fn new(attachment: Attachment) -> Self {
        Board { attachment: Arc::new(attachment) }
    }

    pub(super) fn attachment(&self) -> &Arc<Attachment> {
        &self.attachment
    }

    /// The name or key that it was opened by.
    pub fn name(&self) -> &str {
        &self.attachment.name
    }

    /// How many names fit.
    pub fn places(&self) -> usize {
        self.attachment.header.places
    }

    /// Takes a place for this process: its name is alive from now on until the [`Heart`] is dropped or the process dies.
    /// With `silence` it promises to [`beat`](Heart::beat) more often than that. Called by the program of a service, it
    /// takes the place that was claimed for it, with what was promised then.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if somebody of that name lives; [`Error::NoRoom`]; [`Error::Invalid`] for what cannot be
    /// a name; [`Error::LockBusy`], [`Error::Removed`], [`Error::Forked`].
    pub fn register(&self, name: &str, silence: Option<Duration>) -> Result<Heart> {
        let (place, _lock) = self.place_of(name, Kind::Named)?;
        Heart::new(place, silence)
    }

    /// Everybody who has a place, dead or alive, in the order of the places.
    ///
    /// # Errors
    /// [`Error::Removed`]; [`Error::Corrupt`] if a name is none; [`Error::Overtaken`].
    ///
    /// # Examples
    /// ```
    /// # let board = semring::heartbeat::BoardOptions::new().create(semring::segment::Key::Private)?;
    /// for member in board.members()? {
    ///     println!("{} {} silent for {:?}", member.name, member.life, member.silent_for);
    /// }
    /// # board.remove()?;
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn members(&self) -> Result<Vec<Member>> {
        self.attachment.check_live()?;
        let leases = self.attachment.set.leases(self.places())?;
        let mut members = Vec::new();
        for (index, alive) in leases.into_iter().enumerate() {
            if let Some((name, kind)) = self.record(index).identity()? {
                let holder = if alive { self.attachment.set.holder(index)? } else { None };
                members.push(describe(self.record(index), index, name, kind == Kind::Kept, holder));
            }
        }
        Ok(members)
    }

    /// Who has the place of that name.
    ///
    /// # Errors
    /// As [`members`](Self::members).
    pub fn find(&self, name: &str) -> Result<Option<Member>> {
        self.place(name)?.map(|place| place.member()).transpose()
    }

    /// The place of that name.
    ///
    /// # Errors
    /// As [`members`](Self::members).
    pub fn place(&self, name: &str) -> Result<Option<Place>> {
        self.attachment.check_live()?;
        Ok(self.index_of(name)?.map(|index| self.at(index, name)))
    }

    /// Becomes the board's keeper, once nobody else is: sleeps until then. `None` if the time is over.
    ///
    /// # Errors
    /// [`Error::Removed`], [`Error::Forked`].
    pub fn keep(&self, timeout: Duration) -> Result<Option<Keeper>> {
        self.attachment.check_fork()?;
        match self.attachment.set.keep(Instant::now().checked_add(timeout)) {
            Ok(held) => Ok(Some(Keeper::new(self.clone(), held))),
            Err(Error::LockBusy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Becomes the board's keeper if nobody is.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub fn try_keep(&self) -> Result<Option<Keeper>> {
        self.attachment.check_fork()?;
        Ok(self.attachment.set.try_keep()?.map(|held| Keeper::new(self.clone(), held)))
    }

    /// The process that keeps the board, as the kernel recorded it; 0 if it is in another pid namespace.
    ///
    /// # Errors
    /// [`Error::Removed`].
    pub fn keeper(&self) -> Result<Option<i32>> {
        self.attachment.set.keeper()
    }

    /// How many wait to become the keeper.
    ///
    /// # Errors
    /// [`Error::Removed`].
    pub fn standbys(&self) -> Result<u32> {
        self.attachment.set.standbys()
    }

    /// How often a keeper has ended the services of this board on purpose ([`Keeper::end`]).
    pub fn ended(&self) -> u64 {
        header::word(&self.attachment.mapping, ENDED)
    }

    /// Removes the board, whoever uses it: their calls then say [`Error::Removed`].
    ///
    /// # Errors
    /// [`Error::PermissionDenied`], [`Error::LockBusy`], [`Error::Removed`], [`Error::Forked`].
    pub fn remove(&self) -> Result<()> {
        let _lock = self.lock()?;
        self.remove_locked()
    }

    /// Sleeps until the board is removed; `false` if the time is over. Costs nothing meanwhile.
    ///
    /// # Errors
    /// [`Error::Os`] if the kernel refuses to let us wait.
    pub fn wait_for_removal(&self, timeout: Duration) -> Result<bool> {
        self.attachment.set.wait_for_removal(Instant::now().checked_add(timeout))
    }

    fn remove_locked(&self) -> Result<()> {
        let Attachment { name, set, segment_id, mapping, .. } = &*self.attachment;
        pair::remove(name, set, *segment_id, || header::mark_dead(mapping))
    }

    /// Removes the board unless somebody lives on it or waits to keep it.
    pub(super) fn remove_if_unused(&self) -> Result<bool> {
        let _lock = self.lock()?;
        let set = &self.attachment.set;
        let unused = set.standbys()? == 0 && set.leases(self.places())?.iter().all(|alive| !alive);
        if unused {
            self.remove_locked()?;
        }
        Ok(unused)
    }

    /// The lock under which places change their names.
    pub(super) fn lock(&self) -> Result<Held> {
        self.attachment.check_fork()?;
        let lock = self.attachment.set.take_lock(Instant::now().checked_add(self.attachment.lock_timeout))?;
        self.attachment.check_live()?;
        Ok(lock)
    }

    fn record(&self, index: usize) -> Record<'_> {
        Record::new(&self.attachment.mapping, index)
    }

    fn at(&self, index: usize, name: &str) -> Place {
        Place::new(Arc::clone(&self.attachment), index, name.into())
    }

    fn index_of(&self, name: &str) -> Result<Option<usize>> {
        for index in 0..self.places() {
            if self.record(index).identity()?.is_some_and(|(found, _)| found == name) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The place of a name, given to it if it has none; and the lock, still held.
    pub(super) fn place_of(&self, name: &str, kind: Kind) -> Result<(Place, Held)> {
        if !is_name(name) {
            let detail = format!("{name:?}; 1 to {MAX_NAME} bytes without control characters are possible");
            return Err(Error::Invalid { what: "name of a place", detail });
        }
        let lock = self.lock()?;
        let index = match self.index_of(name)? {
            Some(index) => index,
            None => self.give_place(name, kind)?,
        };
        Ok((self.at(index, name), lock))
    }

    /// The first place that nobody lives on and nobody keeps: a nameless one rather than one of the dead.
    fn give_place(&self, name: &str, kind: Kind) -> Result<usize> {
        let leases = self.attachment.set.leases(self.places())?;
        let free = |kinds: [Kind; 2]| {
            leases.iter().enumerate().position(|(i, &alive)| !alive && kinds.contains(&self.record(i).kind()))
        };
        let nameless = free([Kind::Vacant, Kind::Writing]);
        let Some(index) = nameless.or_else(|| free([Kind::Named, Kind::Named])) else {
            return Err(Error::NoRoom { what: "place on the board", limit: self.places() });
        };
        self.record(index).name(name, kind)?;
        Ok(index)
    }
}
