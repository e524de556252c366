//! One producer or consumer among the participants of a channel: registering, leaving, looking after the others, and
//! the loop around every blocking call.
//!
//! Generic over the end of the ring, so that both sides have one implementation: [`End`] says what differs.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::attachment::{self, Attachment};
use super::header::WhenNoConsumer;
use super::lock::Lock;
use super::pace::Pace;
use super::recovery;
use super::set::Snapshot;
use crate::error::{Error, Result};
use crate::layout::{MAX_PARTICIPANTS, record, shared};
use crate::os;
use crate::park::{self, Look, Poll, Sleeper, Slept, Waited, Waker};
use crate::ring::{CRASH_SAFE, Claim, Defect, Index, Nothing, Obstacle, Shared, Side};
use crate::sync::{Ordering, compiler_fence, fence};

/// Operations after which a participant that never blocks looks at the leases all the same.
const CHECKUP: u64 = 256;
/// Tombstones in a row between two looks at the clock.
const TOMBSTONES: u32 = 256;
/// Between two looks for which the only reason is a sleeper that does not wake.
const SUSPICION: Duration = Duration::from_millis(1);
/// Between two looks of a caller that polls.
const GLANCE: Duration = Duration::from_micros(20);
/// Limits of a sleep while somebody is midway through the slot that we need: it may be stopped, and posts nothing then.
const MIDWAY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// What differs between the two ends of a ring.
pub(crate) trait End: Sized {
    /// Which side it is.
    const SIDE: Side;
    /// The end for a participant that has just registered.
    fn resume(channel: &Attachment, me: Index) -> Self;
    /// Claims one slot or message.
    fn claim_one(&mut self, mem: &Shared) -> Result<Claim, Nothing>;
    /// Loads only: could an operation do something now?
    fn poll(&self, mem: &Shared) -> Poll;
    /// Likewise, for a loop that spins: disturbs the other side less, and may miss what a poll sees.
    fn glance(&self, mem: &Shared) -> bool;
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
    /// The channel's memory, for the short calls; not longer here than `channel`.
    pub(crate) mem: Shared,
    pub(crate) me: Index,
    pub(crate) end: E,
    /// A claim that a guard has in hand; left behind if the guard is forgotten.
    pub(crate) pending: Option<Claim>,
    /// What the attempt in one go has met with which this call began.
    pub(crate) met: Option<Obstacle>,
    pub(crate) cancel: Arc<AtomicBool>,
    /// Somebody of the other side was there when we came, or has been seen since.
    seen: bool,
    /// Joins of the other side when we came.
    base: u64,
    /// The other side's change counter as we last saw it.
    changes: u64,
    /// Messages so far, and with how many of them the next look at the leases is due.
    count: u64,
    checkup_at: u64,
    suspected: Instant,
    glance_again: Instant,
    pace: Pace,
    /// What makes this handle unusable for good.
    broken: Option<Error>,
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
        let base = channel.joins(other).load(Ordering::Relaxed);
        let changes = channel.changes(other).load(Ordering::Relaxed);
        channel.set.register(me, E::SIDE, alive).inspect_err(|_| {
            // Nobody came, and nobody has died: still under LOCK, without which nobody judges what these say.
            channel.joins(E::SIDE).fetch_sub(1, Ordering::Release); // SYNC(joins)
            record(record::STATE).store(0, Ordering::Release);
        })?;
        lock.passed_on();
        let end = E::resume(&channel, me);
        Ok(Self {
            me,
            end,
            mem: *channel.mem(),
            pending: None,
            met: None,
            cancel: Arc::new(AtomicBool::new(false)),
            seen,
            base,
            changes,
            count: 0,
            checkup_at: CHECKUP.min(channel.header.geometry.capacity()),
            suspected: Instant::now(),
            glance_again: Instant::now(),
            pace: Pace::new(),
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
        !(changed | due | self.pending.is_some() | !self.channel.is_ours())
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
    fn disconnected(&mut self) -> Stop {
        self.checkup_at = 0;
        Stop::Disconnected
    }

    /// Reports that something is wrong with the channel, and makes the next call look again: what is removed, say, must
    /// not deliver another message because it is still in memory.
    fn failed(&mut self, e: Error) -> Stop {
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
    fn tried<T>(&mut self, attempt: Result<T, Nothing>) -> Result<Option<T>, Stop> {
        match attempt {
            Ok(done) => Ok(Some(done)),
            Err(Nothing::Corrupt(Defect { what, found, rule, at })) => {
                Err(self.broken(Error::Corrupt { what, found, expected: format!("{rule} {at:#x}") }))
            }
            Err(Nothing::None | Nothing::Midway) => Ok(None),
        }
    }

    /// May a call go on that has met so many tombstones and no message? There may be any number of them; a few say
    /// nothing about what is behind them.
    #[cold]
    pub(crate) fn still(&self, patience: Patience, skipped: u32) -> Result<(), Stop> {
        if skipped % TOMBSTONES != 0 {
            return Ok(());
        }
        if self.cancel.load(std::sync::atomic::Ordering::Acquire) {
            return Err(Stop::Failed(Error::Cancelled));
        }
        match patience.deadline() {
            Some(deadline) if Instant::now() >= deadline => Err(Stop::TimedOut),
            _ => Ok(()),
        }
    }

    /// Goes on after a first `attempt` that failed with `nothing`: tries until it succeeds or patience ends.
    #[cold]
    pub(crate) fn wait_for<T>(
        &mut self,
        patience: Patience,
        nothing: Nothing,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Nothing>,
    ) -> Result<T, Stop> {
        self.tried::<T>(Err(nothing))?;
        let mut attempt = move |this: &mut Self| {
            let outcome = attempt(this);
            this.tried(outcome)
        };
        if matches!(patience, Patience::None) {
            return self.glance(attempt);
        }
        let channel = Arc::clone(&self.channel);
        let me = self.me;
        let mut limit = MIDWAY.0;
        loop {
            // After a spin in vain too: a glance may miss what a claim finds, and going to sleep costs much more.
            self.pace.spin(self.count, || self.end.glance(self.channel.mem()));
            if let Some(done) = attempt(self)? {
                return Ok(done);
            }
            let asleep = Instant::now();
            let mut waiting =
                Waiting { participant: self, patience, limit, busy: false, barrier: Cell::new(None) };
            let waited = park::wait(channel.mem(), me, E::SIDE, &mut waiting);
            limit = waiting.limit;
            let waited = waited.map_err(|e| self.failed(e))?;
            self.pace.slept(asleep.elapsed());
            match waited {
                Waited::Retry => {}
                Waited::Gone => return Err(self.disconnected()),
                Waited::TimedOut => return attempt(self)?.ok_or(Stop::TimedOut),
                Waited::Cancelled => {
                    // Whoever gives up although something is there passes the wake-up on.
                    if self.end.poll(channel.mem()) == Poll::Ready {
                        self.wake(E::SIDE);
                    }
                    return Err(Stop::Failed(Error::Cancelled));
                }
            }
            if let Some(done) = attempt(self)? {
                return Ok(done);
            }
            // Whatever made us try again without sleeping, the caller's time limit and canceller hold.
            if patience.deadline().is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Stop::TimedOut);
            }
            if self.cancel.load(std::sync::atomic::Ordering::Acquire) {
                return Err(Stop::Failed(Error::Cancelled));
            }
        }
    }

    /// Goes on where an attempt in one go has stopped: with what it claimed, or by waiting for something to claim. None if it
    /// was not even made.
    pub(crate) fn overcome(&mut self, patience: Patience) -> Result<Option<Claim>, Stop> {
        let Some(obstacle) = self.met.take() else { return Ok(None) };
        self.count(1);
        let claim = match obstacle {
            Obstacle::Claimed(claim) => claim,
            Obstacle::Nothing(nothing) => {
                self.wait_for(patience, nothing, |p| E::claim_one(&mut p.end, &p.mem))?
            }
        };
        self.chain();
        Ok(Some(claim))
    }

    /// What a call that does not wait does when nothing is there: now and then, so that polling stays cheap, it
    /// looks whether the other side is gone or somebody needs repair.
    fn glance<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, Stop>,
    ) -> Result<T, Stop> {
        let now = Instant::now();
        if now < self.glance_again && !self.end.gifts(&self.channel, self.me) {
            return Err(Stop::WouldBlock);
        }
        self.glance_again = now + GLANCE;
        self.end.before_sleep(self.channel.mem());
        let (look, _) = self.look_around(false).map_err(|e| self.failed(e))?;
        if let Some(done) = attempt(self)? {
            return Ok(done);
        }
        match (look, self.end.poll(self.channel.mem())) {
            (Look::Gone, Poll::Nothing) if !self.end.gifts(&self.channel, self.me) => {
                Err(self.disconnected())
            }
            (Look::Gone, _) if E::SIDE == Side::Producers => Err(self.disconnected()),
            _ => Err(Stop::WouldBlock),
        }
    }

    /// Wakes sleepers of a side after a publication.
    #[inline]
    pub(crate) fn wake(&mut self, side: Side) {
        if park::wake(&self.mem, side, self.me, &*self.channel) == park::Woke::Nobody {
            self.suspect();
        }
    }

    /// Sleepers that do not wake: they may be dead, and then nobody will tell us while there is room.
    #[cold]
    fn suspect(&mut self) {
        if self.suspected.elapsed() >= SUSPICION {
            self.suspected = Instant::now();
            self.checkup_at = 0;
        }
    }

    pub(crate) fn wake_both(&mut self) {
        self.wake(Side::Producers);
        self.wake(Side::Consumers);
    }

    /// After a claim, before the copy: if others of our side sleep and there is more, one of them takes over.
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

    /// One snapshot of the leases and what follows from it; and whether LOCK was found taken.
    fn look_around(&mut self, drain: bool) -> Result<(Look, bool)> {
        let channel = Arc::clone(&self.channel);
        let mut sight = Sight::of(&channel, E::SIDE)?;
        let tokens = sight.snapshot.tokens(self.me);
        if drain && tokens > 0 {
            channel.set.drain(self.me, tokens)?;
            // Whatever they told may be newer than the words, and nobody will tell it again.
            sight = Sight::of(&channel, E::SIDE)?;
        }
        let Sight { joined, observed, snapshot } = sight;
        channel.check_live().inspect_err(|e| {
            if matches!(e, Error::Corrupt { .. }) {
                self.broken = Some(e.clone());
            }
        })?;
        let alive = snapshot.alive();
        recovery::mark_dead_sleepers(&channel, &observed, alive);
        let mut busy = !snapshot.unlocked();
        if self.end.needs_repair(&channel, self.me, alive) {
            if channel.set.try_lock()? {
                // A fresh look under the lock: others may have repaired and registered since.
                let changed =
                    channel.set.snapshot().map(|now| self.end.repair(&channel, self.me, now.alive()));
                channel.set.unlock_participant()?;
                if changed? {
                    return Ok((Look::Repaired, false));
                }
            } else {
                busy = true;
            }
        }
        Ok((self.judge(&snapshot, joined, busy), busy))
    }

    /// Is the other side gone?
    fn judge(&mut self, snapshot: &Snapshot, joined: u64, busy: bool) -> Look {
        if snapshot.count(E::SIDE.other()) > 0 {
            self.seen = true;
            return Look::Wait;
        }
        let waits =
            E::SIDE == Side::Producers && self.channel.header.when_no_consumer == WhenNoConsumer::Wait;
        let has_been_there = self.seen || joined != self.base;
        if has_been_there && !busy && !waits { Look::Gone } else { Look::Wait }
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

impl Waker for Attachment {
    fn post(&self, who: u64) {
        self.set.post(who);
    }

    #[inline]
    fn publisher_barrier(&self) {
        if self.fences() {
            fence(Ordering::SeqCst); // SYNC(sleep-barrier)
        } else {
            compiler_fence(Ordering::SeqCst); // SYNC(sleep-barrier): the sleeper's membarrier does the rest
        }
    }
}

/// What a participant can see of the others.
struct Sight {
    joined: u64,
    observed: [u64; MAX_PARTICIPANTS],
    snapshot: Snapshot,
}

impl Sight {
    fn of(channel: &Attachment, side: Side) -> Result<Self> {
        Ok(Self {
            // Joins before the snapshot: a join that we see and whose lock is free in the snapshot is complete, or dead.
            joined: channel.joins(side.other()).load(Ordering::Acquire), // SYNC(joins)
            // Park words before the leases too: a mark must hit the sleep of the one who is dead, not of its successor.
            observed: recovery::observe_sleepers(channel),
            snapshot: channel.set.snapshot()?,
        })
    }
}

/// A participant inside a blocking call.
struct Waiting<'a, E: End> {
    participant: &'a mut Participant<E>,
    patience: Patience,
    /// Of the next sleep while somebody is midway.
    limit: Duration,
    /// The look found LOCK taken: its holder posts everybody when it is done.
    busy: bool,
    /// Why the barrier failed; without it we must not sleep.
    barrier: Cell<Option<Error>>,
}

impl<E: End> Waker for Waiting<'_, E> {
    fn post(&self, who: u64) {
        self.participant.channel.post(who);
    }

    fn publisher_barrier(&self) {
        self.participant.channel.publisher_barrier();
    }
}

impl<E: End> Sleeper for Waiting<'_, E> {
    type Error = Error;

    fn poll(&mut self) -> Poll {
        let Participant { end, channel, me, .. } = &*self.participant;
        match end.poll(channel.mem()) {
            // A gift that came after our look: the giver did not see us sleeping.
            poll if poll != Poll::Ready && !self.busy && end.gifts(channel, *me) => Poll::Ready,
            poll => poll,
        }
    }

    fn look(&mut self) -> Result<Look> {
        let participant = &mut *self.participant;
        // Only with something to tell: where both sides sleep, each would wake the other for ever.
        if participant.end.before_sleep(participant.channel.mem()) {
            participant.wake(E::SIDE.other());
        }
        let (look, busy) = participant.look_around(true)?;
        self.busy = busy;
        Ok(look)
    }

    fn sleeper_barrier(&self) {
        if self.participant.channel.fences() {
            fence(Ordering::SeqCst); // SYNC(sleep-barrier)
        } else if let Err(e) = os::process::membarrier() {
            self.barrier.set(Some(Error::Os(e)));
        }
    }

    fn sleep(&mut self, limited: bool) -> Result<Slept> {
        if let Some(e) = self.barrier.take() {
            return Err(e);
        }
        let deadline = self.patience.deadline();
        let mut limit = self.participant.channel.recheck.0;
        if limited {
            limit = Some(limit.map_or(self.limit, |recheck| recheck.min(self.limit)));
            self.limit = (self.limit * 2).min(MIDWAY.1);
        }
        let soon = limit.and_then(|limit| Instant::now().checked_add(limit));
        let until = [deadline, soon].into_iter().flatten().min();
        let cancel = Arc::clone(&self.participant.cancel);
        let interrupted = || cancel.load(std::sync::atomic::Ordering::Acquire);
        let waited = self.participant.channel.set.sleep(self.participant.me, until, &interrupted)?;
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match waited {
            os::sem::Waited::TimedOut if over => Ok(Slept::TimedOut),
            _ => Ok(Slept::Woken),
        }
    }

    fn cancelled(&self) -> bool {
        self.participant.cancel.load(std::sync::atomic::Ordering::Acquire)
    }
}
