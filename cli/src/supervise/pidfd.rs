//! A process that is watched and signalled through a pidfd: never another one that got its number.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

/// `PIDFD_SIGNAL_PROCESS_GROUP` of pidfd_send_signal(2), Linux 6.9.
const PROCESS_GROUP: libc::c_uint = 1 << 2;

#[derive(Debug)]
pub(crate) struct PidFd {
    fd: OwnedFd,
    pid: i32,
}

/// How a process ended, as far as we can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exited(i32),
    Killed(i32),
    /// It was not our child: nobody tells us.
    Unknown,
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

impl PidFd {
    /// Whoever has that number now. The caller makes sure afterwards that it is who was meant.
    pub(crate) fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: pidfd_open takes integers only.
        let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
        // SAFETY: a new descriptor, which nobody else has; it is closed by execve.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        Ok(PidFd { fd, pid })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Has it ended, all its threads?
    pub(crate) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
    }

    /// Signals the process.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        self.send(signal, 0)
    }

    /// Signals the process group that it leads, or itself on an older kernel. One that is gone is as good.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if self.send(signal, PROCESS_GROUP).is_err() {
            let _gone = self.send(signal, 0);
        }
    }

    fn send(&self, signal: Signal, flags: libc::c_uint) -> io::Result<()> {
        let (fd, none) = (self.fd.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: a descriptor of ours, and no siginfo.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal as i32, none, flags) };
        check(result).map(drop)
    }

    /// Takes the status of one that has ended, if it is our child: from now on its number may be given to another.
    pub(crate) fn reap(&self) -> End {
        self.status(WaitPidFlag::empty())
    }

    /// As [`reap`](Self::reap), but its number stays its own.
    pub(crate) fn end(&self) -> End {
        self.status(WaitPidFlag::WNOWAIT)
    }

    fn status(&self, how: WaitPidFlag) -> End {
        match waitid(Id::PIDFd(self.fd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | how) {
            Ok(WaitStatus::Exited(_, status)) => End::Exited(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => End::Killed(signal as i32),
            _ => End::Unknown,
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_number_of_one_that_is_gone_is_nobodys() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = PidFd::open(child.id() as i32).unwrap();
        assert!(!process.has_ended());
        process.signal(Signal::SIGTERM).unwrap();
        let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::NONE), Ok(1));
        assert_eq!(process.end(), End::Killed(15));
        assert_eq!(process.reap(), End::Killed(15));
        assert_eq!(process.reap(), End::Unknown);
        assert!(process.has_ended());
        assert_eq!(process.signal(Signal::SIGTERM).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        assert!(child.wait().is_err(), "reaped above");
        assert!(PidFd::open(i32::MAX).is_err());
    }
}
