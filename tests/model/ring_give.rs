//! Giving a claimed message back: what a live consumer does whose lease on a message is dropped in a panic.
//!
//! ```text
//! giver   no LOCK: ado[me] = the claim; each stamp READY -> TAKEN(me, attempts 1, prev); ado[me] |= GIVEN
//!         a redelivered message is in ado already: only the flag is set
//! taker   LOCK; own ado empty, ado[owner] still GIVEN: ado[me] = range; each stamp TAKEN(owner) ->
//!         TAKEN(me); ado[owner] = none; unlock
//! owner   before it claims again: ado[me] == none, or under LOCK clears GIVEN and serves the range itself
//! ```
//!
//! A batch is given back with all that is left of it, VOIDs freed. `ado` records the whole claim even if some
//! of it was released: with less, one who registers the index of a giver that died half way would inherit the
//! range, could not adopt the rest of the claim over it, and would go live with the claim unsettled (mutant
//! `PartRecorded`).
//!
//! A dead owner's GIVEN range is recovered like any adopted range, and one who inherits the index inherits
//! the flag. *Checked:* the others drain the ring though the owner is stopped for ever.

use crate::ring::{Adopted, Mutant, NOBODY, Part, Pc, Phase, Ring, State};
use crate::search::Steps;

impl Ring {
    /// Offers to give back what `g` is about to release; the message is due again from here on.
    pub(crate) fn may_give(&self, now: &State, g: usize, begin: Pc, steps: &mut Steps<State>) {
        let r = now.part[g];
        if now.gives < self.config.gives {
            let mut s = *now;
            s.gives += 1;
            s.delivered &= !(1 << s.payload[self.slot(self.add(r.pos, r.i))][0]);
            s.part[g].pc = begin;
            steps.may(s, g, "gives its message back");
        }
    }

    /// Whether consumer `g`, between operations, may claim; otherwise its only way on is added to `steps`.
    pub(crate) fn may_claim(&self, now: &State, g: usize, steps: &mut Steps<State>) -> bool {
        let (mut s, own) = (*now, now.ado[g]);
        let free = now.lock == NOBODY;
        if free && (own.k == 0 || (!own.given && self.is(Mutant::TakesOverUnfinished))) {
            for d in (0..self.members).filter(|&d| d != g && now.alive(d) && now.ado[d].given) {
                s.lock = g as u8;
                s.part[g] = Part { pc: Pc::TakeRead, d: d as u8, ..Part::default() };
                steps.go(s, g, "takes LOCK for what another gave back");
            }
            s = *now;
        }
        if own.k == 0 {
            return true;
        }
        let range = Part { pos: own.pos, k: own.k, ..Part::default() };
        if !own.given {
            let first = if self.is(Mutant::AdoClearedFirst) { Pc::ServeDone } else { Pc::ServeLook };
            s.part[g] = Part { pc: first, ..range };
            steps.go(s, g, "reads its ado");
        } else if self.is(Mutant::TakesBackUnlocked) {
            s.part[g] = Part { pc: Pc::TakeBack, ..range };
            steps.go(s, g, "reads its ado");
        } else if free {
            s.lock = g as u8;
            s.part[g] = Part { pc: Pc::TakeBack, ..Part::default() };
            steps.go(s, g, "takes LOCK to take back");
        }
        own.given && self.is(Mutant::ClaimsWhileGiven)
    }

    /// The next step of a giver, a taker, or an owner that takes back.
    pub(crate) fn give(&self, now: &State, g: usize, steps: &mut Steps<State>) {
        let (mut s, mut r) = (*now, now.part[g]);
        let (what, d) = (r.pc.name(), usize::from(r.d));
        let at = self.add(r.pos, r.i);
        let x = self.slot(at);
        match r.pc {
            Pc::GiveRecord => {
                let given = self.is(Mutant::GivenBeforeStamped);
                s.ado[g] = Adopted { k: r.k, pos: r.pos, given };
                if self.is(Mutant::PartRecorded) {
                    s.ado[g] = Adopted { k: r.k - r.i, pos: at, given };
                }
                r.pc = Pc::GiveStamp;
            }
            Pc::GiveStamp => {
                let prev = self.prev_of(&r, r.i, g);
                let void = r.v >> r.i & 1 == 1;
                let expected = if void { Phase::Void } else { Phase::Ready };
                let stamp = &mut s.stamp[x];
                if !(stamp.pos == at && stamp.phase == expected) {
                    steps.fail("S2 giving back a slot that is not its own");
                }
                if void {
                    (stamp.pos, stamp.phase, stamp.prev) =
                        (self.add(at, self.config.slots), Phase::Free, prev);
                } else {
                    (stamp.phase, stamp.own, stamp.tries, stamp.prev) = (Phase::Taken, g as u8, 1, prev);
                }
                r.i += 1;
                if r.i == r.k {
                    (r.i, r.pc) = (0, Pc::GiveFlag);
                    if self.is(Mutant::GivenBeforeStamped) {
                        r = Part::default();
                    }
                }
            }
            Pc::GiveFlag => {
                s.ado[g].given = true;
                r = Part::default();
            }
            Pc::TakeBack if self.is(Mutant::TakesBackUnlocked) => {
                s.ado[g] = Adopted { k: r.k, pos: r.pos, given: false };
                r = Part::default();
            }
            Pc::TakeBack => {
                s.ado[g].given = false;
                r.pc = Pc::Unlock;
            }
            Pc::TakeRead => {
                let range = s.ado[d];
                if range.k > 0 && range.given {
                    (r.pos, r.k, r.pc) = (range.pos, range.k, Pc::TakeRecord);
                } else {
                    r.pc = Pc::Unlock;
                }
            }
            Pc::TakeRecord => {
                s.ado[g] = Adopted { k: r.k, pos: r.pos, given: false };
                r.pc = if self.is(Mutant::OwnerClearedFirst) { Pc::TakeClear } else { Pc::TakeStamp };
            }
            Pc::TakeStamp => {
                let stamp = &mut s.stamp[x];
                if stamp.pos == at && stamp.phase == Phase::Taken && stamp.own == r.d {
                    stamp.own = g as u8;
                    if self.is(Mutant::AttemptsReset) {
                        stamp.tries = 1;
                    }
                }
                r.i += 1;
                if r.i == r.k {
                    r.i = 0;
                    r.pc = if self.is(Mutant::OwnerClearedFirst) { Pc::Unlock } else { Pc::TakeClear };
                }
            }
            _ => {
                s.ado[d] = Adopted::default();
                r.pc = if self.is(Mutant::OwnerClearedFirst) { Pc::TakeStamp } else { Pc::Unlock };
            }
        }
        s.part[g] = r;
        steps.go(s, g, what);
    }
}
