//! Taking over from a supervisor that is gone: also while somebody who is stopped holds the board's lock, and with the
//! configuration that holds now. Real processes.

mod common;

use common::supervised::*;
use common::*;
use nix::libc;

/// The lock of a board, held by this process.
struct Locked {
    set: i32,
}

impl Locked {
    const LOCK: u16 = 1;

    fn operate(&self, by: i16) {
        let mut operation = libc::sembuf { sem_num: Self::LOCK, sem_op: by, sem_flg: libc::SEM_UNDO as i16 };
        // SAFETY: one operation, which lives during the call.
        assert_eq!(unsafe { libc::semop(self.set, &raw mut operation, 1) }, 0);
    }

    fn new(supervised: &Supervised) -> Self {
        let observer = semring::heartbeat::BoardOptions::new().observe(supervised.board.as_str()).unwrap();
        let locked = Locked { set: observer.status().unwrap().semaphore_id };
        locked.operate(1);
        locked
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.operate(-1);
    }
}

/// It failed, and nobody supervised any more.
#[test]
fn a_supervisor_waits_for_the_lock_of_the_board() {
    let mut set = Supervised::new(&service("a", SLEEP, ""));
    set.supervise();
    set.until_run("a", 1);
    let locked = Locked::new(&set);
    set.kill_supervisor();
    set.supervise();
    set.until_said(&format!("lock is held by process {}: waiting", std::process::id()));
    // It hears signals meanwhile.
    signal(set.last(), SIGTERM);
    assert!(within(LIMIT, || set.reap() == 0), "{}", set.read("events"));
    set.supervise();
    set.until("it waits", || set.read("events").matches(": waiting").count() == 2);
    drop(locked);
    set.until_said("a: runs already");
    set.end();
    assert_eq!(set.runs("a").len(), 1);
}

/// For whom has a place already nobody needs it.
#[test]
fn a_standby_takes_over_without_the_lock() {
    let mut set = Supervised::new(&service("a", SLEEP, ""));
    let first = set.supervise();
    set.until_run("a", 1);
    set.supervise();
    set.until_said("standing by");
    let locked = Locked::new(&set);
    signal(first, SIGKILL);
    set.until_said("a: runs already");
    // Who opens the board to ask would wait for the lock.
    signal(set.runs("a")[0], SIGKILL);
    set.until("it runs again", || set.runs("a").len() == 2);
    drop(locked);
    set.reap();
    set.end();
}

/// It had been read when the standby began: what was added since ended, and what was changed back was restarted.
#[test]
fn a_standby_takes_over_with_the_configuration_that_holds_then() {
    let mut set = Supervised::new(&service("a", SLEEP, ""));
    let first = set.supervise();
    set.until_run("a", 1);
    set.supervise();
    set.until_said("standing by");
    let new = service("a", SLEEP, "env = { NEW = 'yes' }");
    set.configure(&format!("{new}{}", service("b", SLEEP, "")));
    signal(first, libc::SIGHUP);
    set.until_run("a", 2);
    set.until_run("b", 1);
    signal(first, SIGKILL);
    set.until_said("b: runs already");
    set.tell("restart", "b").ok();
    set.until_run("b", 2);
    assert_eq!(set.runs("a").len(), 2, "{}", set.read("events"));
    // What is wrong by then is said, and changes nothing.
    let second = set.last();
    set.supervise();
    set.until("another standby", || set.board().unwrap().standbys() == Ok(1));
    set.configure("[service.a]");
    signal(second, SIGKILL);
    set.until_said("the configuration stays as it was");
    set.tell("restart", "b").ok();
    set.until_run("b", 3);
    assert_eq!(set.runs("a").len(), 2, "{}", set.read("events"));
    set.reap();
    set.end();
}

/// It waited for another writer, and for nothing else.
#[test]
fn a_configuration_that_came_through_a_pipe_is_not_waited_for() {
    let mut set = Supervised::new(&service("a", SLEEP, ""));
    let (text, pipe) = (set.read("services.toml"), set.directory.join("services.toml"));
    std::fs::remove_file(&pipe).unwrap();
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&pipe, &text).unwrap());
        set.supervise();
    });
    set.until_run("a", 1);
    signal(set.last(), libc::SIGHUP);
    set.until_said("the configuration stays as it was");
    set.tell("restart", "a").ok();
    set.until_run("a", 2);
    set.end();
}

/// Nobody read what it wrote until it was started again, which it was not: it waited for that.
#[test]
fn who_cannot_be_heard_at_first_is_heard_later() {
    let mut set = Supervised::new(&service("a", "yes; exec sleep 1000", "log = 'a.log'\nlog_keep = 0"));
    set.supervise();
    set.until("it writes", || !set.read("a.log").is_empty());
    set.kill_supervisor();
    let fifo = set.fifo("a.log").unwrap();
    let mode = |mode| std::fs::set_permissions(&fifo, std::os::unix::fs::PermissionsExt::from_mode(mode));
    mode(0o622).unwrap();
    std::fs::remove_file(set.directory.join("a.log")).unwrap();
    set.supervise();
    set.until_said("cannot be heard: ");
    assert_eq!(set.read("a.log"), "");
    mode(0o600).unwrap();
    set.until("it writes", || !set.read("a.log").is_empty());
    assert_eq!((set.runs("a").len(), set.read("events").matches("cannot be heard").count()), (1, 1));
    set.end();
}
