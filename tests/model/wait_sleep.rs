//! The steps of a participant that waits: look and drain, arm, look again, sleep, disarm.

use crate::search::Steps;
use crate::wait::{Mutant, Wait};
use crate::wait_state::{Next, Park, Pc, Slot, State};

impl Wait {
    /// The next step of a participant that found nothing to do.
    pub(crate) fn wait(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let (mut t, produces, me) = (*s, self.produces(i), 1_u8 << i);
        let bit_first = self.config.bit_first;
        let what = match s.part[i].pc {
            Pc::Look => {
                self.flush(&mut t, i);
                if self.is(Mutant::NoLook) {
                    t.part[i].pc = Pc::Arm;
                    return steps.go(t, i, "does not look");
                }
                t.tokens &= !me;
                let others = self.side(!produces);
                let p = &mut t.part[i];
                (p.mask, p.gone, p.pc) = (s.dead, s.dead & others == others, Pc::MarkDead);
                if self.is(Mutant::EndRingFirst) && p.gone && p.busy && !produces {
                    if self.takeable(&t) && t.slot[usize::from(t.head)] == Slot::Ready {
                        steps.fail("end of stream with a message in the ring");
                    }
                    self.disarm(&mut t, i, Next::Leave);
                    return steps.go(t, i, "end of stream (the ring was looked at first)");
                }
                p.busy = false;
                "GETALL, drains its own semaphore"
            }
            Pc::MarkDead | Pc::TryLock => return self.try_lock(s, i, steps),
            Pc::Blocked if s.lock != 0 => return,
            Pc::Blocked => {
                self.flush(&mut t, i);
                self.locked(&mut t, i);
                "LOCK taken after blocking"
            }
            Pc::Arm => {
                self.flush(&mut t, i);
                if bit_first {
                    t.bits |= me;
                } else {
                    self.set_park(&mut t, i, Park::Sleeping);
                }
                t.part[i].pc = Pc::ArmRest;
                if bit_first { "arm: bitmap" } else { "arm: park word" }
            }
            Pc::ArmRest => {
                self.flush(&mut t, i);
                if bit_first {
                    self.set_park(&mut t, i, Park::Sleeping);
                } else {
                    t.bits |= me;
                }
                let buffers = (0..self.members).filter(|&j| t.part[j].buf > 0).fold(0, |all, j| all | 1 << j);
                t.part[i].mask = if self.is(Mutant::NoBarrier) { 0 } else { buffers };
                t.part[i].pc = if t.part[i].mask > 0 { Pc::Barrier } else { self.armed() };
                if bit_first { "arm: park word" } else { "arm: bitmap" }
            }
            Pc::Barrier => {
                for j in self.first_of(s.part[i].mask) {
                    t = *s;
                    self.flush(&mut t, j);
                    t.part[i].mask &= !(1 << j);
                    if t.part[i].mask == 0 {
                        t.part[i].pc = self.armed();
                    }
                    steps.go(t, i, "membarrier reaches one");
                }
                return;
            }
            Pc::RingFirst => {
                if self.something(s, produces) {
                    self.disarm(&mut t, i, Next::Top);
                } else {
                    t.part[i].pc = Pc::Look;
                }
                "looks at the ring before the leases"
            }
            Pc::Ring => return self.recheck(s, i, steps),
            Pc::Sleep => return self.sleep(s, i, steps),
            Pc::Disarm => {
                self.flush(&mut t, i);
                self.set_park(&mut t, i, Park::Awake);
                if self.config.clear_bit_first {
                    self.leave_wait(&mut t, i);
                } else {
                    t.part[i].pc = Pc::DisarmRest;
                }
                "disarm: park word"
            }
            Pc::DisarmRest => {
                self.flush(&mut t, i);
                t.bits &= !me;
                if self.config.clear_bit_first {
                    t.part[i].pc = Pc::Disarm;
                } else {
                    self.leave_wait(&mut t, i);
                }
                "disarm: bitmap"
            }
            Pc::Caller => {
                t.part[i].pc = self.call(i);
                steps.go(t, i, "time-out reported; calls again");
                t = *s;
                self.flush(&mut t, i);
                t.part[i].pc = Pc::Parked;
                return steps.may(t, i, "time-out reported; never calls again");
            }
            _ => return,
        };
        steps.go(t, i, what);
    }

    /// Marks dead sleepers, then takes LOCK if somebody has to be repaired and it is free.
    fn try_lock(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let (mut t, produces, seen) = (*s, self.produces(i), s.part[i].mask);
        self.flush(&mut t, i);
        let asleep = (0..self.members).filter(|&j| seen >> j & 1 == 1 && s.park[j] == Park::Sleeping);
        let asleep = asleep.fold(0, |all, j| all | 1 << j);
        if s.part[i].pc == Pc::MarkDead && asleep > 0 && !self.is(Mutant::DeadUnmarked) {
            for j in self.first_of(asleep) {
                let mut u = t;
                self.set_park(&mut u, j, Park::Notified);
                steps.go(u, i, "marks a dead sleeper");
            }
            return;
        }
        let after = if self.is(Mutant::LooksArmed) {
            Pc::Ring
        } else if self.is(Mutant::LooksLast) {
            Pc::Sleep
        } else {
            Pc::Arm
        };
        let p = &mut t.part[i];
        let need = !produces && seen & !s.repaired > 0;
        let what = if self.is(Mutant::EndWithoutRepair) && p.gone {
            (p.mask, p.pc) = (0, after);
            "does not repair"
        } else if need && s.lock == 0 {
            self.locked(&mut t, i);
            "LOCK taken"
        } else if need && self.is(Mutant::BlocksOnLock) {
            p.pc = Pc::Blocked;
            "blocks on LOCK"
        } else {
            (p.mask, p.busy, p.pc) = (0, need, after);
            if after == Pc::Sleep {
                p.end_wait();
            }
            if need { "LOCK busy" } else { "nothing to repair" }
        };
        steps.go(t, i, what);
    }

    fn locked(&self, t: &mut State, i: usize) {
        t.lock = i as u8 + 1;
        t.part[i].end_wait();
        t.part[i].pc = Pc::Repair;
    }

    /// What follows arming.
    fn armed(&self) -> Pc {
        if self.is(Mutant::LooksArmed) {
            Pc::Look
        } else if self.is(Mutant::LooksLast) {
            Pc::RingFirst
        } else {
            Pc::Ring
        }
    }

    /// Armed: is there something after all, or is it the end?
    fn recheck(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let (mut t, produces) = (*s, self.produces(i));
        let p = &mut t.part[i];
        if !self.is(Mutant::NoRecheck) && self.something(s, produces) {
            self.disarm(&mut t, i, Next::Top);
            return steps.go(t, i, "re-check: something there");
        }
        let gift = self.gift(s).is_some();
        let last = s.head == s.tail && (!gift || self.is(Mutant::EndIgnoresGifts));
        if p.gone && (produces || (!p.busy && last)) {
            if !produces {
                let waits = (self.config.producers..self.members).any(|d| {
                    let left = s.dead >> d & 1 == 1 && s.repaired >> d & 1 == 0 && s.part[d].pos > 0;
                    left && s.slot[usize::from(s.part[d].pos) - 1] == Slot::Taken
                });
                if waits && self.is(Mutant::EndWithoutRepair) {
                    steps.fail("end of stream while a dead consumer's message waits for redelivery");
                }
                if gift {
                    steps.fail("end of stream while a message that was given back waits");
                }
            }
            self.disarm(&mut t, i, Next::Leave);
            return steps.go(t, i, if produces { "disconnected" } else { "end of stream" });
        }
        p.end_wait();
        p.pc = Pc::Sleep;
        p.busy = self.config.poll && self.midway(s, produces);
        steps.go(t, i, if t.part[i].busy { "re-check: somebody is midway" } else { "re-check: nothing" });
    }

    fn sleep(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let (produces, me) = (self.produces(i), 1_u8 << i);
        if s.tokens & me > 0 {
            let mut t = *s;
            t.tokens &= !me;
            self.disarm(&mut t, i, Next::Top);
            steps.go(t, i, "P returns");
        }
        if s.part[i].busy && self.something(s, produces) {
            let mut t = *s;
            self.disarm(&mut t, i, Next::Top);
            steps.go(t, i, "its time limit ends, it looks again");
        }
        if s.timeouts < self.config.timeouts {
            let mut t = *s;
            t.timeouts += 1;
            let next = match self.is(Mutant::CheckedThenCleared) {
                false => Next::LastTry,
                true if self.something(s, produces) => Next::Top,
                true => Next::Caller,
            };
            self.disarm(&mut t, i, next);
            steps.may(t, i, "times out");
        }
    }

    fn leave_wait(&self, t: &mut State, i: usize) {
        let p = &mut t.part[i];
        p.pc = match std::mem::take(&mut p.next) {
            Next::Top if self.is(Mutant::SwiftAfterSleep) => Pc::Swift,
            Next::Top => Pc::Top,
            Next::LastTry => Pc::LastTry,
            Next::Caller => Pc::Caller,
            Next::Leave => Pc::Leave,
        };
    }
}
