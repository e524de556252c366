//! Processes of the tool's own: it starts itself again, with a hidden command.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// This program once more. Its file may have been replaced since; this is the one that runs.
pub(crate) fn command(hidden: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("semring").arg(hidden);
    command
}

/// Ties this process to the one that started it: the kernel sends it this signal when that one dies.
pub(crate) fn follow(parent: u32, signal: Signal) -> io::Result<()> {
    // Not "exe", as it would be after the link that we were started by.
    prctl::set_name(c"semring")?;
    prctl::set_pdeathsig(signal)?;
    if is_orphan(parent) {
        // The parent was gone before we asked.
        nix::sys::signal::raise(signal)?;
    }
    Ok(())
}

/// Is somebody else the parent of this process now?
pub(crate) fn is_orphan(parent: u32) -> bool {
    getppid() != Pid::from_raw(parent as i32)
}
