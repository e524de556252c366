//! The kernel and the property of the sleep model.
//!
//! In every state where nothing moves by itself (deaths, stops, time-outs and the callers' decisions apart),
//! for every live sleeper that is not stopped:
//! * a consumer asleep: no acknowledged message is takeable, none was given back, the end of the stream is
//!   not due, nobody dead is unrepaired
//! * a producer asleep: no slot is free, the disconnection is not due
//!
//! Exempt, because a stopped participant itself stands in the way: a slot that it has claimed; a message
//! whose send (a slot whose receive, a message whose giving back) it has not finished; repair, and what needs
//! it, while it holds LOCK. Noted and not a violation: the only wake-up went to a participant that was
//! stopped before it acted on it, which takes `wake: 1`; with `poll` off also messages behind the slot of a
//! producer stopped between publishing and posting.
//!
//! The end of the stream is never reported while a message waits (checked where it is reported).

use crate::bits::Bits;
use crate::search::{Liveness, Steps, System, Verdict};
use crate::wait::{Mutant, Wait};
use crate::wait_state::{Park, Part, Pc, Slot, State};

/// What keeps a sleeper of one side from sleeping rightly; the flag: only a stopped participant's fault.
type Wrong = Option<(&'static str, bool)>;

impl Wait {
    fn kernel(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let mut t = *s;
        self.flush(&mut t, i);
        t.dying &= !(1 << i);
        t.dead |= 1 << i;
        if usize::from(t.lock) == i + 1 {
            t.lock = 0;
        }
        if !self.is(Mutant::NoObituary) {
            self.post_all(&mut t);
        }
        t.tokens &= !t.dead;
        steps.go(t, i, "kernel: leases undone, obituary posted");
    }

    fn outsider(&self, s: &State, steps: &mut Steps<State>) {
        let n = self.members;
        let stopped = s.stopped >> n & 1 == 1;
        let mut t = *s;
        if !stopped && s.outsider == 0 && s.lock == 0 {
            (t.outsider, t.lock) = (1, n as u8 + 1);
            steps.may(t, n, "takes LOCK");
        }
        if s.outsider != 1 {
            return;
        }
        (t.outsider, t.lock) = (2, 0);
        if !stopped {
            if !self.is(Mutant::SilentUnlock) {
                self.post_all(&mut t);
            }
            steps.go(t, n, "unlocks, posts everybody");
            if s.stops < self.config.stops {
                t = *s;
                t.stops += 1;
                t.stopped |= 1 << n;
                steps.may(t, n, "is stopped for ever");
            }
        }
        if s.kills < self.config.kills {
            t = *s;
            t.kills += 1;
            (t.outsider, t.lock) = (2, 0);
            t.stopped &= !(1 << n);
            if !self.is(Mutant::OutsiderWithoutObituary) {
                self.post_all(&mut t);
            }
            steps.may(t, n, "is killed: the kernel unlocks and posts");
        }
    }

    /// Whether a stopped participant of a side has claimed one of `positions` and not finished.
    fn unfinished(&self, s: &State, producers: bool, positions: std::ops::Range<u8>) -> bool {
        (0..self.members).any(|i| {
            let stopped = s.stopped >> i & 1 == 1;
            let pos = s.part[i].pos;
            self.produces(i) == producers && stopped && pos > 0 && positions.contains(&(pos - 1))
        })
    }

    /// What a sleeping consumer overlooks.
    fn overlooked(&self, s: &State, stopped: bool, lock_lost: bool) -> Wrong {
        let mut wrong = None;
        let mut at = s.head;
        while at < s.tail && matches!(s.slot[usize::from(at)], Slot::Ready | Slot::Tomb) {
            if s.slot[usize::from(at)] == Slot::Ready && !self.unfinished(s, true, at..at + 1) {
                let behind = !self.config.poll && self.unfinished(s, true, 0..at);
                let excused = (stopped && self.config.wake < 2) || behind;
                worse(&mut wrong, "a takeable message, a consumer asleep", excused);
            }
            at += 1;
        }
        if lock_lost {
            return wrong;
        }
        let claimed = |d: usize| s.part[d].pos > 0 && s.dead >> d & 1 == 1;
        let here = |d: usize| usize::from(s.part[d].pos) - 1;
        let blocked = at < s.tail && s.slot[usize::from(at)] == Slot::Empty;
        if blocked && (0..self.config.producers).any(|d| claimed(d) && here(d) == usize::from(at)) {
            worse(&mut wrong, "a dead producer's claim unrepaired, a consumer asleep", false);
        }
        let held = |d: usize| claimed(d) && s.repaired >> d & 1 == 0 && s.slot[here(d)] == Slot::Taken;
        if (self.config.producers..self.members).any(held) {
            worse(&mut wrong, "a dead consumer's message not redelivered, a consumer asleep", false);
        }
        let stopped_giver = |q: usize| {
            (0..self.members).any(|i| s.stopped >> i & 1 == 1 && usize::from(s.part[i].gave) == q + 1)
        };
        let given = |q: usize| s.slot[q] == Slot::Given && !stopped_giver(q);
        if (0..usize::from(s.head)).any(given) {
            let excused = stopped && self.config.wake < 2;
            worse(&mut wrong, "a message given back, a consumer asleep", excused);
        }
        let producers = self.side(true);
        if s.dead & producers == producers && s.head == s.tail {
            worse(&mut wrong, "end of stream not seen by a sleeper", false);
        }
        wrong
    }

    /// What a sleeping producer overlooks.
    fn missed(&self, s: &State, stopped: bool) -> Wrong {
        let mut wrong = None;
        let behind = s
            .tail
            .checked_sub(self.config.slots)
            .is_some_and(|q| s.slot[usize::from(q)] == Slot::Freed && self.unfinished(s, false, q..q + 1));
        if self.space(s) && s.tail < self.config.items && !behind {
            worse(&mut wrong, "a free slot, a producer asleep", stopped && self.config.wake < 2);
        }
        let consumers = self.side(false);
        if s.dead & consumers == consumers {
            worse(&mut wrong, "disconnection not seen by a sleeper", false);
        }
        wrong
    }
}

/// Keeps the gravest finding.
fn worse(wrong: &mut Wrong, why: &'static str, excused: bool) {
    if wrong.is_none_or(|(_, before)| before && !excused) {
        *wrong = Some((why, excused));
    }
}

impl System for Wait {
    type State = State;

    fn start(&self) -> State {
        let mut start = State::default();
        start.part[..self.members].iter_mut().enumerate().for_each(|(i, p)| p.pc = self.call(i));
        start
    }

    fn layout(&self, state: &mut State, bits: &mut Bits) {
        Self::layout(self, state, bits);
    }

    fn canonical(&self, state: &State) -> Bits {
        self.least(state)
    }

    fn steps(&self, s: &State, steps: &mut Steps<State>) {
        for i in 0..self.members {
            let p = &s.part[i];
            if p.buf > 0 {
                let mut t = *s;
                self.flush(&mut t, i);
                steps.go(t, i, "its store buffer drains");
            }
            if s.dying >> i & 1 == 1 {
                self.kernel(s, i, steps);
                continue;
            }
            if s.dead >> i & 1 == 1 {
                continue;
            }
            if s.stopped >> i & 1 == 0 {
                self.participant(s, i, steps);
                if s.stops < self.config.stops && p.pc != Pc::Parked {
                    let mut t = *s;
                    t.stops += 1;
                    t.stopped |= 1 << i;
                    steps.may(t, i, "is stopped for ever");
                }
            }
            if s.kills < self.config.kills {
                let mut t = *s;
                t.kills += 1;
                t.dying |= 1 << i;
                t.stopped &= !(1 << i);
                t.part[i] = Part { pc: Pc::Gone, pos: p.pos, buf: p.buf, ..Part::default() };
                steps.may(t, i, "SIGKILL");
            }
        }
        if self.config.outsider {
            self.outsider(s, steps);
        }
    }

    fn check(&self, s: &State, moves: bool) -> Verdict {
        if moves {
            return Verdict::Fine;
        }
        let (mut asleep, mut stopped) = (0_u8, 0_u8);
        for i in (0..self.members).filter(|i| s.dead >> i & 1 == 0) {
            if s.stopped >> i & 1 == 1 {
                stopped |= 1 << i;
            } else if matches!(s.part[i].pc, Pc::Sleep | Pc::Blocked) {
                asleep |= 1 << i;
            }
        }
        let (producers, consumers) = (self.side(true), self.side(false));
        let lock_lost = s.lock > 0 && s.stopped >> (s.lock - 1) & 1 == 1;
        let mut wrong = None;
        if asleep & consumers > 0 {
            wrong = self.overlooked(s, stopped & consumers > 0, lock_lost && (s.kills > 0 || s.gives > 0));
        }
        if asleep & producers > 0 {
            if let Some((why, excused)) = self.missed(s, stopped & producers > 0) {
                worse(&mut wrong, why, excused);
            }
        }
        match wrong {
            None => Verdict::Fine,
            Some((_, true)) => Verdict::Noted,
            Some((why, false)) => Verdict::Violation(why),
        }
    }

    fn liveness(&self) -> Liveness {
        if self.config.cycles { Liveness::NoLivelock } else { Liveness::Unasked }
    }

    fn actor(&self, actor: u8) -> String {
        let i = usize::from(actor);
        if i == self.members { "outsider".into() } else { format!("{}{i}", side(self.produces(i))) }
    }

    fn show(&self, s: &State) -> String {
        let slots = &s.slot[..usize::from(self.config.items)];
        let mut line = format!("{slots:?} head {} tail {} bits {:b}", s.head, s.tail, s.bits);
        line += &format!(" tokens {:b} dead {:b} repaired {:b}", s.tokens, s.dead, s.repaired);
        line += &format!(" LOCK {} stopped {:b}", s.lock, s.stopped);
        for i in 0..self.members {
            let p = &s.part[i];
            line += &format!(" | {}{i} {:?}", side(self.produces(i)), p.pc);
            if s.park[i] != Park::Awake {
                line += &format!(" {:?}", s.park[i]);
            }
            if p.pos > 0 {
                line += &format!(" at {}", p.pos - 1);
            }
            if p.buf > 0 {
                line += " buffered";
            }
        }
        line
    }
}

fn side(produces: bool) -> char {
    if produces { 'P' } else { 'C' }
}
