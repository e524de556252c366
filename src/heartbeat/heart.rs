//! [`Heart`]: a place that this process holds, and the beat.

use std::env::{self, VarError};
use std::fmt;
use std::time::Duration;

use super::options::BoardOptions;
use super::place::Place;
use crate::error::{Error, Result};

/// The board and the name that a supervisor gives to its services in their environment.
pub const BOARD_VARIABLE: &str = "SEMRING_BOARD";
/// See [`BOARD_VARIABLE`].
pub const SERVICE_VARIABLE: &str = "SEMRING_SERVICE";

/// A place of a board that this process holds, from [`Board::register`](super::Board::register). Dropping it gives the
/// place up; dying does so, too. A copy inherited through `fork` does nothing.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use semring::heartbeat::{BoardOptions, Life};
///
/// let name = format!("heart-doc-{}", std::process::id());
/// let board = BoardOptions::new().create(&name)?;
/// let heart = board.register("worker", Some(Duration::from_secs(5)))?;
/// heart.beat(); // at least every 5 s from now on
/// assert_eq!(board.find("worker")?.unwrap().life, Life::Alive);
/// drop(heart);
/// assert!(board.find("worker")?.is_none());
/// board.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
pub struct Heart {
    place: Place,
    /// Claimed by this handle, and not before the program was executed?
    owned: bool,
}

impl fmt::Debug for Heart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heart").field("name", &self.place.name()).field("owned", &self.owned).finish()
    }
}

impl Heart {
    pub(super) fn new(place: Place, silence: Option<Duration>) -> Result<Self> {
        let owned = place.take(silence)?;
        Ok(Heart { place, owned })
    }

    /// The heart of a service under `semring supervise`: on the board and by the name that its environment says. The silence
    /// that it may keep is the one in the supervisor's configuration.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the environment says nothing; those of [`BoardOptions::open`] and
    /// [`Board::register`](super::Board::register).
    ///
    /// # Examples
    /// ```no_run
    /// let heart = semring::heartbeat::Heart::of_service()?;
    /// loop {
    ///     // ... a piece of work ...
    ///     heart.beat();
    /// #   break;
    /// }
    /// # Ok::<(), semring::Error>(())
    /// ```
    pub fn of_service() -> Result<Self> {
        let variable = |name: &'static str| {
            env::var(name).map_err(|error| {
                let detail = match error {
                    VarError::NotPresent => {
                        format!("{name} is not set: is this a service of semring supervise?")
                    }
                    VarError::NotUnicode(text) => format!("{name} is {text:?}, which is not UTF-8"),
                };
                Error::Invalid { what: "environment", detail }
            })
        };
        let (board, service) = (variable(BOARD_VARIABLE)?, variable(SERVICE_VARIABLE)?);
        BoardOptions::new().open(board)?.register(&service, None)
    }

    /// I live and get on: one look at the clock and one store to a line that nobody else writes.
    #[inline]
    pub fn beat(&self) {
        if self.place.attachment().is_ours() {
            self.place.beat();
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.place.name()
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        if !self.place.attachment().is_ours() {
            return; // a copy in a forked child
        }
        // A place that was claimed for the program is held as long as that lives.
        if self.owned {
            self.place.leave();
        }
    }
}
