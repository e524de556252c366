//! Claiming in an MPMC ring, for either side: announce, then win with one CAS. `mpmc` draws the protocol.
//!
//! The stamps are not read one by one for each claim: a **frontier** below which all stamps are known to be FREE
//! (or READY or VOID) is kept in private memory. What it says stays true of every slot that is still unclaimed,
//! because only a claimer changes such a slot, and a CAS that succeeds proves that there was none.

use super::probe::{self, unless};
use super::slots::LINE;
use super::word::{Announcement, Cursor, Owner, Phase, Stamp, ahead};
use super::{CRASH_SAFE, Claim, Defect, Index, Nothing, Outlook, Shared, Side, clamp_want};
use crate::layout::{record, shared as at};
use crate::sync::{Ordering, spin_loop};

/// Races lost in a row before a claim gives up. A lost race means that another claim succeeded. A loom model stays
/// small, and a mutant that spins on old news must get as far as the bytes.
const RACES: u32 = if cfg!(all(test, loom)) { 4 } else { 256 };

/// Binary logarithm of the most pauses between two races.
const BACK_OFF: u32 = if cfg!(all(test, loom)) { 0 } else { 4 };

/// Slots that a look in a stream is for: sixteen lines of them.
fn far(shared: &Shared) -> u32 {
    (16 * LINE / shared.geometry().stride()).clamp(4, 32) as u32
}

/// One side's end of an MPMC ring: a producer's or a consumer's claims. Which side is in the type, so that nothing
/// asks for it while it runs.
pub(super) struct End<const CONSUMES: bool> {
    pub(super) me: Index,
    /// All stamps below it, from the cursor on, are claimable.
    frontier: u64,
    outlook: Outlook,
    /// The last claim in a single attempt lost a race: there was something.
    pub(super) raced: bool,
    /// Where our last claim ends, and how many slots at its end we have not completed.
    end: u64,
    pub(super) open: u32,
}

impl<const CONSUMES: bool> End<CONSUMES> {
    const SIDE: Side = if CONSUMES { Side::Consumers } else { Side::Producers };

    pub(super) fn resume(shared: &Shared, me: Index) -> Self {
        // SYNC(tail), SYNC(head)
        let cursor = shared.word(cursor_of(Self::SIDE)).load(Ordering::Acquire);
        let position = Cursor::from_bits(cursor).position();
        End {
            me,
            frontier: position,
            outlook: Outlook::new(far(shared)),
            raced: false,
            end: position,
            open: 0,
        }
    }

    /// How many slots from `position` on can be claimed, up to `want`.
    #[inline(always)]
    fn claimable(&mut self, shared: &Shared, position: u64, want: u32) -> u32 {
        let known = ahead(self.frontier, position) as u64;
        // A frontier that the cursor has overtaken, or one from another age of the ring, says nothing.
        let known = if known <= shared.geometry().capacity() { known } else { 0 };
        if known >= u64::from(want) {
            return want;
        }
        self.scan(&shared.aside(), position, known, want)
    }

    #[inline(never)]
    fn scan(&mut self, shared: &Shared, position: u64, known: u64, want: u32) -> u32 {
        let end = shared.geometry().capacity().min(known + self.outlook.slots(want));
        let mut len = known;
        while len < end {
            let position = position.wrapping_add(len);
            if !Self::is_claimable(shared, position) {
                break;
            }
            len += 1;
        }
        self.frontier = position.wrapping_add(len);
        if len == end && end > known + u64::from(want) {
            self.ask_for_more(shared, end - known);
        }
        len.min(u64::from(want)) as u32
    }

    /// Asks for the lines that the next look in a stream is for, so that they are here by then, and to be written: both sides
    /// change every slot. Where the other side is not so far yet they are left to it.
    fn ask_for_more(&self, shared: &Shared, slots: u64) {
        let last = self.frontier.wrapping_add(slots - 1);
        if Self::is_claimable(shared, last) {
            (0..slots).for_each(|i| shared.prefetch_for_write(self.frontier.wrapping_add(i)));
            shared.prefetch_message(last.wrapping_add(slots));
        }
    }

    /// Whether the slot of a position waits for our side.
    #[inline(always)]
    fn is_claimable(shared: &Shared, position: u64) -> bool {
        let order = match Self::SIDE {
            // SYNC(free): the last consumer has read what we overwrite.
            Side::Producers => unless("free not acquired", Ordering::Acquire),
            // SYNC(ready): we shall see the message.
            Side::Consumers => unless("ready not acquired", Ordering::Acquire),
        };
        let stamp = Stamp::from_bits(shared.stamp(position).load(order));
        match Self::SIDE {
            Side::Producers => stamp.is(position, Phase::Free),
            Side::Consumers => stamp.is(position, Phase::Ready) || stamp.is(position, Phase::Void),
        }
    }

    #[inline(always)]
    pub(super) fn claim(&mut self, shared: &Shared, want: u32) -> Result<Claim, Nothing> {
        let want = clamp_want(shared, want);
        let seen = self.cursor(shared);
        let len = self.claimable(shared, seen.position(), want);
        if len != 0 {
            if let Some(claim) = self.win(shared, seen, len) {
                return Ok(claim);
            }
        }
        self.contend(&shared.aside(), want, seen, len)
    }

    /// A claim of one slot, for an operation in one go: a single attempt. What is in its way, the next claim says.
    #[inline(always)]
    pub(super) fn claim_one(&mut self, shared: &Shared) -> Option<Claim> {
        let seen = self.cursor(shared);
        match self.claimable(shared, seen.position(), 1) {
            0 => {
                self.outlook.missed();
                None
            }
            _ => {
                let claim = self.win(shared, seen, 1);
                if claim.is_none() {
                    self.raced = true;
                }
                claim
            }
        }
    }

    #[inline(always)]
    fn cursor(&self, shared: &Shared) -> Cursor {
        // SYNC(tail), SYNC(head)
        Cursor::from_bits(shared.word(cursor_of(Self::SIDE)).load(Ordering::Acquire))
    }

    /// Goes on after a first attempt that saw this cursor and so many claimable slots, and won none.
    #[cold]
    fn contend(
        &mut self,
        shared: &Shared,
        want: u32,
        mut seen: Cursor,
        mut len: u32,
    ) -> Result<Claim, Nothing> {
        for race in 1.. {
            if len != 0 {
                back_off(race - 1);
            } else if let Some(nothing) = self.why_nothing(shared, seen.position()) {
                self.outlook.missed();
                return Err(nothing);
            }
            if race == RACES {
                break;
            }
            seen = self.cursor(shared);
            len = self.claimable(shared, seen.position(), want);
            if len != 0 {
                if let Some(claim) = self.win(shared, seen, len) {
                    return Ok(claim);
                }
            }
        }
        Err(Nothing::Midway)
    }

    /// Announces a claim of the next `len` slots and tries to win it; `None` if the cursor has moved since.
    #[inline(always)]
    fn win(&mut self, shared: &Shared, seen: Cursor, len: u32) -> Option<Claim> {
        let position = seen.position();
        let announcement = Announcement::new(Self::SIDE, position, len, seen.owner());
        let late = probe::mutant("announced after the CAS");
        if !late {
            self.announce(shared, announcement.bits());
        }
        let end = position.wrapping_add(u64::from(len));
        let won = Cursor::new(end, self.me.into());
        probe::step();
        // SYNC(tail), SYNC(head): who sees our claim sees its announcement.
        let order = unless("claim not released", Ordering::AcqRel);
        let cursor = shared.word(cursor_of(Self::SIDE));
        cursor.compare_exchange(seen.bits(), won.bits(), order, Ordering::Relaxed).ok()?;
        if late {
            self.announce(shared, announcement.bits());
        }
        (self.end, self.open) = (end, len);
        Some(Claim { position, len, prev: seen.owner(), adopted: false, attempt: 0 })
    }

    /// SYNC(announce): who sees a later announcement of ours in place of the one at q sees what we stored into
    /// `stamp[q]` between the two. Acquired by `recover::won`.
    #[inline(always)]
    fn announce(&self, shared: &Shared, bits: u64) {
        probe::step();
        let order = unless("announcement not released", Ordering::Release);
        if CRASH_SAFE {
            shared.record(self.me, record::ANNOUNCED).store(bits, order);
        }
    }

    /// Why the slot at the cursor cannot be claimed; `None` if that was old news.
    #[cold]
    fn why_nothing(&self, shared: &Shared, position: u64) -> Option<Nothing> {
        // SYNC(ready), SYNC(free): a stamp that only a claimed slot has shows that the cursor has moved on.
        let stamp = Stamp::from_bits(shared.stamp(position).load(Ordering::Acquire));
        let behind = stamp.distance_from(position);
        // SYNC(tail), SYNC(head)
        let other = match Self::SIDE {
            Side::Producers => shared.word(at::HEAD),
            Side::Consumers => shared.word(at::TAIL),
        };
        let other = || Cursor::from_bits(other.load(Ordering::Acquire)).position();
        let theirs = match (Self::SIDE, stamp.phase()) {
            (Side::Producers, Phase::Free) | (Side::Consumers, Phase::Ready | Phase::Void) if behind == 0 => {
                return None; // it came just now
            }
            (_, _) if behind > 0 => return self.overtaken(shared, position, stamp),
            (Side::Producers, _) | (Side::Consumers, Phase::Taken) if behind == 0 => {
                return self.overtaken(shared, position, stamp);
            }
            // The slot still belongs to the lap before. Full, unless a consumer has claimed it already.
            (Side::Producers, _) => ahead(position, other()) >= shared.geometry().capacity() as i64,
            // The slot waits for its message. Empty, unless a producer has claimed it already.
            (Side::Consumers, _) => ahead(other(), position) <= 0,
        };
        Some(if theirs { Nothing::None } else { Nothing::Midway })
    }

    /// Others have claimed the slot and gone on, says its stamp; so must the cursor, or the stamp is nobody's.
    fn overtaken(&self, shared: &Shared, position: u64, stamp: Stamp) -> Option<Nothing> {
        // SYNC(tail), SYNC(head): who stored that stamp knew of the claim, and we acquired what it knew.
        let cursor = Cursor::from_bits(shared.word(cursor_of(Self::SIDE)).load(Ordering::Acquire));
        (cursor.position() == position).then_some(Nothing::Corrupt(Defect {
            what: "stamp",
            found: stamp.bits(),
            rule: "that of a slot that nobody has claimed yet, at position",
            at: position,
        }))
    }

    /// The owner of the claim before our first uncompleted slot. Our own announcement is the claim we hold.
    fn open_prev(&self, shared: &Shared) -> Owner {
        let bits = shared.record(self.me, record::ANNOUNCED).load(Ordering::Relaxed);
        match Announcement::read(bits, Self::SIDE) {
            Some(announced) if announced.len() == self.open => announced.prev(),
            _ => self.me.into(),
        }
    }

    /// The claim that was forgotten.
    pub(super) fn reopen(&self, shared: &Shared) -> Claim {
        let position = self.end.wrapping_sub(u64::from(self.open));
        Claim { position, len: self.open, prev: self.open_prev(shared), adopted: false, attempt: 1 }
    }

    /// Clears the announcement, unless the claim still needs it.
    pub(super) fn clean(&self, shared: &Shared) -> bool {
        if self.open == 0 {
            // SYNC(announce): who misses the announcement finds what we stored into the slots.
            self.announce(shared, Announcement::NONE);
        }
        self.open == 0
    }
}

/// After a lost race: to try again at once would take the line from the winner, who needs it next.
#[cold]
fn back_off(race: u32) {
    (0..1u32 << race.min(BACK_OFF)).for_each(|_| spin_loop());
}

pub(super) const fn cursor_of(side: Side) -> usize {
    match side {
        Side::Producers => at::TAIL,
        Side::Consumers => at::HEAD,
    }
}
