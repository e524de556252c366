//! What the inventory has to know of each kind of pair.

use super::{Condition, Object};
use crate::channel;
use crate::error::Result;
use crate::heartbeat;
use crate::layout::record;
use crate::pair;
use crate::segment::Key;
use crate::table;

/// A kind of pair that can be listed.
pub(super) trait Kind {
    type Set: pair::Set;
    type Header: pair::Header;
    const OBJECT: Object;

    /// Could its segment have so many bytes?
    fn is_plausible(size: usize) -> bool;

    /// Everything about one that can be opened, by its segment's id.
    ///
    /// # Errors
    /// As observing it.
    fn look(segment: i32) -> Result<Condition>;

    /// How many are alive, as far as a set alone tells.
    fn alive(set: &Self::Set) -> Result<u32>;
}

pub(super) struct Channels;

impl Kind for Channels {
    type Set = channel::Set;
    type Header = channel::Header;
    const OBJECT: Object = Object::Channel;

    /// Slots begin at a multiple of 128, and take a multiple of 16.
    fn is_plausible(size: usize) -> bool {
        const SMALLEST: usize = record::BASE + 2 * record::SIZE + 16;
        size >= SMALLEST && size % 16 == 0
    }

    fn look(segment: i32) -> Result<Condition> {
        let observer = channel::Options::new().allow_any_owner().observe(Key::Id(segment))?;
        Ok(Condition::Live(Box::new(observer.status()?)))
    }

    fn alive(set: &Self::Set) -> Result<u32> {
        Ok(set.snapshot()?.alive().count_ones())
    }
}

pub(super) struct Tables;

impl Kind for Tables {
    type Set = table::Set;
    type Header = table::Header;
    const OBJECT: Object = Object::Table;

    /// Everything is a multiple of a line.
    fn is_plausible(size: usize) -> bool {
        size > pair::layout::header::BYTES && size % 64 == 0
    }

    fn look(segment: i32) -> Result<Condition> {
        let status = table::TableOptions::new().allow_any_owner().status(Key::Id(segment))?;
        Ok(Condition::Table(Box::new(status)))
    }

    /// Readers are invisible; who writes holds a stripe.
    fn alive(set: &Self::Set) -> Result<u32> {
        Ok(set.holders()?.writers.len() as u32)
    }
}

pub(super) struct Boards;

impl Kind for Boards {
    type Set = heartbeat::Set;
    type Header = heartbeat::Header;
    const OBJECT: Object = Object::Board;

    fn is_plausible(size: usize) -> bool {
        heartbeat::is_size(size)
    }

    fn look(segment: i32) -> Result<Condition> {
        let observer = heartbeat::BoardOptions::new().allow_any_owner().observe(Key::Id(segment))?;
        Ok(Condition::Board(Box::new(observer.status()?)))
    }

    fn alive(set: &Self::Set) -> Result<u32> {
        set.users()
    }
}
