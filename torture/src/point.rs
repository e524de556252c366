//! One point: something is done to the victim, after so many instructions; then everything is checked.

use std::io;

use semring::Kind;

use crate::calls::Call;
use crate::cases::{Case, Part};
use crate::driver::Driver;
use crate::failing::{self, Injection};
use crate::fault::FAULTS;
use crate::ledger::Ledger;
use crate::route::{Route, Trace};
use crate::tracer::Victim;

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

/// What a scene is about.
pub(crate) struct Label {
    /// Name of the object.
    pub(crate) name: String,
    /// Name of the case.
    pub(crate) case: String,
    /// Does the victim make the object?
    pub(crate) creates: bool,
}

/// What surrounds a victim: a channel or a table, and those who use it.
pub(crate) trait Scenery<'a>: Driver {
    /// What a dead victim leaves in doubt.
    type Doubt;

    fn ledger(&self) -> &'a Ledger;

    fn label(&self) -> Label;

    /// Starts the victim up to its first mark, with everybody who is to be there.
    fn start(&mut self) -> io::Result<Victim>;

    /// A recoverer that is there before the victim dies, if that is what is wanted.
    fn resident(&mut self, who: Recoverer) -> io::Result<Option<Victim>>;

    /// One that comes afterwards.
    fn newcomer(&self, who: Recoverer) -> io::Result<Victim>;

    /// Lets the victim run until it sleeps; false if it does not.
    fn lull(&mut self, victim: &mut Victim) -> io::Result<bool>;

    /// The victim is stopped. The others work, held up only by what it really holds.
    fn work_meanwhile(&mut self, victim: &Victim);

    /// The stopped victim goes on, to the end of its operation and then to its own end.
    fn let_go(&mut self, victim: &mut Victim) -> io::Result<()>;

    /// The victim has done its operation, and goes on to its own end.
    fn let_end(&mut self, victim: &mut Victim) -> io::Result<()>;

    /// Kills the victim, unless it has ended by itself.
    fn bury(&self, victim: Victim) -> Self::Doubt;

    /// Kills who was to recover it.
    fn bury_recoverer(&self, recoverer: Victim);

    /// Everything that must hold afterwards.
    fn check(&mut self, doubt: &Self::Doubt);
}

/// Runs one point.
pub(crate) fn run<'a>(mut scene: impl Scenery<'a>, aim: Aim) -> io::Result<Outcome> {
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
        Aim::Fail(injection) => (failing::run(&mut scene, &mut victim, injection)?, scene.bury(victim)),
        Aim::Twice(first, who, second) => {
            let (hit, doubt, mut recoverer) = succeed(&mut scene, victim, first, who)?;
            let hit = scene.approach(&mut recoverer, second)? && hit;
            scene.bury_recoverer(recoverer);
            (hit, doubt)
        }
    };
    scene.check(&doubt);
    Ok(Outcome { hit, faults: scene.ledger().faults(), flagged: scene.ledger().flagged() })
}

/// The victim is killed there, and its recoverer stands at its first mark.
fn succeed<'a, S: Scenery<'a>>(
    scene: &mut S,
    mut victim: Victim,
    route: Route,
    who: Recoverer,
) -> io::Result<(bool, S::Doubt, Victim)> {
    let resident = scene.resident(who)?;
    let hit = scene.approach(&mut victim, route)?;
    let doubt = scene.bury(victim);
    Ok((hit, doubt, resident.map_or_else(|| scene.newcomer(who), Ok)?))
}

/// The addresses that a victim comes by, and whether it sleeps on its way.
pub(crate) fn trace<'a>(mut scene: impl Scenery<'a>) -> io::Result<(Trace, bool)> {
    let mut victim = scene.start()?;
    let traced = scene.trace(&mut victim)?;
    let doubt = scene.bury(victim);
    scene.check(&doubt);
    Ok(traced)
}

/// Those of a recoverer, when the victim was killed there.
pub(crate) fn trace_recoverer<'a>(
    mut scene: impl Scenery<'a>,
    first: Route,
    who: Recoverer,
) -> io::Result<Trace> {
    let victim = scene.start()?;
    let (_, doubt, mut recoverer) = succeed(&mut scene, victim, first, who)?;
    let (trace, _) = scene.trace(&mut recoverer)?;
    scene.bury_recoverer(recoverer);
    scene.check(&doubt);
    Ok(trace)
}

/// The system calls that a victim makes between its marks.
pub(crate) fn calls<'a>(mut scene: impl Scenery<'a>) -> io::Result<Vec<Call>> {
    let mut victim = scene.start()?;
    let mut calls = Vec::new();
    scene.call_by_call(&mut victim, |_, call| {
        calls.push(call.clone());
        None
    })?;
    scene.let_end(&mut victim)?;
    let doubt = scene.bury(victim);
    scene.check(&doubt);
    Ok(calls)
}
