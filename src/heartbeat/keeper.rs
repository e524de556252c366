//! [`Keeper`]: the one process that may start and end what is on a board.

use std::fmt;
use std::sync::Arc;

use super::board::{Attachment, Board};
use super::place::Place;
use super::record::Kind;
use crate::error::{Error, Result};
use crate::pair::Held;
use crate::sync::Ordering;

/// The right to keep a board, from [`Board::keep`]: one process has it at a time, until it drops it or dies. The kernel
/// then wakes one of those who wait for it.
///
/// # Examples
/// ```
/// use semring::heartbeat::BoardOptions;
///
/// let name = format!("keeper-doc-{}", std::process::id());
/// let board = BoardOptions::new().create(&name)?;
/// let keeper = board.try_keep()?.unwrap();
/// assert!(board.try_keep()?.is_none());
/// assert_eq!(board.keeper()?, Some(std::process::id() as i32));
/// let place = keeper.place("web")?;
/// assert!(!place.is_alive()?); // nobody has been started there
/// place.set_note(0, 7);
/// drop(keeper);
/// let successor = board.try_keep()?.unwrap();
/// assert_eq!(successor.place("web")?.note(0), 7);
/// board.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
pub struct Keeper {
    board: Board,
    _held: Held,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keeper").field(&self.board).finish()
    }
}

impl Keeper {
    pub(super) fn new(board: Board, held: Held) -> Self {
        Keeper { board, _held: held }
    }

    fn attachment(&self) -> &Arc<Attachment> {
        self.board.attachment()
    }

    /// The board.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The place of a name, kept from now on: it stays that name's when its holder dies. Whoever holds it already keeps it.
    /// One that is kept already is found without the board's lock, whoever has that.
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Invalid`] for what cannot be a name, [`Error::LockBusy`], [`Error::Removed`].
    pub fn place(&self, name: &str) -> Result<Place> {
        // Nobody but us gives up a kept place.
        if let Some(place) = self.board.place(name)?.filter(|place| place.record().kind() == Kind::Kept) {
            return Ok(place);
        }
        let (place, _lock) = self.board.place_of(name, Kind::Kept)?;
        // Its holder may be leaving at this moment: then the name is gone, and comes anew.
        if place.record().kind() == Kind::Kept || place.record().turn(Kind::Named, Kind::Kept) {
            return Ok(place);
        }
        Err(Error::Overtaken)
    }

    /// The names of all kept places.
    ///
    /// # Errors
    /// As [`Board::members`].
    pub fn kept(&self) -> Result<Vec<String>> {
        let members = self.board.members()?;
        Ok(members.into_iter().filter(|member| member.kept).map(|member| member.name).collect())
    }

    /// Keeps a place no longer: it is its holder's, or free if that is dead.
    ///
    /// # Errors
    /// [`Error::LockBusy`], [`Error::Removed`].
    pub fn release(&self, place: &Place) -> Result<()> {
        let _lock = self.board.lock()?;
        place.record().turn(Kind::Kept, if place.is_alive()? { Kind::Named } else { Kind::Vacant });
        Ok(())
    }

    /// Counts that the services of this board were ended on purpose, which those who wait for the board can see
    /// ([`Board::ended`]), and removes the board if nobody lives on it or waits for it. Returns whether it did.
    ///
    /// # Errors
    /// [`Error::LockBusy`], [`Error::PermissionDenied`].
    pub fn end(self) -> Result<bool> {
        if let Some(word) = self.attachment().mapping.word(super::layout::ENDED) {
            word.fetch_add(1, Ordering::AcqRel);
        }
        self.board.remove_if_unused()
    }

    /// As [`end`](Self::end), for who learned that the services were ended while it waited.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    pub fn leave(self) -> Result<bool> {
        self.board.remove_if_unused()
    }
}
