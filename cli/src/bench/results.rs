//! All samples, and what follows from them.

use std::time::Duration;

use crate::failure::Failure;
use crate::signals::Signals;

use super::carrier::Carrier;
use super::sample;
use super::task::Work;

/// Messages of the first try.
const FEW: u64 = 16;

/// Everything that was measured.
pub(super) struct Measured {
    pub(super) cpus: Option<[usize; 2]>,
    pub(super) rounds: u32,
    pub(super) millis: u32,
    pub(super) rows: Vec<Row>,
}

/// Somebody at one size.
pub(super) struct Row {
    pub(super) carrier: Carrier,
    pub(super) size: usize,
    /// Why it is not measured.
    pub(super) left_out: Option<String>,
    pub(super) stream: Samples,
    pub(super) round_trip: Samples,
}

/// The samples of one work.
#[derive(Default)]
pub(super) struct Samples {
    /// Messages of each.
    pub(super) messages: u64,
    /// Nanoseconds a message, one for each round.
    pub(super) nanos: Vec<f64>,
}

impl Row {
    pub(super) fn new(carrier: Carrier, size: usize) -> Self {
        Row { carrier, size, left_out: None, stream: Samples::default(), round_trip: Samples::default() }
    }

    pub(super) fn samples(&mut self, work: Work) -> &mut Samples {
        match work {
            Work::Stream => &mut self.stream,
            Work::RoundTrip => &mut self.round_trip,
        }
    }

    /// Finds out how many messages a sample needs to last about as long as it should, or why there can be none.
    pub(super) fn calibrate(
        &mut self,
        work: Work,
        duration: Duration,
        cpus: Option<[usize; 2]>,
        signals: &Signals,
    ) -> Result<(), Failure> {
        let who = (self.carrier, self.size);
        if let Err(why) = self.carrier.lane(self.size) {
            if self.carrier.is_ours() {
                return Err(why);
            }
            self.left_out = Some(why.message);
            return Ok(());
        }
        let (mut messages, wanted) = (FEW, duration.as_nanos() as f64);
        loop {
            let nanos = sample::take(who, (work, messages), cpus, signals)?;
            let enough = (wanted / nanos.max(0.1)).ceil() as u64;
            // The first messages are slower than the others.
            if messages >= enough / 4 {
                self.samples(work).messages = enough.max(1);
                return Ok(());
            }
            messages = (messages * 8).min(enough);
        }
    }

    pub(super) fn measure(
        &mut self,
        work: Work,
        cpus: Option<[usize; 2]>,
        signals: &Signals,
    ) -> Result<(), Failure> {
        if self.left_out.is_none() {
            let who = (self.carrier, self.size);
            let samples = self.samples(work);
            samples.nanos.push(sample::take(who, (work, samples.messages), cpus, signals)?);
        }
        Ok(())
    }
}

impl Samples {
    pub(super) fn median(&self) -> Option<f64> {
        median(self.nanos.iter().copied())
    }

    /// How many times the time of the others, round by round.
    pub(super) fn times(&self, others: &Samples) -> Option<f64> {
        median(self.nanos.iter().zip(&others.nanos).map(|(mine, theirs)| mine / theirs))
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (upper, lower) = (values.get(values.len() / 2)?, values.get(values.len().saturating_sub(1) / 2)?);
    Some((upper + lower) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_the_rounds() {
        let samples = |nanos: &[f64]| Samples { messages: 1, nanos: nanos.into() };
        let (mine, theirs) = (samples(&[20.0, 2000.0, 30.0]), samples(&[10.0, 1000.0, 10.0]));
        assert_eq!((mine.median(), mine.times(&theirs)), (Some(30.0), Some(2.0)));
        assert_eq!(samples(&[4.0, 1.0]).median(), Some(2.5));
        assert_eq!((samples(&[]).median(), samples(&[]).times(&mine)), (None, None));
    }
}
