//! The steps of a live participant: try, claim, publish, wake, look, arm, sleep, disarm, repair, leave.

use crate::search::Steps;
use crate::wait::{Mutant, Wait};
use crate::wait_state::{Next, Park, Part, Pc, Slot, State};

impl Wait {
    /// The buffered store of `i` becomes visible.
    pub(crate) fn flush(&self, s: &mut State, i: usize) {
        let p = &mut s.part[i];
        if p.buf > 0 {
            let last = usize::from(std::mem::take(&mut p.buf)) - 1;
            let first = last - usize::from(std::mem::take(&mut p.more));
            s.slot[first..=last].fill(if self.produces(i) { Slot::Ready } else { Slot::Freed });
        }
    }

    /// Writes a park word: whoever loaded it before fails its CAS.
    pub(crate) fn set_park(&self, s: &mut State, i: usize, word: Park) {
        s.park[i] = word;
        for p in &mut s.part {
            p.fresh &= !(1 << i);
        }
    }

    pub(crate) fn post_all(&self, s: &mut State) {
        s.tokens |= ((1 << self.members) - 1) & !s.dead;
    }

    /// The slot that the next claim of a producer needs, if it was used before.
    fn previous_lap(&self, s: &State) -> Option<Slot> {
        s.tail.checked_sub(self.config.slots).map(|q| s.slot[usize::from(q)])
    }

    /// Whether a producer could claim.
    pub(crate) fn space(&self, s: &State) -> bool {
        s.tail >= self.config.items
            || self.previous_lap(s).is_none_or(|slot| matches!(slot, Slot::Freed | Slot::Tomb))
    }

    /// Whether a consumer could claim.
    pub(crate) fn takeable(&self, s: &State) -> bool {
        s.head < self.config.items && matches!(s.slot[usize::from(s.head)], Slot::Ready | Slot::Tomb)
    }

    /// The first position that was given back.
    pub(crate) fn gift(&self, s: &State) -> Option<usize> {
        (0..usize::from(s.head)).find(|&q| s.slot[q] == Slot::Given)
    }

    pub(crate) fn something(&self, s: &State, produces: bool) -> bool {
        if produces {
            return self.space(s);
        }
        let gift = s.lock == 0 && self.gift(s).is_some(); // whoever has LOCK posts everybody
        self.takeable(s) || (gift && !self.is(Mutant::GiftNotRechecked))
    }

    /// Whether somebody has claimed the position that the sleeper needs and has not finished with it.
    pub(crate) fn midway(&self, s: &State, produces: bool) -> bool {
        if produces {
            s.tail < self.config.items && self.previous_lap(s).is_some_and(|slot| slot != Slot::Ready)
        } else {
            s.head < s.tail && s.slot[usize::from(s.head)] == Slot::Empty
        }
    }

    /// How many positions participant `i` claims at most.
    fn most(&self, i: usize) -> u8 {
        if self.produces(i) { self.config.sends } else { self.config.takes }
    }

    /// Where a call begins.
    pub(crate) fn call(&self, i: usize) -> Pc {
        if self.config.swift && self.most(i) == 1 { Pc::Swift } else { Pc::Top }
    }

    /// An operation returns; the caller may come back or stay away for ever.
    fn finish(&self, mut t: State, i: usize, what: &'static str, steps: &mut Steps<State>) {
        t.part[i].end_wake();
        (t.part[i].pos, t.part[i].pc) = (0, self.call(i));
        steps.go(t, i, what);
        self.flush(&mut t, i);
        t.part[i].pc = Pc::Parked;
        steps.may(t, i, "returns, and its caller never comes back");
    }

    fn wake_end(&self, mut t: State, i: usize, what: &'static str, steps: &mut Steps<State>) {
        if t.part[i].publishes {
            t.part[i].end_wake();
            t.part[i].pc = Pc::Publish;
            steps.go(t, i, what);
        } else {
            self.finish(t, i, what, steps);
        }
    }

    fn wake_begin(&self, p: &mut Part, producers: bool, sleepers: u8, publishes: bool) {
        p.end_wake();
        (p.pc, p.left, p.owed) = (Pc::Pick, sleepers, self.config.wake);
        (p.wakes_producers, p.publishes) = (producers, publishes);
    }

    pub(crate) fn disarm(&self, t: &mut State, i: usize, next: Next) {
        let p = &mut t.part[i];
        p.end_wait();
        p.next = next;
        p.pc = if self.config.clear_bit_first { Pc::DisarmRest } else { Pc::Disarm };
    }

    /// The next step of participant `i`.
    pub(crate) fn participant(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        match s.part[i].pc {
            Pc::Top | Pc::Swift | Pc::LastTry | Pc::ChainBits | Pc::ChainRing | Pc::Publish => {
                self.operate(s, i, steps);
            }
            Pc::Pick | Pc::Post | Pc::Mark => self.wake(s, i, steps),
            Pc::Repair | Pc::Settle | Pc::Unlock | Pc::Leave | Pc::LeaveRest => self.repair(s, i, steps),
            _ => self.wait(s, i, steps),
        }
    }

    /// Try, claim, pass a wake-up on, publish.
    fn operate(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let (mut t, produces, me) = (*s, self.produces(i), 1_u8 << i);
        let items = self.config.items;
        let what = match s.part[i].pc {
            Pc::ChainBits => {
                let others = s.bits & self.side(produces) & !me;
                let p = &mut t.part[i];
                if self.is(Mutant::NoChaining) || others == 0 {
                    p.pc = Pc::Publish;
                } else {
                    (p.left, p.pc) = (others, Pc::ChainRing);
                }
                "chain: other sleepers on my side?"
            }
            Pc::ChainRing => {
                let more = if produces { self.space(s) && s.tail < items } else { self.takeable(s) };
                let p = &mut t.part[i];
                let others = std::mem::take(&mut p.left);
                if more {
                    self.wake_begin(p, produces, others, true);
                } else {
                    p.pc = Pc::Publish;
                }
                "chain: is there more?"
            }
            Pc::Publish => {
                if !produces && s.gives < self.config.gives {
                    self.give(*s, i, steps);
                }
                self.flush(&mut t, i);
                let sleepers = s.bits & self.side(!produces);
                let p = &mut t.part[i];
                p.buf = p.pos;
                if sleepers == 0 {
                    return self.finish(t, i, "publishes into its store buffer; no sleepers", steps);
                }
                self.wake_begin(p, !produces, sleepers, false);
                "publishes into its store buffer; there are sleepers"
            }
            pc => {
                let p = &mut t.part[i];
                let then = if pc == Pc::Swift { Pc::Publish } else { Pc::ChainBits };
                if !produces && p.pos > 0 {
                    p.pc = Pc::ChainBits;
                    return steps.go(t, i, "takes the adopted message");
                }
                if produces && s.tail >= items {
                    p.pc = Pc::Leave;
                    self.flush(&mut t, i);
                    return steps.may(t, i, "has nothing more to send");
                }
                if !produces && s.lock == 0 && pc != Pc::Swift {
                    if let Some(gift) = self.gift(s) {
                        let mut u = *s;
                        self.flush(&mut u, i);
                        u.slot[gift] = Slot::Taken;
                        (u.part[i].pos, u.part[i].pc) = (gift as u8 + 1, Pc::ChainBits);
                        self.post_all(&mut u); // it gives LOCK back
                        steps.go(u, i, "takes what was given back, under LOCK");
                    }
                }
                if produces && self.space(s) {
                    self.flush(&mut t, i);
                    t.tail += 1;
                    while t.part[i].more + 1 < self.most(i) && t.tail < items && self.space(&t) {
                        t.tail += 1;
                        t.part[i].more += 1;
                    }
                    (t.part[i].pos, t.part[i].pc) = (t.tail, then);
                    "claims a slot, or several"
                } else if !produces && self.takeable(s) {
                    let at = usize::from(t.head);
                    self.flush(&mut t, i);
                    t.head += 1;
                    if t.slot[at] == Slot::Ready {
                        t.slot[at] = Slot::Taken;
                        while t.part[i].more + 1 < self.most(i) && self.takeable(&t) {
                            t.slot[usize::from(t.head)] = Slot::Taken;
                            t.head += 1;
                            t.part[i].more += 1;
                        }
                        (t.part[i].pos, t.part[i].pc) = (t.head, then);
                    } else if pc == Pc::Swift {
                        t.part[i].pc = Pc::Top;
                    }
                    "claims a message or several, or skips a tombstone"
                } else if !produces && s.lock == 0 && pc != Pc::Swift && self.gift(s).is_some() {
                    return;
                } else {
                    if self.is(Mutant::EndRingFirst) && !produces {
                        p.busy = s.head == s.tail;
                    }
                    if pc == Pc::LastTry {
                        p.end_wait();
                        p.pc = Pc::Caller;
                    } else {
                        let arms = self.is(Mutant::LooksArmed) || self.is(Mutant::LooksLast);
                        p.pc = if arms { Pc::Arm } else { Pc::Look };
                    }
                    "full or empty"
                }
            }
        };
        steps.go(t, i, what);
    }

    /// A consumer gives the message in hand back and wakes its own side.
    fn give(&self, mut t: State, i: usize, steps: &mut Steps<State>) {
        self.flush(&mut t, i);
        let sleepers = t.bits & self.side(false) & !(1 << i);
        let p = &mut t.part[i];
        t.slot[usize::from(p.pos) - 1] = Slot::Given;
        t.gives += 1;
        let gave = std::mem::take(&mut p.pos);
        if sleepers == 0 || self.is(Mutant::SilentGift) {
            return self.finish(t, i, "gives its message back", steps);
        }
        self.wake_begin(p, false, sleepers, false);
        p.gave = gave;
        steps.may(t, i, "gives its message back; there are sleepers");
    }

    fn wake(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let mut t = *s;
        let (marks_first, clears) = (self.is(Mutant::MarkedBeforePosted), self.is(Mutant::WakerClearsBit));
        let unmarked = self.is(Mutant::NoParkWord);
        let what = match s.part[i].pc {
            Pc::Pick => {
                let left = s.part[i].left;
                let candidates = if unmarked { left & left.wrapping_neg() } else { left };
                for j in (0..self.members).filter(|j| candidates >> j & 1 == 1) {
                    let mut u = *s;
                    u.part[i].left &= !(1 << j);
                    if clears {
                        self.flush(&mut u, i);
                        u.part[i].targets |= u.bits & 1 << j;
                        u.bits &= !(1 << j);
                    } else if unmarked || u.park[j] == Park::Sleeping {
                        u.part[i].targets |= 1 << j;
                        u.part[i].fresh |= 1 << j;
                    }
                    let p = &mut u.part[i];
                    if p.left == 0 || p.targets.count_ones() >= u32::from(p.owed) {
                        if p.targets == 0 {
                            self.wake_end(u, i, "wake: nobody sleeps", steps);
                            continue;
                        }
                        p.pc = if marks_first { Pc::Mark } else { Pc::Post };
                    }
                    steps.go(u, i, "wake: loads a park word");
                }
                return;
            }
            Pc::Post => {
                self.flush(&mut t, i);
                t.tokens |= t.part[i].targets & !t.dead;
                if clears || unmarked || marks_first {
                    return self.wake_end(t, i, "wake: V", steps);
                }
                t.part[i].pc = Pc::Mark;
                "wake: V"
            }
            _ => {
                for j in self.first_of(s.part[i].targets) {
                    self.mark(s, i, j, steps);
                }
                return;
            }
        };
        steps.go(t, i, what);
    }

    /// After the post: participant `j` is marked as woken, if it has not moved on.
    fn mark(&self, s: &State, i: usize, j: usize, steps: &mut Steps<State>) {
        let (mut t, marks_first) = (*s, self.is(Mutant::MarkedBeforePosted));
        self.flush(&mut t, i);
        let fresh = t.part[i].fresh >> j & 1 == 1;
        let succeeds = if self.is(Mutant::NoEpoch) { t.park[j] == Park::Sleeping } else { fresh };
        if succeeds {
            self.set_park(&mut t, j, Park::Notified);
        }
        let what = if succeeds { "wake: SLEEPING -> NOTIFIED" } else { "wake: CAS fails" };
        let p = &mut t.part[i];
        if marks_first {
            if !succeeds {
                p.targets &= !(1 << j);
            }
            if p.targets == 0 && p.left == 0 {
                return self.wake_end(t, i, what, steps);
            }
            p.pc = if p.targets > 0 { Pc::Post } else { Pc::Pick };
        } else {
            p.targets &= !(1 << j);
            p.fresh &= !(1 << j);
            p.owed -= u8::from(succeeds && p.owed > 0);
            if p.targets == 0 {
                if p.owed == 0 || p.left == 0 || self.is(Mutant::NoNext) {
                    return self.wake_end(t, i, what, steps);
                }
                p.pc = Pc::Pick;
            }
        }
        steps.go(t, i, what);
    }

    fn repair(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let (mut t, me) = (*s, 1_u8 << i);
        self.flush(&mut t, i);
        let what = match s.part[i].pc {
            Pc::Repair => {
                let left = s.dead & !s.repaired;
                if left == 0 {
                    t = *s;
                    t.part[i].pc = Pc::Unlock;
                    return steps.go(t, i, "nothing left to repair");
                }
                for d in self.first_of(left) {
                    let mut u = t;
                    u.bits &= !(1 << d);
                    (u.part[i].mask, u.part[i].pc) = (1 << d, Pc::Settle);
                    steps.go(u, i, "repair: clears a dead bit");
                }
                return;
            }
            Pc::Settle => {
                let d = s.part[i].mask.trailing_zeros() as usize;
                t.part[i].mask = 0;
                t.part[i].pc = Pc::Repair;
                let pos = std::mem::take(&mut t.part[d].pos);
                if pos > 0 {
                    let slot = &mut t.slot[usize::from(pos) - 1];
                    if self.produces(d) && *slot == Slot::Empty {
                        *slot = Slot::Tomb;
                    } else if !self.produces(d) && *slot == Slot::Taken {
                        (t.part[i].pos, t.part[i].pc) = (pos, Pc::Unlock);
                    }
                }
                t.repaired |= 1 << d;
                "repair: settles a dead participant's claims"
            }
            Pc::Unlock => {
                t.lock = 0;
                if !self.is(Mutant::SilentUnlock) {
                    self.post_all(&mut t);
                }
                t.part[i].pc = Pc::Top;
                "unlocks, posts everybody"
            }
            Pc::Leave if self.is(Mutant::PostsBeforeLeaving) => {
                self.post_all(&mut t);
                t.part[i].pc = Pc::LeaveRest;
                "leave: posts first"
            }
            _ => {
                t.dead |= me;
                t.repaired |= me;
                if !self.is(Mutant::PostsBeforeLeaving) {
                    self.post_all(&mut t);
                }
                t.tokens &= !t.dead;
                t.part[i] = Part { pc: Pc::Done, ..Part::default() };
                "leaves: presence withdrawn, everybody posted"
            }
        };
        steps.go(t, i, what);
    }
}
