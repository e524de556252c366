//! The signals of a supervisor: they wait until they are read.

use std::io;

use nix::libc;
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

/// Blocks them from now on; children start with none blocked. SIGCHLD is not to be ignored, as whoever started us perhaps
/// did: then children would leave no status, and their numbers would not wait until we have taken it (waitpid(2)). A log that
/// may not grow (RLIMIT_FSIZE) is an error, and not the end of us.
pub(crate) fn block() -> io::Result<()> {
    dispose(libc::SIGCHLD, libc::SIG_DFL);
    dispose(libc::SIGXFSZ, libc::SIG_IGN);
    Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals()), None)?)
}

/// Lets a program begin as usual, and not with what whoever started us ignored; called between fork and exec.
pub(crate) fn begin_anew() -> io::Result<()> {
    (1..=libc::SIGRTMAX()).for_each(|signal| dispose(signal, libc::SIG_DFL));
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// What the kernel is to do with a signal: SIG_DFL or SIG_IGN. Some can be changed by nobody.
fn dispose(signal: i32, how: libc::sighandler_t) {
    // SAFETY: a system call, and no function of ours that would be called.
    let _not_to_be_changed = unsafe { libc::signal(signal, how) };
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
