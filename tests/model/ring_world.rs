//! The kernel and the properties of the ring model: who may die and be born, and what must hold.
//!
//! * S1 nothing torn, never published or abandoned is delivered; S2 nobody stores over a stamp that is not
//!   its own
//! * S3 no message is delivered twice unless its consumer died holding it or gave it back
//! * S4 the messages of one producer are claimed in order; S5 a drained, clean ring has lost no acknowledged
//!   message
//! * A1 whoever is handed a message is told an attempt above everybody's before; A2 a stamp's count never
//!   falls
//! * L  for every set Z of live participants that hold nothing (no unfinished claim, nothing adopted unless
//!   given back, not LOCK): with Z stopped for ever and a live consumer outside Z, the others can send and
//!   drain everything, recover every dead participant and leave all slots free, without further deaths,
//!   registrations or gifts

use crate::bits::Bits;
use crate::ring::{Adopted, Claim, Mutant, NOBODY, Part, Pc, Phase, Ring, Stamp, State, Word};
use crate::ring_recover::recovering;
use crate::search::{Liveness, Steps, System, Verdict};

impl Ring {
    fn participant(&self, s: &State, g: usize, steps: &mut Steps<State>) {
        let pc = s.part[g].pc;
        if recovering(pc) {
            self.recover(s, g, steps);
        } else if (Pc::GiveRecord..=Pc::TakeClear).contains(&pc) {
            self.give(s, g, steps);
        } else if s.takes(g) {
            self.pop(s, g, steps);
        } else {
            self.push(s, g, steps);
        }
    }

    /// SIGKILL: the kernel drops the lease and LOCK.
    fn kill(&self, now: &State, g: usize, steps: &mut Steps<State>) {
        let (mut s, r) = (*now, now.part[g]);
        let done = match r.pc {
            Pc::PopFree => r.v >> r.i & 1 == 0,
            Pc::ServeFree => true,
            Pc::ServeCount => self.is(Mutant::AttemptsCountedLate),
            _ => false,
        };
        if s.takes(g) && done {
            let x = self.slot(self.add(r.pos, r.i)); // delivered but not released: due again
            s.delivered &= !(1 << s.payload[x][0]);
        }
        if self.config.reversed && matches!(r.pc, Pc::PushReady | Pc::PushVoid) {
            s.next[g] += r.k;
        }
        s.kills += 1;
        s.dead |= 1 << g;
        if s.lock == g as u8 {
            s.lock = NOBODY;
        }
        s.part[g] = Part::default();
        steps.may(s, g, "SIGKILL");
    }

    /// A new process registers dead index `g`. A consumer recovers it first, and inherits what was adopted.
    fn register(&self, now: &State, g: usize, turn: bool, steps: &mut Steps<State>) {
        let mut s = *now;
        let careless = self.is(Mutant::ReusedUnrecovered) || (turn && self.is(Mutant::TurnsUnrecovered));
        s.restarts += 1;
        if s.takes(g) != turn && !careless {
            s.lock = g as u8;
            s.part[g] = Part { pc: self.first_step(now, g), d: g as u8, turn, ..Part::default() };
        } else if careless || !s.unclean(g) {
            s.dead &= !(1 << g);
            s.takers ^= u8::from(turn) << g;
        } else {
            return;
        }
        steps.may(s, g, if turn { "is registered again, on the other side" } else { "is registered again" });
    }

    /// Drained, all slots free for the next lap, nobody dead left to recover.
    fn clean(&self, s: &State) -> bool {
        s.lock == NOBODY
            && s.head.pos == s.tail.pos
            && (0..self.config.slots).all(|i| {
                let at = self.add(s.tail.pos, i);
                let stamp = s.stamp[self.slot(at)];
                stamp.pos == at && stamp.phase == Phase::Free
            })
            && (0..self.members).all(|d| s.alive(d) || (!s.unclean(d) && s.part[d].pc == Pc::Idle))
    }

    /// Whether `g` stands in the way of others while it is stopped.
    fn holds(&self, s: &State, g: usize) -> bool {
        let pc = s.part[g].pc;
        let late = self.is(Mutant::AnnouncedAfterwards) && matches!(pc, Pc::PushAnnounce | Pc::PopAnnounce);
        s.lock == g as u8
            || late
            || (Pc::PushWrite..=Pc::PushVoid).contains(&pc)
            || (Pc::PopRead..=Pc::PopFree).contains(&pc)
            || (Pc::GiveRecord..=Pc::GiveFlag).contains(&pc)
            || (s.takes(g)
                && !s.ado[g].given
                && s.stamp[..usize::from(self.config.slots)]
                    .iter()
                    .any(|stamp| stamp.phase == Phase::Taken && usize::from(stamp.own) == g))
    }

    fn owed(&self, s: &State) -> bool {
        s.published & !s.delivered != 0
    }

    /// The stopped sets that leave at least one consumer of those in `takers`.
    fn sets(&self, takers: u8) -> impl Iterator<Item = u8> {
        (0..1_u8 << self.members).filter(move |z| takers & !z != 0)
    }
}

impl System for Ring {
    type State = State;

    fn start(&self) -> State {
        let mut s = State { lock: NOBODY, ..State::default() };
        s.tail = Word { pos: self.config.start, owner: 0 };
        s.head = Word { pos: self.config.start, owner: self.config.producers as u8 };
        for i in 0..self.config.slots {
            let pos = self.add(self.config.start, i);
            s.stamp[self.slot(pos)] = Stamp { pos, ..Stamp::default() };
        }
        s.takers = ((1 << self.config.consumers) - 1) << self.config.producers;
        s
    }

    fn layout(&self, state: &mut State, bits: &mut Bits) {
        Self::layout(self, state, bits);
    }

    fn steps(&self, now: &State, steps: &mut Steps<State>) {
        for g in 0..self.members {
            let active = now.part[g].pc != Pc::Idle;
            if now.alive(g) || active {
                self.participant(now, g, steps);
            }
        }
        for g in 0..self.members {
            let registrant = !now.alive(g) && now.part[g].pc != Pc::Idle;
            if now.kills < self.config.kills && (now.alive(g) || registrant) {
                self.kill(now, g, steps);
            }
            let vacant = !now.alive(g) && !registrant && now.lock == NOBODY;
            if vacant && now.restarts < self.config.restarts {
                self.register(now, g, false, steps);
                if self.config.turns {
                    self.register(now, g, true, steps);
                }
            }
        }
        if self.config.counts {
            let fell = steps.list.iter().any(|step| {
                now.stamp.iter().zip(&step.next.stamp).any(|(old, new)| {
                    old.phase == Phase::Taken && new.pos == old.pos && new.tries < old.tries
                })
            });
            if fell {
                steps.fail("A2 the attempts of a message fell");
            }
        }
    }

    fn check(&self, s: &State, _: bool) -> Verdict {
        let quiet = (0..self.members).all(|g| s.part[g].pc == Pc::Idle && s.ado[g].k == 0);
        if quiet && self.owed(s) && self.clean(s) {
            return Verdict::Violation("S5 an acknowledged message is lost");
        }
        Verdict::Fine
    }

    fn goals(&self, s: &State) -> u32 {
        if self.owed(s) || !self.clean(s) {
            return 0;
        }
        let mut busy = 0;
        for g in (0..self.members).filter(|&g| s.alive(g)) {
            let adopted = s.takes(g) && s.ado[g].k > 0;
            let unsent = !s.takes(g) && s.next[g] < self.config.messages[g];
            busy |= u8::from(s.part[g].pc != Pc::Idle || adopted || unsent) << g;
        }
        self.sets(s.takers).filter(|z| busy & !z == 0).fold(0, |sets, z| sets | 1 << z)
    }

    fn duties(&self, s: &State) -> u32 {
        let mut idle = 0;
        for g in 0..self.members {
            idle |= u8::from(s.alive(g) && !self.holds(s, g)) << g;
        }
        self.sets(s.takers & !s.dead).filter(|z| z & !idle == 0).fold(0, |sets, z| sets | 1 << z)
    }

    fn liveness(&self) -> Liveness {
        Liveness::Drains
    }

    fn actor(&self, actor: u8) -> String {
        format!("#{actor}")
    }

    fn show(&self, s: &State) -> String {
        let mut line = format!("tail {}/{} head {}/{}", s.tail.pos, s.tail.owner, s.head.pos, s.head.owner);
        if s.lock != NOBODY {
            line += &format!(" LOCK #{}", s.lock);
        }
        line += &format!(" acknowledged {:b} delivered {:b} |", s.published, s.delivered);
        for stamp in &s.stamp[..usize::from(self.config.slots)] {
            let Stamp { pos, phase, prev, own, tries } = stamp;
            line += &format!(" {phase:?}({pos} prev {prev}");
            line += &if *phase == Phase::Taken { format!(" own {own} attempt {tries})") } else { ")".into() };
        }
        for g in 0..self.members {
            let (side, dead) = (if s.takes(g) { 'C' } else { 'P' }, if s.alive(g) { "" } else { "+" });
            line += &format!(" | #{g}{side}{dead} {:?}", s.part[g].pc);
            let Claim { k, pos, prev } = s.ann[g];
            if k > 0 {
                line += &format!(" announced {pos}+{k} prev {prev}");
            }
            let Adopted { k, pos, given } = s.ado[g];
            if k > 0 {
                line += &format!(" adopted {pos}+{k}{}", if given { " GIVEN" } else { "" });
            }
        }
        line
    }
}
