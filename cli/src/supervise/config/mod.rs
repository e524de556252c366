//! What is to be supervised, and how: the configuration once it is known to be right. `read` makes it from a file,
//! `section` looks at one table of that, `together` at all services; `errors` and `value` put what is wrong into words.

mod errors;
mod program;
mod read;
mod section;
mod together;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::pace::{Backoff, Rate};
use super::schedule::Schedule;

pub(crate) use program::find as find_program;
pub(crate) use read::read;

/// The board that is used if nothing is said.
pub(crate) const DEFAULT_BOARD: &str = "services";
/// Most services: places of a board.
pub(crate) const MAX_SERVICES: usize = semring::heartbeat::MAX_PLACES;

/// What a service may be called.
pub(crate) const SERVICE_NAMES: &str = "expected 1 to 64 bytes without '/' and control characters";
const _: () = assert!(semring::heartbeat::MAX_NAME == 64);

pub(crate) fn is_service_name(name: &str) -> bool {
    semring::heartbeat::is_name(name) && !name.contains('/')
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Name of the board.
    pub(crate) board: String,
    /// In the order in which they are started.
    pub(crate) services: Vec<Service>,
}

/// When a service that has ended is started again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) enum Restart {
    Always,
    OnFailure,
    Never,
    /// A job: at its times, and not otherwise.
    At(Schedule),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    /// Bytes from which on a new file is begun.
    pub(crate) size: u64,
    /// Old files to keep.
    pub(crate) keep: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Who has to be up before.
    pub(crate) after: Vec<String>,
    pub(crate) restart: Restart,
    pub(crate) backoff: Backoff,
    pub(crate) rate: Rate,
    /// From TERM to KILL.
    pub(crate) grace: Duration,
    /// Hung if it has not beaten for so long.
    pub(crate) silence: Option<Duration>,
    pub(crate) log: Option<Log>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) user: Option<String>,
    pub(crate) directory: Option<PathBuf>,
    /// It says READY=1 by sd_notify(3), within this time.
    pub(crate) ready: Option<Duration>,
}

impl Service {
    /// What is meant if nothing else is said.
    pub(crate) fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        let s = Duration::from_secs;
        Service {
            name: name.into(),
            command,
            after: Vec::new(),
            restart: Restart::Always,
            backoff: Backoff { least: Duration::from_millis(100), most: s(30), healthy: s(10) },
            rate: Rate { starts: 20, per: s(60) },
            grace: s(10),
            silence: None,
            log: None,
            environment: BTreeMap::new(),
            user: None,
            directory: None,
            ready: None,
        }
    }

    /// A number that changes with everything that makes a running process another one; never 0. What only says when it is
    /// started or ended is left out.
    pub(crate) fn fingerprint(&self) -> u64 {
        let what = (&self.command, &self.environment, &self.user, &self.directory);
        let how = (&self.log, self.silence, self.ready.is_some());
        hash(&(what, how))
    }

    /// A number that changes with everything that says when it is started again; never 0.
    pub(crate) fn pace(&self) -> u64 {
        hash(&(&self.restart, self.backoff, self.rate))
    }
}

fn hash(what: &impl Serialize) -> u64 {
    // Serializing strings and numbers cannot fail.
    twox_hash::XxHash3_64::oneshot(&serde_json::to_vec(what).unwrap_or_default()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_what_runs() {
        let service = Service::new("a", vec!["b".into()]);
        let same = Service { grace: Duration::ZERO, after: vec!["c".into()], ..service.clone() };
        assert_eq!((service.fingerprint(), service.pace()), (same.fingerprint(), same.pace()));
        let other = Service { command: vec!["b".into(), "c".into()], ..service.clone() };
        assert_ne!(service.fingerprint(), other.fingerprint());
        assert_eq!(service.pace(), other.pace());
        let rate = Rate { starts: 1, ..service.rate };
        assert_ne!(service.pace(), Service { rate, ..service.clone() }.pace());
        let log = Some(Log { path: "x".into(), size: 1, keep: 1 });
        assert_ne!(service.fingerprint(), Service { log, ..service.clone() }.fingerprint());
    }
}
