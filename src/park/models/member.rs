//! A participant of the models: what `channel/participant.rs` does around `wait` and `wake`, on either queue.

use std::convert::Infallible;
use std::sync::Arc;

use super::kernel::{Kernel, Leases};
use super::queue::{End, Head, Queue, Tail};
use crate::park::{self, Look, Poll, Sleeper, Slept, Waited, Waker};
use crate::ring::models::index;
use crate::ring::probe::{Killed, mutant};
use crate::ring::{Index, Shared, Side};
use crate::sync::{AtomicU64, Ordering, fence};

/// What all participants share.
pub(super) struct Channel {
    pub(super) mem: Arc<Shared>,
    pub(super) kernel: Kernel,
    queue: Queue,
    /// Those who may be dead: the only ones whose park words are observed in a look.
    mortal: Vec<Index>,
    /// A turnstile before each fence: loom tries other orders of accesses only, and a fence is none.
    fences: AtomicU64,
}

impl Channel {
    pub(super) fn new(queue: Queue, producers: usize, consumers: usize) -> Arc<Self> {
        Self::with_mortals(queue, producers, consumers, &[])
    }

    pub(super) fn with_mortals(
        queue: Queue,
        producers: usize,
        consumers: usize,
        mortal: &[usize],
    ) -> Arc<Self> {
        Arc::new(Channel {
            mem: queue.memory(),
            kernel: Kernel::new(producers, consumers),
            queue,
            mortal: mortal.iter().map(|i| index(*i)).collect(),
            fences: AtomicU64::new(0),
        })
    }

    pub(super) fn producer(self: &Arc<Self>, i: usize) -> Member<Tail> {
        Member::new(self, i, self.queue.tail(&self.mem, i))
    }

    pub(super) fn consumer(self: &Arc<Self>, i: usize) -> Member<Head> {
        Member::new(self, i, self.queue.head(&self.mem, i))
    }

    fn fence(&self) {
        self.fences.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst); // SYNC(sleep-barrier)
    }
}

/// What becomes of a participant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    /// Its call has a deadline, which comes while it sleeps unless a token does.
    TimesOut,
    /// Is killed asleep. The kernel posts everybody.
    DiesAsleep,
    /// Is stopped for ever before its first V. The kernel does nothing.
    StopsWaking,
}

/// One producer or consumer.
pub(super) struct Member<E> {
    pub(super) channel: Arc<Channel>,
    pub(super) me: Index,
    pub(super) fate: Fate,
    end: E,
    /// What the ring showed before the look at the leases, where that is the mutant.
    early: Option<Poll>,
}

impl<E: End> Member<E> {
    fn new(channel: &Arc<Channel>, i: usize, end: E) -> Self {
        Member { channel: channel.clone(), me: index(i), fate: Fate::Lives, end, early: None }
    }

    pub(super) fn with_fate(self, fate: Fate) -> Self {
        Member { fate, ..self }
    }

    /// The loop around every blocking call.
    fn wait_for<T>(&mut self, attempt: impl Fn(&mut Self) -> Option<T>) -> Result<T, Waited> {
        let channel = self.channel.clone();
        loop {
            if let Some(done) = attempt(self) {
                return Ok(done);
            }
            match park::wait(&channel.mem, self.me, E::SIDE, self).unwrap_or_else(|never| match never {}) {
                Waited::Retry => {}
                Waited::TimedOut if mutant("no last try") => return Err(Waited::TimedOut),
                Waited::TimedOut => return attempt(self).ok_or(Waited::TimedOut),
                over => return Err(over),
            }
        }
    }

    fn wake(&self, side: Side) {
        park::wake(&self.channel.mem, side, self.me, self);
    }

    /// After a claim: if others of our side sleep and there is more, one of them takes over.
    fn chain(&self) {
        let mem = &self.channel.mem;
        if !mutant("no chaining")
            && park::sleepers(mem, E::SIDE).load(Ordering::Relaxed) & !self.me.bit() != 0
            && self.end.poll(mem) == Poll::Ready
        {
            self.wake(E::SIDE);
        }
    }

    /// Looks at the leases, and marks sleepers that are dead.
    pub(super) fn look_around(&self, snapshot: impl FnOnce() -> Leases) -> Leases {
        let mem = &self.channel.mem;
        let observe = || self.channel.mortal.iter().map(|i| (*i, park::observe(mem, *i))).collect::<Vec<_>>();
        let mut observed = observe();
        let leases = snapshot();
        if mutant("park words after the leases") {
            observed = observe();
        }
        for (index, word) in observed {
            if !leases.hold(index) && !mutant("dead not marked") {
                park::mark_dead(mem, index, word);
            }
        }
        leases
    }

    pub(super) fn leave(self) {
        self.channel.kernel.leave(self.me, E::SIDE);
    }
}

impl Member<Tail> {
    /// Sends the values with one claim and one wake-up, waiting for room if there is none.
    pub(super) fn send(&mut self, values: &[u64]) {
        let sent = self.wait_for(|member| {
            member.end.put(&member.channel.mem, values)?;
            member.wake(Side::Consumers);
            Some(())
        });
        assert_eq!(sent, Ok(()));
    }
}

impl Member<Head> {
    pub(super) fn recv(&mut self) -> Result<u64, Waited> {
        self.wait_for(|member| {
            let claimed = member.end.claim(&member.channel.mem)?;
            member.chain();
            let value = member.end.finish(&member.channel.mem, claimed);
            member.wake(Side::Producers);
            value
        })
    }
}

impl<E> Waker for Member<E> {
    fn post(&self, who: u64) {
        if self.fate == Fate::StopsWaking {
            std::panic::resume_unwind(Box::new(Killed));
        }
        self.channel.kernel.post(who);
    }

    fn publisher_barrier(&self) {
        if !mutant("no publisher barrier") {
            self.channel.fence();
        }
    }
}

impl<E: End> Sleeper for Member<E> {
    type Error = Infallible;

    fn poll(&mut self) -> Poll {
        if mutant("no second look") {
            return Poll::Nothing;
        }
        self.early.take().unwrap_or_else(|| self.end.poll(&self.channel.mem))
    }

    fn look(&mut self) -> Result<Look, Infallible> {
        let Channel { mem, kernel, .. } = &*self.channel.clone();
        if self.end.before_sleep(mem) {
            self.wake(E::SIDE.other());
        }
        if mutant("ring before the leases") {
            self.early = Some(self.end.poll(mem));
        }
        let drained_later = mutant("drained after arming");
        let mut drained = 0;
        let mut leases = self.look_around(|| {
            let (leases, tokens) = if drained_later { (kernel.leases(), 0) } else { kernel.look(self.me) };
            drained = tokens;
            leases
        });
        if drained > 0 && !mutant("drained and not looked again") {
            leases = self.look_around(|| kernel.leases());
        }
        Ok(if leases.count(E::SIDE.other()) == 0 { Look::Gone } else { Look::Wait })
    }

    fn sleeper_barrier(&self) {
        if mutant("drained after arming") {
            self.channel.kernel.look(self.me);
        }
        if !mutant("no sleeper barrier") {
            self.channel.fence();
        }
    }

    /// Nobody is stopped midway in the models, so sleeping behind somebody midway needs no limit.
    fn sleep(&mut self, _limited: bool) -> Result<Slept, Infallible> {
        if self.fate == Fate::DiesAsleep {
            self.channel.kernel.leave(self.me, E::SIDE);
            std::panic::resume_unwind(Box::new(Killed));
        }
        Ok(self.channel.kernel.sleep(self.me, self.fate == Fate::TimesOut))
    }

    fn cancelled(&self) -> bool {
        false
    }
}
