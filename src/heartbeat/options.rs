//! How a board is to be opened or created.

use super::board::Board;
use super::header::Header;
use super::layout::MAX_PLACES;
use super::observer::Observer;
use super::set::Set;
use crate::error::{Error, Result};
use crate::pair::{self, Create, Terms, agree, terms_methods};
use crate::segment::{Key, Mapping};

const DEFAULT_PLACES: usize = 64;

/// Options for opening or creating a [`Board`]. What is said and differs from an existing board is an error; what is
/// unsaid is taken from it.
///
/// # Examples
/// ```
/// use semring::heartbeat::BoardOptions;
///
/// let name = format!("board-options-doc-{}", std::process::id());
/// let board = BoardOptions::new().places(8).open_or_create(&name)?;
/// assert!(BoardOptions::new().places(9).open(&name).is_err());
/// board.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BoardOptions {
    places: Option<usize>,
    terms: Terms,
}

terms_methods!(BoardOptions, "board");

impl BoardOptions {
    /// Nothing said: a board of 64 places, mode 0600.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many names fit, 1 to [`MAX_PLACES`].
    pub fn places(mut self, places: usize) -> Self {
        self.places = Some(places);
        self
    }

    /// Permissions, as of a file, 0600 (the default) to 0777. Reading and writing for whoever opens it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.terms.mode = Some(mode);
        self
    }

    /// Creates a board that does not exist yet.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::Foreign`] if the key belongs to something else; [`Error::Invalid`] for a number
    /// out of range; [`Error::Os`] when the kernel refuses, with the remedy.
    pub fn create(&self, key: impl Into<Key>) -> Result<Board> {
        self.make(key.into(), Create::Exclusive)
    }

    /// Opens a board that exists.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Mismatch`], [`Error::Foreign`], [`Error::PermissionDenied`], [`Error::Version`],
    /// [`Error::Corrupt`].
    pub fn open(&self, key: impl Into<Key>) -> Result<Board> {
        self.make(key.into(), Create::Never)
    }

    /// Opens a board, creating it if it does not exist.
    ///
    /// # Errors
    /// As [`BoardOptions::open`] and [`BoardOptions::create`].
    pub fn open_or_create(&self, key: impl Into<Key>) -> Result<Board> {
        self.make(key.into(), Create::IfAbsent)
    }

    /// Looks at a board that exists, with the right to read only.
    ///
    /// # Errors
    /// As [`BoardOptions::open`].
    pub fn observe(&self, key: impl Into<Key>) -> Result<Observer> {
        pair::observe(self, &key.into()).map(|attachment| Observer::new(Board::new(attachment)))
    }

    fn make(&self, key: Key, create: Create) -> Result<Board> {
        pair::open(self, &key, create).map(|(attachment, _lock)| Board::new(attachment))
    }
}

impl pair::Asked for BoardOptions {
    type Set = Set;
    type Header = Header;

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn new_header(&self) -> Result<Header> {
        let places = self.places.unwrap_or(DEFAULT_PLACES);
        if !(1..=MAX_PLACES).contains(&places) {
            let detail = format!("{places}; 1 to {MAX_PLACES} are possible");
            return Err(Error::Invalid { what: "number of places", detail });
        }
        Ok(Header::new(places))
    }

    /// An empty board is the zeroes that the kernel made.
    fn fill(&self, _: &Mapping, _: &Header) {}

    fn compare(&self, header: &Header) -> Result<()> {
        agree("number of places", self.places, header.places)
    }
}
