//! What can be seen of a board from outside.

use std::time::SystemTime;

use super::board::Attachment;
use super::member::{Life, Member};
use crate::error::Result;
use crate::os;
use crate::pair::header::from_nanos;
use crate::pair::{Set as _, lost};

/// Everything about a board now, as [`Observer::status`](super::Observer::status) saw it.
///
/// # Examples
/// ```
/// use semring::heartbeat::BoardOptions;
///
/// let name = format!("board-status-doc-{}", std::process::id());
/// let board = BoardOptions::new().places(8).create(&name)?;
/// let heart = board.register("web", None)?;
/// let status = BoardOptions::new().observe(&name)?.status()?;
/// assert_eq!((status.places, status.alive(), status.keeper), (8, 1, None));
/// assert_eq!(status.members[0].name, "web");
/// # drop(heart);
/// board.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BoardStatus {
    /// Name, or the key in hexadecimal.
    pub name: String,
    /// How many names fit.
    pub places: usize,
    /// Who has a place, dead or alive.
    pub members: Vec<Member>,
    /// The process that keeps it, if any; 0 if it is in another pid namespace.
    pub keeper: Option<i32>,
    /// How many wait to keep it.
    pub standbys: u32,
    /// How often a keeper has ended its services on purpose.
    pub ended: u64,
    /// Permissions of the segment (`0o777` bits).
    pub mode: u32,
    /// Owner's uid.
    pub owner_uid: u32,
    /// Creator's uid.
    pub creator_uid: u32,
    /// When it was created.
    pub created: SystemTime,
    /// The process that created it.
    pub creator: i32,
    /// The segment's id, as `ipcs -m` shows it.
    pub segment_id: i32,
    /// The segment's key, as `ipcs -m` shows it.
    pub segment_key: i32,
    /// The semaphore set's id, as `ipcs -s` shows it.
    pub semaphore_id: i32,
    /// The semaphore set's key, as `ipcs -s` shows it.
    pub semaphore_key: i32,
    /// Bytes of the segment.
    pub size_bytes: usize,
    /// Mappings of the segment, by anybody, the one through which this was seen included.
    pub attached: u64,
}

impl BoardStatus {
    /// How many of the members live.
    pub fn alive(&self) -> usize {
        self.members.iter().filter(|member| member.life != Life::Dead).count()
    }
}

/// Reads it all; changes nothing, and takes no lock.
pub(super) fn read(board: &Attachment, members: Vec<Member>, ended: u64) -> Result<BoardStatus> {
    let set = os::sem::stat(board.set.id()).map_err(lost)?;
    let segment = os::shm::stat(board.segment_id).map_err(lost)?;
    let header = &board.header;
    Ok(BoardStatus {
        name: board.name.clone(),
        places: header.places,
        members,
        keeper: board.set.keeper()?,
        standbys: board.set.standbys()?,
        ended,
        mode: segment.mode & 0o777,
        owner_uid: segment.uid,
        creator_uid: segment.cuid,
        created: from_nanos(header.created),
        creator: header.creator as u32 as i32,
        segment_id: board.segment_id,
        segment_key: segment.key,
        semaphore_id: board.set.id(),
        semaphore_key: set.key,
        size_bytes: segment.size,
        attached: segment.nattch,
    })
}
