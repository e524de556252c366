//! [`Place`]: one name of a board, for who keeps it and starts its holder.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::board::Attachment;
use super::layout::place as at;
use super::member::{Member, Signs};
use super::record::{Kind, Record};
use crate::error::{Error, Result};
use crate::os::process::pid;
use crate::os::{clock, start_time};
use crate::pair::header::from_nanos;

/// Above the pid: the lease was claimed for the program that is executed next, not by a [`Heart`](super::Heart).
const FOR_PROGRAM: u64 = 1 << 32;

/// One name of a board. It stays valid as long as the name keeps its place: for good if a [`Keeper`](super::Keeper) asked
/// for it and does not give it up.
#[derive(Clone)]
pub struct Place {
    attachment: Arc<Attachment>,
    index: usize,
    name: String,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("index", &self.index).field("name", &self.name).finish()
    }
}

impl Place {
    pub(super) fn new(attachment: Arc<Attachment>, index: usize, name: String) -> Self {
        Place { attachment, index, name }
    }

    pub(super) fn record(&self) -> Record<'_> {
        Record::new(&self.attachment.mapping, self.index)
    }

    pub(super) fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Claims the place for the program that this process is about to execute: **for a child between fork and exec**. The
    /// lease survives execve(2) and is nobody else's, so the place is held exactly as long as the program lives, whatever
    /// becomes of who started it, and no two programs ever hold it.
    ///
    /// Makes system calls and stores only, so it may be called in `pre_exec`
    /// ([`CommandExt`](std::os::unix::process::CommandExt::pre_exec)). Called by a process that does not execute a
    /// program, it holds the place until the process ends.
    ///
    /// # Errors
    /// `EALREADY` if somebody holds the place: do not start a second one. Otherwise what semop(2) says.
    pub fn claim_for_program(&self, silence: Option<Duration>) -> io::Result<()> {
        self.claim(silence, FOR_PROGRAM).map_err(io::Error::from_raw_os_error)
    }

    /// Claims for this process; `how` is 0 or [`FOR_PROGRAM`].
    fn claim(&self, silence: Option<Duration>, how: u64) -> std::result::Result<(), i32> {
        self.attachment.set.claim(self.index)?;
        let (record, now) = (self.record(), clock::monotonic_nanos());
        record.store(at::BEAT, now);
        record.store(at::SILENCE, silence.map_or(0, clock::nanos));
        record.store(at::SINCE, now);
        record.store(at::RAN, clock::unix_nanos());
        record.store(at::STARTS, record.load(at::STARTS).wrapping_add(1));
        record.store(at::BEGAN, start_time::own());
        // Last: from here on the words above are this process's.
        record.store(at::PID, how | u64::from(pid().unsigned_abs()));
        Ok(())
    }

    /// Claims for as long as this process wants; `false` if it holds the place already, for the program that it is.
    pub(super) fn take(&self, silence: Option<Duration>) -> Result<bool> {
        match self.claim(silence, 0) {
            Ok(()) => Ok(true),
            Err(libc::EALREADY) => self.take_over().map(|()| false),
            Err(errno) => {
                Err(Error::Os(crate::os::failed("semop", format!("lease of {}", self.name), errno)))
            }
        }
    }

    /// The place is held: by this very program, since before it was executed? What was promised then stays.
    fn take_over(&self) -> Result<()> {
        let ours = FOR_PROGRAM | u64::from(pid().unsigned_abs());
        if self.holder()? != Some(pid()) || self.record().load(at::PID) != ours {
            return Err(Error::AlreadyExists { name: format!("a living {}", self.name) });
        }
        self.beat();
        Ok(())
    }

    /// A sign of life, in the name of whoever holds the place.
    #[inline]
    pub fn beat(&self) {
        self.record().store(at::BEAT, clock::monotonic_nanos());
    }

    /// The process that holds the place, as the kernel recorded it; 0 if that is in another pid namespace, `None` if
    /// nobody lives there.
    ///
    /// # Errors
    /// [`Error::Removed`].
    pub fn holder(&self) -> Result<Option<i32>> {
        self.attachment.set.holder(self.index)
    }

    /// Is `pid` the process that claimed the place, and not another one that got its number since? To be asked with a pidfd
    /// of it open, which then is the holder's.
    ///
    /// A lease can outlive the process that claimed it: in a process with which that shares its semaphore undo (clone(2),
    /// `CLONE_SYSVSEM` without `CLONE_THREAD`). The kernel goes on to name the one that is gone, and its number may be given
    /// to somebody else. So the time when the claimant began (proc_pid_stat(5), field 22) is written down with the claim.
    ///
    /// # Errors
    /// [`Error::Removed`].
    pub fn is_holder(&self, pid: i32) -> Result<bool> {
        if self.holder()? != Some(pid) {
            return Ok(false);
        }
        let record = self.record();
        // Before PID is written the claimant has executed nothing yet: it lives, and shares its undo with nobody.
        let is_written = record.load(at::PID) as u32 as i32 == pid;
        let began = record.load(at::BEGAN);
        Ok(!is_written || began == 0 || began == start_time::of(pid))
    }

    /// Does anybody hold it? The kernel's word.
    ///
    /// # Errors
    /// [`Error::Removed`].
    pub fn is_alive(&self) -> Result<bool> {
        self.attachment.set.is_alive(self.index)
    }

    /// Sleeps until nobody holds it; `false` if the time is over.
    ///
    /// # Errors
    /// [`Error::Removed`].
    pub fn wait_for_death(&self, timeout: Duration) -> Result<bool> {
        self.attachment.set.wait_for_death(self.index, Instant::now().checked_add(timeout))
    }

    /// When it was claimed last; `None` if never.
    pub fn ran(&self) -> Option<SystemTime> {
        Some(self.record().load(at::RAN)).filter(|&ran| ran != 0).map(from_nanos)
    }

    /// A word that its keeper keeps here, so that a successor finds it: 0 at first. There are nine.
    pub fn note(&self, note: usize) -> u64 {
        self.record().note(note)
    }

    /// Keeps a word.
    pub fn set_note(&self, note: usize, value: u64) {
        self.record().set_note(note, value);
    }

    /// What is to be seen of its holder.
    ///
    /// # Errors
    /// [`Error::Removed`].
    pub fn member(&self) -> Result<Member> {
        let record = self.record();
        Ok(describe(record, self.index, self.name.clone(), record.kind() == Kind::Kept, self.holder()?))
    }

    /// Gives up a lease of this process's. The name goes before the lease: from then on the place may be another's.
    pub(super) fn leave(&self) {
        self.record().turn(Kind::Named, Kind::Vacant);
        self.attachment.set.leave(self.index);
    }
}

/// A place as its words and the kernel describe it.
pub(super) fn describe(
    record: Record<'_>,
    place: usize,
    name: String,
    kept: bool,
    holder: Option<i32>,
) -> Member {
    let now = clock::monotonic_nanos();
    let silence = record.load(at::SILENCE);
    let signs = Signs {
        holder,
        pid: record.load(at::PID) as u32 as i32,
        beat: record.load(at::BEAT),
        since: record.load(at::SINCE),
        silence,
    };
    Member {
        place,
        name,
        kept,
        life: signs.life(now),
        pid: holder.filter(|&pid| pid != 0).unwrap_or(signs.pid),
        silence: (silence != 0).then(|| Duration::from_nanos(silence)),
        silent_for: Duration::from_nanos(signs.silent_for(now)),
        age: Duration::from_nanos(now.saturating_sub(signs.since)),
        starts: record.load(at::STARTS),
        notes: std::array::from_fn(|note| record.note(note)),
    }
}
