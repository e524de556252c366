//! Model of creating, opening and removing the pair of set and segment (docs/design.md section 3): every system call and
//! every word of the header that decides is a step, before which its author may be killed.
//!
//! An object has a number for ever; a key leads to one at a time, or to none. Somebody outside may remove either, as
//! ipcrm(1) does, but not in the middle of a creation: a blank segment without its set is nobody's of ours.

use crate::bits::{Bits, coded};
use crate::search::{Liveness, Steps, System, Verdict};

/// Most processes, and numbers of objects of one kind.
const PROCESSES: usize = 3;
const OBJECTS: usize = 8;

/// A rule that is removed. Each must make the search find a violation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// The segment is made before the set says BUILDING.
    SegmentBeforeStage,
    /// A segment that names another set is used.
    OrphanUsed,
    /// A finished set without its segment gets a new segment.
    DirtySetUsed,
    /// A death does not release LOCK.
    NoUndo,
    /// A blank segment under BUILDING is left alone.
    WreckKept,
    /// The remover removes whatever segment the key leads to.
    RemovesByKey,
    /// Nobody takes LOCK.
    BuildsUnlocked,
}

/// What is searched. The last process removes if there is a remover; all others create, or open what is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) processes: usize,
    pub(crate) remover: bool,
    pub(crate) kills: u8,
    /// Removals of the set, and of the segment, by somebody outside.
    pub(crate) outside: [u8; 2],
    pub(crate) mutant: Option<Mutant>,
}

coded! {
    /// How far a set is.
    Stage, 2 bits { New, Building, Ready, }
}

coded! {
    /// What a process does next.
    Pc, 5 bits {
        Find, MakeSet, Lock, Segment, Judge, Absent, RemoveWreck, RemoveDirtySet, RemoveDyingSet, RemoveDyingSegment,
        SayBuilding, MakeSegment, Header, Magic, SayReady, Undo, Register, Inside, RemoveSet, SayDead, RemoveSegment,
        Unlock, Done, Dead,
    }
}

#[derive(Clone, Copy, Default)]
struct Set {
    stage: Stage,
    /// 0, or 1 + its holder.
    lock: u8,
}

#[derive(Clone, Copy, Default)]
struct Segment {
    magic: bool,
    set: u8,
    dead: bool,
}

#[derive(Clone, Copy, Default)]
struct Process {
    pc: Pc,
    set: u8,
    /// What it has attached, 0 for nothing; and whether it has made it.
    segment: u8,
    made: bool,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    /// What the keys lead to, 0 for nothing; and how many there were.
    set: u8,
    segment: u8,
    made: [u8; 2],
    sets: [Set; OBJECTS],
    segments: [Segment; OBJECTS],
    process: [Process; PROCESSES],
    kills: u8,
    outside: [u8; 2],
}

impl State {
    /// Somebody alive is inside the pair that the keys lead to.
    fn in_use(&self) -> bool {
        let inside = |p: &Process| p.pc == Pc::Inside && p.set == self.set && p.segment == self.segment;
        self.set != 0 && self.segment != 0 && self.process.iter().any(inside)
    }

    /// Somebody is between BUILDING and the magic, or has died there.
    fn making(&self) -> bool {
        let makes = |p: &Process| matches!(p.pc, Pc::SayBuilding | Pc::MakeSegment | Pc::Header | Pc::Magic);
        let blank = self.segment != 0 && !self.segments[usize::from(self.segment)].magic;
        blank || self.process.iter().any(makes)
    }
}

pub(crate) struct Lifecycle(pub(crate) Config);

impl Lifecycle {
    fn is(&self, mutant: Mutant) -> bool {
        self.0.mutant == Some(mutant)
    }

    fn removes(&self, i: usize) -> bool {
        self.0.remover && i + 1 == self.0.processes
    }

    fn kill(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let mut t = *s;
        t.kills += 1;
        if !self.is(Mutant::NoUndo) {
            t.sets.iter_mut().filter(|set| usize::from(set.lock) == i + 1).for_each(|set| set.lock = 0);
        }
        t.process[i] = Process { pc: Pc::Dead, ..Process::default() };
        steps.may(t, i, "is killed");
    }

    /// Somebody outside removes what a key leads to.
    fn interfere(&self, s: &State, steps: &mut Steps<State>) {
        let mut t = *s;
        if s.outside[0] < self.0.outside[0] && s.set != 0 && !s.making() {
            (t.set, t.outside[0]) = (0, s.outside[0] + 1);
            steps.may(t, PROCESSES, "ipcrm -s");
        }
        let mut t = *s;
        if s.outside[1] < self.0.outside[1] && s.segment != 0 && !s.making() {
            (t.segment, t.outside[1]) = (0, s.outside[1] + 1);
            steps.may(t, PROCESSES, "ipcrm -m");
        }
    }

    fn step(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let (p, mut t) = (s.process[i], *s);
        // What a call on a set that is gone says: from the start.
        let gone = p.set != s.set;
        let set = s.sets[usize::from(p.set)];
        let remove_segment = |t: &mut State, steps: &mut Steps<State>, allowed: bool| {
            if s.segment == p.segment || self.is(Mutant::RemovesByKey) {
                if s.in_use() && !(allowed && s.segment == p.segment) {
                    steps.fail("a segment is removed under its users");
                }
                t.segment = 0;
            }
            (t.process[i].segment, t.process[i].made) = (0, false);
        };
        let next = match p.pc {
            Pc::Find if s.set == 0 => {
                if self.removes(i) {
                    Pc::Done
                } else {
                    Pc::MakeSet
                }
            }
            Pc::Find => {
                t.process[i] = Process { set: s.set, ..Process::default() };
                Pc::Lock
            }
            Pc::MakeSet if s.set != 0 => Pc::Find,
            Pc::MakeSet => {
                let Some(id) = self.number(&mut t.made[0], steps) else { return };
                (t.set, t.sets[usize::from(id)]) = (id, Set::default());
                t.process[i] = Process { set: id, ..Process::default() };
                Pc::Lock
            }
            Pc::Lock if gone => Pc::Find,
            Pc::Lock if self.is(Mutant::BuildsUnlocked) => Pc::Segment,
            Pc::Lock if set.lock != 0 => return,
            Pc::Lock => {
                t.sets[usize::from(p.set)].lock = i as u8 + 1;
                Pc::Segment
            }
            Pc::Segment if gone => Pc::Find,
            Pc::Segment if s.segment == 0 => Pc::Absent,
            Pc::Segment => {
                t.process[i].segment = s.segment;
                Pc::Judge
            }
            Pc::Judge => match self.judge(s, i) {
                Some(next) => next,
                None => return steps.fail("what is ours is called foreign"),
            },
            Pc::Absent if set.stage == Stage::Ready && !self.is(Mutant::DirtySetUsed) => Pc::RemoveDirtySet,
            Pc::Absent if self.removes(i) => Pc::Unlock,
            Pc::Absent if self.is(Mutant::SegmentBeforeStage) => Pc::MakeSegment,
            Pc::Absent => Pc::SayBuilding,
            Pc::RemoveWreck => {
                remove_segment(&mut t, steps, false);
                Pc::Absent
            }
            Pc::RemoveDirtySet | Pc::RemoveDyingSet | Pc::RemoveSet => {
                if !gone {
                    if s.in_use() && p.pc != Pc::RemoveSet {
                        steps.fail("a set is removed under its users");
                    }
                    t.set = 0;
                }
                match p.pc {
                    Pc::RemoveDirtySet => Pc::Find,
                    Pc::RemoveDyingSet => Pc::RemoveDyingSegment,
                    _ if gone => Pc::Find,
                    _ => Pc::SayDead,
                }
            }
            Pc::RemoveDyingSegment => {
                remove_segment(&mut t, steps, false);
                Pc::Find
            }
            Pc::SayBuilding if gone => Pc::Find,
            Pc::SayBuilding => {
                t.sets[usize::from(p.set)].stage = Stage::Building;
                Pc::MakeSegment
            }
            Pc::MakeSegment if s.segment != 0 => return steps.fail("two segments are made"),
            Pc::MakeSegment => {
                let Some(id) = self.number(&mut t.made[1], steps) else { return };
                (t.segment, t.segments[usize::from(id)]) = (id, Segment::default());
                (t.process[i].segment, t.process[i].made) = (id, true);
                Pc::Header
            }
            Pc::Header => {
                t.segments[usize::from(p.segment)].set = p.set;
                Pc::Magic
            }
            Pc::Magic => {
                t.segments[usize::from(p.segment)].magic = true;
                Pc::SayReady
            }
            Pc::SayReady if gone && p.made => Pc::Undo,
            Pc::SayReady | Pc::Register if gone => Pc::Find,
            Pc::SayReady => {
                t.sets[usize::from(p.set)].stage = Stage::Ready;
                Pc::Register
            }
            Pc::Undo => {
                remove_segment(&mut t, steps, false);
                Pc::Find
            }
            Pc::Register => {
                t.sets[usize::from(p.set)].lock = 0;
                Pc::Inside
            }
            Pc::SayDead => {
                t.segments[usize::from(p.segment)].dead = true;
                Pc::RemoveSegment
            }
            Pc::RemoveSegment => {
                remove_segment(&mut t, steps, true);
                Pc::Done
            }
            Pc::Unlock => {
                t.sets[usize::from(p.set)].lock = 0;
                Pc::Done
            }
            Pc::Inside | Pc::Done | Pc::Dead => return,
        };
        t.process[i].pc = next;
        if matches!(next, Pc::Find | Pc::Done) {
            t.process[i] = Process { pc: next, ..Process::default() };
        }
        steps.go(t, i, p.pc.name());
    }

    /// The verdict on the segment that was found; `None` if it is nobody's of ours.
    fn judge(&self, s: &State, i: usize) -> Option<Pc> {
        let p = s.process[i];
        let (set, segment) = (s.sets[usize::from(p.set)], s.segments[usize::from(p.segment)]);
        let others = s.process.iter().filter(|q| q.segment == p.segment).count() > 1;
        if !segment.magic {
            let wreck = set.stage == Stage::Building && !others && !self.is(Mutant::WreckKept);
            return wreck.then_some(Pc::RemoveWreck);
        }
        Some(match () {
            () if segment.set != p.set && !self.is(Mutant::OrphanUsed) => Pc::RemoveWreck,
            () if segment.dead => Pc::RemoveDyingSet,
            () if self.removes(i) => Pc::RemoveSet,
            () => Pc::SayReady,
        })
    }

    fn number(&self, made: &mut u8, steps: &mut Steps<State>) -> Option<u8> {
        *made += 1;
        if usize::from(*made) >= OBJECTS {
            steps.fail("objects are made without end");
            return None;
        }
        Some(*made)
    }
}

impl System for Lifecycle {
    type State = State;

    fn start(&self) -> State {
        State::default()
    }

    fn layout(&self, s: &mut State, bits: &mut Bits) {
        for field in [&mut s.set, &mut s.segment].into_iter().chain(&mut s.made) {
            bits.field(field, 3);
        }
        for set in &mut s.sets {
            set.stage.pass(bits);
            bits.field(&mut set.lock, 2);
        }
        for segment in &mut s.segments {
            bits.flag(&mut segment.magic);
            bits.field(&mut segment.set, 3);
            bits.flag(&mut segment.dead);
        }
        for process in &mut s.process[..self.0.processes] {
            process.pc.pass(bits);
            bits.field(&mut process.set, 3);
            bits.field(&mut process.segment, 3);
            bits.flag(&mut process.made);
        }
        for field in [&mut s.kills].into_iter().chain(&mut s.outside) {
            bits.field(field, 2);
        }
    }

    fn steps(&self, s: &State, steps: &mut Steps<State>) {
        for i in (0..self.0.processes).filter(|&i| s.process[i].pc != Pc::Dead) {
            self.step(s, i, steps);
            if s.kills < self.0.kills && s.process[i].pc != Pc::Done {
                self.kill(s, i, steps);
            }
        }
        self.interfere(s, steps);
    }

    fn check(&self, s: &State, moves: bool) -> Verdict {
        let inside = || s.process.iter().filter(|p| p.pc == Pc::Inside);
        let ours = |p: &&Process| p.set == s.set;
        for p in inside().filter(ours) {
            if inside().filter(ours).any(|q| q.segment != p.segment) {
                return Verdict::Violation("two channels under one name");
            }
            if inside().any(|q| q.set != p.set && q.segment == p.segment) {
                return Verdict::Violation("a former user is in the new channel");
            }
        }
        let ended = |p: &Process| matches!(p.pc, Pc::Inside | Pc::Done | Pc::Dead);
        if !moves && !s.process[..self.0.processes].iter().all(ended) {
            return Verdict::Violation("somebody waits for ever");
        }
        Verdict::Fine
    }

    fn liveness(&self) -> Liveness {
        Liveness::NoLivelock
    }

    fn actor(&self, actor: u8) -> String {
        if usize::from(actor) == PROCESSES { "somebody outside".into() } else { format!("process {actor}") }
    }

    fn show(&self, s: &State) -> String {
        let process = |p: &Process| format!("{} ({}, {})", p.pc.name(), p.set, p.segment);
        let all: Vec<String> = s.process[..self.0.processes].iter().map(process).collect();
        format!("set {}, segment {}; {}", s.set, s.segment, all.join("; "))
    }
}
