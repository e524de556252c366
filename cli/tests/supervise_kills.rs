//! Supervisors that are killed, at random and at every step of a start: no service is lost, none runs twice, none is
//! restarted needlessly. `SEMRING_SUPERVISOR_KILLS` says how many random deaths, `SEMRING_SUPERVISOR_STEPS=1` asks for
//! every step instead of some.

mod common;

use std::time::{Duration, Instant};

use common::supervised::*;
use common::*;
use semring::heartbeat::Board;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Deterministic enough, and other numbers each time.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        Dice(u64::from(std::process::id()) << 20 | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[test]
fn supervisors_killed_at_random_lose_double_and_restart_nothing() {
    let kills = number("SEMRING_SUPERVISOR_KILLS", 40);
    let pace = "backoff = '0s'\nhealthy = '0s'\nstarts = 1000000";
    let mut set = Supervised::new(&NAMES.map(|name| service(name, SLEEP, pace)).concat());
    set.supervise();
    NAMES.iter().for_each(|name| set.until_run(name, 1));
    let board = set.board().unwrap();
    let (mut dice, mut runs) = (Dice::new(), [1; NAMES.len()]);
    let mut done = 0;
    while done < kills {
        if set.reap() < 3 {
            set.supervise();
        }
        // Sometimes there is a service to be started again, too.
        if dice.below(3) == 0 {
            let i = dice.below(NAMES.len() as u64) as usize;
            if kill_service(&set, NAMES[i], runs[i]) {
                runs[i] += 1;
            }
        }
        std::thread::sleep(Duration::from_micros(dice.below(20_000)));
        if let Ok(Some(keeper)) = board.keeper() {
            signal(keeper, SIGKILL);
            done += 1;
        }
    }
    set.supervise();
    for (name, runs) in NAMES.iter().zip(runs) {
        set.until_run(name, runs);
    }
    set.assert_none_doubled();
    println!(
        "{kills} supervisors killed, {} services; none lost, doubled or restarted needlessly",
        runs.iter().sum::<usize>() - NAMES.len()
    );
    set.end_all();
}

/// Kills a service that is known to run for the `runs`th time.
fn kill_service(set: &Supervised, name: &str, runs: usize) -> bool {
    let known = set.runs(name);
    let Some(&pid) = known.get(runs - 1) else { return false };
    if set.alive(name) == Some(pid) {
        signal(pid, SIGKILL);
        return true;
    }
    false
}

/// From the death of a service to the moment when its successor holds its place.
#[test]
fn a_service_is_back_at_once() {
    let pace = "backoff = '0s'\nhealthy = '0s'\nstarts = 1000000";
    let mut set = Supervised::new(&service("a", SLEEP, pace));
    set.supervise();
    set.until_run("a", 1);
    let board: Board = set.board().unwrap();
    let place = board.place("a").unwrap().unwrap();
    let mut times = Vec::new();
    for i in 0..number("SEMRING_SUPERVISOR_DEATHS", 20) as usize {
        let (starts, pid) = (place.member().unwrap().starts, set.runs("a")[i]);
        let since = Instant::now();
        signal(pid, SIGKILL);
        while place.member().unwrap().starts == starts {
            assert!(since.elapsed() < LIMIT, "{}", set.read("events"));
            std::thread::sleep(Duration::from_micros(50));
        }
        times.push(since.elapsed());
        set.until_run("a", i + 2);
    }
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{} deaths: back after {:?} (median), {:?} (99 %), {:?} (most)",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
    set.end();
}

/// A step is a system call; what a supervisor does between two of them nobody sees, but for words of the board. So it is killed
/// some instructions behind each.
#[cfg(target_arch = "x86_64")]
mod steps {
    use std::os::unix::process::CommandExt;
    use std::process::Child;

    use super::*;
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;

    /// `poll` of x86_64.
    const POLL: u64 = 7;

    /// A supervisor that stops at every system call, and has just become the program.
    fn traced(set: &Supervised) -> Option<(Child, Pid)> {
        let mut command = set.command();
        // SAFETY: a system call only.
        unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("skipped: ptrace is forbidden here: {error}");
                return None;
            }
        };
        let pid = Pid::from_raw(child.id() as i32);
        assert!(matches!(waitpid(pid, None), Ok(WaitStatus::Stopped(_, Signal::SIGTRAP))));
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(pid, options | Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACECLONE)
            .unwrap();
        Some((child, pid))
    }

    /// The process or thread that it has made, stopped.
    fn born(pid: Pid) -> Pid {
        let child = Pid::from_raw(ptrace::getevent(pid).unwrap() as i32);
        waitpid(child, Some(WaitPidFlag::__WALL)).unwrap();
        child
    }

    /// Lets it go to the next begin or end of a call. The child that it forks is let go, or returned.
    fn step(pid: Pid, want_child: bool) -> Result<Option<Pid>, WaitStatus> {
        let mut pass = None;
        loop {
            ptrace::syscall(pid, pass.take()).unwrap();
            match waitpid(pid, None).unwrap() {
                WaitStatus::PtraceSyscall(_) => return Ok(None),
                WaitStatus::PtraceEvent(_, _, event) => {
                    // The other one is the supervisor's second thread, which only sleeps.
                    let wanted = want_child && event == nix::libc::PTRACE_EVENT_FORK;
                    let child = born(pid);
                    if wanted {
                        return Ok(Some(child));
                    }
                    ptrace::detach(child, None).unwrap();
                }
                WaitStatus::Stopped(_, signal) => pass = Some(signal),
                ended => return Err(ended),
            }
        }
    }

    /// Some instructions more; no further than the next thing that happens, and not into a sleep without end.
    fn instructions(pid: Pid, count: u64) {
        const SYSCALL: i64 = 0x050f;
        for _ in 0..count {
            let registers = ptrace::getregs(pid).unwrap();
            let next = ptrace::read(pid, registers.rip as ptrace::AddressType).unwrap_or(0) & 0xffff;
            if sleeps(pid) || next == SYSCALL && registers.rax == POLL && (registers.rdx as i32) < 0 {
                return;
            }
            ptrace::step(pid, None).unwrap();
            match waitpid(pid, None) {
                Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => {}
                // Nobody would wait for it.
                Ok(WaitStatus::PtraceEvent(..)) => return ptrace::detach(born(pid), None).unwrap(),
                _ => return,
            }
        }
    }

    /// Has it gone to sleep, with everything started?
    fn sleeps(pid: Pid) -> bool {
        let registers = ptrace::getregs(pid).unwrap();
        registers.orig_rax == POLL && (registers.rdx as i32) < 0
    }

    /// Kills the supervisor at each step of its start; the next one finds one service, or starts one.
    #[test]
    fn a_supervisor_killed_at_each_step_of_its_start() {
        let all = number("SEMRING_SUPERVISOR_STEPS", 0) != 0;
        let mut set = Supervised::new(&service("a", SLEEP, ""));
        let Some((mut child, pid)) = traced(&set) else { return };
        let mut steps = 0;
        while !sleeps(pid) {
            step(pid, false).unwrap();
            steps += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        set.supervise();
        set.until_run("a", 1);
        set.end();
        let stride = if all { 1 } else { 23 };
        let mut dice = Dice::new();
        let mut at = dice.below(stride);
        let mut points = 0;
        while at < steps {
            let mut set = Supervised::new(&service("a", SLEEP, ""));
            let (mut child, pid) = traced(&set).unwrap();
            // The last ones vary: it looks at all processes that there are.
            for _ in 0..at {
                if sleeps(pid) {
                    break;
                }
                step(pid, false).unwrap();
            }
            instructions(pid, dice.below(300));
            child.kill().unwrap();
            child.wait().unwrap();
            set.supervise();
            set.until(&format!("after step {at} it runs"), || {
                set.alive("a").is_some_and(|pid| set.runs("a") == [pid])
            });
            set.assert_none_doubled();
            set.end();
            assert_eq!(set.runs("a").len(), 1, "step {at}");
            (at, points) = (at + stride, points + 1);
        }
        println!("supervisor killed at {points} of {steps} steps of its start: one service, once, each time");
    }

    /// Kills the child at each step between fork and exec: its place is free, and another one is started.
    #[test]
    fn a_child_killed_at_each_step_before_it_is_the_program() {
        let set = Supervised::new(&service("a", SLEEP, ""));
        let Some((child, _)) = traced(&set) else { return };
        drop((child, set));
        for at in 0.. {
            let mut set = Supervised::new(&service("a", SLEEP, "backoff = '0s'\nstarts = 1000"));
            let (child, pid) = traced(&set).unwrap();
            let born = loop {
                if let Some(born) = step(pid, true).unwrap() {
                    break born;
                }
            };
            ptrace::detach(pid, None).unwrap();
            set.adopt(child);
            let mut executed = false;
            for _ in 0..at {
                let before = ptrace::getregs(born).unwrap();
                step(born, false).unwrap();
                // The stop that execve ends with shows another stack.
                executed |= before.orig_rax == 59 && ptrace::getregs(born).unwrap().rsp != before.rsp;
            }
            nix::sys::signal::kill(born, Signal::SIGKILL).unwrap();
            set.until("one runs", || set.alive("a").is_some_and(|pid| set.runs("a").last() == Some(&pid)));
            set.assert_none_doubled();
            let runs = set.runs("a").len();
            set.end();
            assert!(runs <= 1 + usize::from(executed), "step {at}: {runs} runs");
            if executed {
                println!("child killed at each of {at} steps: another one runs each time");
                return;
            }
        }
    }
}
