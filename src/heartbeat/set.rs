//! The semaphore set of a board.
//!
//! ```text
//! 0        IDENT      0 new, BUILDING or READY; changed only under LOCK
//! 1        LOCK       0 free, 1 held; with SEM_UNDO
//! 2        KEEPER     0 free, 1 held; with SEM_UNDO: one supervisor at a time
//! 3 ..     leases     1 while the holder of the place lives; with SEM_UNDO
//! ```
//!
//! Every one is valid at zero, which is how the kernel makes them. Who made a lease 1 the kernel tells (GETPID).

use std::time::Instant;

use libc::{EAGAIN, EALREADY};

use super::layout::MAX_PLACES;
use crate::error::{Error, Result};
use crate::os;
use crate::os::sem::{NOWAIT, UNDO, Waited, sembuf};
use crate::pair::{self, Held, IDENT, Set as _, Stages, lost};

const LOCK: u16 = 1;
const KEEPER: u16 = 2;
/// Semaphores besides the leases.
const FIXED: usize = 3;
const MOST: usize = FIXED + MAX_PLACES;

/// A set that was verified to be a board's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    id: os::sem::SetId,
}

impl pair::Set for Set {
    type Lock = Held;
    const STAGES: Stages = Stages::BOARD;

    fn verify(id: i32, name: &str, trusted: impl Fn(u32) -> bool) -> Result<Self> {
        let oddity = |values: &[u16]| pair::oddity_of_flags(Self::STAGES, "a lease's", values);
        pair::verify::<MOST>(id, name, trusted, |nsems| nsems > FIXED, oddity).map(|id| Set { id })
    }

    fn set_id(&self) -> os::sem::SetId {
        self.id
    }

    fn take_lock(&self, deadline: Option<Instant>) -> Result<Held> {
        Held::take(self.id(), LOCK, deadline)
    }
}

/// The semaphore of a place's lease. Places are below [`MAX_PLACES`].
fn lease(place: usize) -> u16 {
    (FIXED + place) as u16
}

impl Set {
    /// Semaphores of a board with so many places.
    pub(crate) fn size(places: usize) -> usize {
        FIXED + places
    }

    /// Becomes the keeper; sleeps while there is another.
    pub(crate) fn keep(&self, deadline: Option<Instant>) -> Result<Held> {
        Held::take(self.id(), KEEPER, deadline)
    }

    pub(crate) fn try_keep(&self) -> Result<Option<Held>> {
        Held::try_take(self.id(), KEEPER)
    }

    /// Who sleeps in [`Self::keep`].
    pub(crate) fn standbys(&self) -> Result<u32> {
        os::sem::waiting_for_zero(self.id(), KEEPER).map_err(lost)
    }

    pub(crate) fn keeper(&self) -> Result<Option<i32>> {
        self.holder_of(KEEPER)
    }

    /// Who holds a place, as the kernel recorded it; 0 if that is in another pid namespace.
    pub(crate) fn holder(&self, place: usize) -> Result<Option<i32>> {
        self.holder_of(lease(place))
    }

    /// The process that made the semaphore 1: of those who did while we looked, the one that was there in between.
    fn holder_of(&self, semaphore: u16) -> Result<Option<i32>> {
        let value = || os::sem::value(self.id(), semaphore).map_err(lost);
        let pid = || os::sem::pid(self.id(), semaphore).map_err(lost);
        while value()? != 0 {
            let holder = pid()?;
            // Held by somebody before and after, and no change in between that left a trace.
            if value()? != 0 && pid()? == holder {
                return Ok(Some(holder));
            }
        }
        Ok(None)
    }

    pub(crate) fn is_alive(&self, place: usize) -> Result<bool> {
        Ok(os::sem::value(self.id(), lease(place)).map_err(lost)? != 0)
    }

    /// Claims a lease for this process, for as long as that lives. Allocates nothing: also for between fork and exec. The
    /// error is a bare errno, EALREADY if somebody has it.
    pub(crate) fn claim(&self, place: usize) -> std::result::Result<(), i32> {
        let ops = [sembuf(lease(place), 0, NOWAIT), sembuf(lease(place), 1, UNDO)];
        os::sem::op_quietly(self.id(), &ops).map_err(|errno| if errno == EAGAIN { EALREADY } else { errno })
    }

    /// Gives up a lease of ours.
    pub(crate) fn leave(&self, place: usize) {
        Held::give_back(self.id(), lease(place));
    }

    /// Waits until nobody holds a lease; `false` if the deadline passes. Read permission is enough.
    pub(crate) fn wait_for_death(&self, place: usize, deadline: Option<Instant>) -> Result<bool> {
        let waited = os::sem::wait(self.id(), &[sembuf(lease(place), 0, 0)], deadline, &|| false);
        Ok(waited.map_err(lost)? == Waited::Done)
    }

    /// Sleeps until the set is removed, for IDENT is not 0 before; `false` if the deadline passes. Read permission is
    /// enough.
    pub(crate) fn wait_for_removal(&self, deadline: Option<Instant>) -> Result<bool> {
        match os::sem::wait(self.id(), &[sembuf(IDENT, 0, 0)], deadline, &|| false).map_err(lost) {
            Ok(Waited::TimedOut | Waited::Interrupted) => Ok(false),
            Ok(Waited::Done) | Err(Error::Removed) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Processes that need it: who lives on it, who keeps it, who waits to.
    pub(crate) fn users(&self) -> Result<u32> {
        let alive = self.leases(MAX_PLACES)?.into_iter().filter(|&alive| alive).count();
        Ok(alive as u32 + u32::from(self.keeper()?.is_some()) + self.standbys()?)
    }

    /// All leases, at one moment.
    pub(crate) fn leases(&self, places: usize) -> Result<Vec<bool>> {
        let mut values = vec![0; self.id.len()];
        os::sem::values(self.id, &mut values).map_err(lost)?;
        Ok(values.iter().skip(FIXED).take(places).map(|&value| value != 0).collect())
    }
}
