//! Sleeping and waking: who arms what in which order, so that no wake-up is ever lost, whoever dies or stops.
//!
//! Pure: the kernel is behind two traits whose second implementers are the loom models'. The channel calls
//! [`wait`] when an operation finds nothing to do, and [`wake`] after every publication.
//!
//! Words, per participant `park` and per side a bitmap `sleepers`:
//!
//! | `park` = epoch << 2 \| state | written by | meaning |
//! |---|---|---|
//! | AWAKE | the owner | not waiting |
//! | SLEEPING | the owner | waiting, and nobody has posted for this epoch |
//! | NOTIFIED | a waker, after its V; anyone, for a dead owner | somebody has posted: wakers skip it |
//!
//! The epoch grows with every arming and is never reset, so a waker's compare-and-swap can only hit the very sleep
//! that it saw. Only the sleeper clears its own bit, and the waker posts first and marks afterwards: a waker that is
//! stopped or killed between the two strands nobody.
//!
//! The publisher stores its stamp, then loads the bitmap; the sleeper sets its bit, then looks at the stamp. One
//! of the two must see the other: a store-then-load order on both sides. The publisher's half costs nothing,
//! because the sleeper pays for both with membarrier(2), `SYNC(sleep-barrier)`; a channel made with
//! [`WakeMode::Fence`](crate::WakeMode) has a fence on both sides instead.

#[cfg(all(test, loom))]
mod models;

use crate::layout::{LINE, record, shared};
use crate::ring::probe::{mutant, unless};
use crate::ring::{Index, Nothing, Shared, Side};
use crate::sync::{AtomicU64, Ordering};

const AWAKE: u64 = 0;
const SLEEPING: u64 = 1;
const NOTIFIED: u64 = 2;
const STATE: u64 = 3;
const EPOCH: u64 = 4;

/// Sleepers that one publication wakes. Two cost the same one system call as one, and keep a wake-up from being
/// swallowed by a participant that is stopped before it acts on it.
const WAKE_AT_ONCE: usize = 2;

/// What a waker needs of the kernel.
pub(crate) trait Waker {
    /// V on the wake semaphore of every participant in the bitmap. Cannot fail in a way a waker could mend.
    fn post(&self, who: u64);
    /// Orders the publication before the look at the bitmap.
    fn publisher_barrier(&self);
}

/// What a participant that waits does; [`wait`] says in which order.
pub(crate) trait Sleeper: Waker {
    /// Why waiting failed.
    type Error;
    /// Loads only: is there something for us?
    fn poll(&mut self) -> Poll;
    /// One snapshot of the leases; drains our own tokens, marks dead sleepers, repairs what can be repaired.
    fn look(&mut self) -> Result<Look, Self::Error>;
    /// Orders the arming before the second look at the ring, on every other participant's processor too.
    fn sleeper_barrier(&self);
    /// P on our wake semaphore, until the deadline of the call or the limit given.
    fn sleep(&mut self, limited: bool) -> Result<Slept, Self::Error>;
    /// Has the call been cancelled?
    fn cancelled(&self) -> bool;
}

/// What a look at the ring shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// Something is there.
    Ready,
    /// Nothing is there, and nobody is about to change that.
    Nothing,
    /// Somebody has claimed the slot we need and is not done with it.
    Midway,
}

impl From<Result<(), Nothing>> for Poll {
    fn from(seen: Result<(), Nothing>) -> Self {
        match seen {
            Ok(()) => Poll::Ready,
            Err(Nothing::None) => Poll::Nothing,
            Err(Nothing::Midway) => Poll::Midway,
            // The next attempt says so.
            Err(Nothing::Corrupt(_)) => Poll::Ready,
        }
    }
}

/// What a look at the leases shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Something was repaired: try again at once.
    Repaired,
    /// The other side is gone: the end, if there is nothing left for us.
    Gone,
    /// Nothing: wait.
    Wait,
}

/// How the sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slept {
    /// By a token, a signal or the limit: look again.
    Woken,
    /// By the deadline of the call.
    TimedOut,
}

/// What the caller of [`wait`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Try again.
    Retry,
    /// The other side is gone and nothing is left for us.
    Gone,
    /// Try once more; if that fails too, the time is over.
    TimedOut,
    /// Cancelled.
    Cancelled,
}

#[inline]
fn park_word(mem: &Shared, index: Index) -> &AtomicU64 {
    mem.record(index, record::PARK)
}

/// The bitmap of a side's sleepers.
#[inline]
pub(crate) fn sleepers(mem: &Shared, side: Side) -> &AtomicU64 {
    mem.word(shared::SLEEPERS + LINE * side as usize)
}

/// Is this participant recorded as sleeping?
pub(crate) fn is_sleeping(mem: &Shared, index: Index) -> bool {
    park_word(mem, index).load(Ordering::Relaxed) & STATE != AWAKE
}

/// Waits once: looks, arms, looks again, sleeps, disarms. Design.md section 6 has the proof obligations; the order
/// of every two lines here matters, and each order has a mutant that fails.
pub(crate) fn wait<S: Sleeper>(
    mem: &Shared,
    me: Index,
    side: Side,
    sleeper: &mut S,
) -> Result<Waited, S::Error> {
    // Look at the leases and drain our tokens BEFORE arming: a token that comes later belongs to this sleep.
    let look = sleeper.look()?;
    if look == Look::Repaired {
        return Ok(Waited::Retry);
    }
    arm(mem, me, side);
    sleeper.sleeper_barrier();
    let waited = match sleeper.poll() {
        Poll::Ready => Ok(Waited::Retry),
        _ if sleeper.cancelled() => Ok(Waited::Cancelled),
        Poll::Nothing if look == Look::Gone => Ok(Waited::Gone),
        // A producer that sees the other side gone need not care who is midway.
        Poll::Midway if look == Look::Gone && side == Side::Producers => Ok(Waited::Gone),
        poll => sleeper.sleep(poll == Poll::Midway).map(|slept| match slept {
            Slept::Woken => Waited::Retry,
            Slept::TimedOut => Waited::TimedOut,
        }),
    };
    // Whatever happened, also an error: nobody may be left waiting for us to act on a post.
    if !mutant("not disarmed") {
        disarm(mem, me, side);
    }
    waited
}

fn arm(mem: &Shared, me: Index, side: Side) {
    let word = park_word(mem, me);
    let next = next_epoch(word.load(Ordering::Relaxed));
    word.swap(next | SLEEPING, Ordering::AcqRel); // SYNC(park): release to the waker that reads it
    sleepers(mem, side).fetch_or(me.bit(), Ordering::AcqRel); // SYNC(sleepers): release to the publisher
}

fn disarm(mem: &Shared, me: Index, side: Side) {
    let word = park_word(mem, me);
    let epoch = word.load(Ordering::Relaxed) & !STATE;
    // SYNC(park): from here on a waker's mark fails and it tries the next; a mark that was earlier brings the news.
    word.swap(epoch | AWAKE, unless("mark not acquired", Ordering::AcqRel));
    sleepers(mem, side).fetch_and(!me.bit(), Ordering::AcqRel); // SYNC(sleepers)
}

/// The epoch behind that of `word`.
fn next_epoch(word: u64) -> u64 {
    let epoch = word & !STATE;
    if mutant("no epoch") { epoch } else { epoch.wrapping_add(EPOCH) }
}

/// What [`wake`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woke {
    /// Nobody to wake, or somebody woken.
    Enough,
    /// There are sleepers, and every one of them has been notified before and has not woken yet.
    Nobody,
}

/// Wakes up to two sleepers of a side, after a publication. When nobody sleeps it costs one load of a line that
/// only sleepers write.
#[inline]
pub(crate) fn wake<W: Waker>(mem: &Shared, side: Side, me: Index, waker: &W) -> Woke {
    waker.publisher_barrier();
    let sleeping = sleepers(mem, side).load(Ordering::Acquire); // SYNC(sleepers)
    if sleeping == 0 { Woke::Enough } else { wake_others(mem, sleeping, me, waker) }
}

#[cold]
fn wake_others<W: Waker>(mem: &Shared, sleeping: u64, me: Index, waker: &W) -> Woke {
    match sleeping & mem.geometry().everybody() & !me.bit() {
        0 => Woke::Enough,
        others => wake_some(mem, others, me, waker),
    }
}

fn wake_some<W: Waker>(mem: &Shared, mut sleeping: u64, me: Index, waker: &W) -> Woke {
    let mut wanted = if mutant("two at once") { 1 } else { WAKE_AT_ONCE };
    let mut woke = Woke::Nobody;
    while wanted > 0 {
        let mut targets = [None; WAKE_AT_ONCE];
        let mut bits = 0;
        for target in targets.iter_mut().take(wanted) {
            let Some((index, word)) = next_sleeper(mem, &mut sleeping, me) else { break };
            bits |= index.bit();
            *target = Some((index, word));
        }
        if bits == 0 {
            break;
        }
        let early = mutant("marked before posted").then(|| mark(mem, targets));
        waker.post(bits);
        woke = Woke::Enough;
        wanted -= early.unwrap_or_else(|| mark(mem, targets));
        if mutant("no next") {
            break;
        }
    }
    woke
}

/// Marks those who were posted; how many of them still slept. One that did not woke by itself and may be gone: the
/// next one has to be posted instead.
fn mark(mem: &Shared, posted: [Option<(Index, u64)>; WAKE_AT_ONCE]) -> usize {
    let notify = |(index, word): &(Index, u64)| {
        let notified = word & !STATE | NOTIFIED;
        // SYNC(park): brings the publication along, for the last try of one whose time is over.
        park_word(mem, *index).compare_exchange(*word, notified, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    posted.into_iter().flatten().filter(notify).count()
}

/// The next participant whose park word says SLEEPING, from `me` on, so that nobody is always the last.
fn next_sleeper(mem: &Shared, sleeping: &mut u64, me: Index) -> Option<(Index, u64)> {
    while *sleeping != 0 {
        let start = me.get() as u32;
        let nth = (sleeping.rotate_right(start).trailing_zeros() + start) % 64;
        *sleeping &= !(1 << nth);
        let Some(index) = Index::new(nth as usize, mem.geometry().participants()) else { continue };
        let word = park_word(mem, index).load(Ordering::Acquire); // SYNC(park)
        if word & STATE == SLEEPING {
            return Some((index, word));
        }
    }
    None
}

/// A participant's park word, for [`mark_dead`].
pub(crate) fn observe(mem: &Shared, index: Index) -> u64 {
    park_word(mem, index).load(Ordering::Acquire) // SYNC(park)
}

/// Marks a dead sleeper, so that wakers stop spending their posts on it. Needs no lock, because `word` was observed
/// BEFORE the lease was seen to be 0: should the index have a new owner by now, its epoch is another one, and the mark
/// misses.
pub(crate) fn mark_dead(mem: &Shared, dead: Index, word: u64) {
    if word & STATE == SLEEPING {
        // A failure means that somebody else marked it, or that the index lives again.
        let _ = park_word(mem, dead).compare_exchange(
            word,
            word & !STATE | NOTIFIED,
            Ordering::AcqRel, // SYNC(park)
            Ordering::Relaxed,
        );
    }
}

/// Takes a dead participant out of the bitmap. Under the lock, by its recoverer.
pub(crate) fn bury(mem: &Shared, dead: Index, side: Side) {
    sleepers(mem, side).fetch_and(!dead.bit(), Ordering::AcqRel); // SYNC(sleepers)
}

/// Makes a vacant index ready for its next owner, and goes on with the epoch. Under the lock.
pub(crate) fn reset(mem: &Shared, index: Index) {
    let word = park_word(mem, index);
    let next = next_epoch(word.load(Ordering::Relaxed));
    word.swap(next | AWAKE, Ordering::AcqRel); // SYNC(park)
    for side in [Side::Producers, Side::Consumers] {
        bury(mem, index, side);
    }
}
