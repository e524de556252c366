//! The system calls of the crash tests: processes, signals, processors. `tracer` has ptrace(2).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A process id.
pub(crate) type Pid = libc::pid_t;

/// Exit status of a child that panicked, as of a test.
const PANICKED: i32 = 101;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// Forks; the child runs `run`, ends with its result and no destructors, and does not outlive the parent. For
/// processes with one thread only: the child uses the allocator.
pub(crate) fn fork(run: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: no preconditions; that there is no other thread is the caller's business.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        // SAFETY: integers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let status = catch_unwind(AssertUnwindSafe(run)).unwrap_or(PANICKED);
        // SAFETY: no preconditions.
        unsafe { libc::_exit(status) }
    }
    Ok(pid)
}

/// Waits for a change of a child, as waitpid(2) reports it; `None` if there is none and `flags` have WNOHANG.
pub(crate) fn wait_status(pid: Pid, flags: i32) -> io::Result<Option<i32>> {
    loop {
        let mut status = 0;
        // SAFETY: `status` has room for the one integer.
        match check(unsafe { libc::waitpid(pid, &mut status, flags) }) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(status)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn end_of(status: i32) -> End {
    if libc::WIFEXITED(status) {
        End::Exit(libc::WEXITSTATUS(status))
    } else {
        End::Signal(libc::WTERMSIG(status))
    }
}

/// Waits for the end of a child that is not traced.
pub(crate) fn wait(pid: Pid) -> io::Result<End> {
    wait_status(pid, 0)?.map(end_of).ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))
}

/// The end of a child that is not traced, if it has ended.
pub(crate) fn has_ended(pid: Pid) -> io::Result<Option<End>> {
    Ok(wait_status(pid, libc::WNOHANG)?.map(end_of))
}

/// Sends a signal to a child that was not waited for.
pub(crate) fn signal(pid: Pid, signal: i32) {
    // SAFETY: integers only. It can only fail for a process that is gone, which is as good.
    unsafe { libc::kill(pid, signal) };
}

/// SIGKILL, and until the kernel has finished with it: leases undone, the child reaped.
pub(crate) fn kill_and_reap(pid: Pid) {
    signal(pid, libc::SIGKILL);
    while let Ok(Some(status)) = wait_status(pid, 0) {
        if !libc::WIFSTOPPED(status) {
            return;
        }
    }
}

/// Sends SIGUSR1 to ourselves: the mark that the tracer stops at, and that is never delivered.
#[inline(never)]
pub(crate) fn mark() {
    // SAFETY: no preconditions.
    let me = unsafe { libc::getpid() };
    // SAFETY: integers only.
    unsafe { libc::kill(me, libc::SIGUSR1) };
}

/// SIGALRM ends this process after that many seconds, unless it is set again: the limit of what may hang.
pub(crate) fn alarm(seconds: u32) {
    // SAFETY: no preconditions.
    unsafe { libc::alarm(seconds) };
}

/// Keeps this process and its children to one of the processors that it may use: the `nth`, cyclically.
pub(crate) fn pin(nth: usize) {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a set of processors is an array of integers.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for one set.
    if unsafe { libc::sched_getaffinity(0, size, &mut allowed) } == -1 {
        return; // not pinned: slower, and no less right
    }
    let usable: Vec<usize> = (0..libc::CPU_SETSIZE as usize)
        .filter(|&cpu| {
            // SAFETY: below CPU_SETSIZE.
            unsafe { libc::CPU_ISSET(cpu, &allowed) }
        })
        .collect();
    let Some(&cpu) = usable.get(nth % usable.len().max(1)) else { return };
    // SAFETY: as above.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: below CPU_SETSIZE.
    unsafe { libc::CPU_SET(cpu, &mut one) };
    // SAFETY: one set is read.
    unsafe { libc::sched_setaffinity(0, size, &one) };
}

/// Lets others on the same processor go on.
pub(crate) fn give_way() {
    std::thread::yield_now();
}

/// Sleeps.
pub(crate) fn pause(microseconds: u64) {
    std::thread::sleep(Duration::from_micros(microseconds));
}

/// Ctrl-C is for the process that watches.
pub(crate) fn ignore_interrupts() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: SIG_IGN is a valid disposition.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Copies memory of a child that is stopped; `None` if it cannot be read.
pub(crate) fn peek(pid: Pid, address: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; length];
    let ours = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
    let theirs = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: length };
    // SAFETY: `ours` is as long as it says; `theirs` is in another process, where the kernel checks it.
    let read = unsafe { libc::process_vm_readv(pid, &ours, 1, &theirs, 1, 0) };
    (read == length as isize).then_some(bytes)
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
