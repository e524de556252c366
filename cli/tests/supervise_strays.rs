//! What is left of a service when its main process, its supervisor or its board is gone: it ends before another one starts,
//! and nobody else is taken for it. Real processes.

mod common;

use common::supervised::*;
use common::*;
use nix::libc;

/// Leaves one behind that TERM does not end, and goes on. It has the lock of [`service`]'s open: a second service that
/// starts meanwhile notices.
const LEAVES: &str = "(trap '' TERM; while :; do sleep 0.05; done) & echo $! > stray; exec sleep 1000";

/// Lives, and is no zombie.
fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| !fields.starts_with(" Z"))
}

fn stray(set: &Supervised) -> i32 {
    set.until("one is left", || set.read("stray").ends_with('\n'));
    set.read("stray").trim().parse().unwrap()
}

/// `stop` returned as soon as the main process had ended.
#[test]
fn stop_is_done_when_nothing_is_left_and_names_who_refuses() {
    let mut set = Supervised::new(&service("a", LEAVES, "grace = '3s'"));
    set.supervise();
    set.until_run("a", 1);
    let stray = stray(&set);
    let impatient = ["supervise", "stop", "a", "--board", &set.board, "--timeout", "300ms"];
    run(semring(impatient)).fails(1, &format!("a (processes {stray}, "));
    assert!(lives(stray));
    set.tell("stop", "a").ok();
    assert!(!lives(stray));
    set.end();
}

/// Its strays were nobody's any more: the successor started a second one beside them.
#[test]
fn a_successor_ends_what_is_left_before_it_starts_another() {
    let mut set = Supervised::new(&service("a", LEAVES, "grace = '100ms'\nbackoff = '10ms'"));
    set.supervise();
    set.until_run("a", 1);
    let (main, stray) = (set.alive("a").unwrap(), stray(&set));
    set.kill_supervisor();
    signal(main, SIGKILL);
    set.until("its main process is gone", || set.alive("a").is_none());
    set.supervise();
    set.until_run("a", 2);
    assert!(!lives(stray), "{}", set.read("events"));
    set.assert_none_doubled();
    set.end();
}

/// Without their board, which said that they run, all were started again.
#[test]
fn what_runs_without_a_board_ends_before_another_one_starts() {
    let mut set = Supervised::new(&service("a", SLEEP, "restart = 'never'"));
    set.supervise();
    set.until_run("a", 1);
    let main = set.alive("a").unwrap();
    set.kill_supervisor();
    set.board().unwrap().remove().unwrap();
    assert!(lives(main));
    set.supervise();
    set.until_run("a", 2);
    assert!(!lives(main));
    set.assert_none_doubled();
    set.end();
}

/// A board that is removed under a supervisor, and a second one that begins anew at once: the services of the first take
/// their time.
#[test]
fn two_supervisors_of_one_name_run_nothing_twice() {
    let takes_time = "trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.02; done";
    let mut set = Supervised::new(&service("a", takes_time, ""));
    set.supervise();
    set.until_run("a", 1);
    set.board().unwrap().remove().unwrap();
    set.supervise();
    set.until_run("a", 2);
    set.assert_none_doubled();
    assert!(within(LIMIT, || set.reap() == 1), "{}", set.read("events"));
    set.end();
}

/// Not a test but a service, when it is told so: it shares its semaphore undo with a child, and waits.
#[test]
fn shares_its_undo() {
    if std::env::var_os("SEMRING_TEST_SHARES").is_none() {
        return;
    }
    // SAFETY: as fork(2), but for the undo; the child makes system calls only.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_SYSVSEM | libc::SIGCHLD, 0, 0, 0, 0) };
    if child != 0 {
        std::fs::write("stray", format!("{child}\n")).unwrap();
    }
    loop {
        // SAFETY: a system call without arguments.
        unsafe { libc::pause() };
    }
}

/// The lease outlived its claimant, and for ever so: nobody was started, and who got the claimant's number would have been
/// taken for the service.
#[test]
fn a_lease_that_outlives_its_claimant_is_given_up() {
    let program = std::env::current_exe().unwrap();
    let shares = format!("exec {} --exact shares_its_undo", program.display());
    let more = "grace = '5s'\nbackoff = '10ms'\nenv = { SEMRING_TEST_SHARES = '1' }";
    let mut set = Supervised::new(&service("a", &shares, more));
    set.supervise();
    set.until_run("a", 1);
    let (main, sharer) = (set.alive("a").unwrap(), stray(&set));
    set.kill_supervisor();
    signal(main, SIGKILL);
    set.until("it is gone", || !lives(main));
    assert!(lives(sharer) && set.alive("a").is_some());
    set.write("stray", "");
    set.supervise();
    set.until_run("a", 2);
    assert!(!lives(sharer), "{}", set.read("events"));
    // Under a supervisor that sees it end, too.
    let (main, sharer) = (set.alive("a").unwrap(), stray(&set));
    signal(main, SIGKILL);
    set.until_run("a", 3);
    assert!(!lives(sharer), "{}", set.read("events"));
    set.end();
}
