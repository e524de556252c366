//! The semaphore set of a channel: presence, the lock, death notices and wake semaphores, and the few semop(2)
//! calls that change them. What each step means is in `docs/design.md` section 3; this file only says it to the kernel.
//!
//! ```text
//! 0        IDENT      0 new, BUILDING or READY: how far the pair of set and segment is; changed only under LOCK
//! 1        LOCK       0 free, 1 held; with SEM_UNDO; GETPID names the holder
//! 2, 3     PRODUCERS, CONSUMERS   how many there are; with SEM_UNDO
//! 4 ..     alive[P]   the lease: 1 while participant i lives; with SEM_UNDO
//! 4+P ..   wake[P]    a token means "look at everything again"
//! 4+2P     spare      always 0: makes the size odd, so that a foreign set is unlikely to fit
//! ```
//!
//! Linux makes a set of zeroes, and every one of these is valid at zero: there is no initialisation to race for.
//! `SETVAL` and `SETALL` erase every process's undo for what they set; they do not occur here.

use std::time::Instant;

use libc::{E2BIG, EAGAIN, ENOMEM, ERANGE};

use super::lock::Lock;
use crate::error::{Error, OsError, Result};
use crate::layout::MAX_PARTICIPANTS;
use crate::os;
use crate::os::sem::{NOWAIT, Operation, UNDO, sembuf};
use crate::pair::{self, Set as _, Stage, Stages, lost};
use crate::ring::{Index, Side};

const LOCK: usize = 1;
const COUNTS: usize = 2;
const ALIVE: usize = 4;
/// Semaphores besides two for each participant.
const FIXED: usize = 5;
const MOST: usize = FIXED + 2 * MAX_PARTICIPANTS;

/// Tokens beyond the first say nothing new; above this many a wake semaphore is cut back to one. At 32,767 a
/// registration would fail for ever, because nobody drains the tokens of vacant indices.
const CROWDED: u16 = 16_384;

/// So often a call is tried again that found a wake semaphore full.
const CUTS: usize = 3;

/// A set that was verified to be a channel's, with what its operations need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    id: os::sem::SetId,
    participants: usize,
    /// Operations of one call when the set was opened; the administrator may lower it at any time.
    semopm: usize,
}

/// All values of a set at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    values: [u16; MOST],
    participants: usize,
}

impl Snapshot {
    /// Is the channel's lock free?
    pub(crate) fn unlocked(&self) -> bool {
        self.values[LOCK] == 0
    }

    /// How many participants a side has.
    pub(crate) fn count(&self, side: Side) -> u16 {
        self.values[COUNTS + side as usize]
    }

    /// One bit for each participant that lives.
    pub(crate) fn alive(&self) -> u64 {
        let leases = &self.values[ALIVE..ALIVE + self.participants];
        leases.iter().enumerate().fold(0, |bits, (i, &v)| bits | u64::from(v != 0) << i)
    }

    /// Tokens that wait for a participant.
    pub(crate) fn tokens(&self, index: Index) -> u16 {
        self.values[ALIVE + self.participants + index.get()]
    }
}

/// What gives a foreign set away; `None` if everything is as one of ours could be.
fn oddity(values: &[u16]) -> Option<String> {
    let [ident, lock, producers, consumers, rest @ .., spare] = values else {
        return Some("too small".into());
    };
    let (leases, _) = rest.split_at(rest.len() / 2);
    let most = leases.len() as u16;
    let Some(stage) = Set::STAGES.stage(*ident) else { return Some(Stages::other(*ident)) };
    if *lock > 1 {
        return Some(format!("its lock semaphore is {lock}"));
    }
    if *producers > most || *consumers > most {
        return Some(format!("it counts {producers} producers and {consumers} consumers of at most {most}"));
    }
    if stage == Stage::New && (*producers, *consumers) != (0, 0) {
        return Some(format!("it is new, yet counts {producers} producers and {consumers} consumers"));
    }
    if *spare != 0 {
        return Some("its spare semaphore is not 0".into());
    }
    leases.iter().find(|&&v| v > 1).map(|v| format!("a lease semaphore is {v}"))
}

/// The operations of one semop(2) call.
struct Ops {
    list: [Operation; 2 * MAX_PARTICIPANTS + FIXED],
    len: usize,
}

impl Ops {
    fn new() -> Self {
        Self { list: [sembuf(0, 0, 0); 2 * MAX_PARTICIPANTS + FIXED], len: 0 }
    }

    fn push(&mut self, semaphore: usize, op: i16, flags: i16) {
        // The list has room for the longest call; a further operation would be a mistake of this file.
        debug_assert!(self.len < self.list.len());
        if let Some(next) = self.list.get_mut(self.len) {
            *next = sembuf(semaphore as u16, op, flags);
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[Operation] {
        &self.list[..self.len]
    }
}

/// More operations at once than SEMOPM, which may have been lowered, or more than the kernel has memory to copy in (beyond 64
/// it allocates).
fn too_many(errno: i32) -> bool {
    matches!(errno, E2BIG | ENOMEM)
}

impl pair::Set for Set {
    type Lock = Lock;
    const STAGES: Stages = Stages::CHANNEL;

    fn verify(id: i32, name: &str, trusted: impl Fn(u32) -> bool) -> Result<Self> {
        let plausible = |nsems: usize| nsems % 2 == 1 && nsems >= Set::size(2);
        let id = pair::verify::<MOST>(id, name, trusted, plausible, oddity)?;
        let participants = (id.len() - FIXED) / 2;
        Ok(Set { id, participants, semopm: os::sem::limits()?.semopm.max(2) })
    }

    fn set_id(&self) -> os::sem::SetId {
        self.id
    }

    fn take_lock(&self, deadline: Option<Instant>) -> Result<Lock> {
        Lock::of(*self, deadline)
    }
}

impl Set {
    /// Semaphores of a channel for so many participants.
    pub(crate) fn size(participants: usize) -> usize {
        FIXED + 2 * participants
    }

    /// Most participants on this host: registering must fit one semop(2) but for the posts that may follow.
    pub(crate) fn most_participants() -> Result<usize> {
        Ok(os::sem::limits()?.semopm.saturating_sub(4).min(MAX_PARTICIPANTS))
    }

    fn wake(&self, k: usize) -> usize {
        ALIVE + self.participants + k
    }

    /// All values at one instant (GETALL, some 200 ns).
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot { values: [0; MOST], participants: self.participants };
        os::sem::values(self.id, &mut snapshot.values).map_err(lost)?;
        Ok(snapshot)
    }

    /// The process that last changed LOCK: its holder, if it is held. 0 if it is of another pid namespace.
    pub(crate) fn lock_holder(&self) -> Result<i32> {
        os::sem::pid(self.id(), LOCK as u16).map_err(lost)
    }

    fn op(&self, ops: &[Operation]) -> Result<(), OsError> {
        os::sem::op(self.id(), ops)
    }

    /// In as few calls as SEMOPM allows: the first `head` operations in one, the others in groups of `unit`. Only where being
    /// killed between two calls does no harm. What is too much at once goes in smaller pieces.
    fn in_pieces(&self, mut ops: &[Operation], head: usize, unit: usize) -> Result<()> {
        let (mut most, mut least, mut cuts) = (self.semopm, head, 0);
        while !ops.is_empty() {
            let piece = (least + most.saturating_sub(least) / unit * unit).min(ops.len());
            match self.op(&ops[..piece]) {
                Ok(()) => (ops, least) = (&ops[piece..], unit),
                Err(e) if too_many(e.errno) && piece > least => most = piece / 2,
                Err(e) if e.errno == ERANGE && cuts < CUTS => {
                    cuts += 1;
                    self.uncrowd()?;
                }
                Err(e) => return Err(lost(e)),
            }
        }
        Ok(())
    }

    /// Cuts crowded wake semaphores back to one token: atomically, and never to none, for its owner may be
    /// about to sleep. Needs no lock.
    pub(crate) fn uncrowd(&self) -> Result<()> {
        let snapshot = self.snapshot()?;
        for k in 0..self.participants {
            let tokens = snapshot.values[self.wake(k)];
            if tokens > CROWDED {
                let all_but_one =
                    sembuf(self.wake(k) as u16, -((tokens - 1).min(os::sem::MAX_VALUE) as i16), NOWAIT);
                os::sem::try_op(self.id(), &[all_but_one]).map_err(lost)?; // false: its owner drained it meanwhile
            }
        }
        Ok(())
    }

    /// Takes LOCK as somebody who is no participant, or not yet. The death notices come first (harmless alone), LOCK
    /// with the last of them: whoever found LOCK taken is woken also if we die holding it.
    ///
    /// # Errors
    /// `LockBusy` with the holder after the deadline, `Removed`.
    pub(crate) fn lock(&self, deadline: Option<Instant>) -> Result<()> {
        self.uncrowd()?;
        let mut ops = Ops::new();
        for k in 0..self.participants {
            ops.push(self.wake(k), 1, 0);
            ops.push(self.wake(k), -1, UNDO);
        }
        let notices = ops.len;
        ops.push(LOCK, 0, 0);
        ops.push(LOCK, 1, UNDO);
        if ops.len <= self.semopm {
            match self.lock_after(0, &ops, deadline) {
                Err(Error::Os(e)) if too_many(e.errno) => {}
                other => return other,
            }
        }
        self.lock_after(notices, &ops, deadline)
    }

    /// The first `ahead` operations, which are death notices, then the rest at once.
    fn lock_after(&self, ahead: usize, ops: &Ops, deadline: Option<Instant>) -> Result<()> {
        let (first, last) = ops.as_slice().split_at(ahead);
        self.in_pieces(first, 2, 2)?;
        match os::sem::wait(self.id(), last, deadline, &|| false) {
            Ok(os::sem::Waited::Done) => Ok(()),
            Ok(_) => {
                let holder = self.lock_holder()?;
                self.cancel_notices(ahead / 2)?;
                Err(Error::LockBusy { holder })
            }
            Err(e) => {
                let _ = self.cancel_notices(ahead / 2); // what went wrong first is what counts
                Err(lost(e))
            }
        }
    }

    /// Takes back the death notices of a lock that was not had.
    fn cancel_notices(&self, count: usize) -> Result<()> {
        let mut ops = Ops::new();
        for k in 0..count {
            ops.push(self.wake(k), 1, UNDO);
            ops.push(self.wake(k), -1, NOWAIT);
        }
        self.in_pieces(ops.as_slice(), 2, 2)
    }

    /// Gives LOCK back as taken by [`Set::lock`]; posts everybody, which cancels the death notices too.
    pub(crate) fn unlock(&self) -> Result<()> {
        self.give_lock_back(UNDO)
    }

    /// Releases LOCK and posts everybody in one step. It never waits: of a LOCK that somebody else has zeroed, only our
    /// undo is taken back, or the kernel would release the next holder's at our end.
    fn give_lock_back(&self, post: i16) -> Result<()> {
        let release = |zeroed: bool| {
            let mut ops = Ops::new();
            if zeroed {
                ops.push(LOCK, 1, 0);
            }
            ops.push(LOCK, -1, UNDO | NOWAIT);
            for k in 0..self.participants {
                ops.push(self.wake(k), 1, post);
            }
            self.in_pieces(ops.as_slice(), 1 + usize::from(zeroed), 1)
        };
        match release(false) {
            Err(Error::Os(e)) if e.errno == EAGAIN => {
                release(true)?;
                Err(Error::Corrupt { what: "lock", found: 0, expected: "1: we held it".into() })
            }
            other => other,
        }
    }

    /// Takes LOCK as a participant, whose own death notices stand; never waits.
    pub(crate) fn try_lock(&self) -> Result<bool> {
        let mut ops = Ops::new();
        ops.push(LOCK, 0, NOWAIT);
        ops.push(LOCK, 1, UNDO);
        os::sem::try_op(self.id(), ops.as_slice()).map_err(lost)
    }

    /// Gives LOCK back as taken by [`Set::try_lock`]; posts everybody, for whoever found it taken sleeps on its wake
    /// semaphore.
    pub(crate) fn unlock_participant(&self) -> Result<()> {
        self.give_lock_back(0)
    }

    /// Becomes a participant and gives LOCK back, in one step; the death notices of [`Set::lock`] stay. Posts those
    /// who live.
    pub(crate) fn register(&self, index: Index, side: Side, living: u64) -> Result<()> {
        let mut ops = Ops::new();
        ops.push(ALIVE + index.get(), 0, NOWAIT);
        ops.push(ALIVE + index.get(), 1, UNDO);
        ops.push(COUNTS + side as usize, 1, UNDO);
        ops.push(LOCK, -1, UNDO | NOWAIT);
        let step = ops.len;
        for k in (0..self.participants).filter(|k| living >> k & 1 != 0) {
            ops.push(self.wake(k), 1, 0);
        }
        let registered = match self.op(ops.as_slice()) {
            // The step alone, then the posts: they must not fail any more once we are a participant.
            Err(e) if too_many(e.errno) || e.errno == ERANGE => {
                self.op(&ops.as_slice()[..step]).map(|()| self.post(living))
            }
            other => other,
        };
        match registered {
            // We hold LOCK and saw the lease at 0.
            Err(e) if e.errno == EAGAIN => {
                let lock = os::sem::value(self.id(), LOCK as u16).map_err(lost)?;
                let expected = "1, and a lease of 0: both were, and nobody else may change them".into();
                Err(Error::Corrupt { what: "lock", found: lock.into(), expected })
            }
            other => other.map_err(lost),
        }
    }

    /// Stops being a participant: presence first, then the posts, which cancel the death notices. Killed in
    /// between, the kernel posts the rest.
    pub(crate) fn leave(&self, index: Index, side: Side) -> Result<()> {
        let mut ops = Ops::new();
        ops.push(ALIVE + index.get(), -1, UNDO | NOWAIT);
        ops.push(COUNTS + side as usize, -1, UNDO | NOWAIT);
        for k in 0..self.participants {
            ops.push(self.wake(k), 1, UNDO);
        }
        self.in_pieces(ops.as_slice(), 2, 1)
    }

    /// V on the wake semaphores of the bitmap. Nothing to report: a full semaphore is as good as one more token, and
    /// a removed set has woken everybody. Allocates nothing, whatever happens: signal handlers come here.
    pub(crate) fn post(&self, who: u64) {
        let mut ops = Ops::new();
        for k in (0..self.participants).filter(|k| who >> k & 1 != 0) {
            ops.push(self.wake(k), 1, 0);
        }
        let post = |ops: &[Operation]| os::sem::op_quietly(self.id(), ops);
        let posted = ops.as_slice().chunks(self.semopm).try_for_each(post);
        if posted.is_err_and(|errno| errno == ERANGE || too_many(errno)) {
            // One of them is full, or they were too many, and nothing was done for the others: each alone.
            for op in ops.as_slice().chunks(1) {
                let _full = post(op);
            }
        }
    }

    /// Takes the tokens that a snapshot showed; whoever posts meanwhile keeps its own.
    pub(crate) fn drain(&self, index: Index, tokens: u16) -> Result<()> {
        let mut left = tokens;
        while left > 0 {
            let some = left.min(i16::MAX as u16);
            let mut ops = Ops::new();
            ops.push(self.wake(index.get()), -(some as i16), NOWAIT);
            os::sem::try_op(self.id(), ops.as_slice()).map_err(lost)?; // false: somebody else took them
            left -= some;
        }
        Ok(())
    }

    /// P on one's own wake semaphore.
    pub(crate) fn sleep(
        &self,
        index: Index,
        deadline: Option<Instant>,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<os::sem::Waited> {
        let mut ops = Ops::new();
        ops.push(self.wake(index.get()), -1, 0);
        os::sem::wait(self.id(), ops.as_slice(), deadline, interrupted).map_err(lost)
    }

    /// Waits until a side has no participant; false if the deadline passed. Waiting for zero changes nothing, and takes
    /// read permission only.
    pub(crate) fn wait_until_gone(&self, side: Side, deadline: Option<Instant>) -> Result<bool> {
        self.wait_zero(COUNTS + side as usize, deadline)
    }

    /// Waits until a participant's lease is 0; as [`Set::wait_until_gone`].
    pub(crate) fn wait_for_death(&self, index: Index, deadline: Option<Instant>) -> Result<bool> {
        self.wait_zero(ALIVE + index.get(), deadline)
    }

    fn wait_zero(&self, semaphore: usize, deadline: Option<Instant>) -> Result<bool> {
        let mut ops = Ops::new();
        ops.push(semaphore, 0, 0);
        let waited = os::sem::wait(self.id(), ops.as_slice(), deadline, &|| false).map_err(lost)?;
        Ok(waited == os::sem::Waited::Done)
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
