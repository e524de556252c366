//! Which points there are: every case is stepped once, and so are some recoverers.

use std::collections::HashSet;
use std::io;

use crate::ledger::Ledger;
use crate::point::Aim;
use crate::random::Random;
use crate::route::{Route, Trace};
use crate::subject::Subject;
use crate::suite::{Point, WINDOW, name, prefix};

/// Pairs for which the recoverer of a case is traced.
const LEAST_PAIRS: u64 = 8;

/// What a dry run showed of each case: how many instructions it has, and whether it sleeps.
pub(crate) struct Survey {
    pub(crate) cases: Vec<Subject>,
    pub(crate) traces: Vec<(Trace, bool)>,
}

impl Survey {
    /// Steps every case of a name that has `only` in it once, to its end. A case whose positions wrap does what its twin
    /// does, with other numbers; `thorough`: it is stepped all the same.
    pub(crate) fn new(only: &str, thorough: bool, watch: &mut dyn FnMut(u64) -> bool) -> io::Result<Self> {
        let chosen = Subject::all().into_iter().filter(|case| case.name().contains(only));
        let ledger = Ledger::new(WINDOW).map_err(io::Error::other)?;
        let mut survey = Survey { cases: Vec::new(), traces: Vec::new() };
        for (index, case) in (0..).zip(chosen) {
            if !watch(index) {
                break;
            }
            let twin = survey.cases.iter().position(|c| !thorough && case.wraps() && *c == case.twin(false));
            let found = match twin {
                Some(twin) => survey.traces[twin].clone(),
                None => case
                    .trace(&ledger, name(&prefix(0), index))
                    .map_err(|e| io::Error::other(format!("{}: {e}", case.name())))?,
            };
            survey.cases.push(case);
            survey.traces.push(found);
        }
        Ok(survey)
    }

    /// About `count` instructions, evenly over all cases, at least one of each; in random order.
    pub(crate) fn points(&self, count: u64, random: &mut Random, aim: impl Fn(Route) -> Aim) -> Vec<Point> {
        let mut points = Vec::new();
        if count == 0 {
            return points;
        }
        let stride = (self.total() / count).max(1);
        for (case, (trace, slept)) in self.traces.iter().enumerate() {
            if *slept {
                points.push(Point { case, aim: Aim::KillAsleep });
            }
            let first = random.below(stride.min(trace.steps() + 1));
            let routes = (first..=trace.steps()).step_by(stride as usize);
            points.extend(routes.map(|steps| Point { case, aim: aim(trace.route(steps)) }));
        }
        random.shuffle(&mut points);
        points
    }

    /// About `count` pairs of a victim's and its recoverer's last instructions, over all cases without company and all
    /// kinds of recoverers.
    pub(crate) fn pairs(
        &self,
        count: u64,
        random: &mut Random,
        watch: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Vec<Point>> {
        let ledger = Ledger::new(WINDOW).map_err(io::Error::other)?;
        let victims: Vec<usize> = (0..self.cases.len())
            .filter(|&case| self.cases[case].is_alone() && !self.cases[case].wraps())
            .collect();
        // Few pairs are not worth a trace of every recoverer: then only some of the cases.
        let kinds: usize = victims.iter().map(|&case| self.cases[case].recoverers().len()).sum();
        let each = (count / kinds.max(1) as u64 + 1).max(LEAST_PAIRS);
        let stride = (kinds as u64 * each / count.max(1)).max(1) as usize;
        let victims: Vec<usize> = victims.into_iter().step_by(stride).collect();
        let mut points = Vec::new();
        for (nth, &case) in (0..).zip(&victims) {
            if !watch(nth) {
                return Ok(points);
            }
            let (trace, _) = &self.traces[case];
            let twin = self.cases[case].twin(true);
            let twin = self.cases.iter().position(|c| *c == twin).unwrap_or(case);
            for &who in self.cases[case].recoverers() {
                let half = trace.route(trace.steps() / 2);
                let theirs = self.cases[case].trace_recoverer(half, who, &ledger, name(&prefix(0), nth))?;
                let mut pairs = HashSet::new();
                while (pairs.len() as u64) < each.min(trace.steps() * theirs.steps() / 2) {
                    pairs.insert((random.below(trace.steps() + 1), random.below(theirs.steps() + 1)));
                }
                points.extend((0..).zip(pairs).map(|(n, (first, second))| {
                    let case = if n % 2 == 0 { case } else { twin };
                    Point { case, aim: Aim::Twice(trace.route(first), who, theirs.route(second)) }
                }));
            }
        }
        random.shuffle(&mut points);
        Ok(points)
    }

    /// How many instructions the operations have together.
    pub(crate) fn total(&self) -> u64 {
        self.traces.iter().map(|(trace, _)| trace.steps() + 1).sum()
    }
}
