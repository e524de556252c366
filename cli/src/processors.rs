//! Which processors the two ends of a measurement run on.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The first two processors that we may use and that do not share a core; none if there is but one.
///
/// # Errors
/// Those of sched_getaffinity(2).
pub fn of_two_cores() -> io::Result<Option<[usize; 2]>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut allowed = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
    let core = |cpu: usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let Some(first) = allowed.next() else { return Ok(None) };
    let siblings = core(first);
    let second = allowed.find(|cpu| siblings.is_empty() || core(*cpu) != siblings);
    Ok(second.map(|second| [first, second]))
}

/// Keeps the calling thread on one processor.
///
/// # Errors
/// Those of sched_setaffinity(2).
pub fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
