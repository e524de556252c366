//! What a service has left behind when its main process ended: it forked away, or had children. What proves that a process
//! is one of these:
//!
//! * its environment names board and service, and it is in our IPC namespace: it descends from the service, however far;
//! * its session is the main process's, and that is no other session which got the number since: see [`Main`].

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use nix::unistd::{SysconfVar, sysconf};
use semring::heartbeat::{BOARD_VARIABLE, SERVICE_VARIABLE};

use super::pidfd::PidFd;

/// The main process of a service, which has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Main {
    /// A child of ours, not reaped yet: so its number is its own still, and the first of its orphans are children of ours.
    Child(i32),
    /// Somebody else's child, which has perhaps been reaped. Whoever began before it was seen alive last (nanoseconds of
    /// CLOCK_BOOTTIME) cannot be of a session that got its number afterwards.
    Other(i32, u64),
    /// It ended while nobody looked. Sessions prove nothing.
    Unseen,
}

/// What /proc/PID/stat says (proc_pid_stat(5)).
struct Stat {
    zombie: bool,
    parent: i32,
    session: i32,
    /// Clock ticks since the machine was started.
    began: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let began = fields.nth(15)?.parse().ok()?;
    Some(Stat { zombie: matches!(state, "Z" | "X"), parent, session, began })
}

/// This process and those above it, which may descend from a service themselves, but are not its.
fn ancestors() -> Vec<i32> {
    let mut line = vec![std::process::id() as i32];
    while let Some(parent) = line.last().and_then(|&pid| stat(pid)).map(|stat| stat.parent) {
        if parent == 0 || line.contains(&parent) {
            break;
        }
        line.push(parent);
    }
    line
}

/// Of a process that is not a service's, it is empty or says nothing of a board.
fn environment(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut entries = environment.split(|&byte| byte == 0);
    entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Boards of the same name in other IPC namespaces are others.
fn namespace(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/ipc")).ok()
}

/// The service of that board that its environment names.
fn marked(pid: i32, board: &str) -> Option<String> {
    let environment = environment(pid);
    let service = variable(&environment, SERVICE_VARIABLE)?;
    let ours = variable(&environment, BOARD_VARIABLE)? == board.as_bytes()
        && namespace(&pid.to_string()) == namespace("self");
    ours.then(|| String::from_utf8_lossy(service).into_owned())
}

/// Those that were handed to us when their parents died, and the services themselves. `None` where the kernel does not tell
/// (CONFIG_PROC_CHILDREN).
fn children() -> Option<Vec<i32>> {
    let list = fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).ok()?;
    Some(list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Did it begin before that moment, for certain?
fn began_before(stat: &Stat, nanoseconds: u64) -> bool {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(100, i64::unsigned_abs).max(1);
    let tick = 1_000_000_000 / ticks;
    stat.began.saturating_add(1).saturating_mul(tick) <= nanoseconds
}

impl Main {
    fn pid(self) -> Option<i32> {
        match self {
            Main::Child(pid) | Main::Other(pid, _) => Some(pid),
            Main::Unseen => None,
        }
    }

    /// Is that of its session?
    fn led(self, stat: &Stat) -> bool {
        match self {
            Main::Child(pid) => stat.session == pid,
            Main::Other(pid, seen) => stat.session == pid && began_before(stat, seen),
            Main::Unseen => false,
        }
    }
}

/// The living processes of a service whose main process has ended. If that was our child, the first of them are so now, too,
/// and the others will be when those have ended; otherwise they can be anywhere.
pub(crate) fn find(main: Main, board: &str, service: &str) -> Vec<PidFd> {
    let above = ancestors();
    let is_stray = |pid: i32| {
        stat(pid).is_some_and(|stat| {
            !stat.zombie && (main.led(&stat) || marked(pid, board).is_some_and(|name| name == service))
        })
    };
    let candidates = if matches!(main, Main::Child(_)) { children() } else { None }.unwrap_or_else(all);
    let others = candidates.into_iter().filter(|&pid| Some(pid) != main.pid() && !above.contains(&pid));
    let strays = others.filter(|&pid| is_stray(pid));
    // Asked again when its pidfd is open: another process may have got the number.
    strays.filter_map(|pid| PidFd::open(pid).ok().filter(|process| is_stray(process.pid()))).collect()
}

/// The services of a board of which any process lives: one look at all processes, for many services.
pub(crate) fn living(board: &str) -> HashSet<String> {
    all().into_iter().filter_map(|pid| marked(pid, board)).collect()
}
