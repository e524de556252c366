//! What is left of a service when its main process, its supervisor or its board is gone: it ends before another one starts,
//! and nobody else is taken for it. Real processes.

mod common;

use common::supervised::*;
use common::*;
use nix::libc;

/// Leaves one behind that TERM does not end, and goes on. It has the lock of [`service`]'s open: a second service that
/// starts meanwhile notices.
const LEAVES: &str = "(trap '' TERM; while :; do sleep 0.05; done) & echo $! > stray; exec sleep 1000";

/// Ends when it is told so, but not at once.
const TAKES_TIME: &str = "echo x >> begun; trap 'sleep 1; exit 0' TERM; while :; do sleep 0.02; done";

/// Lives, and is no zombie.
fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| !fields.starts_with(" Z"))
}

/// The one that was left last; 0 before that.
fn last_stray(set: &Supervised) -> i32 {
    set.read("stray").strip_suffix('\n').and_then(|pid| pid.parse().ok()).unwrap_or(0)
}

/// It has found out by now if there is another one.
fn until_begun(set: &Supervised, times: usize) {
    set.until("it has begun", || set.read("begun").lines().count() == times);
}

fn stray(set: &Supervised) -> i32 {
    set.until("one is left", || last_stray(set) != 0);
    last_stray(set)
}

/// `stop` returned as soon as the main process had ended.
#[test]
fn stop_is_done_when_nothing_is_left_and_names_who_refuses() {
    let mut set = Supervised::new(&service("a", LEAVES, "grace = '3s'"));
    set.supervise();
    set.until_run("a", 1);
    let stray = stray(&set);
    let impatient = ["supervise", "stop", "a", "--board", &set.board, "--timeout", "300ms"];
    let done = run(semring(impatient)).fails(1, ") has not ended within 300ms");
    assert!(done.stderr.contains(&stray.to_string()), "{stray}: {}", done.stderr);
    assert!(lives(stray));
    set.tell("stop", "a").ok();
    assert!(!lives(stray));
    // Nor is it done for a successor who has never seen the main process.
    set.tell("start", "a").ok();
    set.until_run("a", 2);
    let main = set.alive("a").unwrap();
    set.until("one is left", || last_stray(&set) != stray && last_stray(&set) != 0);
    let stray = last_stray(&set);
    set.kill_supervisor();
    set.tell("stop", "a").fails(1, "no supervisor is running");
    signal(main, SIGKILL);
    set.until("its main process is gone", || !lives(main));
    assert!(lives(stray));
    set.supervise();
    set.until("it supervises", || set.tell("stop", "a").status.success());
    assert!(!lives(stray), "{}", set.read("events"));
    assert_eq!(set.runs("a").len(), 2);
    set.end();
}

/// Its strays were nobody's any more: the successor started a second one beside them.
#[test]
fn a_successor_ends_what_is_left_before_it_starts_another() {
    let mut set = Supervised::new(&service("a", LEAVES, "grace = '100ms'\nbackoff = '10ms'"));
    set.supervise();
    set.until_run("a", 1);
    let (main, first) = (set.alive("a").unwrap(), stray(&set));
    set.kill_supervisor();
    signal(main, SIGKILL);
    set.until("its main process is gone", || set.alive("a").is_none());
    set.supervise();
    set.until_run("a", 2);
    set.until("another one is left", || last_stray(&set) != first && last_stray(&set) != 0);
    assert!(!lives(first), "{}", set.read("events"));
    set.assert_none_doubled();
    set.end();
}

/// A service that takes its time to end, whose supervisor was killed and whose board was removed; and its main process.
fn left_without_a_board() -> (Supervised, i32) {
    let mut set = Supervised::new(&service("a", TAKES_TIME, "restart = 'never'"));
    set.supervise();
    set.until_run("a", 1);
    until_begun(&set, 1);
    let main = set.alive("a").unwrap();
    set.kill_supervisor();
    set.board().unwrap().remove().unwrap();
    (set, main)
}

/// Without their board, which said that they run, all were started again.
#[test]
fn what_runs_without_a_board_ends_before_another_one_starts() {
    let (mut set, main) = left_without_a_board();
    assert!(lives(main));
    set.supervise();
    set.until_said("which end first");
    // What ended meanwhile was not its one run on this board.
    set.kill_supervisor();
    set.supervise();
    set.until_run("a", 2);
    until_begun(&set, 2);
    assert!(!lives(main));
    set.assert_none_doubled();
    set.end();
}

/// Nor is that done before they have ended, or was for a successor.
#[test]
fn stop_waits_for_what_runs_without_a_board() {
    let (mut set, main) = left_without_a_board();
    set.supervise();
    set.until_said("which end first");
    set.kill_supervisor();
    set.tell("stop", "a").fails(1, "no supervisor is running");
    set.supervise();
    set.until("it supervises", || set.tell("stop", "a").status.success());
    assert!(!lives(main), "{}", set.read("events"));
    assert_eq!(set.runs("a").len(), 1);
    set.end();
}

/// A board that is removed under a supervisor, and a second one that begins anew at once: the services of the first take
/// their time.
#[test]
fn two_supervisors_of_one_name_run_nothing_twice() {
    let mut set = Supervised::new(&service("a", TAKES_TIME, ""));
    set.supervise();
    set.until_run("a", 1);
    until_begun(&set, 1);
    set.board().unwrap().remove().unwrap();
    set.supervise();
    set.until_run("a", 2);
    until_begun(&set, 2);
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
