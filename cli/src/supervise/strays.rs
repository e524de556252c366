//! What a service has left behind when its main process ended: it forked away, or had children. They are found by their
//! session, which is the service's own, and, if they left that, by their environment: then they were handed to us, or to
//! an ancestor of ours while no supervisor lived.

use std::fs;

use semring::heartbeat::{BOARD_VARIABLE, SERVICE_VARIABLE};

use super::pidfd::PidFd;

/// What /proc/PID/stat says (proc_pid_stat(5)).
struct Stat {
    zombie: bool,
    parent: i32,
    session: i32,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Stat { zombie: matches!(state, "Z" | "X"), parent, session })
}

/// This process and those above it: who gets the orphans.
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

fn is_marked(pid: i32, board: &str, service: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let has = |variable: &str, value: &str| {
        let wanted = format!("{variable}={value}");
        environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    has(SERVICE_VARIABLE, service) && has(BOARD_VARIABLE, board)
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

/// The living processes of a service whose main process was `main` and has ended. If that was our child, the first of them
/// are so now, too, and the others will be when those have ended; otherwise they can be anywhere.
pub(crate) fn find(main: i32, was_ours: bool, board: &str, service: &str) -> Vec<PidFd> {
    let adopters = ancestors();
    let is_stray = |pid: i32| {
        stat(pid).is_some_and(|stat| {
            let orphan = adopters.contains(&stat.parent) && !adopters.contains(&pid);
            !stat.zombie && (stat.session == main || orphan && is_marked(pid, board, service))
        })
    };
    let candidates = if was_ours { children() } else { None }.unwrap_or_else(all);
    let strays = candidates.into_iter().filter(|&pid| pid != main && is_stray(pid));
    // Asked again when its pidfd is open: another process may have got the number.
    strays.filter_map(|pid| PidFd::open(pid).ok().filter(|process| is_stray(process.pid()))).collect()
}
