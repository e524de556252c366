//! The signals of a supervisor: they wait until they are read.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::Pid;

/// Wakes the keeper: there is something new on the board.
pub(crate) const NUDGE: Signal = Signal::SIGUSR1;

/// The signals that are read, not suffered.
pub(crate) fn signals() -> SigSet {
    let all = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, NUDGE, Signal::SIGCHLD];
    all.into_iter().collect()
}

/// Blocks signals from now on; children start with none blocked.
pub(crate) fn block(signals: &SigSet) -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(signals), None)?)
}

/// Wakes this process's one thread that reads signals, from any other.
pub(crate) fn nudge_self() {
    let _cannot_fail = kill(Pid::this(), NUDGE);
}
