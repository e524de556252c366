//! One point: the victim is killed, or stopped, after so many instructions; then everything is checked.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use semring::{Error, Kind};

use crate::cases::{CAPACITY, Case, Company, Op, Part};
use crate::checker::Doubt;
use crate::driver::Driver;
use crate::failing::Injection;
use crate::fault::{FAULTS, Fault};
use crate::ledger::Ledger;
use crate::message;
use crate::operations::{HARNESS, SECOND, VICTIM};
use crate::route::{Route, Trace};
use crate::scene::{LIMIT, Scene};
use crate::sys;
use crate::tracer::{Event, Victim};

/// What is done to the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Killed there.
    Kill(Route),
    /// Killed while it sleeps in the kernel.
    KillAsleep,
    /// Stopped there; goes on when the others have worked.
    Stop(Route),
    /// Killed there, and who recovers it there.
    Twice(Route, Recoverer, Route),
    /// One of its system calls fails; it goes on, and ends.
    Fail(Injection),
}

/// Who recovers the victim of a double kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recoverer {
    /// A consumer that was there before.
    Resident,
    /// A consumer that comes.
    Consumer,
    /// A producer that comes.
    Producer,
    /// Somebody who opens the table, and writes.
    Writer,
}

impl Aim {
    /// The same point by steps alone, if that can be.
    pub(crate) fn on_foot(self) -> Option<Self> {
        let on_foot = |route: Route| Route { shortcut: None, ..route };
        match self {
            Aim::Kill(route) => Some(Aim::Kill(on_foot(route))),
            Aim::Stop(route) => Some(Aim::Stop(on_foot(route))),
            Aim::KillAsleep | Aim::Twice(..) | Aim::Fail(_) => None,
        }
    }
}

impl Recoverer {
    /// Those that there is a place for.
    pub(crate) fn all(case: &Case) -> &'static [Recoverer] {
        let place = match case.kind {
            Kind::Mpmc => case.op.part() != Part::Nobody,
            Kind::Spsc => case.op.part() == Part::Producer && !case.op.blocks(),
        };
        let all = &[Recoverer::Consumer, Recoverer::Producer, Recoverer::Resident];
        if place { all } else { &all[..2] }
    }
}

impl std::fmt::Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Aim::Kill(route) => write!(f, "killed after {} instructions", route.steps),
            Aim::KillAsleep => f.write_str("killed in its sleep"),
            Aim::Stop(route) => write!(f, "stopped after {} instructions", route.steps),
            Aim::Fail(injection) => write!(f, "{injection}"),
            Aim::Twice(first, who, second) => {
                write!(f, "killed after {}, its recoverer ({who:?}) after {}", first.steps, second.steps)
            }
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// The process was where it was meant to be. If not, it took another way and was at its end.
    pub(crate) hit: bool,
    pub(crate) faults: [u64; FAULTS],
    pub(crate) flagged: u64,
}

/// Runs one point of a case on a channel of this name.
pub(crate) fn run(case: &Case, aim: Aim, ledger: &Ledger, name: String) -> io::Result<Outcome> {
    let stops = matches!(aim, Aim::Stop(_));
    let mut scene = Scene::set(case, ledger, name, stops).map_err(io::Error::other)?;
    // Half of the stops are beside company that looks again, and must not wait for the victim; the other half is to show
    // that the victim still wakes it.
    scene.rechecks = matches!(aim, Aim::Stop(route) if route.steps % 2 == 0);
    let mut victim = scene.start()?;
    let (hit, doubt) = match aim {
        Aim::Kill(route) => (scene.approach(&mut victim, route)?, scene.bury(victim)),
        Aim::KillAsleep => (scene.lull(&mut victim)?, scene.bury(victim)),
        Aim::Stop(route) => {
            let hit = scene.approach(&mut victim, route)?;
            scene.work_meanwhile(&victim);
            scene.let_go(&mut victim)?;
            (hit, scene.bury(victim))
        }
        Aim::Fail(injection) => (scene.fail(&mut victim, injection)?, scene.bury(victim)),
        Aim::Twice(first, who, second) => {
            let resident = scene.resident(who)?;
            let hit = scene.approach(&mut victim, first)?;
            let doubt = scene.bury(victim);
            let mut recoverer = resident.map_or_else(|| scene.newcomer(who), Ok)?;
            let hit = scene.approach(&mut recoverer, second)? && hit;
            recoverer.kill();
            ledger.bury(SECOND);
            (hit, doubt)
        }
    };
    scene.check(&doubt);
    Ok(Outcome { hit, faults: ledger.faults(), flagged: ledger.flagged() })
}

/// The addresses that a case's victim comes by, and whether it sleeps on its way.
pub(crate) fn trace(case: &Case, ledger: &Ledger, name: String) -> io::Result<(Trace, bool)> {
    let mut scene = Scene::set(case, ledger, name, false).map_err(io::Error::other)?;
    let mut victim = scene.start()?;
    let (trace, slept) = scene.trace(&mut victim)?;
    let doubt = scene.bury(victim);
    scene.check(&doubt);
    Ok((trace, slept))
}

/// Those of a recoverer, when the victim was killed there.
pub(crate) fn trace_recoverer(
    case: &Case,
    first: Route,
    who: Recoverer,
    ledger: &Ledger,
    name: String,
) -> io::Result<Trace> {
    let mut scene = Scene::set(case, ledger, name, false).map_err(io::Error::other)?;
    let mut victim = scene.start()?;
    let resident = scene.resident(who)?;
    scene.approach(&mut victim, first)?;
    let doubt = scene.bury(victim);
    let mut recoverer = resident.map_or_else(|| scene.newcomer(who), Ok)?;
    let (trace, _) = scene.trace(&mut recoverer)?;
    recoverer.kill();
    ledger.bury(SECOND);
    scene.check(&doubt);
    Ok(trace)
}

impl Driver for Scene<'_> {
    fn next(&mut self, victim: &mut Victim, slept: &mut bool) -> io::Result<Event> {
        self.event(victim, slept, false)?.ok_or_else(|| io::Error::other("a victim is stuck"))
    }

    fn step(&mut self, victim: &mut Victim, slept: &mut bool) -> io::Result<Event> {
        if !self.case.op.blocks() {
            return victim.step();
        }
        victim.begin_step()?;
        self.next(victim, slept)
    }
}

impl Scene<'_> {
    /// Lets the victim run until it sleeps.
    fn lull(&mut self, victim: &mut Victim) -> io::Result<bool> {
        victim.begin_run()?;
        self.event(victim, &mut false, true).map(|event| event.is_none())
    }

    /// What the victim does next; if it sleeps, it is helped on, or `None`.
    fn event(&mut self, victim: &mut Victim, slept: &mut bool, stay: bool) -> io::Result<Option<Event>> {
        let start = Instant::now();
        for round in 1_u64.. {
            if let Some(event) = victim.poll()? {
                return Ok(Some(event));
            }
            sys::give_way();
            if round % PATIENCE == 0 {
                if self.sleeps(victim.pid()) {
                    *slept = true;
                    if stay {
                        return Ok(None);
                    }
                    self.help();
                }
                if start.elapsed() > LIMIT {
                    self.ledger.fault(Fault::Stuck, 1);
                    break;
                }
                // Others may have to work on this processor before it can go on.
                sys::pause(10);
            }
        }
        Ok(None)
    }

    /// Kills the victim, unless it has ended by itself, and says what it leaves in doubt.
    pub(crate) fn bury(&self, victim: Victim) -> Doubt {
        let pid = victim.pid();
        let buffer = || sys::peek(pid, self.ledger.buffer().load(SeqCst), message::SIZE);
        let copied = (self.case.op == Op::RecvInto).then(buffer).flatten();
        victim.kill();
        let hand = self.ledger.bury(VICTIM);
        match copied {
            Some(bytes) => Doubt::Copied(message::read_start(&bytes)),
            None => Doubt::of(hand),
        }
    }

    /// The victim is stopped. The others work, held up only by what it really holds.
    fn work_meanwhile(&mut self, victim: &Victim) {
        match (self.case.company, self.case.op.part()) {
            (Company::Nobody, Part::Nobody) => self.try_opening(victim),
            (Company::Nobody, _) => self.try_ring(victim),
            (Company::Sleeper | Company::Fellow, Part::Producer | Part::Consumer) if self.rechecks => {
                self.company_works(victim);
            }
            _ => sys::pause(300),
        }
        self.no_false_death();
    }

    fn holds(&self, victim: &Victim) -> bool {
        self.status().is_some_and(|status| {
            status.lock_holder == Some(victim.pid())
                || status.participants.iter().any(|p| p.pid == victim.pid() && p.holds.is_some())
        })
    }

    /// Whoever slept, and has something to do now, does it, though the victim is stopped before it wakes anybody.
    fn company_works(&mut self, victim: &Victim) {
        let produces = self.case.company == Company::Sleeper && self.case.op.part() == Part::Consumer;
        let done = if produces { CAPACITY } else { 0 };
        let works = |scene: &mut Self| {
            scene.holds(victim)
                || scene.peers_ended()
                || scene.status().is_none_or(|status| status.len == done)
        };
        if !self.wait_until(works) {
            self.ledger.fault(Fault::Stuck, 1);
        }
    }

    fn try_opening(&mut self, victim: &Victim) {
        let options = self.options().lock_timeout(Duration::from_millis(1));
        match options.open_or_create(&*self.name) {
            Err(Error::LockBusy { holder }) if holder == victim.pid() => {}
            Err(e) => {
                eprintln!("{}: opening beside a stopped process: {e}", self.case.name());
                self.ledger.fault(Fault::Stuck, 1);
            }
            Ok(_) => {}
        }
    }

    fn try_ring(&mut self, victim: &Victim) {
        self.take_all(victim);
        let Some(producer) = &mut self.producer else { return };
        let (id, bytes) = self.ledger.begin(HARNESS);
        if producer.try_send_tagged(id.tag(), bytes.as_ref()).is_ok() {
            self.ledger.sent(id);
            self.take_all(victim);
        } else {
            self.ledger.aborted(id);
            // Without a consumer of ours, full is full.
            if self.consumer.is_some() && !self.holds(victim) {
                self.ledger.fault(Fault::Stuck, 1);
            }
        }
    }

    /// Receives until nothing is left that the victim does not hold.
    fn take_all(&mut self, victim: &Victim) {
        if self.consumer.is_none() {
            return;
        }
        let done = self.wait_until(|scene| {
            while scene.take_one() {}
            scene.status().is_none_or(|s| s.len == 0) || scene.holds(victim)
        });
        if !done {
            self.ledger.fault(Fault::Stuck, 1);
        }
    }

    /// Nobody was recovered but those that the harness killed.
    fn no_false_death(&self) {
        let dead = match self.case.op {
            Op::Recover => 2,
            // Leaving with something in hand is the same as dying.
            Op::RegisterHeir | Op::RegisterOver | Op::LeaveInHand => 1,
            _ => 0,
        };
        if self.status().is_some_and(|s| s.recoveries > dead) {
            self.ledger.fault(Fault::FalseDeath, 1);
        }
    }

    /// The stopped victim goes on, to the end of its operation and then to its own end.
    fn let_go(&mut self, victim: &mut Victim) -> io::Result<()> {
        victim.begin_run()?;
        match self.event(victim, &mut false, false)? {
            Some(Event::Mark) => self.no_false_death(),
            event => {
                self.must_have_ended(event);
                return Ok(());
            }
        }
        self.let_end(victim)
    }

    /// The victim has done its operation, and goes on to its own end.
    pub(crate) fn let_end(&mut self, victim: &mut Victim) -> io::Result<()> {
        victim.begin_run()?;
        let event = self.event(victim, &mut false, false)?;
        self.must_have_ended(event);
        Ok(())
    }

    fn must_have_ended(&self, event: Option<Event>) {
        match event {
            // Stuck, which was noted.
            None | Some(Event::Ended(sys::End::Exit(0))) => {}
            Some(event) => {
                eprintln!("{}: the victim that went on: {event:?}", self.case.name());
                self.ledger.fault(Fault::Failed, 1);
            }
        }
    }

    /// A recoverer that is there before the victim dies, if that is what is wanted.
    fn resident(&self, who: Recoverer) -> io::Result<Option<Victim>> {
        (who == Recoverer::Resident).then(|| Victim::start(|| self.stage().recover())).transpose()
    }

    /// One that comes afterwards.
    fn newcomer(&self, who: Recoverer) -> io::Result<Victim> {
        let stage = self.stage();
        match who {
            Recoverer::Producer => Victim::start(|| stage.succeed_producing()),
            _ => Victim::start(|| stage.succeed()),
        }
    }
}

/// Looks at a victim that has not answered before we ask whether it sleeps.
const PATIENCE: u64 = 30;
