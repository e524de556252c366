//! For tests only: objects that are removed even when the test fails, children, signals.
#![allow(unsafe_code)]

use super::{process, sem, shm};
use std::ptr;

/// A segment that is removed at the end of the test.
pub(crate) struct Segment(pub(crate) i32);

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = shm::remove(self.0);
    }
}

/// A semaphore set that is removed at the end of the test.
pub(crate) struct Set(pub(crate) i32);

impl Set {
    /// A private set of `n` semaphores.
    pub(crate) fn new(n: usize) -> Self {
        Self(sem::get(libc::IPC_PRIVATE, n, sem::CREATE | 0o600).expect("semget"))
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let _ = sem::remove(self.0);
    }
}

/// A forked child; killed and reaped at the end of the test.
pub(crate) struct Child(i32);

/// Forks; the child runs `body`, which must not allocate more than it must, and exits with its result.
pub(crate) fn fork(body: impl FnOnce() -> i32) -> Child {
    // SAFETY: the child does only what `body` does, and leaves with _exit.
    match unsafe { libc::fork() } {
        0 => {
            let code = body();
            // SAFETY: _exit does not return and runs no handlers of the parent's.
            unsafe { libc::_exit(code) }
        }
        pid => {
            assert!(pid > 0, "fork");
            Child(pid)
        }
    }
}

impl Child {
    pub(crate) fn pid(&self) -> i32 {
        self.0
    }

    /// SIGKILL, and wait until it is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Waits for the exit code; 128 and the signal if it was killed.
    pub(crate) fn wait(mut self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the status of our own child.
        let pid = unsafe { libc::waitpid(self.0, &mut status, 0) };
        assert_eq!(pid, self.0);
        self.0 = 0;
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
    }

    fn end(&mut self) {
        if self.0 > 0 {
            // SAFETY: our own child, not reaped yet, so the pid is not reused.
            unsafe { libc::kill(self.0, libc::SIGKILL) };
            // SAFETY: our own child; waitpid accepts a null status.
            unsafe { libc::waitpid(self.0, ptr::null_mut(), 0) };
            self.0 = 0;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sleeps until killed.
pub(crate) fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: pause only waits.
        unsafe { libc::pause() };
    }
}

extern "C" fn ignore(_: libc::c_int) {}

/// The calling thread, as a target for [`Thread::interrupt`].
#[derive(Clone, Copy)]
pub(crate) struct Thread(libc::pthread_t);

impl Thread {
    /// Installs a handler for SIGUSR1 that does nothing, and returns the calling thread.
    pub(crate) fn current() -> Self {
        let handler: extern "C" fn(libc::c_int) = ignore;
        // SAFETY: the handler does nothing, so it is async-signal-safe.
        unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
        // SAFETY: pthread_self has no preconditions.
        Self(unsafe { libc::pthread_self() })
    }

    /// Makes the thread's system call return EINTR. The thread must still run.
    pub(crate) fn interrupt(self) {
        // SAFETY: the tests join the thread only after this.
        unsafe { libc::pthread_kill(self.0, libc::SIGUSR1) };
    }
}

/// ftok(3), to compare with.
pub(crate) fn ftok(path: &std::ffi::CStr, project: u8) -> i32 {
    // SAFETY: `path` is a C string.
    unsafe { libc::ftok(path.as_ptr(), i32::from(project)) }
}

/// `pid` of the test process, to show that children are others.
pub(crate) fn own_pid() -> i32 {
    process::pid()
}

/// In a child: gives up root, its groups and its capabilities.
pub(crate) fn become_nobody() -> bool {
    const NOBODY: u32 = 65_534;
    // SAFETY: no groups, so no memory is read.
    let groups = unsafe { libc::setgroups(0, ptr::null()) };
    // SAFETY: setgid takes an integer only.
    let gid = unsafe { libc::setgid(NOBODY) };
    // SAFETY: setuid takes an integer only.
    let uid = unsafe { libc::setuid(NOBODY) };
    (groups, gid, uid) == (0, 0, 0)
}
