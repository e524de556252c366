//! The signals of a supervisor: they wait until they are read.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use semring::Error;

/// Wakes the keeper: there is something new on the board.
pub(crate) const NUDGE: Signal = Signal::SIGUSR1;

/// The signals that are read, not suffered.
fn signals() -> SigSet {
    let all = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, NUDGE, Signal::SIGCHLD];
    all.into_iter().collect()
}

/// Blocks them from now on; children start with none blocked.
pub(crate) fn block() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals()), None)?)
}

/// Where blocked signals are read.
pub(crate) fn incoming() -> Result<SignalFd, Error> {
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&signals(), flags)
        .map_err(|error| Error::Invalid { what: "signals", detail: error.to_string() })
}

/// The next one that is there.
pub(crate) fn read(incoming: &SignalFd) -> Option<Signal> {
    let signal = incoming.read_signal().ok().flatten()?;
    Signal::try_from(signal.ssi_signo as i32).ok()
}

/// Wakes this process's one thread that reads signals, from any other.
pub(crate) fn nudge_self() {
    let _cannot_fail = kill(Pid::this(), NUDGE);
}
