//! The samples of all rounds, and what follows from them.

use std::collections::BTreeMap;

use crate::sample::Sample;
use crate::spec::Work;

/// Samples by case and entry, one of each round; none where it failed.
#[derive(Default)]
pub struct Results {
    samples: BTreeMap<(String, String), Vec<Option<Sample>>>,
}

impl Results {
    pub fn add(&mut self, case: &str, label: &str, sample: Option<Sample>) {
        self.samples.entry((case.into(), label.into())).or_default().push(sample);
    }

    pub fn of(&self, case: &str, label: &str) -> &[Option<Sample>] {
        self.samples.get(&(case.to_owned(), label.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The median of what `value` says of each sample.
    pub fn median(&self, case: &str, label: &str, value: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.of(case, label).iter().flatten().map(value))
    }

    /// The median over the rounds of the ratio of two entries' times, both of the same round.
    pub fn ratio(&self, a: (&str, &str), b: (&str, &str)) -> Option<f64> {
        let pairs = self.of(a.0, a.1).iter().zip(self.of(b.0, b.1));
        median(pairs.filter_map(|(a, b)| Some(a.as_ref()?.nanos / b.as_ref()?.nanos)))
    }

    /// The median over the rounds of the ratio of the slowest to the fastest of these entries.
    pub fn spread<'a>(&self, case: &str, labels: impl Iterator<Item = &'a str>) -> Option<f64> {
        let all: Vec<_> = labels.map(|label| self.of(case, label)).collect();
        let rounds = all.iter().map(|samples| samples.len()).min()?;
        median((0..rounds).filter_map(|round| {
            let times: Option<Vec<f64>> = all.iter().map(|s| Some(s[round].as_ref()?.nanos)).collect();
            let times = times?;
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            Some(times.iter().copied().fold(0.0, f64::max) / least)
        }))
    }
}

/// The figure that a table shows.
pub fn figure(work: Work, sample: &Sample) -> f64 {
    if work == Work::Idle { sample.cpu * 100.0 } else { sample.nanos }
}

pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some((upper + lower) / 2.0)
}
