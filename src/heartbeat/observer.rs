//! [`Observer`]: looking at a board with the right to read only.

use std::time::Duration;

use super::board::Board;
use super::member::Member;
use super::status::{self, BoardStatus};
use crate::error::Result;

/// A board for who only looks, from [`BoardOptions::observe`](super::BoardOptions::observe): permission to read is enough,
/// nothing is changed, and nobody notices.
///
/// # Examples
/// ```
/// use semring::heartbeat::{BoardOptions, Life};
///
/// let name = format!("observer-doc-{}", std::process::id());
/// let board = BoardOptions::new().create(&name)?;
/// let heart = board.register("web", None)?;
/// let observer = BoardOptions::new().observe(&name)?;
/// assert_eq!(observer.find("web")?.unwrap().life, Life::Alive);
/// # drop(heart);
/// board.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Observer {
    board: Board,
}

impl Observer {
    pub(super) fn new(board: Board) -> Self {
        Observer { board }
    }

    /// As [`Board::name`].
    pub fn name(&self) -> &str {
        self.board.name()
    }

    /// As [`Board::members`].
    ///
    /// # Errors
    /// As there.
    pub fn members(&self) -> Result<Vec<Member>> {
        self.board.members()
    }

    /// As [`Board::find`].
    ///
    /// # Errors
    /// As there.
    pub fn find(&self, name: &str) -> Result<Option<Member>> {
        self.board.find(name)
    }

    /// Sleeps until nobody of that name lives; `false` if the time is over. As
    /// [`Place::wait_for_death`](super::Place::wait_for_death).
    ///
    /// # Errors
    /// As [`Board::members`].
    pub fn wait_for_death(&self, name: &str, timeout: Duration) -> Result<bool> {
        self.board.place(name)?.map_or(Ok(true), |place| place.wait_for_death(timeout))
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Board::members`].
    pub fn status(&self) -> Result<BoardStatus> {
        status::read(self.board.attachment(), self.board.members()?, self.board.ended())
    }

    /// As [`Board::keeper`].
    ///
    /// # Errors
    /// As there.
    pub fn keeper(&self) -> Result<Option<i32>> {
        self.board.keeper()
    }

    /// As [`Board::standbys`].
    ///
    /// # Errors
    /// As there.
    pub fn standbys(&self) -> Result<u32> {
        self.board.standbys()
    }
}
