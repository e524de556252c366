//! Push, pop and redelivery, one access to shared memory a step.
//!
//! A participant between operations also decides here to recover somebody, to take what another gave back, or
//! to give back what it holds; those steps are in `ring_recover.rs` and `ring_give.rs`.

use crate::ring::{MOST_TRIES, Mutant, Part, Pc, Phase, Ring, State};
use crate::search::Steps;

impl Ring {
    /// The next step of producer `g`.
    pub(crate) fn push(&self, now: &State, g: usize, steps: &mut Steps<State>) {
        let (mut s, mut r) = (*now, now.part[g]);
        let (what, late) = (r.pc.name(), self.is(Mutant::AnnouncedAfterwards));
        let at = self.add(r.pos, r.i);
        let x = self.slot(at);
        let message = self.base[g] + s.next[g] + if self.config.reversed { r.i } else { 0 };
        match r.pc {
            Pc::Idle => {
                self.between(now, g, steps);
                let left = self.config.messages[g] - now.next[g];
                for k in 1..=self.config.batch.min(left) {
                    s.part[g] =
                        Part { pc: Pc::PushLook, pos: s.tail.pos, own: s.tail.owner, k, ..Part::default() };
                    steps.go(s, g, "reads tail");
                }
                return;
            }
            Pc::PushLook => {
                let begin = if late { Pc::PushClaim } else { Pc::PushAnnounce };
                let stamp = s.stamp[x];
                if stamp.pos == at && stamp.phase == Phase::Free {
                    r.i += 1;
                    if r.i == r.k {
                        (r.i, r.pc) = (0, begin);
                    }
                } else if self.diff(stamp.pos, at) < 0 && r.i > 0 {
                    (r.k, r.i, r.pc) = (r.i, 0, begin); // fewer are free
                } else {
                    r = Part::default(); // full, or a stale tail
                }
            }
            Pc::PushAnnounce => {
                s.ann[g].k = r.k;
                s.ann[g].pos = r.pos;
                s.ann[g].prev = r.own;
                r.pc = if late { Pc::PushWrite } else { Pc::PushClaim };
            }
            Pc::PushClaim if (s.tail.pos, s.tail.owner) == (r.pos, r.own) => {
                s.tail.pos = self.add(r.pos, r.k);
                s.tail.owner = g as u8;
                r.pc = if late { Pc::PushAnnounce } else { Pc::PushWrite };
            }
            Pc::PushClaim => r = Part::default(),
            Pc::PushWrite => {
                if self.config.abandons && (!self.config.reversed || r.i == 0) {
                    let mut other = s;
                    other.part[g].pc = Pc::PushVoid;
                    steps.may(other, g, "abandons its grant");
                }
                s.payload[x][0] = message;
                r.pc = Pc::PushWriteRest;
            }
            Pc::PushWriteRest => {
                s.payload[x][1] = message;
                if self.config.reversed && r.i + 1 < r.k {
                    (r.i, r.pc) = (r.i + 1, Pc::PushWrite);
                } else {
                    r.pc = Pc::PushReady;
                }
            }
            _ => {
                let stamp = &mut s.stamp[x];
                if !(stamp.pos == at && stamp.phase == Phase::Free) {
                    steps.fail("S2 publish over a foreign stamp");
                }
                stamp.phase = if r.pc == Pc::PushReady { Phase::Ready } else { Phase::Void };
                stamp.prev = self.prev_of(&r, r.i, g);
                if r.pc == Pc::PushReady {
                    s.published |= 1 << message;
                }
                let last = if !self.config.reversed {
                    s.next[g] += 1;
                    (r.i, r.pc) = (r.i + 1, Pc::PushWrite);
                    r.i == r.k
                } else if r.pc == Pc::PushVoid {
                    r.i += 1; // abandoned whole, before the first store
                    r.i == r.k
                } else if r.i > 0 {
                    r.i -= 1;
                    false
                } else {
                    true
                };
                if last {
                    s.next[g] += if self.config.reversed { r.k } else { 0 };
                    r = Part::default();
                }
            }
        }
        s.part[g] = r;
        steps.go(s, g, what);
    }

    /// The next step of consumer `g`.
    pub(crate) fn pop(&self, now: &State, g: usize, steps: &mut Steps<State>) {
        let (mut s, mut r) = (*now, now.part[g]);
        let (what, late) = (r.pc.name(), self.is(Mutant::AnnouncedAfterwards));
        let at = self.add(r.pos, r.i);
        let x = self.slot(at);
        let void = r.v >> r.i & 1 == 1;
        let mine =
            |s: &State| s.stamp[x].pos == at && s.stamp[x].phase == Phase::Taken && s.stamp[x].own == g as u8;
        match r.pc {
            Pc::Idle => {
                self.between(now, g, steps);
                if !self.may_claim(now, g, steps) {
                    return;
                }
                for k in 1..=self.config.batch {
                    s.part[g] =
                        Part { pc: Pc::PopLook, pos: s.head.pos, own: s.head.owner, k, ..Part::default() };
                    steps.go(s, g, "reads head");
                }
                return;
            }
            Pc::PopLook => {
                let begin = if late { Pc::PopClaim } else { Pc::PopAnnounce };
                let stamp = s.stamp[x];
                if stamp.pos == at && matches!(stamp.phase, Phase::Ready | Phase::Void) {
                    r.v |= u8::from(stamp.phase == Phase::Void) << r.i;
                    r.i += 1;
                    if r.i == r.k {
                        (r.i, r.pc) = (0, begin);
                    }
                } else if r.i > 0 && self.diff(stamp.pos, at) <= 0 {
                    (r.k, r.i, r.pc) = (r.i, 0, begin);
                } else {
                    r = Part::default(); // empty, busy, or a stale head
                }
            }
            Pc::PopAnnounce => {
                s.ann[g].k = r.k;
                s.ann[g].pos = r.pos;
                s.ann[g].prev = r.own;
                r.pc = if late { Pc::PopRead } else { Pc::PopClaim };
            }
            Pc::PopClaim if (s.head.pos, s.head.owner) == (r.pos, r.own) => {
                for i in 0..r.k {
                    self.claimed(&mut s, self.slot(self.add(r.pos, i)), steps);
                }
                s.head.pos = self.add(r.pos, r.k);
                s.head.owner = g as u8;
                r.pc = if late { Pc::PopAnnounce } else { Pc::PopRead };
            }
            Pc::PopClaim => r = Part::default(),
            Pc::PopRead if void => r.pc = Pc::PopFree,
            Pc::PopRead => {
                r.j = s.payload[x][0];
                self.handed_out(&mut s, r.j, 1, steps);
                r.pc = Pc::PopReadRest;
            }
            Pc::PopReadRest | Pc::ServeReadRest => {
                let rest = s.payload[x][1];
                self.deliver(&mut s, r.j, rest, steps);
                r.j = 0;
                r.pc = match r.pc {
                    Pc::PopReadRest => Pc::PopFree,
                    _ if self.is(Mutant::AttemptsCountedLate) => Pc::ServeCount,
                    _ => Pc::ServeFree,
                };
            }
            Pc::PopFree => {
                if !void {
                    self.may_give(now, g, Pc::GiveRecord, steps);
                }
                let expected = if void { Phase::Void } else { Phase::Ready };
                let stamp = &mut s.stamp[x];
                if !(stamp.pos == at && stamp.phase == expected) {
                    steps.fail("S2 release over a foreign stamp");
                }
                stamp.pos = self.add(at, self.config.slots);
                stamp.phase = Phase::Free;
                stamp.prev = if self.is(Mutant::FreeDropsPrev) { 0 } else { self.prev_of(&r, r.i, g) };
                (r.i, r.pc) = (r.i + 1, Pc::PopRead);
                if r.i == r.k {
                    r = Part::default();
                }
            }
            Pc::ServeLook if mine(&s) => {
                let counts = self.config.counts && !self.is(Mutant::AttemptsCountedLate);
                r.pc = if counts { Pc::ServeCount } else { Pc::ServeRead };
            }
            Pc::ServeLook => {
                r.i += 1;
                if r.i == r.k {
                    r.pc = Pc::ServeDone;
                }
            }
            Pc::ServeCount => {
                let stamp = &mut s.stamp[x];
                if !(stamp.pos == at && stamp.phase == Phase::Taken && stamp.own == g as u8) {
                    steps.fail("S2 count of a slot that was adopted by another");
                }
                stamp.tries = (stamp.tries + 1).min(MOST_TRIES);
                r.pc = if self.is(Mutant::AttemptsCountedLate) { Pc::ServeFree } else { Pc::ServeRead };
            }
            Pc::ServeRead => {
                r.j = s.payload[x][0];
                let late = u8::from(self.is(Mutant::AttemptsCountedLate));
                let tries = (s.stamp[x].tries + late).min(MOST_TRIES);
                self.handed_out(&mut s, r.j, tries, steps);
                r.pc = Pc::ServeReadRest;
            }
            Pc::ServeFree => {
                self.may_give(now, g, Pc::GiveFlag, steps);
                if !mine(&s) {
                    steps.fail("S2 release of a slot that was adopted by another");
                }
                let stamp = &mut s.stamp[x];
                stamp.pos = self.add(at, self.config.slots);
                stamp.phase = Phase::Free;
                (stamp.own, stamp.tries) = (0, 0);
                if self.is(Mutant::ServedDropsPrev) {
                    stamp.prev = 0;
                }
                r.i += 1;
                r.pc = if r.i == r.k { Pc::ServeDone } else { Pc::ServeLook };
                if self.is(Mutant::AdoClearedFirst) && r.pc == Pc::ServeDone {
                    r = Part::default();
                }
            }
            _ => {
                s.ado[g].k = 0;
                s.ado[g].pos = 0;
                s.ado[g].given = false;
                if self.is(Mutant::AdoClearedFirst) && r.i == 0 {
                    r.pc = Pc::ServeLook;
                } else {
                    r = Part::default();
                }
            }
        }
        s.part[g] = r;
        steps.go(s, g, what);
    }

    /// What any participant may do between two operations.
    fn between(&self, now: &State, g: usize, steps: &mut Steps<State>) {
        self.begin_recovery(now, g, steps);
        if self.config.clears && now.ann[g].k > 0 {
            let mut s = *now;
            s.ann[g] = Default::default();
            steps.go(s, g, "clears its announcement");
        }
    }

    /// Ghost: the message in slot `x` is claimed. S4: those of one producer in order.
    fn claimed(&self, s: &mut State, x: usize, steps: &mut Steps<State>) {
        if s.stamp[x].phase != Phase::Ready {
            return;
        }
        let id = s.payload[x][0];
        let Some(w) =
            (0..self.members).find(|&w| (self.base[w]..self.base[w] + self.config.messages[w]).contains(&id))
        else {
            return steps.fail("S1 torn or garbage delivery");
        };
        if id < s.last[w] {
            steps.fail("S4 messages of one producer claimed out of order");
        }
        s.last[w] = id + 1;
    }

    /// Ghost: a consumer begins to read. A1: the attempt it is told counts everybody who was told before.
    fn handed_out(&self, s: &mut State, id: u8, tries: u8, steps: &mut Steps<State>) {
        if self.config.counts && id < self.total {
            let handed = &mut s.handed[usize::from(id)];
            *handed = (*handed + 1).min(MOST_TRIES);
            if tries < *handed {
                steps.fail("A1 a message is handed out again with too low an attempt");
            }
        }
    }

    /// Ghost: both halves are read.
    fn deliver(&self, s: &mut State, a: u8, b: u8, steps: &mut Steps<State>) {
        if a != b || a >= self.total {
            steps.fail("S1 torn or garbage delivery");
        } else if s.published >> a & 1 == 0 {
            steps.fail("S1 delivery of a message that was never published");
        } else if s.delivered >> a & 1 == 1 {
            steps.fail("S3 delivered twice though no consumer died holding it");
        } else {
            s.delivered |= 1 << a;
        }
    }
}
