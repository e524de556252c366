//! What a supervisor remembers of a service on the board, so that its successor knows it: nine words.

use semring::heartbeat::Place;

use super::pidfd::End;

const FINGERPRINT: usize = 0;
const WANTED: usize = 1;
const ASKED: usize = 2;
const ANSWERED: usize = 3;
const FAILURES: usize = 4;
const NOT_BEFORE: usize = 5;
const RATE: usize = 6;
const OUTCOME: usize = 7;
const PACE: usize = 8;

/// The end of the last run, as far as anybody saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has never been started.
    None,
    /// It was being started when the board had seen so many claims: with more, it did run.
    Begun(u32),
    Ended(End),
    /// Its program could not be executed; the errno.
    NotExecuted(i32),
}

impl Outcome {
    fn encode(self) -> u64 {
        let (kind, value) = match self {
            Outcome::None => (0, 0),
            Outcome::Begun(starts) => (1, starts),
            Outcome::Ended(End::Exited(status)) => (2, status as u32),
            Outcome::Ended(End::Killed(signal)) => (3, signal as u32),
            Outcome::Ended(End::Unknown) => (4, 0),
            Outcome::NotExecuted(errno) => (5, errno as u32),
        };
        kind << 32 | u64::from(value)
    }

    /// What nobody writes is as if it had never been started.
    fn decode(word: u64) -> Self {
        let value = word as u32;
        match word >> 32 {
            1 => Outcome::Begun(value),
            2 => Outcome::Ended(End::Exited(value as i32)),
            3 => Outcome::Ended(End::Killed(value as i32)),
            4 => Outcome::Ended(End::Unknown),
            5 => Outcome::NotExecuted(value as i32),
            _ => Outcome::None,
        }
    }

    pub(crate) fn is_success(self) -> bool {
        self == Outcome::Ended(End::Exited(0))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::None => f.write_str("not started yet"),
            Outcome::Begun(_) => f.write_str("running"),
            Outcome::Ended(End::Exited(status)) => write!(f, "exited with {status}"),
            Outcome::Ended(End::Killed(signal)) => {
                let name = signal_hook::low_level::signal_name(*signal).unwrap_or("a signal");
                write!(f, "killed by {name}")
            }
            Outcome::Ended(End::Unknown) => f.write_str("ended while no parent of it lived"),
            Outcome::NotExecuted(0) => f.write_str("could not be started"),
            Outcome::NotExecuted(errno) => {
                write!(f, "could not be executed: {}", std::io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

/// The notes of one place as somebody saw them who only looks.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a>(pub(crate) &'a [u64; 9]);

impl Seen<'_> {
    pub(crate) fn is_wanted(self) -> bool {
        self.0[WANTED] == 0
    }

    pub(crate) fn failures(self) -> u64 {
        self.0[FAILURES]
    }

    pub(crate) fn outcome(self) -> Outcome {
        Outcome::decode(self.0[OUTCOME])
    }
}

/// The notes of one place.
#[derive(Clone, Copy)]
pub(crate) struct Notes<'a>(pub(crate) &'a Place);

impl Notes<'_> {
    /// Of the definition that the running program was started with; 0 if none was started yet.
    pub(crate) fn fingerprint(self) -> u64 {
        self.0.note(FINGERPRINT)
    }

    /// Called by the child, between fork and exec.
    pub(crate) fn set_fingerprint(self, fingerprint: u64) {
        self.0.set_note(FINGERPRINT, fingerprint);
    }

    /// Has nobody said `stop`?
    pub(crate) fn is_wanted(self) -> bool {
        self.0.note(WANTED) == 0
    }

    pub(crate) fn set_wanted(self, wanted: bool) {
        self.0.set_note(WANTED, u64::from(!wanted));
    }

    /// Asks for a restart.
    pub(crate) fn ask(self) {
        self.0.set_note(ASKED, self.0.note(ASKED).wrapping_add(1));
    }

    /// Has somebody asked for a restart that has not happened yet?
    pub(crate) fn is_asked(self) -> bool {
        self.0.note(ASKED) != self.0.note(ANSWERED)
    }

    pub(crate) fn answer(self) {
        self.0.set_note(ANSWERED, self.0.note(ASKED));
    }

    /// Quick ends in a row.
    pub(crate) fn failures(self) -> u64 {
        self.0.note(FAILURES)
    }

    pub(crate) fn set_failures(self, failures: u64) {
        self.0.set_note(FAILURES, failures);
    }

    /// For a service nanoseconds of the monotonic clock, for a job since 1970.
    pub(crate) fn not_before(self) -> u64 {
        self.0.note(NOT_BEFORE)
    }

    pub(crate) fn set_not_before(self, time: u64) {
        self.0.set_note(NOT_BEFORE, time);
    }

    pub(crate) fn rate(self) -> u64 {
        self.0.note(RATE)
    }

    pub(crate) fn set_rate(self, memory: u64) {
        self.0.set_note(RATE, memory);
    }

    /// Of which definition FAILURES, NOT_BEFORE and RATE are; under another one they mean nothing.
    pub(crate) fn set_pace(self, pace: u64) {
        if self.0.note(PACE) != pace {
            self.set_failures(0);
            self.set_not_before(0);
            self.set_rate(0);
            // Last: killed before, the next one does it.
            self.0.set_note(PACE, pace);
        }
    }

    pub(crate) fn outcome(self) -> Outcome {
        Outcome::decode(self.0.note(OUTCOME))
    }

    pub(crate) fn set_outcome(self, outcome: Outcome) {
        self.0.set_note(OUTCOME, outcome.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_keep_what_they_say() {
        let all = [
            Outcome::None,
            Outcome::Begun(u32::MAX),
            Outcome::Ended(End::Exited(255)),
            Outcome::Ended(End::Killed(9)),
            Outcome::Ended(End::Unknown),
            Outcome::NotExecuted(2),
        ];
        for outcome in all {
            assert_eq!(Outcome::decode(outcome.encode()), outcome);
        }
        assert_eq!(Outcome::decode(u64::MAX), Outcome::None);
        assert_eq!(all[3].to_string(), "killed by SIGKILL");
    }
}
