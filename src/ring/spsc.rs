//! One producer, one consumer: no claim is ever contended, so there is nothing to announce and nothing to settle.
//!
//! ```text
//! stamp[i]  READY(x)                    producer: the message x is in its slot           SYNC(ready)
//! TAIL      position behind the last READY, never ahead of it                            SYNC(tail)
//! HEAD      position behind the last message acknowledged                                SYNC(free-exact)
//! FREE      HEAD as of some time ago; what the producer usually reads                    SYNC(free)
//! IN_HAND   the message whose delivery was started last, and how often it was started
//! ```
//!
//! The consumer finds messages by polling the stamp in the slot: the line that brings the news brings the message.
//! It acknowledges in HEAD, in its own line, and moves FREE, which the producer reads, every eighth of a lap: one
//! line changes hands for each message instead of two. Before it reports Full, the producer reads HEAD itself.
//!
//! A successor resumes from these words alone: a producer at TAIL, or behind the one READY whose author died before
//! it moved TAIL; a consumer at HEAD, where IN_HAND says whether the message was already looked at.

use super::ends::{self, Receives, Sends};
use super::probe::{self, unless};
use super::word::{InHand, Owner, Phase, Stamp};
use super::{CRASH_SAFE, Claim, Defect, Found, Nothing, Outlook, Shared, clamp_want, pack_meta};
use crate::layout::shared as at;
use crate::sync::{Ordering, compiler_fence};

fn ready(position: u64) -> Stamp {
    Stamp::new(position, Phase::Ready, Owner::NOBODY)
}

fn fresh(position: u64, len: u32) -> Claim {
    Claim { position, len, prev: Owner::NOBODY, adopted: false, attempt: 0 }
}

/// How many small slots ahead of the one that it writes or reads a producer and a consumer ask for.
const AHEAD: [u64; 2] = [8, 16];

/// How many slots ahead to ask for, so that some lines are always on their way: so many small ones, or two.
fn slots_ahead(shared: &Shared, small: u64) -> u64 {
    if shared.has_wide_slots() { 2 } else { small }
}

/// The producer.
pub(crate) struct Sender {
    tail: u64,
    /// Everything below may be written: a position known to be acknowledged, plus the capacity.
    limit: u64,
    /// How many slots ahead of the one that it writes it asks for.
    ahead: u64,
}

impl Sender {
    pub(crate) fn resume(shared: &Shared) -> Self {
        // The former producer's stores are ordered by its lease and LOCK.
        let mut tail = shared.word(at::TAIL).load(Ordering::Relaxed);
        for _ in 0..shared.geometry().capacity() {
            if shared.stamp(tail).load(Ordering::Relaxed) != ready(tail).bits() {
                break;
            }
            tail = tail.wrapping_add(1);
        }
        // SYNC(tail): as in `publish`.
        shared.word(at::TAIL).store(tail, Ordering::Release);
        Sender { tail, limit: tail, ahead: slots_ahead(shared, AHEAD[0]) }
    }

    #[inline(always)]
    pub(crate) fn claim(&mut self, shared: &Shared, want: u32) -> Result<Claim, Nothing> {
        if self.limit == self.tail {
            self.look_for_room(&shared.aside())?;
        }
        let room = self.limit.wrapping_sub(self.tail);
        Ok(fresh(self.tail, u64::from(clamp_want(shared, want)).min(room) as u32))
    }

    /// Reads how far the consumer is.
    #[inline(never)]
    fn look_for_room(&mut self, shared: &Shared) -> Result<(), Nothing> {
        // SYNC(free), SYNC(free-exact): the consumer has read what it freed before we overwrite it.
        let free = unless("spsc: free not acquired", Ordering::Acquire);
        let _old_news = self.extend(shared, shared.word(at::FREE).load(free));
        if self.limit != self.tail {
            return Ok(());
        }
        let exact = unless("spsc: head not acquired", Ordering::Acquire);
        let head = shared.word(at::HEAD).load(exact);
        if !self.extend(shared, head) {
            let rule = "at most a lap behind the producer's position";
            return Err(Nothing::Corrupt(Defect { what: "head", found: head, rule, at: self.tail }));
        }
        if self.limit == self.tail { Err(Nothing::None) } else { Ok(()) }
    }

    /// Learns that everything below `freed` was acknowledged. Where it is not within a lap behind the tail it grants
    /// nothing, and is false: FREE may be old news, HEAD never.
    fn extend(&mut self, shared: &Shared, freed: u64) -> bool {
        let capacity = shared.geometry().capacity();
        let within = self.tail.wrapping_sub(freed) <= capacity;
        if within {
            self.limit = freed.wrapping_add(capacity);
        }
        within
    }

    /// Would a claim find room, or that HEAD is none of ours? By the position that a claim goes by, so that both
    /// always say the same.
    pub(crate) fn poll(&self, shared: &Shared) -> bool {
        // SYNC(free-exact): as in `claim`.
        let head = shared.word(at::HEAD).load(Ordering::Acquire);
        self.limit != self.tail || self.tail.wrapping_sub(head) != shared.geometry().capacity()
    }

    /// Whether FREE, which the consumer writes every eighth of a lap, promises room. A spinning producer that read
    /// HEAD would take that line from the consumer at every message.
    #[inline]
    pub(crate) fn glance(&self, shared: &Shared) -> bool {
        let free = shared.word(at::FREE).load(Ordering::Relaxed);
        self.limit != self.tail || self.tail.wrapping_sub(free) < shared.geometry().capacity()
    }

    /// The slot was never promised to anybody: the next claim gets it again.
    #[inline]
    pub(crate) fn abandon(&mut self, _shared: &Shared, claim: &mut Claim) {
        claim.len = claim.len.saturating_sub(1);
    }
}

impl Sends for Sender {
    fn of(either: &mut ends::Sender) -> Option<&mut Self> {
        if let ends::Sender::Spsc(end) = either { Some(end) } else { None }
    }

    #[inline(always)]
    fn claim_one(&mut self, shared: &Shared) -> Option<Claim> {
        if self.limit == self.tail && self.look_for_room(&shared.aside()).is_err() {
            return None;
        }
        Some(fresh(self.tail, 1))
    }

    #[inline(always)]
    fn publish(&mut self, shared: &Shared, claim: &mut Claim, len: u32, tag: u32) {
        if claim.len == 0 {
            return;
        }
        let position = claim.position;
        shared.set_meta(position, pack_meta(len, tag));
        shared.prefetch_for_write(position.wrapping_add(self.ahead));
        if probe::mutant("spsc: tail stored before the stamp") {
            shared.word(at::TAIL).store(position.wrapping_add(1), Ordering::Release);
        }
        probe::step();
        // SYNC(ready): whoever sees the stamp sees the message.
        let order = unless("spsc: ready not released", Ordering::Release);
        shared.stamp(position).store(ready(position).bits(), order);
        claim.advance(Owner::NOBODY);
        self.tail = claim.position;
        probe::step();
        // SYNC(tail): never ahead of the stamp, or a successor would leave a gap.
        if CRASH_SAFE {
            shared.word(at::TAIL).store(claim.position, Ordering::Release);
        }
    }
}

/// The consumer.
pub(crate) struct Receiver {
    head: u64,
    /// Everything below it, from the head on, is READY.
    frontier: u64,
    outlook: Outlook,
    /// How many slots ahead of the one that it reads it asks for.
    ahead: u64,
    /// FREE is an eighth of a lap, `lag`, behind it, and to be moved when the head is here.
    publish_at: u64,
    lag: u64,
    /// What IN_HAND says.
    in_hand: InHand,
}

impl Receiver {
    pub(crate) fn resume(shared: &Shared) -> Self {
        // The former consumer's stores are ordered by its lease and LOCK.
        let head = shared.word(at::HEAD).load(Ordering::Relaxed);
        let in_hand = InHand::from_bits(shared.word(at::IN_HAND).load(Ordering::Relaxed));
        let in_hand = if probe::mutant("spsc: hand forgotten") { InHand::from_bits(0) } else { in_hand };
        let lag = (shared.geometry().capacity() / 8).max(1);
        // SYNC(free): as in `publish_free`.
        shared.word(at::FREE).store(head, Ordering::Release);
        Receiver {
            head,
            frontier: head,
            outlook: Outlook::new(if shared.has_wide_slots() { 16 } else { 64 }),
            ahead: slots_ahead(shared, AHEAD[1]),
            publish_at: head.wrapping_add(lag),
            lag,
            in_hand,
        }
    }

    #[inline(always)]
    pub(crate) fn claim(&mut self, shared: &Shared, want: u32) -> Result<Claim, Nothing> {
        let want = clamp_want(shared, want);
        let known = self.known(shared, want);
        if known == 0 {
            self.outlook.missed();
            return Err(Nothing::None);
        }
        Ok(fresh(self.head, known.min(u64::from(want)) as u32))
    }

    /// How many messages are known to be there, after a look if they are few.
    #[inline(always)]
    fn known(&mut self, shared: &Shared, want: u32) -> u64 {
        let known = self.frontier.wrapping_sub(self.head);
        if known < u64::from(want) || known == self.ahead {
            return self.look_ahead(&shared.aside(), known, want);
        }
        known
    }

    /// Moves the frontier, of which so much is known. A stream is in order: where its producer is far ahead, one look at a far
    /// slot tells of all before it, and their lines are asked for before they are needed. Otherwise slot by slot.
    #[inline(never)]
    fn look_ahead(&mut self, shared: &Shared, known: u64, want: u32) -> u64 {
        let end = shared.geometry().capacity().min(known + self.outlook.slots(want));
        let mut len = known;
        if end > known + u64::from(want) && self.is_ready(shared, end - 1) {
            (known..end.min(known + self.ahead))
                .for_each(|i| shared.prefetch_message(self.head.wrapping_add(i)));
            len = end;
        } else if known < u64::from(want) {
            while len < end && self.is_ready(shared, len) {
                shared.prefetch_rest(self.head.wrapping_add(len));
                len += 1;
            }
        }
        self.frontier = self.head.wrapping_add(len);
        len
    }

    /// Is there a message so many slots behind the head?
    #[inline(always)]
    fn is_ready(&self, shared: &Shared, behind: u64) -> bool {
        let position = self.head.wrapping_add(behind);
        // SYNC(ready): pairs with the producer's store, which came after those of all messages before.
        let order = unless("spsc: ready not acquired", Ordering::Acquire);
        shared.stamp(position).load(order) == ready(position).bits()
    }

    /// Would a claim find a message? By the position that a claim goes by, not by the word that a peer may change.
    #[inline]
    pub(crate) fn poll(&self, shared: &Shared) -> bool {
        // SYNC(ready): the stamp itself, for TAIL lags behind it.
        self.frontier != self.head
            || shared.stamp(self.head).load(Ordering::Acquire) == ready(self.head).bits()
    }

    /// Notes that a delivery of the message at the head is started.
    #[inline(always)]
    fn start(&mut self, shared: &Shared, position: u64, attempt: u32) {
        self.in_hand = InHand::new(position, attempt);
        probe::step();
        // Own line, read by a successor only.
        if CRASH_SAFE {
            shared.word(at::IN_HAND).store(self.in_hand.bits(), Ordering::Relaxed);
        }
        // A kill is like a signal: it needs the store in this place of the program, not in a peer's view.
        compiler_fence(Ordering::SeqCst);
    }

    /// What is left stays where it is. IN_HAND remembers that the delivery of the first was started.
    pub(crate) fn give_back(&mut self, _shared: &Shared, claim: &mut Claim) {
        claim.len = 0;
    }

    #[inline]
    pub(crate) fn publish_free(&mut self, shared: &Shared) -> bool {
        let next = self.head.wrapping_add(self.lag);
        let news = self.publish_at != next;
        if news {
            self.publish_at = next;
            probe::step();
            // SYNC(free): as SYNC(free-exact).
            let order = unless("spsc: free not released", Ordering::Release);
            shared.word(at::FREE).store(self.head, order);
        }
        news
    }
}

impl Receives for Receiver {
    fn of(either: &mut ends::Receiver) -> Option<&mut Self> {
        if let ends::Receiver::Spsc(end) = either { Some(end) } else { None }
    }

    #[inline(always)]
    fn take(&mut self, shared: &Shared) -> Result<(Claim, Found), Option<Claim>> {
        let position = self.head;
        if self.known(shared, 1) == 0 {
            self.outlook.missed();
            return Err(None);
        }
        if self.in_hand.is_of(position) {
            return Err(None);
        }
        self.start(shared, position, 1);
        Ok((Claim { attempt: 1, ..fresh(position, 1) }, Found::read(shared, position, 1)))
    }

    #[inline(always)]
    fn look(&mut self, shared: &Shared, claim: &mut Claim) -> Option<Found> {
        if claim.len == 0 {
            return None;
        }
        if claim.attempt == 0 {
            claim.attempt = (self.in_hand.attempts(claim.position) + 1).min(InHand::MOST);
            self.start(shared, claim.position, claim.attempt);
        }
        Some(Found::read(shared, claim.position, claim.attempt))
    }

    #[inline(always)]
    fn release(&mut self, shared: &Shared, claim: &mut Claim) {
        if claim.len == 0 {
            return;
        }
        claim.advance(Owner::NOBODY);
        let head = claim.position;
        self.head = head;
        probe::step();
        // SYNC(free-exact): our reads of the message come before the producer's next writes to its slot.
        let order = unless("spsc: head not released", Ordering::Release);
        shared.word(at::HEAD).store(head, order);
        if self.frontier.wrapping_sub(head) > self.ahead {
            shared.prefetch_message(head.wrapping_add(self.ahead));
        }
        if head == self.publish_at {
            self.publish_free(shared);
        }
    }
}
