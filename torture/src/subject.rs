//! A case of any kind of object.

use std::io;

use crate::calls::Call;
use crate::cases::{self, Case, Company};
use crate::ledger::Ledger;
use crate::point::{self, Aim, Outcome, Recoverer};
use crate::report::kind_name;
use crate::route::{Route, Trace};
use crate::scene::Scene;
use crate::table;

/// What a point is a point of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Channel(Case),
    Table(table::Case),
}

impl Subject {
    /// Every case.
    pub(crate) fn all() -> Vec<Self> {
        let channels = cases::all().into_iter().map(Subject::Channel);
        channels.chain(table::all().into_iter().map(Subject::Table)).collect()
    }

    /// Unique, and what `--only` takes.
    pub(crate) fn name(&self) -> String {
        match self {
            Subject::Channel(case) => case.name(),
            Subject::Table(case) => case.name(),
        }
    }

    /// As reports say it, with the operation.
    pub(crate) fn object(&self) -> &'static str {
        match self {
            Subject::Channel(case) => kind_name(case.kind),
            Subject::Table(_) => "table",
        }
    }

    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Subject::Channel(case) => case.op.name(),
            Subject::Table(case) => case.op.name(),
        }
    }

    /// Positions begin just before they wrap.
    pub(crate) fn wraps(&self) -> bool {
        matches!(self, Subject::Channel(Case { wraps: true, .. }))
    }

    /// The same with positions that wrap, or do not; a table has none.
    pub(crate) fn twin(self, wraps: bool) -> Self {
        match self {
            Subject::Channel(case) => Subject::Channel(Case { wraps, ..case }),
            table => table,
        }
    }

    /// Has the victim no company? Then there are double kills.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Subject::Table(_) | Subject::Channel(Case { company: Company::Nobody, .. }))
    }

    /// Who can recover the victim.
    pub(crate) fn recoverers(&self) -> &'static [Recoverer] {
        match self {
            Subject::Channel(case) => Recoverer::all(case),
            Subject::Table(case) => case.recoverers(),
        }
    }

    /// Runs one point on an object of this name.
    pub(crate) fn run(&self, aim: Aim, ledger: &Ledger, name: String) -> io::Result<Outcome> {
        match self {
            Subject::Channel(case) => point::run(set(Scene::of(case, aim, ledger, name))?, aim),
            Subject::Table(case) => point::run(set(table::Scene::set(case, ledger, name))?, aim),
        }
    }

    /// The addresses that the victim comes by, and whether it sleeps on its way.
    pub(crate) fn trace(&self, ledger: &Ledger, name: String) -> io::Result<(Trace, bool)> {
        match self {
            Subject::Channel(case) => point::trace(set(Scene::set(case, ledger, name, false))?),
            Subject::Table(case) => point::trace(set(table::Scene::set(case, ledger, name))?),
        }
    }

    /// Those of a recoverer, when the victim was killed there.
    pub(crate) fn trace_recoverer(
        &self,
        first: Route,
        who: Recoverer,
        ledger: &Ledger,
        name: String,
    ) -> io::Result<Trace> {
        match self {
            Subject::Channel(case) => {
                point::trace_recoverer(set(Scene::set(case, ledger, name, false))?, first, who)
            }
            Subject::Table(case) => {
                point::trace_recoverer(set(table::Scene::set(case, ledger, name))?, first, who)
            }
        }
    }

    /// The system calls that the victim makes between its marks.
    pub(crate) fn calls(&self, ledger: &Ledger, name: String) -> io::Result<Vec<Call>> {
        match self {
            Subject::Channel(case) => point::calls(set(Scene::set(case, ledger, name, false))?),
            Subject::Table(case) => point::calls(set(table::Scene::set(case, ledger, name))?),
        }
    }
}

fn set<S>(scene: semring::Result<S>) -> io::Result<S> {
    scene.map_err(io::Error::other)
}
