//! Points of a record table: its users are killed, stopped and made to fail within every operation, and every record is
//! the old or the new one afterwards, nobody is held up, and nothing is lost of the table.

mod cases;
mod checks;
pub(crate) mod storm;
mod victim;

use std::io;
use std::time::Duration;

use semring::Error;

use crate::checker::clear_away;
use crate::driver::Driver;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::point::{Label, Recoverer, Scenery};
use crate::sys::End;
use crate::tracer::{Event, Victim};
use cases::{ASIDE, Author, KEYS, TYPE, Table};
pub(crate) use cases::{Case, all};
use victim::Stage;

/// How long who tries a lock of the stopped victim waits for it.
const SHORT: Duration = Duration::from_millis(1);

/// What surrounds a victim.
pub(crate) struct Scene<'a> {
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

impl<'a> Scenery<'a> for Scene<'a> {
    type Doubt = ();

    fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    fn label(&self) -> Label {
        Label { name: self.name.clone(), case: self.case.name(), creates: self.case.fill.is_none() }
    }

    fn start(&mut self) -> io::Result<Victim> {
        Victim::start(|| self.stage().perform())
    }

    fn resident(&mut self, who: Recoverer) -> io::Result<Option<Victim>> {
        self.allowed[self.case.key as usize].push(Some(Author::Recoverer));
        (who == Recoverer::Resident).then(|| self.newcomer(who)).transpose()
    }

    fn newcomer(&self, who: Recoverer) -> io::Result<Victim> {
        Victim::start(|| self.stage().recover(who))
    }

    /// Nobody sleeps here.
    fn lull(&mut self, _: &mut Victim) -> io::Result<bool> {
        Ok(false)
    }

    /// The others read everything, and write what it does not hold.
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

    fn let_end(&mut self, victim: &mut Victim) -> io::Result<()> {
        victim.begin_run()?;
        match victim.event()? {
            Event::Ended(End::Exit(0)) => {}
            event => self.fault(Fault::Failed, &event),
        }
        Ok(())
    }

    /// Survivors see what it has done.
    fn bury(&self, victim: Victim) {
        victim.kill();
    }

    fn bury_recoverer(&self, recoverer: Victim) {
        recoverer.kill();
    }

    fn check(&mut self, (): &()) {
        self.check_all();
    }
}

impl<'a> Scene<'a> {
    /// A table as the case wants it.
    pub(crate) fn set(case: &'a Case, ledger: &'a Ledger, name: String) -> semring::Result<Self> {
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

    fn fault(&self, fault: Fault, what: &dyn std::fmt::Debug) {
        eprintln!("{}: {}: {what:?}", self.case.name(), fault.name());
        self.ledger.fault(fault, 1);
    }

    fn try_opening(&self, victim: &Victim) {
        match self.case.options().lock_timeout(SHORT).open_or_create::<u64, [u64; 4]>(&*self.name, TYPE) {
            Ok(_) => {}
            Err(Error::LockBusy { holder }) if holder == victim.pid() => {}
            Err(e) => self.fault(Fault::Stuck, &e),
        }
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        clear_away(&self.name, self.ledger);
    }
}
