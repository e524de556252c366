//! Making what is not there: the set, and under its lock the segment.

use libc::{EEXIST, IPC_CREAT, IPC_EXCL};

use super::header::{self, Header};
use super::opening::{Asked, Opening, Segment};
use super::set::Set;
use super::stage::{Stage, set_stage};
use crate::error::{Error, Result};
use crate::os;
use crate::segment::Mapping;

impl<A: Asked> Opening<'_, A> {
    /// A set that nobody has built on yet.
    pub(super) fn create_set(&self) -> Result<A::Set> {
        let size = self.asked.new_header()?.set_size(); // refuse bad parameters before anything is made
        let flags = self.terms().mode() | IPC_CREAT | IPC_EXCL;
        let id = os::sem::get(self.place.set_key(), size, flags).map_err(|e| match e.errno {
            EEXIST => Error::Removed, // somebody was faster: the next round opens it
            _ => Error::Os(e),
        })?;
        self.verified(id)
    }

    /// Makes and fills the segment, and says that it is ready; under the lock. If that fails nothing is left behind: not
    /// the wreck of a segment, nor the set.
    pub(super) fn create_segment(&self, set: &A::Set) -> Result<Segment<A::Header>> {
        self.try_create(set).inspect_err(|_| {
            let _ = set.remove();
        })
    }

    fn try_create(&self, set: &A::Set) -> Result<Segment<A::Header>> {
        let header = self.asked.new_header()?;
        if header.set_size() != set.set_id().len() {
            // The set is a dead creator's who asked for other parameters: make both anew.
            set.remove()?;
            return Err(Error::Removed);
        }
        // From here on a segment without magic under our key is our wreck.
        set_stage(set, Stage::Building)?;
        let huge = if self.terms().huge_pages { libc::SHM_HUGETLB } else { 0 };
        let flags = self.terms().mode() | IPC_CREAT | IPC_EXCL | huge;
        let key = self.place.segment_key();
        let id = os::shm::get(key, header.segment_size(), flags).map_err(|e| match e.errno {
            EEXIST => self.foreign("a segment that somebody made just now"),
            _ => Error::Os(e),
        })?;
        let filled = self.fill(id, set, &header);
        match filled.and_then(|mapping| set_stage(set, Stage::Ready).map(|()| mapping)) {
            Ok(mapping) => Ok(Segment { id, mapping, header }),
            Err(e) => {
                let _ = os::shm::remove(id);
                Err(e)
            }
        }
    }

    fn fill(&self, id: i32, set: &A::Set, header: &A::Header) -> Result<Mapping> {
        let mapping = Mapping::attach(id, false)?;
        if self.terms().lock_memory {
            os::shm::lock(id).map_err(Error::Os)?;
        }
        self.prepare(&mapping)?;
        self.asked.fill(&mapping, header);
        header::write(&mapping, header, &self.name, set.id())?;
        Ok(mapping)
    }

    /// What every process does with its mapping: keep it out of core dumps, and touch it all unless told not to.
    pub(super) fn prepare(&self, mapping: &Mapping) -> Result<()> {
        os::shm::dont_dump(mapping.base(), mapping.len())?;
        if !self.terms().lazy {
            os::shm::prefault(mapping.base(), mapping.len())?;
        }
        Ok(())
    }
}
