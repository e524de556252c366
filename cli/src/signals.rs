//! SIGINT, SIGTERM and SIGHUP end a command in order: it leaves its channel and then exits with 128 and the number.
//!
//! A thread receives the signals. The first one is noted, cancels whatever the command waits for in a channel, and
//! closes a pipe that the command polls together with its standard input. A second one, or a command that is stuck
//! elsewhere for longer than the grace period (in a write to standard output that nobody reads), ends the process at
//! once: the kernel then leaves the channel for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use semring::Canceller;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;

/// The signals that this process was sent.
pub(crate) struct Signals {
    shared: Arc<Shared>,
    /// At its end once a signal was caught.
    caught: OwnedFd,
}

struct Shared {
    /// The first signal; 0 before.
    first: AtomicI32,
    canceller: Mutex<Option<Canceller>>,
}

impl Signals {
    /// Handles signals from now on; after the first the process has `grace` to end by itself.
    pub(crate) fn handle(grace: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared { first: AtomicI32::new(0), canceller: Mutex::new(None) });
        let (caught, open) = pipe2(OFlag::O_CLOEXEC)?;
        let mut incoming = Incoming::new([SIGINT, SIGTERM, SIGHUP])?;
        let mine = Arc::clone(&shared);
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut open = Some(open);
            for signal in incoming.forever() {
                if open.is_none() {
                    std::process::exit(128 + signal);
                }
                mine.first.store(signal, Ordering::SeqCst);
                mine.cancel();
                open = None;
                thread::spawn(move || {
                    thread::sleep(grace);
                    if !grace.is_zero() {
                        eprintln!("semring: still busy {grace:?} after signal {signal}: gave up");
                    }
                    std::process::exit(128 + signal);
                });
            }
        })?;
        Ok(Signals { shared, caught })
    }

    /// From now on a signal, also one that came before, cancels what this canceller belongs to.
    pub(crate) fn cancel(&self, canceller: Canceller) {
        *self.shared.canceller.lock().unwrap_or_else(PoisonError::into_inner) = Some(canceller);
        if self.caught().is_some() {
            self.shared.cancel();
        }
    }

    /// The first signal, if there was one.
    pub(crate) fn caught(&self) -> Option<i32> {
        match self.shared.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Waits until `input` can be read or is at its end (`None`), or a signal comes.
    pub(crate) fn wait_readable(&self, input: BorrowedFd<'_>) -> io::Result<Option<i32>> {
        let mut fds =
            [PollFd::new(input, PollFlags::POLLIN), PollFd::new(self.caught.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => return Ok(self.caught()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sleeps, but not past a signal.
    pub(crate) fn sleep(&self, duration: Duration) -> Option<i32> {
        let timeout = PollTimeout::try_from(duration).unwrap_or(PollTimeout::MAX);
        // Whether it was the time, the signal or an interruption: the caller looks again anyway.
        let _ = poll(&mut [PollFd::new(self.caught.as_fd(), PollFlags::POLLIN)], timeout);
        self.caught()
    }
}

impl Shared {
    fn cancel(&self) {
        if let Some(canceller) = &*self.canceller.lock().unwrap_or_else(PoisonError::into_inner) {
            canceller.cancel();
        }
    }
}
