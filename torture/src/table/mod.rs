//! Points of a record table: its users are killed, stopped and made to fail within every operation, and every record is
//! the old or the new one afterwards, nobody is held up, and nothing is lost of the table.

mod cases;
mod checks;
pub(crate) mod storm;
mod victim;

use std::io;
use std::time::Duration;

use semring::Error;

use crate::calls::Call;
use crate::checker::clear_away;
use crate::driver::Driver;
use crate::failing::{Injection, left_nothing, lock_is_held, misleads};
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::point::{Aim, Outcome, Recoverer};
use crate::route::{Route, Trace};
use crate::sys::End;
use crate::tracer::{Event, Victim};
use cases::{ASIDE, Author, KEYS, TYPE, Table};
pub(crate) use cases::{Case, all};
use victim::Stage;

/// How long who tries a lock of the stopped victim waits for it.
const SHORT: Duration = Duration::from_millis(1);

/// What surrounds a victim.
struct Scene<'a> {
    case: &'a Case,
    ledger: &'a Ledger,
    name: String,
    /// Open since before the victim began.
    table: Option<Table>,
    /// By key, who may have written what is there; `None` for nobody: there is no record.
    allowed: Vec<Vec<Option<Author>>>,
}

impl Driver for Scene<'_> {
    fn next(&mut self, victim: &mut Victim, _: &mut bool) -> io::Result<Event> {
        victim.event()
    }

    /// Nobody is in its way.
    fn step(&mut self, victim: &mut Victim, _: &mut bool) -> io::Result<Event> {
        victim.step()
    }
}

/// Runs one point of a case on a table of this name.
pub(crate) fn run(case: &Case, aim: Aim, ledger: &Ledger, name: String) -> io::Result<Outcome> {
    let mut scene = Scene::set(case, ledger, name).map_err(io::Error::other)?;
    let mut victim = scene.start()?;
    let hit = match aim {
        Aim::Kill(route) => scene.approach(&mut victim, route)?,
        Aim::KillAsleep => false, // nobody sleeps here
        Aim::Stop(route) => {
            let hit = scene.approach(&mut victim, route)?;
            scene.work_meanwhile(&victim);
            scene.let_go(&mut victim)?;
            hit
        }
        Aim::Fail(injection) => scene.fail(&mut victim, injection)?,
        Aim::Twice(first, who, second) => {
            let resident = scene.resident(who)?;
            let hit = scene.approach(&mut victim, first)?;
            victim.kill();
            victim = resident.map_or_else(|| scene.recoverer(who), Ok)?;
            scene.approach(&mut victim, second)? && hit
        }
    };
    victim.kill();
    scene.check();
    Ok(Outcome { hit, faults: ledger.faults(), flagged: 0 })
}

/// The addresses that a case's victim comes by.
pub(crate) fn trace(case: &Case, ledger: &Ledger, name: String) -> io::Result<(Trace, bool)> {
    let mut scene = Scene::set(case, ledger, name).map_err(io::Error::other)?;
    let mut victim = scene.start()?;
    let traced = Driver::trace(&mut scene, &mut victim)?;
    victim.kill();
    scene.check();
    Ok(traced)
}

/// Those of a recoverer, when the victim was killed there.
pub(crate) fn trace_recoverer(
    case: &Case,
    first: Route,
    who: Recoverer,
    ledger: &Ledger,
    name: String,
) -> io::Result<Trace> {
    let mut scene = Scene::set(case, ledger, name).map_err(io::Error::other)?;
    let mut victim = scene.start()?;
    let resident = scene.resident(who)?;
    scene.approach(&mut victim, first)?;
    victim.kill();
    let mut recoverer = resident.map_or_else(|| scene.recoverer(who), Ok)?;
    let (trace, _) = Driver::trace(&mut scene, &mut recoverer)?;
    recoverer.kill();
    scene.check();
    Ok(trace)
}

/// The calls that a case's victim makes between its marks.
pub(crate) fn calls(case: &Case, ledger: &Ledger, name: String) -> io::Result<Vec<Call>> {
    let mut scene = Scene::set(case, ledger, name).map_err(io::Error::other)?;
    let mut victim = scene.start()?;
    let mut calls = Vec::new();
    scene.call_by_call(&mut victim, |_, call| {
        calls.push(call.clone());
        None
    })?;
    scene.let_end(&mut victim)?;
    scene.check();
    Ok(calls)
}

impl<'a> Scene<'a> {
    /// A table as the case wants it.
    fn set(case: &'a Case, ledger: &'a Ledger, name: String) -> semring::Result<Self> {
        ledger.clear();
        let allowed = KEYS.map(|key| vec![case.before(key), case.after(key)]).collect();
        let mut scene = Scene { case, ledger, name, table: None, allowed };
        if let Some(fill) = case.fill {
            let table: Table = case.options().create(&*scene.name, TYPE)?;
            (0..fill).try_for_each(|key| table.insert(&key, &Author::Before.value(key)).map(drop))?;
            scene.table = Some(table);
        }
        Ok(scene)
    }

    fn stage(&self) -> Stage<'_> {
        Stage { name: &self.name, case: self.case, ledger: self.ledger }
    }

    fn start(&self) -> io::Result<Victim> {
        Victim::start(|| self.stage().perform())
    }

    /// A recoverer that is there before the victim dies, if that is what is wanted.
    fn resident(&mut self, who: Recoverer) -> io::Result<Option<Victim>> {
        self.allowed[self.case.key as usize].push(Some(Author::Recoverer));
        (who == Recoverer::Resident).then(|| self.recoverer(who)).transpose()
    }

    fn recoverer(&self, who: Recoverer) -> io::Result<Victim> {
        Victim::start(|| self.stage().recover(who))
    }

    fn fault(&self, fault: Fault, what: &dyn std::fmt::Debug) {
        eprintln!("{}: {}: {what:?}", self.case.name(), fault.name());
        self.ledger.fault(fault, 1);
    }

    /// The victim is stopped. The others read everything, and write what it does not hold.
    fn work_meanwhile(&mut self, victim: &Victim) {
        if self.case.op.is_of_the_pair() {
            return self.try_opening(victim);
        }
        self.look();
        let short = self.case.options().lock_timeout(SHORT);
        let Ok(table) = short.open::<u64, [u64; 4]>(&*self.name, TYPE) else {
            return self.fault(Fault::Failed, &"opening beside a stopped process");
        };
        for key in KEYS.filter(|&key| key != self.case.key) {
            match table.update(&key, |value| *value = Author::After.value(key)) {
                Ok(None) => {}
                Ok(Some(_)) => self.allowed[key as usize] = vec![Some(Author::After)],
                // It holds one stripe.
                Err(Error::LockBusy { holder })
                    if holder == victim.pid() && (key == ASIDE) == (self.case.key == ASIDE) => {}
                Err(e) => self.fault(Fault::Stuck, &e),
            }
        }
    }

    fn try_opening(&self, victim: &Victim) {
        match self.case.options().lock_timeout(SHORT).open_or_create::<u64, [u64; 4]>(&*self.name, TYPE) {
            Ok(_) => {}
            Err(Error::LockBusy { holder }) if holder == victim.pid() => {}
            Err(e) => self.fault(Fault::Stuck, &e),
        }
    }

    /// The stopped victim goes on, and does what it was about to do.
    fn let_go(&mut self, victim: &mut Victim) -> io::Result<()> {
        if !self.case.op.is_of_the_pair() {
            let key = self.case.key;
            self.allowed[key as usize] = vec![self.case.after(key)];
        }
        victim.begin_run()?;
        match victim.event()? {
            Event::Mark => self.let_end(victim),
            // It was at its end.
            Event::Ended(End::Exit(0)) => Ok(()),
            event => {
                self.fault(Fault::Failed, &event);
                Ok(())
            }
        }
    }

    /// The victim has done its operation, and goes on to its own end.
    fn let_end(&mut self, victim: &mut Victim) -> io::Result<()> {
        victim.begin_run()?;
        match victim.event()? {
            Event::Ended(End::Exit(0)) => {}
            event => self.fault(Fault::Failed, &event),
        }
        Ok(())
    }

    /// Has a call of the victim fail, and lets it go on to its end; false if it made another call there.
    fn fail(&mut self, victim: &mut Victim, injection: Injection) -> io::Result<bool> {
        let hit = injection.inject(self, victim, self.ledger)?;
        // A table is finished before LOCK is given back: if that fails, it stands.
        let creates = self.case.fill.is_none() && !lock_is_held(&self.name);
        self.let_end(victim)?;
        if creates && self.ledger.was_excused() && !misleads(injection.errno) {
            left_nothing(&self.name, &self.case.name(), self.ledger, injection);
        }
        Ok(hit)
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        clear_away(&self.name, self.ledger);
    }
}
