//! When a periodic job is due: every so often, or by a cron expression in local time. Times are nanoseconds since 1970.

use std::time::Duration;

use chrono::{DateTime, Local};
use croner::Cron;
use serde::Serialize;

use super::units::nanos;

/// A run that is no further ahead of the clock is one of just now: clocks are kept right in small steps.
const DRIFT: u64 = 60_000_000_000;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Schedule {
    Every(Duration),
    Cron(Box<Cron>),
}

impl Schedule {
    /// Five fields: minute, hour, day, month, day of the week.
    pub(crate) fn cron(text: &str) -> Result<Self, String> {
        if text.split_whitespace().count() != 5 {
            return Err("it has not five fields".into());
        }
        let schedule = text
            .parse::<Cron>()
            .map(|cron| Schedule::Cron(Box::new(cron)))
            .map_err(|e| e.to_string().trim_end_matches('.').to_owned())?;
        if schedule.next(0) == u64::MAX {
            return Err("there is no such day".into());
        }
        Ok(schedule)
    }

    /// When a job is due: `noted` is what was known of it before, `ran` when it was started last; 0 for nothing and never. A
    /// clock that was set back has made runs that are still to come: they say nothing. Nor is anything due later than the
    /// schedule says that holds now.
    pub(crate) fn due(&self, noted: u64, ran: u64, now: u64) -> u64 {
        let ran = if ran > now.saturating_add(DRIFT) { 0 } else { ran };
        let due = match noted {
            0 if ran == 0 => self.first(now).max(1),
            // It has run since it was due last.
            noted if ran >= noted => self.next(ran),
            noted => noted,
        };
        due.min(self.next(now))
    }

    /// When a job that nobody has run yet is due first.
    fn first(&self, now: u64) -> u64 {
        match self {
            Schedule::Every(_) => now,
            Schedule::Cron(_) => self.next(now),
        }
    }

    /// When a job that ran at `ran` is due next. An expression that is never true again: never.
    pub(crate) fn next(&self, ran: u64) -> u64 {
        match self {
            Schedule::Every(interval) => ran.saturating_add(nanos(*interval)),
            Schedule::Cron(cron) => {
                let ran = DateTime::from_timestamp_nanos(i64::try_from(ran).unwrap_or(i64::MAX));
                let next = cron.find_next_occurrence(&ran.with_timezone(&Local), false);
                let nanos = next.ok().and_then(|next| next.timestamp_nanos_opt());
                nanos.and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(u64::MAX)
            }
        }
    }
}

impl Serialize for Schedule {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Schedule::Every(interval) => format!("every {interval:?}").serialize(to),
            Schedule::Cron(cron) => cron.as_str().serialize(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    const SECOND: u64 = 1_000_000_000;

    fn local(text: &str) -> u64 {
        let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        Local.from_local_datetime(&naive).unwrap().timestamp_nanos_opt().unwrap() as u64
    }

    #[test]
    fn intervals_count_from_the_last_run() {
        let schedule = Schedule::Every(Duration::from_secs(10));
        assert_eq!((schedule.first(7), schedule.next(7)), (7, 7 + 10 * SECOND));
        assert_eq!(schedule.next(u64::MAX), u64::MAX);
    }

    #[test]
    fn what_is_due_runs_once() {
        let schedule = Schedule::Every(Duration::from_secs(100));
        let now = 1_000_000 * SECOND;
        assert_eq!(schedule.due(0, 0, now), now, "at first");
        let ran = now + 1;
        assert_eq!(schedule.due(now, ran, now + 5), ran + 100 * SECOND);
        assert_eq!(schedule.due(0, ran, now + 5), ran + 100 * SECOND, "noted for another schedule");
        let due = ran + 100 * SECOND;
        assert_eq!(schedule.due(due, ran, now + 5_000 * SECOND), due, "nobody was there: late, not lost");
        assert_eq!(schedule.due(due, due + 1, due + 2), due + 1 + 100 * SECOND);
    }

    /// A job waited until the clock had come to where it was before.
    #[test]
    fn a_clock_that_is_set_back_delays_nothing() {
        let (every, hourly) =
            (Schedule::Every(Duration::from_secs(100)), Schedule::cron("0 * * * *").unwrap());
        let ran = local("2026-03-04 05:06:07");
        let (due, now) = (every.next(ran), ran - 86_400 * SECOND);
        for schedule in [&every, &hourly] {
            assert_eq!(schedule.due(due, ran, now), schedule.next(now));
            assert_eq!(schedule.due(0, ran, now), schedule.first(now), "as if it had never run");
        }
        // What was capped stays: it does not recede before the clock.
        let capped = every.due(due, ran, now);
        assert_eq!(every.due(capped, ran, capped), capped);
        // A step within the drift: that run was the last one.
        assert_eq!(every.due(ran, ran, ran - 30 * SECOND), every.next(ran - 30 * SECOND));
        assert_eq!(hourly.due(u64::MAX, 0, now), hourly.next(now), "no time that anybody meant");
    }

    #[test]
    fn expressions_are_in_local_time() {
        let quarters = Schedule::cron("*/15 * * * *").unwrap();
        let start = local("2026-03-04 05:06:07");
        assert_eq!(quarters.first(start), local("2026-03-04 05:15:00"));
        assert_eq!(quarters.next(local("2026-03-04 05:15:00")), local("2026-03-04 05:30:00"));
        // It ran some milliseconds after it was due: that run is not due again.
        assert_eq!(quarters.next(local("2026-03-04 05:15:00") + 5_000_000), local("2026-03-04 05:30:00"));
        let mondays = Schedule::cron("30 4 * * mon").unwrap();
        assert_eq!(mondays.next(start), local("2026-03-09 04:30:00"));
        assert!(Schedule::cron("* * * *").is_err());
        assert!(Schedule::cron("61 * * * *").is_err());
        for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *"] {
            assert_eq!(Schedule::cron(never), Err("there is no such day".into()));
        }
        // Once in four years at most, but it comes.
        assert_eq!(Schedule::cron("0 0 29 2 *").unwrap().next(start), local("2028-02-29 00:00:00"));
    }
}
