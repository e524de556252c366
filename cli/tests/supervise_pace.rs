//! When services and jobs are started again after their definition, the clock or what can be executed has changed. Real
//! processes.

mod common;

use std::fs;
use std::time::{Duration, SystemTime};

use common::supervised::*;
use common::*;

const HUP: i32 = nix::libc::SIGHUP;
/// The note of a service that says when it is due.
const NOT_BEFORE: usize = 5;

fn flaps(starts: u32, per: &str) -> String {
    let pace = format!("backoff = '1ms'\nbackoff_max = '1ms'\nstarts = {starts}\nstarts_per = '{per}'");
    service("a", "exit 1", &pace)
}

/// What was remembered of one rate was read as if it were of the other.
#[test]
fn a_rate_that_changes_begins_anew() {
    let mut set = Supervised::new(&flaps(2, "1d"));
    let supervisor = set.supervise();
    set.until("its starts are used", || set.runs("a").len() == 2);
    set.configure(&flaps(3, "1d"));
    signal(supervisor, HUP);
    set.until("those of the new rate", || set.runs("a").len() == 5);
    // While nobody supervises, too.
    set.kill_supervisor();
    set.configure(&flaps(4, "1000s"));
    set.supervise();
    set.until("those of the newest", || set.runs("a").len() == 9);
    set.kill_supervisor();
    set.supervise();
    set.until("it supervises", || set.status()["services"][0]["outcome"] != "running");
    set.tell("stop", "a").ok();
    assert_eq!(set.runs("a").len(), 9, "the same rate goes on");
    set.end();
}

/// A long back-off that was noted under the old definition.
#[test]
fn a_back_off_that_changes_begins_anew() {
    let pace = |most: &str| service("a", "exit 1", &format!("backoff = '{most}'\nbackoff_max = '{most}'"));
    let mut set = Supervised::new(&pace("10d"));
    let supervisor = set.supervise();
    set.until_said("restarts in 864000s");
    set.configure(&pace("20d"));
    signal(supervisor, HUP);
    set.until("it is tried anew", || set.runs("a").len() == 2);
    set.end();
}

/// A clock that is set back leaves a due time that is still far.
#[test]
fn a_job_that_is_due_too_late_is_due_by_its_schedule() {
    let mut set = Supervised::new(&service("a", "exit 0", "every = '100ms'"));
    set.supervise();
    set.until("a run", || !set.runs("a").is_empty());
    set.kill_supervisor();
    set.until("it has ended", || set.alive("a").is_none());
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let tomorrow = tomorrow.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    set.board().unwrap().place("a").unwrap().unwrap().set_note(NOT_BEFORE, tomorrow);
    let before = set.runs("a").len();
    set.supervise();
    set.until("it runs today", || set.runs("a").len() > before);
    set.end();
}

/// It was due for ever and tried without rest; signals and outputs had to wait.
#[test]
fn a_job_that_cannot_be_prepared_waits_for_its_next_time() {
    let mut set = Supervised::new(&service("a", "exit 0", "every = '200ms'\nlog = 'logs/a'"));
    let logs = set.directory.join("logs");
    fs::create_dir(&logs).unwrap();
    let supervisor = set.supervise();
    set.until("it runs", || !set.runs("a").is_empty());
    fs::remove_dir_all(&logs).unwrap();
    set.until_said("cannot start");
    signal(supervisor, HUP);
    set.until_said("the configuration stays as it was"); // for the same reason
    fs::create_dir(&logs).unwrap();
    let before = set.runs("a").len();
    set.until("it runs again", || set.runs("a").len() > before);
    set.end();
}
