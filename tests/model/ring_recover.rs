//! Recovery of a dead participant by a living one, or by whoever registers its index, under LOCK.
//!
//! A consumer's adopted range comes first, then the announced claim of either side: did it win? The evidence
//! is, in this order, the position word while it still says `q` (the end of the claim), `stamp[q]` once it is
//! published, an announcement of a claim at `q` by anybody of that side, and `stamp[q]` once more. A dead
//! producer's unpublished slots become VOID; a dead consumer's unread ones are adopted, or left for another
//! if the author cannot adopt. The record is cleared last, so that the author may die anywhere.

use crate::ring::{Adopted, Claim, Mutant, NOBODY, Part, Pc, Phase, Ring, State};
use crate::search::Steps;

/// Whether a participant is recovering somebody.
pub(crate) fn recovering(pc: Pc) -> bool {
    (Pc::AdoRead..=Pc::Unlock).contains(&pc)
}

impl Ring {
    /// Where the recovery of `d` begins.
    pub(crate) fn first_step(&self, s: &State, d: usize) -> Pc {
        if s.takes(d) { Pc::AdoRead } else { Pc::ClaimRead }
    }

    /// Offers `g`, between two operations, to recover each dead participant that left something.
    pub(crate) fn begin_recovery(&self, now: &State, g: usize, steps: &mut Steps<State>) {
        let (locks, timeout) = (!self.is(Mutant::NoLock), self.is(Mutant::TimeoutIsDeath));
        if now.lock != NOBODY && locks {
            return;
        }
        for d in (0..self.members).filter(|&d| d != g && now.unclean(d)) {
            let pc = now.part[d].pc;
            let left =
                if now.alive(d) { timeout && pc != Pc::Idle && !recovering(pc) } else { pc == Pc::Idle };
            if left {
                let mut s = *now;
                s.lock = if locks { g as u8 } else { NOBODY };
                (s.part[g].pc, s.part[g].d, s.part[g].i) = (self.first_step(now, d), d as u8, 0);
                steps.go(s, g, "takes LOCK to recover the dead");
            }
        }
    }

    /// Gives LOCK back; a registrant becomes alive by the same semop.
    pub(crate) fn unlock(&self, s: &mut State, g: usize) {
        if s.lock == g as u8 {
            s.lock = NOBODY;
        }
        s.dead &= !(1 << g);
        s.takers ^= u8::from(s.part[g].turn) << g;
        s.part[g] = Part::default();
    }

    /// Whether `g` can adopt the range in `r`: a consumer without another one.
    fn can_adopt(&self, s: &State, g: usize, r: &Part) -> bool {
        let own = s.ado[g];
        s.takes(g) && (self.is(Mutant::SecondAdoption) || own.k == 0 || (own.k, own.pos) == (r.k, r.pos))
    }

    /// The next step of a recovery by `g`.
    pub(crate) fn recover(&self, now: &State, g: usize, steps: &mut Steps<State>) {
        let (mut s, mut r) = (*now, now.part[g]);
        let what = r.pc.name();
        let d = usize::from(r.d);
        match r.pc {
            Pc::Unlock => {
                self.unlock(&mut s, g);
                return steps.go(s, g, "unlocks");
            }
            Pc::AdoRead | Pc::AdoHeld | Pc::AdoRecord | Pc::AdoStamp | Pc::AdoClear => {
                self.recover_adopted(&mut s, &mut r, g, d);
            }
            Pc::WinWord | Pc::WinVeto | Pc::WinStamp | Pc::WinOthers | Pc::WinStampAgain => {
                if let Some(won) = self.winner_test(&s, &mut r, d) {
                    self.settle(
                        &mut r,
                        if !won {
                            Pc::ClaimClear
                        } else if s.takes(d) {
                            Pc::Held
                        } else {
                            Pc::VoidStamp
                        },
                    );
                }
            }
            _ => self.recover_claim(&mut s, &mut r, g, d),
        }
        s.part[g] = r;
        steps.go(s, g, what);
    }

    fn settle(&self, r: &mut Part, next: Pc) {
        (r.pc, r.i, r.j) = (next, 0, 0);
    }

    /// A dead consumer's adopted range: mine now, or left for another.
    fn recover_adopted(&self, s: &mut State, r: &mut Part, g: usize, d: usize) {
        let at = self.add(r.pos, r.i);
        let stamp = &mut s.stamp[self.slot(at)];
        let held = stamp.pos == at && stamp.phase == Phase::Taken && stamp.own == r.d;
        match r.pc {
            Pc::AdoRead if self.is(Mutant::RecordWiped) && g == d => {
                s.ann[d] = Claim::default();
                s.ado[d] = Adopted::default();
                r.pc = Pc::Unlock;
            }
            Pc::AdoRead => {
                (r.k, r.pos, r.i) = (s.ado[d].k, s.ado[d].pos, 0);
                r.pc = if r.k > 0 { Pc::AdoHeld } else { Pc::ClaimRead };
            }
            Pc::AdoHeld if held => {
                r.i = 0;
                r.pc = if g == d {
                    Pc::ClaimRead // a registrant inherits it
                } else if self.can_adopt(s, g, r) {
                    Pc::AdoRecord
                } else {
                    Pc::Unlock // postponed
                };
            }
            Pc::AdoRecord => {
                s.ado[g] = Adopted { k: r.k, pos: r.pos, given: false };
                r.pc = Pc::AdoStamp;
            }
            Pc::AdoHeld | Pc::AdoStamp => {
                if held {
                    stamp.own = g as u8;
                    if self.is(Mutant::TakenDropsPrev) {
                        stamp.prev = 0;
                    }
                    if self.is(Mutant::AttemptsReset) {
                        stamp.tries = 1;
                    }
                }
                r.i += 1;
                if r.i == r.k {
                    (r.i, r.pc) = (0, Pc::AdoClear);
                }
            }
            _ => {
                s.ado[d] = Adopted::default();
                r.pc = Pc::ClaimRead;
            }
        }
    }

    /// Did `d` win the claim in `r`? `None`: not known yet.
    fn winner_test(&self, s: &State, r: &mut Part, d: usize) -> Option<bool> {
        let takes = s.takes(d);
        let word = if takes { s.head } else { s.tail };
        let q = self.add(r.pos, r.k);
        let stamp = s.stamp[self.slot(q)];
        match r.pc {
            Pc::WinWord => {
                if self.diff(word.pos, q) < 0 {
                    return Some(false);
                } else if self.is(Mutant::AnnouncementWins) {
                    r.pc = if takes { Pc::Held } else { Pc::VoidStamp };
                } else if self.is(Mutant::NoWinnerIdentity) {
                    (r.j, r.pc) = (0, Pc::WinVeto);
                } else if word.pos == q && !self.is(Mutant::WordSkipped) {
                    return Some(usize::from(word.owner) == d);
                } else {
                    r.pc = Pc::WinStamp;
                }
                None
            }
            Pc::WinVeto => {
                let Some(j) = s.nth(self.members, takes, r.j) else {
                    return Some(true);
                };
                let first = s.stamp[self.slot(r.pos)];
                let open =
                    first.pos == r.pos && first.phase == if takes { Phase::Ready } else { Phase::Free };
                if j != d && s.alive(j) && s.ann[j].k > 0 && s.ann[j].pos == r.pos && open {
                    r.pc = Pc::Unlock; // postponed, for as long as that announcement stays
                } else {
                    r.j += 1;
                }
                None
            }
            Pc::WinStamp | Pc::WinStampAgain => {
                let published = if takes {
                    (stamp.pos == self.add(q, self.config.slots) && stamp.phase == Phase::Free)
                        || (stamp.pos == q && stamp.phase == Phase::Taken)
                } else {
                    stamp.pos == q && stamp.phase != Phase::Free
                };
                if published {
                    Some(usize::from(stamp.prev) == d)
                } else if self.diff(stamp.pos, q) > 0 || r.pc == Pc::WinStampAgain {
                    Some(false) // a later lap: all below is finished; or no evidence at all
                } else {
                    let skip = self.is(Mutant::AnnouncementsIgnored);
                    (r.j, r.pc) = (0, if skip { Pc::WinStampAgain } else { Pc::WinOthers });
                    None
                }
            }
            _ => {
                let other = s.nth(self.members, takes, r.j).map(|j| s.ann[j]).unwrap_or_default();
                if other.k > 0 && other.pos == q {
                    return Some(usize::from(other.prev) == d);
                }
                r.j += 1;
                if s.nth(self.members, takes, r.j).is_none() {
                    if self.is(Mutant::NoSecondLook) {
                        return Some(false);
                    }
                    (r.j, r.pc) = (0, Pc::WinStampAgain);
                }
                None
            }
        }
    }

    /// The dead one's announced claim, but for the winner test.
    fn recover_claim(&self, s: &mut State, r: &mut Part, g: usize, d: usize) {
        let at = self.add(r.pos, r.i);
        let adopts = self.can_adopt(s, g, r);
        let (taker, recorded_late) = (s.takes(g), self.is(Mutant::StampedBeforeRecorded));
        let stamp = &mut s.stamp[self.slot(at)];
        let prev = self.prev_of(r, r.i, d);
        match r.pc {
            Pc::ClaimRead => {
                let claim = s.ann[d];
                (r.k, r.pos, r.own, r.i) = (claim.k, claim.pos, claim.prev, 0);
                r.pc = match claim.k {
                    0 => Pc::Unlock,
                    _ if self.is(Mutant::RecordClearedFirst) => Pc::ClaimClearedEarly,
                    _ => Pc::WinWord,
                };
            }
            Pc::ClaimClearedEarly => {
                s.ann[d] = Claim::default();
                r.pc = Pc::WinWord;
            }
            Pc::VoidStamp => {
                if stamp.pos == at && stamp.phase == Phase::Free && !self.is(Mutant::NoTombstone) {
                    stamp.phase = Phase::Void;
                    stamp.prev = if self.is(Mutant::VoidDropsPrev) { 0 } else { prev };
                }
                r.i += 1;
                if r.i == r.k {
                    self.settle(r, Pc::ClaimClear);
                }
            }
            Pc::Held if stamp.pos == at && stamp.phase == Phase::Ready => {
                r.i = 0;
                r.pc = if self.is(Mutant::LeftReady) {
                    Pc::ClaimClear
                } else if !adopts {
                    Pc::Unlock // postponed
                } else if recorded_late {
                    Pc::HeldStamp
                } else {
                    Pc::HeldRecord
                };
            }
            Pc::Held => {
                r.i += 1;
                if r.i == r.k {
                    (r.i, r.pc) = (0, Pc::HeldStamp);
                }
            }
            Pc::HeldRecord => {
                s.ado[g] = Adopted { k: r.k, pos: r.pos, given: false };
                r.pc = if recorded_late { Pc::ClaimClear } else { Pc::HeldStamp };
            }
            Pc::HeldStamp => {
                if stamp.pos == at && stamp.phase == Phase::Ready && taker {
                    let prev = if self.is(Mutant::TakenDropsPrev) { 0 } else { prev };
                    (stamp.phase, stamp.own, stamp.prev) = (Phase::Taken, g as u8, prev);
                    stamp.tries = u8::from(self.config.counts);
                    r.v = 1;
                } else if stamp.pos == at && stamp.phase == Phase::Void {
                    stamp.pos = self.add(at, self.config.slots);
                    (stamp.phase, stamp.prev) = (Phase::Free, prev);
                }
                r.i += 1;
                if r.i == r.k {
                    let record = recorded_late && r.v > 0;
                    (r.i, r.pc) = (0, if record { Pc::HeldRecord } else { Pc::ClaimClear });
                }
            }
            _ => {
                s.ann[d] = Claim::default();
                r.pc = Pc::Unlock;
            }
        }
    }
}
