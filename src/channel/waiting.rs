//! The loop around every blocking call: spin, look after the others, sleep, try again, until patience ends.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::participant::{End, Participant, Patience, Stop};
use crate::error::{Error, Result};
use crate::os;
use crate::park::{self, Look, Poll, Sleeper, Slept, Waited, Waker};
use crate::ring::{Nothing, Side};
use crate::sync::{Ordering, fence};

/// Tombstones in a row between two looks at the clock.
const TOMBSTONES: u32 = 256;
/// Between two looks of a caller that polls.
const GLANCE: Duration = Duration::from_micros(20);
/// Limits of a sleep while somebody is midway through the slot that we need: it may be stopped, and posts nothing then.
const MIDWAY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

impl<E: End> Participant<E> {
    /// May a call go on that has met so many tombstones and no message? There may be any number of them; a few say
    /// nothing about what is behind them.
    #[cold]
    pub(crate) fn still(&self, patience: Patience, skipped: u32) -> Result<(), Stop> {
        if skipped % TOMBSTONES != 0 {
            return Ok(());
        }
        if self.is_cancelled() {
            return Err(Stop::Failed(Error::Cancelled));
        }
        match patience.deadline() {
            Some(deadline) if Instant::now() >= deadline => Err(Stop::TimedOut),
            _ => Ok(()),
        }
    }

    /// After a swift path that could do nothing: spins before the slow one does, and says whether the swift one is worth another
    /// attempt. What has come meanwhile is then on its way after some ten nanoseconds instead of thirty.
    #[inline(never)]
    pub(crate) fn spin_first(&mut self, patience: Patience) -> bool {
        let waits = !matches!(patience, Patience::None);
        if !waits || self.met.is_some() || !self.undisturbed() {
            return false;
        }
        let worth_it = self.end.raced() || self.spin();
        self.spun = !worth_it;
        worth_it
    }

    fn spin(&mut self) -> bool {
        let Self { pace, end, mem, count, .. } = self;
        pace.spin(*count, || end.glance(mem))
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
        let attempt = move |this: &mut Self| {
            let outcome = attempt(this);
            this.tried(outcome)
        };
        if matches!(patience, Patience::None) {
            return self.glance(attempt);
        }
        let outcome = self.wait_until(patience, attempt);
        if outcome.is_err() {
            // Whoever gives up although something is there passes the wake-up on, as whoever claims does.
            self.chain();
        }
        outcome
    }

    fn wait_until<T>(
        &mut self,
        patience: Patience,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, Stop>,
    ) -> Result<T, Stop> {
        let channel = Arc::clone(&self.channel);
        let me = self.me;
        let mut limit = MIDWAY.0;
        loop {
            if !std::mem::take(&mut self.spun) {
                self.spin();
            }
            // After a spin in vain too: a glance may miss what a claim finds, and going to sleep costs much more.
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
                Waited::Cancelled => return Err(Stop::Failed(Error::Cancelled)),
            }
            if let Some(done) = attempt(self)? {
                return Ok(done);
            }
            // Whatever made us try again without sleeping, the caller's time limit and canceller hold.
            if patience.deadline().is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Stop::TimedOut);
            }
            if self.is_cancelled() {
                return Err(Stop::Failed(Error::Cancelled));
            }
        }
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
        self.participant.publisher().post(who);
    }

    fn publisher_barrier(&self) {
        self.participant.publisher().publisher_barrier();
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
        let interrupted = || self.participant.is_cancelled();
        let waited = self.participant.channel.set.sleep(self.participant.me, until, &interrupted)?;
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match waited {
            os::sem::Waited::TimedOut if over => Ok(Slept::TimedOut),
            _ => Ok(Slept::Woken),
        }
    }

    fn cancelled(&self) -> bool {
        self.participant.is_cancelled()
    }
}
