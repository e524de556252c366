//! One producer or consumer among the participants of a channel: registering, what every call begins with, waking others,
//! and leaving. [`waiting`](super::waiting) has the loop around every blocking call, [`lookout`](super::lookout) what it sees
//! of the others.
//!
//! Generic over the end of the ring, so that both sides have one implementation: [`End`] says what differs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::attachment::{self, Attachment};
use super::lock::Lock;
use super::pace::Pace;
use super::recovery;
use crate::error::{Error, Result};
use crate::layout::{record, shared};
use crate::os::{self, process::Generation};
use crate::park::{self, Look, Poll, Waker};
use crate::ring::{CRASH_SAFE, Claim, Defect, Index, Nothing, Shared, Side};
use crate::sync::{Ordering, compiler_fence, fence};

/// Operations after which a participant that never blocks looks at the leases all the same.
const CHECKUP: u64 = 256;
/// Between two looks for which the only reason is a sleeper that does not wake. It may well be waiting for a processor, and then
/// there is one for every message; so the clock is looked at now and then only, too.
const SUSPICION: Duration = Duration::from_millis(1);
const SUSPECT_EVERY: u64 = 16;

/// What differs between the two ends of a ring.
pub(crate) trait End: Sized {
    /// Which side it is.
    const SIDE: Side;
    /// The end for a participant that has just registered.
    fn resume(channel: &Attachment, me: Index) -> Self;
    /// Loads only: could an operation do something now?
    fn poll(&self, mem: &Shared) -> Poll;
    /// Likewise, for a loop that spins: disturbs the other side less, and may miss what a poll sees.
    fn glance(&self, mem: &Shared) -> bool;
    /// Did the last attempt fail because others were faster?
    fn raced(&mut self) -> bool;
    /// Publishes what others need to see before we sleep or leave; says whether there was anything.
    fn before_sleep(&mut self, mem: &Shared) -> bool;
    /// Ends a claim whose guard was forgotten, or that is open when we leave.
    fn settle(&mut self, mem: &Shared, me: Index, claim: Claim);
    /// Withdraws the record; false if something adopted remains, which somebody must recover.
    fn retire(&mut self, mem: &Shared) -> bool;
    /// What is to be repaired, if this side repairs; says whether anything changed.
    fn repair(&mut self, channel: &Attachment, me: Index, alive: u64) -> bool;
    /// Has somebody given a message back that we could take, we ourselves included?
    fn gifts(&self, channel: &Attachment, me: Index) -> bool;
    /// Does anything in this snapshot need repair by us?
    fn needs_repair(&self, channel: &Attachment, me: Index, alive: u64) -> bool;
}

/// Why a blocking call ended without what it wanted.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nothing there, and the call does not wait.
    WouldBlock,
    TimedOut,
    Disconnected,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Stop::Failed(e)
    }
}

/// How long a call may block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    None,
    Until(Instant),
    Forever,
}

impl Patience {
    /// For so long from now; a duration beyond what the clock can count is for ever.
    pub(crate) fn lasting(timeout: Duration) -> Self {
        Instant::now().checked_add(timeout).map_or(Patience::Forever, Patience::Until)
    }

    pub(crate) fn deadline(self) -> Option<Instant> {
        if let Patience::Until(deadline) = self { Some(deadline) } else { None }
    }
}

/// A registered participant with its end of the ring.
pub(crate) struct Participant<E: End> {
    pub(crate) channel: Arc<Attachment>,
    /// Of the channel, what every call looks at, without a detour through `channel`: its memory, not longer here than that;
    /// the process that opened it; and who pays for waking.
    pub(crate) mem: Shared,
    generation: Generation,
    fences: bool,
    pub(crate) me: Index,
    pub(crate) end: E,
    /// A claim that a guard has in hand; left behind if the guard is forgotten.
    pub(crate) pending: Option<Claim>,
    /// A claim that the attempt in one go with which this call began has left to it.
    pub(crate) met: Option<Claim>,
    pub(crate) cancel: Arc<AtomicBool>,
    /// Somebody of the other side was there when we came, or has been seen since.
    pub(super) seen: bool,
    /// Joins of the other side when we came, less those that had failed.
    pub(super) base: u64,
    /// The other side's change counter as we last saw it.
    pub(super) changes: u64,
    /// Messages so far, and with how many of them the next look at the leases is due.
    pub(super) count: u64,
    pub(super) checkup_at: u64,
    /// When we last looked for the dead among sleepers that do not wake, and with how many messages we may again.
    suspected: Instant,
    suspect_at: u64,
    pub(super) glance_again: Instant,
    pub(super) pace: Pace,
    /// The call has spun in vain already.
    pub(super) spun: bool,
    /// What makes this handle unusable for good.
    pub(super) broken: Option<Error>,
}

impl<E: End> Participant<E> {
    /// Registers; LOCK is held, and is given back by the same step that claims the lease.
    ///
    /// # Errors
    /// `NoRoom`; `Removed`.
    pub(crate) fn register(channel: Arc<Attachment>, lock: Lock) -> Result<Self> {
        channel.check_live()?;
        let snapshot = channel.set.snapshot()?;
        if channel.is_spsc() && snapshot.count(E::SIDE) > 0 {
            let what = if E::SIDE == Side::Producers {
                "producer of an SPSC channel"
            } else {
                "consumer of an SPSC channel"
            };
            return Err(Error::NoRoom { what, limit: 1 });
        }
        let alive = snapshot.alive();
        recovery::repair(&channel, recovery::Author::Outsider, alive);
        let me = recovery::choose_index(&channel, E::SIDE, alive)?;
        let record = |field| channel.mem().record(me, field);
        park::reset(channel.mem(), me);
        record(record::PID).store(u64::from(os::process::pid() as u32), Ordering::Relaxed);
        record(record::JOINED).store(os::clock::unix_nanos(), Ordering::Relaxed);
        let used = channel.counter(shared::USED);
        if used.load(Ordering::Relaxed) <= me.get() as u64 {
            used.store(me.get() as u64 + 1, Ordering::Relaxed);
        }
        // Killed from here on, it is a dead participant that has claimed nothing. Ordered for others by LOCK and lease.
        record(record::STATE).store(1 + E::SIDE as u64, Ordering::Release);
        channel.joins(E::SIDE).fetch_add(1, Ordering::Release); // SYNC(joins)
        let other = E::SIDE.other();
        let seen = snapshot.count(other) > 0;
        let failed = channel.failed(other).load(Ordering::Relaxed); // LOCK is ours: neither changes
        let base = channel.joins(other).load(Ordering::Relaxed).wrapping_sub(failed);
        let changes = channel.changes(other).load(Ordering::Relaxed);
        channel.set.register(me, E::SIDE, alive).inspect_err(|_| {
            // Nobody came, and nobody has died: still under LOCK, without which nobody judges what these say. Who has seen
            // the join, and LOCK free since, sees the failure too.
            channel.failed(E::SIDE).fetch_add(1, Ordering::Relaxed);
            record(record::STATE).store(0, Ordering::Release);
            // Whom the failure kept from judging who was there before looks again.
            channel.changes(E::SIDE).fetch_add(1, Ordering::Release); // SYNC(changes)
        })?;
        lock.passed_on();
        let end = E::resume(&channel, me);
        Ok(Self {
            me,
            end,
            mem: *channel.mem(),
            generation: channel.generation(),
            fences: channel.fences(),
            pending: None,
            met: None,
            cancel: Arc::new(AtomicBool::new(false)),
            seen,
            base,
            changes,
            count: 0,
            checkup_at: CHECKUP.min(channel.header.geometry.capacity()),
            suspected: Instant::now(),
            suspect_at: 0,
            glance_again: Instant::now(),
            pace: Pace::new(),
            spun: false,
            broken: None,
            channel,
        })
    }

    /// Another participant on the same side of the same channel, that knows of the other side what we know: it does
    /// not begin to wait for somebody who has been there.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        self.channel.check_fork()?;
        let lock = Lock::take(&self.channel)?;
        let mut clone = Self::register(Arc::clone(&self.channel), lock)?;
        clone.seen |= self.seen;
        clone.base = self.base;
        clone.checkup_at = 0;
        Ok(clone)
    }

    /// Whether there is nothing to look after before the next message: no change among the others, no look at the leases
    /// due, nothing that a forgotten guard left, and the handle is our own.
    #[inline(always)]
    pub(crate) fn undisturbed(&self) -> bool {
        let changes = attachment::changes(&self.mem, E::SIDE.other());
        let changed = changes.load(Ordering::Relaxed) != self.changes; // a hint
        let due = CRASH_SAFE && self.count + 1 >= self.checkup_at;
        !changed && !due && self.pending.is_none() && self.generation.is_current()
    }

    /// Whether others of our side sleep: whoever takes what they wait for looks whether there is more ([`chain`](Self::chain)).
    #[inline(always)]
    pub(crate) fn alone(&self) -> bool {
        park::sleepers(&self.mem, E::SIDE).load(Ordering::Relaxed) == 0
    }

    /// Position of the claim in hand; that of no slot in particular if there is none.
    #[inline]
    pub(crate) fn in_hand(&self) -> u64 {
        self.pending.as_ref().map_or(0, Claim::position)
    }

    /// What every operation begins with: refuses a broken or inherited handle, ends what a forgotten guard left,
    /// notices changes among the others.
    #[inline]
    pub(crate) fn begin(&mut self) -> Result<(), Stop> {
        let undisturbed = self.undisturbed();
        self.count(1);
        if undisturbed { Ok(()) } else { self.checkup() }
    }

    /// So many messages more.
    #[inline(always)]
    pub(crate) fn count(&mut self, messages: usize) {
        self.count += messages as u64;
    }

    #[cold]
    fn checkup(&mut self) -> Result<(), Stop> {
        self.channel.check_fork()?;
        if let Some(e) = &self.broken {
            return Err(Stop::Failed(e.clone()));
        }
        if let Some(claim) = self.pending.take() {
            self.end.settle(self.channel.mem(), self.me, claim);
            self.wake_both();
        }
        // Removed is a state, not news: a call that reports it leaves the next one to look again.
        self.checkup_at = 0;
        self.changes = self.channel.changes(E::SIDE.other()).load(Ordering::Acquire); // SYNC(changes)
        let (look, busy) = self.look_around(false)?;
        match look {
            Look::Gone if E::SIDE == Side::Producers => return Err(self.disconnected()),
            // A consumer drains first. If nothing is left, this call says so, however short ago the last one looked.
            Look::Gone => self.glance_again = Instant::now(),
            Look::Repaired | Look::Wait => {}
        }
        // What could not be judged while somebody held LOCK, the next call judges: CHANGES will not say it again.
        let interval = if busy { 1 } else { CHECKUP.min(self.channel.header.geometry.capacity()) };
        self.checkup_at = self.count + interval;
        Ok(())
    }

    /// Reports that the other side is gone, and makes the next call look again: it must not report anything else before
    /// somebody joins.
    pub(super) fn disconnected(&mut self) -> Stop {
        self.checkup_at = 0;
        Stop::Disconnected
    }

    /// Reports that something is wrong with the channel, and makes the next call look again: what is removed, say, must
    /// not deliver another message because it is still in memory.
    pub(super) fn failed(&mut self, e: Error) -> Stop {
        self.checkup_at = 0;
        Stop::Failed(e)
    }

    /// Marks the handle as unusable: what it saw, nobody who follows the protocol writes.
    #[cold]
    pub(crate) fn broken(&mut self, e: Error) -> Stop {
        self.broken = Some(e.clone());
        self.checkup_at = 0;
        Stop::Failed(e)
    }

    /// What became of an attempt: what it wanted, nothing yet, or a ring that is beyond use.
    pub(super) fn tried<T>(&mut self, attempt: Result<T, Nothing>) -> Result<Option<T>, Stop> {
        match attempt {
            Ok(done) => Ok(Some(done)),
            Err(Nothing::Corrupt(Defect { what, found, rule, at })) => {
                Err(self.broken(Error::Corrupt { what, found, expected: format!("{rule} {at:#x}") }))
            }
            Err(Nothing::None | Nothing::Midway) => Ok(None),
        }
    }

    /// Has the caller's canceller ended its calls?
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(std::sync::atomic::Ordering::Acquire)
    }

    #[inline(always)]
    pub(super) fn publisher(&self) -> Publisher<'_> {
        Publisher { channel: &self.channel, fences: self.fences }
    }

    /// Wakes sleepers of a side after a publication.
    #[inline]
    pub(crate) fn wake(&mut self, side: Side) {
        if park::wake(&self.mem, side, self.me, &self.publisher()) == park::Woke::Nobody {
            self.suspect();
        }
    }

    /// Sleepers that do not wake: they may be dead, and then nobody will tell us while there is room.
    #[cold]
    fn suspect(&mut self) {
        if self.count < self.suspect_at {
            return;
        }
        self.suspect_at = self.count + SUSPECT_EVERY;
        if self.suspected.elapsed() >= SUSPICION {
            self.suspected = Instant::now();
            self.checkup_at = 0;
        }
    }

    pub(crate) fn wake_both(&mut self) {
        self.wake(Side::Producers);
        self.wake(Side::Consumers);
    }

    /// After a claim, before the copy: if others of our side sleep and there is more, one of them takes over. Whoever has
    /// waited must, because the wake-up that it got may have been meant for more than one.
    #[inline]
    pub(crate) fn chain(&mut self) {
        if !self.alone() {
            self.pass_on();
        }
    }

    #[cold]
    fn pass_on(&mut self) {
        if self.end.poll(self.channel.mem()) == Poll::Ready {
            self.wake(E::SIDE);
        }
    }

    /// Leaves now. Idempotent through `Drop`.
    fn leave(&mut self) {
        if !self.channel.is_ours() {
            return; // an inherited handle: the lease is the parent's
        }
        let channel = Arc::clone(&self.channel);
        let mem = channel.mem();
        if let Some(claim) = self.pending.take() {
            self.end.settle(mem, self.me, claim);
        }
        self.end.before_sleep(mem);
        if self.end.retire(mem) {
            mem.record(self.me, record::STATE).store(0, Ordering::Release); // ordered for others by the lease
        }
        // It can only fail when the set is gone, and the lease with it.
        let _ = channel.set.leave(self.me, E::SIDE);
        // Afterwards: who sees the change must find us gone.
        channel.changes(E::SIDE).fetch_add(1, Ordering::Release); // SYNC(changes)
    }
}

impl<E: End> Drop for Participant<E> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Whoever has published something.
pub(super) struct Publisher<'a> {
    channel: &'a Attachment,
    fences: bool,
}

impl Waker for Publisher<'_> {
    fn post(&self, who: u64) {
        self.channel.set.post(who);
    }

    #[inline(always)]
    fn publisher_barrier(&self) {
        if self.fences {
            fence(Ordering::SeqCst); // SYNC(sleep-barrier)
        } else {
            compiler_fence(Ordering::SeqCst); // SYNC(sleep-barrier): the sleeper's membarrier does the rest
        }
    }
}
