//! `semring doctor`: what of this system would get into the way, and what to do about it.

mod facts;

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use facts::Facts;

/// Say what of this system would get into the way of channels, and how to fix it
///
/// Reads the kernel's limits, logind's configuration and the IPC namespace, and makes a private channel to see whether that
/// works. The exit status is 1 if something would go wrong.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring doctor
  semring doctor --capacity 1000000 --size 4096     would such a channel fit?
  semring doctor --json | jq '.checks[] | select(.fix)'")]
pub(crate) struct Doctor {
    /// Messages of the channel that is to fit
    #[arg(long, value_name = "MESSAGES", default_value_t = 1024)]
    capacity: u64,

    /// Most bytes of one of them
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    size: u64,
}

/// One thing looked at. With a `fix` there is something to be fixed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Check {
    what: &'static str,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn good(what: &'static str, found: impl ToString) -> Self {
        Check { what, found: found.to_string(), wrong: None, fix: None }
    }

    fn bad(what: &'static str, found: impl ToString, wrong: impl ToString, fix: impl ToString) -> Self {
        Check { what, found: found.to_string(), wrong: Some(wrong.to_string()), fix: Some(fix.to_string()) }
    }
}

impl Doctor {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let checks = judge(&Facts::gather(self.capacity, self.size));
        let wrong = checks.iter().filter(|check| check.wrong.is_some()).count();
        let text = if json {
            format!("{}\n", json!({ "problems": wrong, "checks": checks }))
        } else {
            checks.iter().map(describe).collect()
        };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))?;
        match wrong {
            0 => Ok(()),
            1 => Err(Failure::new("1 problem found")),
            _ => Err(Failure::new(format_args!("{wrong} problems found"))),
        }
    }
}

fn describe(check: &Check) -> String {
    let mark = if check.wrong.is_some() { "WRONG" } else { "ok" };
    let mut text = format!("{mark:<6} {:<16} {}\n", check.what, check.found);
    for (what, line) in [("", &check.wrong), ("fix: ", &check.fix)] {
        if let Some(line) = line {
            text.push_str(&format!("                        {what}{line}\n"));
        }
    }
    text
}

/// Judges what was found; pure.
fn judge(facts: &Facts) -> Vec<Check> {
    let mut checks = limits(facts);
    checks.push(remove_ipc(facts));
    checks.push(match &facts.namespace {
        Some((ours, first)) if first.as_ref().is_some_and(|first| first != ours) => Check::good(
            "ipc namespace",
            format!("{ours}, not that of process 1: only processes in it meet here"),
        ),
        Some((ours, _)) => Check::good("ipc namespace", ours),
        None => Check::bad(
            "ipc namespace",
            "none",
            "the kernel has no System V IPC, or /proc is not mounted",
            "use a kernel with CONFIG_SYSVIPC, and mount /proc",
        ),
    });
    for (what, result) in [("a channel", &facts.channel), ("membarrier", &facts.membarrier)] {
        checks.push(match result {
            Ok(()) => Check::good(what, "works"),
            Err(error) => Check::bad(what, "does not work", error, fix(what)),
        });
    }
    checks
}

fn fix(what: &str) -> &'static str {
    match what {
        "membarrier" => {
            "channels work with fences instead, a little slower; or let membarrier(2) through the seccomp filter"
        }
        _ => "see the message; in a container, allow shmget, shmat, semget, semop and semctl",
    }
}

/// Pages are at least this large everywhere.
const PAGE: u64 = 4096;

fn limits(facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut limit = |what, found: Option<u64>, needed: u64, wrong: String, name: &str, value: u64| {
        checks.push(match found {
            None => Check::bad(what, "unknown", format!("{name} cannot be read"), "mount /proc"),
            Some(found) if found < needed => {
                Check::bad(what, found, wrong, format!("sysctl -w {name}={}", value.max(needed)))
            }
            Some(found) => Check::good(what, found),
        });
    };
    let (size, pages) = (facts.size, facts.size.div_ceil(PAGE));
    let largest = format!("a segment of {size} bytes is larger than that");
    limit("shmmax", facts.shmmax, size, largest, "kernel.shmmax", size);
    let all = facts.segments_pages.saturating_add(pages);
    let memory = format!("{} pages are in use, and a channel takes {pages}", facts.segments_pages);
    limit("shmall", facts.shmall, all, memory, "kernel.shmall", all);
    let segments = format!("{} segments are in use: remove stale ones (semring ls --all)", facts.segments);
    limit("shmmni", facts.shmmni, facts.segments + 1, segments, "kernel.shmmni", 4096);
    checks.push(semaphores(facts));
    checks
}

/// Semaphores of a channel for as many as can be.
const SET: u64 = 133;
/// Operations of one semop(2) that 64 participants need.
const OPERATIONS: u64 = 68;

fn semaphores(facts: &Facts) -> Check {
    let Some([per_set, all, operations, sets]) = facts.sem else {
        return Check::bad("kernel.sem", "unknown", "kernel.sem cannot be read", "mount /proc");
    };
    let found = format!("SEMMSL {per_set}, SEMMNS {all}, SEMOPM {operations}, SEMMNI {sets}");
    let wrong = if operations < OPERATIONS {
        format!(
            "a channel has room for {} participants only, for SEMOPM is low",
            operations.saturating_sub(4)
        )
    } else if per_set < SET {
        format!("a channel for 64 participants takes a set of {SET}")
    } else if all < facts.semaphores + SET {
        format!("{} semaphores are in use, and a channel takes {SET}", facts.semaphores)
    } else if sets < facts.sets + 1 {
        format!("{} sets are in use: remove stale ones (semring ls --all)", facts.sets)
    } else {
        return Check::good("kernel.sem", found);
    };
    let (all, sets) = (all.max(32_000), sets.max(facts.sets + 128));
    let fix = format!(
        "sysctl -w kernel.sem='{} {} {} {sets}'",
        per_set.max(250),
        all.max(facts.semaphores + 128 * SET),
        operations.max(500)
    );
    Check::bad("kernel.sem", found, wrong, fix)
}

/// Logind removes the objects of an ordinary user who has logged out for the last time.
fn remove_ipc(facts: &Facts) -> Check {
    let what = "RemoveIPC";
    match (facts.logind, facts.remove_ipc, facts.ordinary_user, facts.lingers) {
        (false, ..) => Check::good(what, "systemd-logind is not running"),
        (_, false, ..) => Check::good(what, "no"),
        (.., false, _) => Check::good(what, "yes, but not for system users as this one"),
        (.., true) => Check::good(what, "yes, but this user lingers"),
        _ => Check::bad(
            what,
            "yes",
            "channels of this user vanish when the user logs out, services' too",
            "RemoveIPC=no in /etc/systemd/logind.conf, or loginctl enable-linger",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl Fn(&mut Facts)) -> Vec<(&'static str, String)> {
        let mut facts = Facts::healthy();
        change(&mut facts);
        let bad = judge(&facts).into_iter().filter_map(|check| Some((check.what, check.fix?)));
        bad.collect()
    }

    #[test]
    fn a_healthy_system_has_nothing_wrong() {
        assert_eq!(wrong(|_| ()), []);
    }

    #[test]
    fn each_thing_that_would_go_wrong_is_named_with_its_remedy() {
        let size = Facts::healthy().size;
        type Change = fn(&mut Facts);
        let cases: [(&str, &str, Change); 10] = [
            ("shmmax", "kernel.shmmax=", |f| f.shmmax = Some(f.size - 1)),
            ("shmall", "kernel.shmall=", |f| f.shmall = Some(f.segments_pages + 1)),
            ("shmmni", "kernel.shmmni=4096", |f| f.shmmni = Some(f.segments)),
            ("shmmni", "/proc", |f| f.shmmni = None),
            ("kernel.sem", "'32000 1024000000 500 32000'", |f| {
                f.sem = Some([32_000, 1_024_000_000, 67, 32_000])
            }),
            ("kernel.sem", "'250 ", |f| f.sem = Some([132, 1_024_000_000, 500, 32_000])),
            ("kernel.sem", " 500 ", |f| f.sem = Some([250, f.semaphores + 132, 500, 32_000])),
            ("kernel.sem", "kernel.sem", |f| f.sem = Some([250, 1_024_000_000, 500, f.sets])),
            ("RemoveIPC", "RemoveIPC=no", |f| (f.logind, f.remove_ipc, f.ordinary_user) = (true, true, true)),
            ("membarrier", "seccomp", |f| f.membarrier = Err("refused".into())),
        ];
        for (what, fix, change) in cases {
            let found = wrong(change);
            assert!(found.len() == 1 && found[0].0 == what && found[0].1.contains(fix), "{what}: {found:?}");
        }
        assert!(wrong(|f| f.shmmax = Some(1))[0].1.ends_with(&format!("={size}")));
    }

    #[test]
    fn logind_leaves_system_users_and_those_who_linger_alone() {
        for (ordinary, lingers) in [(false, false), (true, true)] {
            let found = wrong(|f| {
                (f.logind, f.remove_ipc, f.ordinary_user, f.lingers) = (true, true, ordinary, lingers);
            });
            assert_eq!(found, []);
        }
    }
}
