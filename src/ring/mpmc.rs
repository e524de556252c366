//! Many producers, many consumers: announce a claim, then win it with one CAS on a word that names the winner.
//!
//! ```text
//! tail, head  cursor: next position to claim | who won the last claim          SYNC(tail), SYNC(head)
//! stamp[i]    FREE(x) -> READY(x) -> FREE(x + capacity)                         SYNC(ready), SYNC(free)
//!                     -> VOID(x)  -> FREE(x + capacity)   given up, or its author died
//!                        READY(x) -> TAKEN(x, own)        adopted               SYNC(taken)
//! announced   (per participant) the claim it tries to win, or tried last       SYNC(announce)
//! adopted     (per consumer) slots in which it holds what is TAKEN by it       SYNC(given)
//!
//! claim [p, p+k)   every stamp seen FREE (READY or VOID)                        Acquire
//!                  announced = (p, k, w)      w: the owner in the cursor        Release, before the CAS
//!                  cursor.CAS((p, w) -> (p + k, me))                            AcqRel
//! complete slot x  stamp = READY or VOID (FREE(x + capacity)), prev             Release
//! ```
//!
//! `prev` is w in the claim's first slot and the claimer itself in the others: it names the owner of the slot
//! before. So who won a claim that ends at q is written in the cursor while it says q, then in the announcement of
//! whoever claimed q, and from its completion on in `stamp[q]`; [`recover`](super::recover) reads it there.

use super::claim::End;
use super::ends::{self, Receives, Sends};
use super::probe::{self, unless};
use super::recover::{adopt_ready, hold_by};
use super::word::{Adopted, Owner, Phase, Stamp};
use super::{CRASH_SAFE, Claim, Found, Index, Nothing, Shared, clamp_want, pack_meta};
use crate::layout::record;
use crate::sync::{Ordering, compiler_fence};

/// A producer.
pub(crate) struct Sender(End<false>);

impl Sender {
    pub(crate) fn resume(shared: &Shared, me: Index) -> Self {
        Sender(End::resume(shared, me))
    }

    #[inline(always)]
    pub(crate) fn claim(&mut self, shared: &Shared, want: u32) -> Result<Claim, Nothing> {
        if self.0.open != 0 {
            self.abandon_forgotten(shared);
        }
        self.0.claim(shared, want)
    }

    /// A slot of a forgotten claim would block the ring, and its record is about to be overwritten.
    #[cold]
    fn abandon_forgotten(&mut self, shared: &Shared) {
        let mut claim = self.0.reopen(shared);
        while claim.len != 0 {
            self.abandon(shared, &mut claim);
        }
    }

    #[inline]
    pub(crate) fn abandon(&mut self, shared: &Shared, claim: &mut Claim) {
        if claim.len != 0 {
            self.complete(shared, claim, Phase::Void);
        }
    }

    #[inline(always)]
    fn complete(&mut self, shared: &Shared, claim: &mut Claim, phase: Phase) {
        let stamp = Stamp::new(claim.position, phase, claim.prev);
        probe::step();
        // SYNC(ready): whoever sees the stamp sees the message; whoever reuses the slot comes after our writes.
        let order = unless("ready not released", Ordering::Release);
        shared.stamp(claim.position).store(stamp.bits(), order);
        claim.advance(self.0.me.into());
        self.0.open = claim.len;
    }

    pub(crate) fn raced(&mut self) -> bool {
        core::mem::take(&mut self.0.raced)
    }

    pub(crate) fn clean(&mut self, shared: &Shared) -> bool {
        self.0.clean(shared)
    }
}

impl Sends for Sender {
    fn of(either: &mut ends::Sender) -> Option<&mut Self> {
        if let ends::Sender::Mpmc(end) = either { Some(end) } else { None }
    }

    #[inline(always)]
    fn claim_one(&mut self, shared: &Shared) -> Option<Claim> {
        if self.0.open != 0 {
            self.abandon_forgotten(&shared.aside());
        }
        self.0.claim_one(shared)
    }

    #[inline(always)]
    fn publish(&mut self, shared: &Shared, claim: &mut Claim, len: u32, tag: u32) {
        if claim.len != 0 {
            shared.set_meta(claim.position, pack_meta(len, tag));
            self.complete(shared, claim, Phase::Ready);
        }
    }
}

/// A consumer.
pub(crate) struct Receiver(End<true>);

impl Receiver {
    pub(crate) fn resume(shared: &Shared, me: Index) -> Self {
        Receiver(End::resume(shared, me))
    }

    #[inline(always)]
    pub(crate) fn claim(&mut self, shared: &Shared, want: u32) -> Result<Claim, Nothing> {
        if self.is_encumbered(shared) {
            if let Some(adopted) = self.claim_adopted(shared, want)? {
                return Ok(adopted);
            }
        }
        self.0.claim(shared, want)
    }

    /// Whether we have adopted messages, or a claim that was forgotten.
    #[inline(always)]
    fn is_encumbered(&self, shared: &Shared) -> bool {
        // Our own line. SYNC(given): a range that another took from us needs no more of our care.
        let adopted = || shared.record(self.0.me, record::ADOPTED).load(Ordering::Relaxed) != Adopted::NONE;
        CRASH_SAFE && adopted() || self.0.open != 0
    }

    fn adopted(&self, shared: &Shared) -> Option<Adopted> {
        Adopted::read(shared.record(self.0.me, record::ADOPTED).load(Ordering::Relaxed))
    }

    #[cold]
    fn claim_adopted(&mut self, shared: &Shared, want: u32) -> Result<Option<Claim>, Nothing> {
        // Twice: first what is recorded, then what we forgot.
        for _ in 0..2 {
            if let Some(range) = self.adopted(shared) {
                if range.is_given() {
                    return Err(Nothing::Midway);
                }
                for i in 0..range.len() {
                    let position = range.position().wrapping_add(u64::from(i));
                    let stamp = Stamp::from_bits(shared.stamp(position).load(Ordering::Relaxed));
                    if stamp.is_taken_by(position, self.0.me) {
                        let len = clamp_want(shared, want).min(range.len() - i);
                        let prev = Owner::NOBODY;
                        if probe::mutant("adopted range cleared before its slots are freed") {
                            self.record(shared, Adopted::NONE);
                        }
                        return Ok(Some(Claim { position, len, prev, adopted: true, attempt: 0 }));
                    }
                }
                self.record(shared, Adopted::NONE);
            }
            if self.0.open == 0 {
                break;
            }
            let mut forgotten = self.0.reopen(shared);
            self.take_over(shared, &mut forgotten);
        }
        Ok(None)
    }

    /// Moves what is left of our claim into our adopted range, which is empty. The range comes first: our heirs
    /// look for TAKEN slots only where it says.
    fn take_over(&mut self, shared: &Shared, claim: &mut Claim) {
        let range = Adopted::new(claim.position, claim.len);
        self.record(shared, range.bits());
        // We look at one slot at a time: the deliveries of the others were not started.
        let started = [claim.attempt.min(1), 0];
        adopt_ready(shared, range, [claim.prev, self.0.me.into()], Some(self.0.me), started);
        (self.0.open, claim.len) = (0, 0);
    }

    /// Writes our adopted range. SYNC(given): after our reads of the messages.
    fn record(&self, shared: &Shared, bits: u64) {
        probe::step();
        let order = unless("given not released", Ordering::Release);
        shared.record(self.0.me, record::ADOPTED).store(bits, order);
    }

    #[cold]
    fn look_at_adopted(&self, shared: &Shared, claim: &mut Claim) -> Option<Found> {
        let stamp = Stamp::from_bits(shared.stamp(claim.position).load(Ordering::Relaxed)); // ours
        if !stamp.is_taken_by(claim.position, self.0.me) {
            return None;
        }
        if claim.attempt == 0 {
            claim.attempt = stamp.attempts() + 1;
            let started = Stamp::taken(claim.position, stamp.prev(), stamp.own(), claim.attempt);
            probe::step();
            // SYNC(taken)
            shared.stamp(claim.position).store(started.bits(), Ordering::Release);
            // A kill is like a signal: it needs the store in this place of the program, not in a peer's view.
            compiler_fence(Ordering::SeqCst);
        }
        Some(Found::read(shared, claim.position, claim.attempt))
    }

    #[inline(always)]
    fn free(&mut self, shared: &Shared, claim: &mut Claim) {
        let lap = shared.geometry().capacity();
        let dropped = probe::mutant("release drops prev");
        let prev = if dropped { Owner::NOBODY } else { claim.prev };
        let stamp = Stamp::new(claim.position.wrapping_add(lap), Phase::Free, prev);
        probe::step();
        // SYNC(free): our reads of the message come before the next producer's writes.
        let order = unless("free not released", Ordering::Release);
        shared.stamp(claim.position).store(stamp.bits(), order);
        claim.advance(self.0.me.into());
        self.0.open = claim.len;
    }

    /// The message of a claim that is not adopted; `None` for a tombstone.
    #[inline(always)]
    fn look_at_fresh(&self, shared: &Shared, claim: &Claim) -> Option<Found> {
        // The frontier acquired this stamp, READY or VOID; only recovery after our death changes it.
        let stamp = Stamp::from_bits(shared.stamp(claim.position).load(Ordering::Relaxed));
        (stamp.phase() != Phase::Void).then(|| Found::read(shared, claim.position, 1))
    }

    #[cold]
    fn release_adopted(&mut self, shared: &Shared, claim: &mut Claim) {
        let (position, me) = (claim.position, self.0.me);
        let stamp = Stamp::from_bits(shared.stamp(position).load(Ordering::Relaxed));
        if stamp.is_taken_by(position, me) {
            let lap = shared.geometry().capacity();
            let dropped = probe::mutant("release of an adopted slot drops prev");
            let prev = if dropped { Owner::NOBODY } else { stamp.prev() };
            probe::step();
            // SYNC(free)
            let order = unless("adopted: free not released", Ordering::Release);
            let free = Stamp::new(position.wrapping_add(lap), Phase::Free, prev);
            shared.stamp(position).store(free.bits(), order);
        }
        claim.advance(me.into());
        if claim.len == 0 {
            // Only now: a range is forgotten when none of its slots is ours any more.
            if self.adopted(shared).is_some_and(|range| !hold_by(shared, range, me)) {
                self.record(shared, Adopted::NONE);
            }
        }
    }

    pub(crate) fn give_back(&mut self, shared: &Shared, claim: &mut Claim) {
        if claim.len == 0 {
            return;
        }
        let range = self.adopted(shared);
        match range {
            Some(range) if claim.adopted => {
                claim.len = 0;
                self.record(shared, range.given().bits());
            }
            // Recovery filled our range meanwhile: the claim stays ours, forgotten for now.
            Some(_) => claim.len = 0,
            None => {
                let range = Adopted::new(claim.position, claim.len);
                self.take_over(shared, claim);
                self.record(shared, range.given().bits());
            }
        }
    }

    #[inline]
    pub(crate) fn given_back(&self, shared: &Shared) -> bool {
        self.adopted(shared).is_some_and(Adopted::is_given)
    }

    pub(crate) fn take_back(&mut self, shared: &Shared) {
        if let Some(range) = self.adopted(shared).filter(|range| range.is_given()) {
            self.record(shared, range.kept().bits());
        }
    }

    #[inline]
    pub(crate) fn has_adopted(&self, shared: &Shared) -> bool {
        self.adopted(shared).is_some()
    }

    pub(crate) fn raced(&mut self) -> bool {
        core::mem::take(&mut self.0.raced)
    }

    pub(crate) fn clean(&mut self, shared: &Shared) -> bool {
        match self.adopted(shared) {
            Some(range) if range.is_given() || hold_by(shared, range, self.0.me) => false,
            Some(_) => {
                self.record(shared, Adopted::NONE);
                self.0.clean(shared)
            }
            None => self.0.clean(shared),
        }
    }
}

impl Receives for Receiver {
    fn of(either: &mut ends::Receiver) -> Option<&mut Self> {
        if let ends::Receiver::Mpmc(end) = either { Some(end) } else { None }
    }

    #[inline(always)]
    fn take(&mut self, shared: &Shared) -> Result<(Claim, Found), Option<Claim>> {
        // What is adopted comes first, and a claim that was forgotten.
        if self.is_encumbered(shared) {
            return Err(None);
        }
        let claim = self.0.claim_one(shared).ok_or(None)?;
        match self.look_at_fresh(shared, &claim) {
            Some(found) => Ok((Claim { attempt: 1, ..claim }, found)),
            None => Err(Some(claim)),
        }
    }

    #[inline(always)]
    fn look(&mut self, shared: &Shared, claim: &mut Claim) -> Option<Found> {
        if claim.len == 0 {
            return None;
        }
        if !claim.adopted {
            claim.attempt = 1;
            return self.look_at_fresh(shared, claim);
        }
        self.look_at_adopted(&shared.aside(), claim)
    }

    #[inline(always)]
    fn release(&mut self, shared: &Shared, claim: &mut Claim) {
        if claim.len == 0 {
            return;
        }
        if claim.adopted {
            return self.release_adopted(&shared.aside(), claim);
        }
        self.free(shared, claim);
    }
}
