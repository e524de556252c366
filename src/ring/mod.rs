//! The rings: who may write and read which slot, and what becomes of a slot whose owner died.
//!
//! Pure algorithms over atomics. They do not copy payloads, sleep, wake or look at leases: the channel does, and it
//! holds LOCK where a function here asks for it. [`spsc`] and [`mpmc`] claim and publish, [`recover`] finishes what
//! the dead began, [`word`] holds the formats, [`slots`] the memory.
//!
//! An operation of the channel is `claim`, then for each slot a copy and `publish` or `release`. A death between
//! any two stores of it leaves a state that `recover::settle` completes; a handle that forgets a claim (a leaked
//! guard) completes it itself at its next claim.

mod claim;
#[cfg(not(all(test, loom)))]
mod copy;
mod ends;
mod evidence;
mod inspect;
pub(crate) mod mpmc;
#[cfg(not(all(test, loom)))]
mod peek;
pub(crate) mod probe;
mod recover;
#[cfg(not(all(test, loom)))]
mod slots;
#[cfg(all(test, loom))]
#[path = "modelled.rs"]
mod slots;
pub(crate) mod spsc;
mod word;

#[cfg(all(test, not(loom)))]
mod fetch_tests;
#[cfg(any(all(test, not(loom)), fuzzing))]
#[allow(unreachable_pub)] // the fuzz targets reach it
pub mod hostile;
#[cfg(all(test, loom))]
pub(crate) mod models;
#[cfg(all(test, not(loom)))]
mod scripted;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(any(all(test, not(loom)), fuzzing))]
mod world;

pub(crate) use ends::{Receiver, Receives, Sender, Sends};
pub(crate) use inspect::{holds, traffic};
#[cfg(not(all(test, loom)))]
pub(crate) use peek::{Seen, peek, waiting};
#[cfg(all(test, not(loom)))]
pub(crate) use probe::meddled;
pub(crate) use recover::{Author, Settled, adopt_given, offers, settle};
pub(crate) use slots::{Shared, prefetch};

use crate::layout::{MAX_BATCH, shared};
use crate::sync::Ordering;
use word::{Cursor, Owner, Phase, Stamp};

/// Whether what only recovery after a death needs is written and looked at. False in one build of the benchmarks, which
/// shows what that costs; nothing that users build sets the switch, and it is no feature.
pub(crate) const CRASH_SAFE: bool = cfg!(not(semring_unannounced));

/// A participant: where its record is, and the name it signs with. Below 64 and below the channel's participants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index(u8);

impl Index {
    pub(crate) fn new(index: usize, participants: usize) -> Option<Self> {
        let index = u8::try_from(index).ok()?;
        (index < 64 && usize::from(index) < participants).then_some(Index(index))
    }

    pub(crate) fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// Which ring a channel has; chosen at creation. The discriminants are the format.
///
/// # Examples
/// ```
/// use semring::{Error, Kind, Options};
///
/// # let name = format!("kind-doc-{}", std::process::id());
/// let options = Options::new().kind(Kind::Spsc);
/// let producer = options.producer(&name)?;
/// assert!(matches!(options.producer(&name), Err(Error::NoRoom { .. }))); // one at a time
/// drop(producer);
/// let successor = options.producer(&name)?;
/// # successor.channel().remove()?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// One producer and one consumer at a time: the fastest.
    Spsc = 1,
    /// Many producers and many consumers, each message to exactly one of them; all share one order.
    Mpmc = 2,
}

/// The two ends of a channel. The discriminants index the words that exist once a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Producers = 0,
    Consumers = 1,
}

/// Why nothing was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// Empty, or full: it is the other side's turn.
    None,
    /// Somebody of either side is between claim and completion at the slot we need, and may stay there. Or we lost
    /// every race of a bounded number; or our own messages are offered to others ([`Receiver::given_back`]).
    Midway,
    /// The ring contradicts itself. It stays so: only a peer that does not follow the protocol brought it there.
    Corrupt(Defect),
}

/// A word that nobody who follows the protocol leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    /// Which word.
    pub(crate) what: &'static str,
    /// What it says.
    pub(crate) found: u64,
    /// What it would say in a sound ring: this, about the position `at`.
    pub(crate) rule: &'static str,
    pub(crate) at: u64,
}

/// Slots that are ours to complete, first one first. The claim itself stands in shared memory: dropping this value
/// completes nothing, and the claimer's next claim will.
#[derive(Debug)]
#[must_use]
pub(crate) struct Claim {
    position: u64,
    len: u32,
    /// Owner of the claim before `position`, for the stamp.
    prev: Owner,
    adopted: bool,
    /// Which delivery of the message at `position` this is; 0 until it is looked at.
    attempt: u32,
}

impl Claim {
    /// Position of the next slot to complete: where to copy.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Slots still to complete.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Steps to the next slot, whose predecessor is then our own.
    #[inline]
    fn advance(&mut self, prev: Owner) {
        self.position = self.position.wrapping_add(1);
        self.len -= 1;
        self.prev = prev;
        self.attempt = 0;
    }
}

/// A message in a claimed slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Bytes as the slot says: the caller compares with the channel's message size before it copies.
    pub(crate) len: u32,
    /// Whatever the producer attached.
    pub(crate) tag: u32,
    /// 1 for the first delivery; more if an earlier one was started and not acknowledged. Saturates at 16.
    pub(crate) attempt: u32,
}

impl Found {
    #[inline]
    fn read(shared: &Shared, position: u64, attempt: u32) -> Self {
        let meta = shared.meta(position);
        Found { len: meta as u32, tag: (meta >> 32) as u32, attempt }
    }
}

/// What a slot's meta word says: length low, tag high.
#[inline]
fn pack_meta(len: u32, tag: u32) -> u64 {
    u64::from(len) | u64::from(tag) << 32
}

/// How far a claim looks beyond what it needs. Where claim follows claim without a miss, far: loads of many lines
/// overlap. In a dialogue not at all: the next slot's line is the other side's, and it is about to write to it.
#[derive(Clone, Copy, Debug)]
struct Outlook {
    /// Claims since the last miss.
    streak: u32,
    /// Slots that a look in a stream is for.
    far: u32,
}

impl Outlook {
    /// Loom's models are too short for a streak.
    const STREAK: u32 = if cfg!(all(test, loom)) { 0 } else { 4 };

    fn new(far: u32) -> Self {
        Outlook { streak: 0, far }
    }

    #[inline]
    fn slots(&mut self, want: u32) -> u64 {
        self.streak = self.streak.saturating_add(1);
        u64::from(if self.streak > Self::STREAK { want.max(self.far) } else { want })
    }

    #[inline]
    fn missed(&mut self) {
        self.streak = 0;
    }
}

/// How many slots a claim may ask for. Folds away for one.
#[inline(always)]
fn clamp_want(shared: &Shared, want: u32) -> u32 {
    let most = shared.geometry().capacity().min(u64::from(MAX_BATCH)) as u32;
    want.min(most).max(1)
}

/// Writes the words of an empty ring that begins at `origin`. The header's magic publishes them.
pub(crate) fn init(shared: &Shared, kind: Kind, origin: u64) {
    let start = match kind {
        Kind::Spsc => origin,
        // Nobody asks who owned the position before the first.
        Kind::Mpmc => Cursor::new(origin, Owner::NOBODY).bits(),
    };
    for word in [shared::TAIL, shared::HEAD, shared::FREE] {
        shared.word(word).store(start, Ordering::Relaxed);
    }
    shared.word(shared::IN_HAND).store(0, Ordering::Relaxed);
    // A fresh segment is zeroes, and an SPSC ring waits for READY, which is not zero.
    if kind == Kind::Mpmc {
        for i in 0..shared.geometry().capacity() {
            let position = origin.wrapping_add(i);
            let stamp = Stamp::new(position, Phase::Free, Owner::NOBODY);
            shared.stamp(position).store(stamp.bits(), Ordering::Relaxed);
        }
    }
}

fn position(shared: &Shared, kind: Kind, word: usize) -> u64 {
    // SYNC(tail), SYNC(head), SYNC(free-exact): who has seen a position may look at what led to it.
    let bits = shared.word(word).load(Ordering::Acquire);
    match kind {
        Kind::Spsc => bits,
        Kind::Mpmc => Cursor::from_bits(bits).position(),
    }
}

/// Position behind the last message claimed by a producer.
pub(crate) fn sent(shared: &Shared, kind: Kind) -> u64 {
    position(shared, kind, shared::TAIL)
}

/// Position behind the last message claimed by a consumer.
pub(crate) fn received(shared: &Shared, kind: Kind) -> u64 {
    position(shared, kind, shared::HEAD)
}

/// Messages sent and not yet received, between 0 and the capacity; a snapshot.
pub(crate) fn occupancy(shared: &Shared, kind: Kind) -> u64 {
    let head = received(shared, kind);
    let distance = word::ahead(sent(shared, kind), head);
    u64::try_from(distance).unwrap_or(0).min(shared.geometry().capacity())
}
