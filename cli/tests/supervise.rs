//! `semring supervise`: services that end in every way, hang and flap; and a supervisor with nothing to do. Real
//! processes.

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use common::supervised::*;
use common::*;

#[test]
fn services_that_exit_crash_or_are_killed_run_again() {
    let quick = "backoff = '10ms'\nbackoff_max = '50ms'\nhealthy = '0s'";
    let mut set = Supervised::new(&format!(
        "{}{}{}{}",
        service("stays", SLEEP, ""),
        service("exits", "test $(wc -l < runs.exits) -ge 3 && exec sleep 1000; exit 0", quick),
        service("crashes", "test $(wc -l < runs.crashes) -ge 3 && exec sleep 1000; kill -SEGV $$", quick),
        service("once", "exit 7", "restart = 'never'"),
    ));
    let supervisor = set.supervise();
    set.until_run("exits", 3);
    set.until_run("crashes", 3);
    set.until_run("stays", 1);
    signal(set.alive("stays").unwrap(), SIGKILL);
    set.until_run("stays", 2);
    let said = set.read("events");
    for text in
        ["exits: exited with 0: restarts", "killed by SIGSEGV", "killed by SIGKILL", "exited with 7: done"]
    {
        assert!(said.contains(text), "{text}\n{said}");
    }
    let status = set.status();
    assert_eq!(status["supervisor"], supervisor);
    let services = status["services"].as_array().unwrap();
    let one = |name: &str| services.iter().find(|service| service["name"] == name).unwrap();
    assert_eq!(one("stays")["state"], "alive");
    assert_eq!(one("stays")["starts"], 2);
    assert_eq!((&one("once")["state"], &one("once")["outcome"]), (&"down".into(), &"exited with 7".into()));
    assert_eq!(set.runs("once").len(), 1);
    set.assert_none_doubled();
    set.end();
}

#[test]
fn who_refuses_to_die_is_killed_and_who_forks_away_is_ended() {
    let mut set = Supervised::new(&format!(
        "{}{}",
        service("stubborn", "trap '' TERM; while :; do sleep 0.05; done", "grace = '100ms'"),
        // Once into a session of its own, which only its environment gives away, once into the background.
        service(
            "away",
            "echo x > away; test $(wc -l < runs.away) -ge 2 && exec sleep 1000; \
             setsid sleep 1001 9>&- & sleep 1002 9>&- & exit 0",
            "backoff = '10ms'\ngrace = '5s'"
        ),
    ));
    set.supervise();
    set.until_run("away", 2);
    assert!(set.read("events").contains("left processes behind"), "{}", set.read("events"));
    let pids = set.processes();
    let lines = pids.iter().map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default());
    let left =
        lines.filter(|line| line.starts_with("sleep\x001001") || line.starts_with("sleep\x001002")).count();
    assert_eq!(left, 0);
    set.until_run("stubborn", 1);
    set.tell("restart", "stubborn").ok();
    set.until_run("stubborn", 2);
    set.until_said("does not end by itself: killed");
    set.assert_none_doubled();
    set.end();
}

#[test]
fn who_hangs_is_restarted_and_who_beats_is_not() {
    let semring = env!("CARGO_BIN_EXE_semring");
    let beats = format!("while test ! -e hang; do {semring} beat; sleep 0.05; done; exec sleep 1000");
    let mut set = Supervised::new(&service("a", &beats, "silence = '3s'"));
    set.supervise();
    set.until_run("a", 1);
    set.until("a beats", || set.find("a").is_some_and(|member| member.silent_for < member.age));
    let before = set.runs("a").len();
    set.write("hang", "");
    set.until("it runs again", || set.runs("a").len() > before);
    assert!(set.read("events").contains("a: hangs"), "{}", set.read("events"));
    run(common::semring(["beat", "a", "--board", &set.board])).ok();
    set.tell("stop", "a").ok();
    run(common::semring(["beat", "a", "--board", &set.board])).fails(1, "nobody to beat for");
    run(common::semring(["beat"])).fails(2, "which service?");
    set.end();
}

/// A service that ends at once again and again neither starves the others nor is started as fast as it ends.
#[test]
fn who_flaps_is_slowed_down() {
    let pace = "backoff = '1ms'\nbackoff_max = '1ms'\nstarts = 4\nstarts_per = '1000s'";
    let mut set =
        Supervised::new(&format!("{}{}", service("flaps", "exit 1", pace), service("stays", SLEEP, "")));
    set.supervise();
    set.until("it has used its starts", || set.runs("flaps").len() == 4);
    set.until_run("stays", 1);
    // The next supervisor does not give it new ones.
    set.supervise();
    set.until_said("standing by");
    signal(set.board().unwrap().keeper().unwrap().unwrap(), SIGKILL);
    set.until_said("taking over");
    set.tell("restart", "stays").ok();
    set.until_run("stays", 2);
    assert_eq!(set.runs("flaps").len(), 4);
    set.reap();
    set.end();
}

/// 50 services, and nothing happens: the supervisor is not even woken.
#[test]
fn an_idle_supervisor_does_nothing() {
    let services: String =
        (0..50).map(|i| format!("[service.s{i}]\ncommand = ['sleep', '1000']\n")).collect();
    let mut set = Supervised::new(&services);
    let supervisor = set.supervise();
    set.until("all run", || (0..50).all(|i| set.alive(&format!("s{i}")).is_some()));
    // Nanoseconds on a CPU and turns on one, and switches, of each thread.
    let spent = || -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{supervisor}/task")).unwrap().map(|thread| thread.unwrap());
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let spent_by = |thread: PathBuf| {
            let status = read(thread.join("status"));
            let switches: Vec<&str> = status.lines().filter(|line| line.contains("ctxt_switches")).collect();
            format!("{} {}", read(thread.join("schedstat")).trim(), switches.join(" "))
        };
        threads.map(|thread| spent_by(thread.path())).collect()
    };
    let asleep =
        || fs::read_to_string(format!("/proc/{supervisor}/wchan")).unwrap_or_default().contains("poll");
    // Once it has gone to sleep for good.
    let mut last = spent();
    set.until("it rests", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = spent();
        std::mem::replace(&mut last, now.clone()) == now
    });
    std::thread::sleep(Duration::from_secs(2));
    println!(
        "CPU of a supervisor with 50 services, before and after 2 s: {last:?} {:?} {}",
        spent(),
        asleep()
    );
    assert_eq!((spent(), last.len()), (last, 2));
    set.end();
}

/// Without the board nothing says any more who runs: all end, rather than run twice under the next supervisor.
#[test]
fn a_board_that_is_removed_ends_everything() {
    let mut set = Supervised::new(&service("a", SLEEP, ""));
    set.supervise();
    set.until_run("a", 1);
    let pid = set.alive("a").unwrap();
    set.board().unwrap().remove().unwrap();
    // Nothing else happens that would wake the supervisor, and it never looks by itself.
    assert!(within(LIMIT, || set.reap() == 0), "{}", set.read("events"));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(set.read("events").contains("removed: all services end"), "{}", set.read("events"));
}
