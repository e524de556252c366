//! The system calls of the tests: what the library does not offer, or what must not depend on it.

use std::time::Duration;

/// The user and group that root becomes: `nobody` on most systems.
pub(crate) const NOBODY: u32 = 65_534;

pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// Gives every privilege up, for all threads of this process.
pub(crate) fn become_nobody() {
    // SAFETY: an empty list of groups is never read.
    let groups = unsafe { libc::setgroups(0, std::ptr::null()) };
    // SAFETY: integers only.
    let group = unsafe { libc::setgid(NOBODY) };
    // SAFETY: integers only.
    let user = unsafe { libc::setuid(NOBODY) };
    assert_eq!(
        (groups, group, user),
        (0, 0, 0),
        "setgroups, setgid, setuid: {}",
        std::io::Error::last_os_error()
    );
    die_with_parent(); // a change of user forgets it
}

/// The kernel kills this process when the thread that made it ends.
pub(crate) fn die_with_parent() {
    // SAFETY: integers only.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    assert_eq!(result, 0);
}

/// Has a command's process die with the thread that spawns it.
pub(crate) fn tie(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let between = || {
        // SAFETY: integers only; async-signal-safe, as the child of a threaded process needs it.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe { command.pre_exec(between) };
}

pub(crate) fn signal(pid: u32, signal: i32) {
    // SAFETY: integers only; the pid is a child's that was not waited for.
    let result = unsafe { libc::kill(pid as i32, signal) };
    assert_eq!(result, 0, "kill: {}", std::io::Error::last_os_error());
}

/// Are all threads of a process stopped? From proc_pid_stat(5): the state is behind the name in parentheses.
pub(crate) fn all_stopped(pid: u32) -> bool {
    let stopped = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
        stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    };
    std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|mut tasks| tasks.all(stopped))
}

pub(crate) fn at_exit(run: extern "C" fn()) {
    // SAFETY: a function without arguments that does not unwind.
    let result = unsafe { libc::atexit(run) };
    assert_eq!(result, 0);
}

/// Ends the process at once: no destructors, no `atexit`.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(status) }
}

pub(crate) fn find_segment(key: i32) -> Option<i32> {
    // SAFETY: integers only.
    let id = unsafe { libc::shmget(key, 0, 0) };
    (id != -1).then_some(id)
}

pub(crate) fn find_set(key: i32) -> Option<i32> {
    // SAFETY: integers only.
    let id = unsafe { libc::semget(key, 0, 0) };
    (id != -1).then_some(id)
}

/// What `ipcrm -M` does.
pub(crate) fn remove_segment(key: i32) {
    if let Some(id) = find_segment(key) {
        // SAFETY: IPC_RMID reads no buffer.
        unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// What `ipcrm -S` does.
pub(crate) fn remove_set(key: i32) {
    if let Some(id) = find_set(key) {
        // SAFETY: IPC_RMID takes no fourth argument.
        unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
    }
}

/// User and system time of this process so far.
pub(crate) fn cpu_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: there is room for one rusage.
    let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    assert_eq!(result, 0);
    // SAFETY: filled in by getrusage; it consists of integers anyway.
    let usage = unsafe { usage.assume_init() };
    [usage.ru_utime, usage.ru_stime]
        .into_iter()
        .map(|t| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000))
        .sum()
}

/// Forks; the child runs `run` and ends with its result. Only for processes whose other threads hold no locks.
pub(crate) fn fork(run: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the only other thread is the test harness's, which sleeps.
    let pid = unsafe { libc::fork() };
    assert_ne!(pid, -1, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        die_with_parent();
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or(101);
        exit_now(status);
    }
    pid
}

/// Leaves a namespace for a new one; false if we may not.
pub(crate) fn unshare(flags: i32) -> bool {
    // SAFETY: integers only.
    unsafe { libc::unshare(flags) == 0 }
}

/// The exit status of a forked child, or minus the signal that ended it.
pub(crate) fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` has room for the one integer.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(waited, pid, "waitpid: {}", std::io::Error::last_os_error());
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

/// A thread that signals can be sent to.
#[derive(Clone, Copy)]
pub(crate) struct Thread(usize);

/// The calling thread, with a handler for SIGUSR1 that does nothing and does not restart system calls.
pub(crate) fn interruptible() -> Thread {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: a sigaction consists of integers and a handler, for which zeroes (SIG_DFL) are valid.
    let mut action: libc::sigaction = unsafe { std::mem::MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler does nothing, so it is async-signal-safe; the old action is not asked for.
    let result = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
    // SAFETY: no preconditions.
    Thread(unsafe { libc::pthread_self() } as usize)
}

impl Thread {
    /// Sends it SIGUSR1. It must not have ended.
    pub(crate) fn interrupt(self) {
        // SAFETY: the thread was not joined: whoever interrupts it says so by calling.
        unsafe { libc::pthread_kill(self.0 as libc::pthread_t, libc::SIGUSR1) };
    }
}

/// Makes the calling process the leader of a session with a controlling terminal, and gives both ends of it.
pub(crate) fn take_terminal() -> [std::fs::File; 2] {
    // SAFETY: setsid has no preconditions.
    assert_ne!(unsafe { libc::setsid() }, -1, "{}", std::io::Error::last_os_error());
    open_terminal()
}

/// Both ends of a new terminal. For the leader of a session that has none it becomes its controlling terminal.
pub(crate) fn open_terminal() -> [std::fs::File; 2] {
    use std::os::fd::AsRawFd;
    let open =
        |path: &str| std::fs::OpenOptions::new().read(true).write(true).open(path).expect("a terminal");
    let master = open("/dev/ptmx");
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one integer.
    assert_eq!(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlock) }, 0);
    let mut number: libc::c_int = 0;
    // SAFETY: TIOCGPTN stores one integer.
    assert_eq!(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &mut number) }, 0);
    let slave = open(&format!("/dev/pts/{number}"));
    [master, slave]
}

/// Has a change of user leave the capabilities alone: SECBIT_NO_SETUID_FIXUP, from <linux/securebits.h>.
pub(crate) fn keep_capabilities() {
    const NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;
    // SAFETY: integers only.
    let result = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) };
    assert_eq!(result, 0, "PR_SET_SECUREBITS: {}", std::io::Error::last_os_error());
}

/// Another descriptor of a file, one that exec leaves open. Nobody owns it.
pub(crate) fn without_close_on_exec(file: &std::fs::File) -> i32 {
    use std::os::fd::AsRawFd;
    // SAFETY: dup takes an integer and closes nothing.
    let number = unsafe { libc::dup(file.as_raw_fd()) };
    assert_ne!(number, -1);
    number
}

/// No further processes for this one's user, unless that is root.
pub(crate) fn forbid_processes() {
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: reads one rlimit.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &limit) };
    assert_eq!(result, 0, "RLIMIT_NPROC: {}", std::io::Error::last_os_error());
}
