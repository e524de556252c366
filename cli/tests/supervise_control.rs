//! `semring supervise`: what people, services, configurations and other supervisors can tell it. Real processes.

mod common;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use common::supervised::*;
use common::*;

#[test]
fn people_stop_start_and_restart() {
    let mut set = Supervised::new(&service("a", SLEEP, ""));
    set.tell("stop", "a").fails(1, "does not exist");
    set.supervise();
    set.until_run("a", 1);
    set.tell("stop", "nobody").fails(1, "service nobody does not exist");
    set.tell("restart", "a").ok();
    set.until_run("a", 2);
    assert_eq!(set.tell("stop", "a").ok().json()["services"][0]["state"], "stopped");
    assert_eq!(set.alive("a"), None);
    // A stopped service stays so under a successor.
    let successor = set.supervise();
    set.until_said("standing by");
    signal(set.board().unwrap().keeper().unwrap().unwrap(), SIGKILL);
    set.until("the successor", || set.board().unwrap().keeper() == Ok(Some(successor)));
    assert_eq!(set.status()["services"][0]["state"], "stopped");
    set.tell("start", "a").ok();
    set.until_run("a", 3);
    set.tell("start", "a").ok();
    set.until_run("a", 3);
    set.reap();
    set.end();
}

#[test]
fn dependencies_wait_for_readiness_and_end_last() {
    let ends = |name: &str| {
        format!("trap 'echo {name} >> ended; exit 0' TERM; echo > up.{name}; while :; do sleep 0.02; done")
    };
    let database = format!("echo $NOTIFY_SOCKET > socket; {}", ends("database"));
    let mut set = Supervised::new(&format!(
        "{}{}",
        service("web", &ends("web"), "after = ['database']"),
        service("database", &database, "notify = true\nready = '1000s'"),
    ));
    set.supervise();
    set.until_run("database", 1);
    set.until("its socket", || set.read("socket").ends_with('\n'));
    assert_eq!(set.runs("web").len(), 0);
    let name = set.read("socket");
    let address = SocketAddr::from_abstract_name(name.trim().strip_prefix('@').unwrap()).unwrap();
    UnixDatagram::unbound().unwrap().send_to_addr(b"STATUS=up\nREADY=1", &address).unwrap();
    set.until_run("web", 1);
    set.until("both can be told", || ["up.web", "up.database"].iter().all(|file| !set.read(file).is_empty()));
    set.end();
    assert_eq!(set.read("ended"), "web\ndatabase\n");
}

#[test]
fn jobs_run_at_their_times_and_one_at_a_time() {
    let mut set = Supervised::new(&format!(
        "{}{}",
        service("often", "sleep 0.02", "every = '50ms'"),
        service("nightly", "exit 0", "cron = '0 0 1 1 *'"),
    ));
    set.supervise();
    set.until("five runs", || set.runs("often").len() >= 5);
    set.assert_none_doubled();
    assert_eq!(set.runs("nightly").len(), 0);
    set.tell("restart", "nightly").ok();
    set.until("asked for", || set.runs("nightly").len() == 1);
    set.tell("stop", "often").ok();
    set.end();
}

#[test]
fn reload_changes_what_changed_also_while_services_restart() {
    let flaps = service("flaps", "exit 1", "backoff = '1ms'\nbackoff_max = '5ms'\nstarts = 100000");
    let mut set = Supervised::new(&format!(
        "{flaps}{}{}{}",
        service("same", SLEEP, ""),
        service("changes", SLEEP, ""),
        service("goes", SLEEP, "")
    ));
    let supervisor = set.supervise();
    ["same", "changes", "goes"].iter().for_each(|name| set.until_run(name, 1));
    let hup = || signal(supervisor, 1);
    set.write("services.toml", "nonsense = 1");
    hup();
    set.until_said("the configuration stays as it was");
    assert!(set.read("events").contains("services.toml:1: unknown key \"nonsense\""));
    set.configure(&format!(
        "{flaps}{}{}{}",
        service("same", SLEEP, "grace = '3s'"),
        service("changes", "sleep 0; exec sleep 1000", ""),
        service("comes", SLEEP, "")
    ));
    hup();
    set.until_run("comes", 1);
    set.until_run("changes", 2);
    set.until("it goes", || set.find("goes").is_none());
    assert_eq!(set.runs("same").len(), 1, "nothing about what runs has changed");
    set.until("it flaps on", {
        let before = set.runs("flaps").len();
        move || before > 0
    });
    let before = set.runs("flaps").len();
    set.until("it flaps on", || set.runs("flaps").len() > before + 3);
    // Stopped while it restarts: it stays so.
    set.tell("stop", "flaps").ok();
    let stopped = set.runs("flaps").len();
    set.tell("restart", "same").ok();
    assert_eq!(set.runs("flaps").len(), stopped);
    // What changes while nobody supervises is noticed by the next one.
    signal(supervisor, SIGKILL);
    set.until("it is gone", || set.board().unwrap().keeper() == Ok(None));
    set.configure(&format!(
        "{}{}",
        service("same", SLEEP, ""),
        service("comes", "sleep 0; exec sleep 1000", "")
    ));
    set.reap();
    set.supervise();
    set.until_run("comes", 2);
    set.until("what is not defined any more goes", || set.find("changes").is_none());
    assert_eq!(set.runs("same").len(), 2);
    set.assert_none_doubled();
    set.end();
}

#[test]
fn every_error_is_told_before_anything_starts() {
    let set = Supervised::new(&service("a", SLEEP, "restart = 'sometimes'\nfoo = 1\nafter = ['b']"));
    let mut command = semring(["supervise", "--config", "services.toml"]);
    command.current_dir(&set.directory);
    let done = run(command).fails(1, "3 errors in the configuration: nothing was started");
    for text in [
        "services.toml:4: restart is",
        "services.toml:5: unknown key",
        "services.toml:6: there is no service",
    ] {
        assert!(done.stderr.contains(text), "{}", done.stderr);
    }
    assert!(set.board().is_none());
    assert_eq!(set.runs("a").len(), 0);
    run(semring(["supervise"])).fails_usage();
    run(semring(["supervise", "--name", "x", "--", "/no/such/program"])).fails(1, "No such file");
    run(semring(["supervise", "--config", "/no/such/file"])).fails(1, "/no/such/file");
}

#[test]
fn one_service_without_a_configuration() {
    let name = format!("single-{}", std::process::id());
    let single = Running::start(semring(["supervise", "--name", &name, "--json", "--", "sleep", "1000"]));
    let status = || run(semring(["supervise", "status", "--board", &name, "--json"]));
    assert!(within(LIMIT, || status().status.success() && status().json()["services"][0]["state"] == "alive"));
    run(semring(["supervise", "restart", &name])).ok();
    assert_eq!(status().ok().json()["services"][0]["starts"], 2);
    let text =
        String::from_utf8(run(semring(["supervise", "status", "--board", &name])).ok().stdout).unwrap();
    assert!(text.contains("SERVICE") && text.contains("alive"), "{text}");
    single.signal(SIGINT);
    let done = single.end().ok();
    assert!(done.stderr.lines().all(|line| line.starts_with('{')), "{}", done.stderr);
    status().fails(1, "does not exist");
}

#[test]
fn a_service_runs_as_its_user() {
    if !nix::unistd::geteuid().is_root() || nix::unistd::User::from_name("nobody").ok().flatten().is_none() {
        return eprintln!("skipped: only root can run services as others");
    }
    let mut set = Supervised::new(
        "[service.a]\ncommand = 'id -un; id -G; pwd; env; echo by its name > /dev/stdout'\nuser = 'nobody'\nrestart = 'never'\nlog = 'log'\ndirectory = '/'\n\
         env = { LOGNAME = 'as configured' }\n",
    );
    let mut command = set.command();
    let child = command.env("SHELL", "/bin/sh").env("HOME", "/root").spawn();
    set.adopt(child.unwrap());
    set.until("its output", || set.read("log").ends_with("by its name\n"));
    let text = set.read("log");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("nobody", "/"), "{text}");
    // What the group database says of it, and nothing of the supervisor's.
    let groups = std::process::Command::new("id").args(["-G", "nobody"]).output().unwrap().stdout;
    assert_eq!(lines[1].as_bytes(), groups.trim_ascii_end(), "{text}");
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    for variable in ["USER=nobody", "LOGNAME=as configured", &format!("HOME={}", nobody.dir.display())] {
        assert!(lines.contains(&variable), "{variable}\n{text}");
    }
    let may_login = !nobody.shell.ends_with("nologin") && !nobody.shell.ends_with("false");
    assert_eq!(lines.iter().any(|line| line.starts_with("SHELL=")), may_login, "{text}");
    set.end();
}

/// A standby ends with the supervisor that is ended on purpose; a second signal does not wait for the grace.
#[test]
fn an_end_on_purpose_is_everybodys() {
    let stubborn = service("a", "trap '' TERM; while :; do sleep 0.05; done", "grace = '1000s'");
    let mut set = Supervised::new(&stubborn);
    let keeper = set.supervise();
    set.until_run("a", 1);
    set.supervise();
    let board = set.board().unwrap();
    set.until("a standby", || board.standbys() == Ok(1));
    signal(keeper, SIGTERM);
    set.until_said("all services end");
    signal(keeper, SIGTERM);
    assert!(within(LIMIT, || set.reap() == 0), "{}", set.read("events"));
    assert!(set.board().is_none());
    assert!(set.read("events").contains("the services were ended on purpose"));
}

#[test]
fn in_the_background() {
    let mut set = Supervised::new(&service("a", SLEEP, ""));
    let start = |set: &Supervised| {
        let mut command = semring(["supervise", "--config", "services.toml", "--daemon", "--json", "--log"]);
        command.arg(set.directory.join("events")).current_dir(&set.directory);
        run(command)
    };
    let done = start(&set).ok();
    let told: serde_json::Value = serde_json::from_str(&done.stderr).unwrap();
    let pid = told["pid"].as_i64().unwrap() as i32;
    set.until_run("a", 1);
    assert_eq!(set.board().unwrap().keeper(), Ok(Some(pid)));
    // A second one is ready when it stands by.
    start(&set).ok();
    let board = set.board().unwrap();
    set.until("a standby", || board.standbys() == Ok(1));
    signal(pid, SIGTERM);
    set.until("both are gone", || set.board().is_none());
    set.write("services.toml", "wrong");
    start(&set).fails(1, "nothing was started");
    set.reap();
}

#[test]
fn a_check_names_the_services_in_their_order() {
    let set =
        Supervised::new(&format!("{}{}", service("b", SLEEP, "after = ['a']"), service("a", SLEEP, "")));
    let check = |more: &str| {
        let words = ["supervise", "--config", "services.toml", "--check"];
        let mut command = semring(words.into_iter().chain(more.split_whitespace()));
        command.current_dir(&set.directory);
        run(command).ok()
    };
    assert_eq!(check("--json").json()["services"], serde_json::json!(["a", "b"]));
    assert_eq!(check("").stdout, format!("{}: a, b\n", set.board).into_bytes());
    assert!(set.board().is_none());
}

/// It tried without any rest, and heeded nobody.
#[test]
fn who_is_asked_for_and_cannot_be_prepared_keeps_nobody_busy() {
    let mut set = Supervised::new(&service("a", SLEEP, "log = 'a.log'"));
    set.supervise();
    set.until_run("a", 1);
    let fifo = set.fifo("a.log").unwrap();
    std::fs::remove_file(&fifo).unwrap();
    std::fs::write(&fifo, "").unwrap();
    signal(set.alive("a").unwrap(), SIGKILL);
    set.until_said("is no FIFO");
    set.tell("restart", "a").fails(1, "could not be");
    set.end();
}

/// A job's times are of the calendar, half a century after those of a service.
#[test]
fn a_job_that_becomes_a_service_starts() {
    let job = service("a", SLEEP, "every = '1000s'").replace(SLEEP, "exit 0");
    let mut set = Supervised::new(&job);
    let supervisor = set.supervise();
    set.until("the job", || set.runs("a").len() == 1 && set.alive("a").is_none());
    set.until_said("exited with 0");
    set.configure(&job.replace("every = '1000s'", "restart = 'always'\nbackoff = '10ms'"));
    signal(supervisor, nix::libc::SIGHUP);
    set.until("the service", || set.runs("a").len() >= 2);
    set.end();
}

#[test]
fn a_fifo_that_is_taken_away_stops_nobody() {
    let mut set = Supervised::new(&service("a", SLEEP, "log = 'a.log'\nbackoff = '10ms'"));
    set.supervise();
    set.until_run("a", 1);
    std::fs::remove_file(set.fifo("a.log").unwrap()).unwrap();
    signal(set.alive("a").unwrap(), SIGKILL);
    set.until_run("a", 2);
    set.end();
}

/// `stop` took the first that it found.
#[test]
fn a_name_on_two_boards_is_asked_for() {
    if !alone() {
        return; // the board of that name might be somebody's
    }
    let directory = Supervised::new("");
    directory.write("both.toml", "name = 'services'\n[service.twice]\ncommand = ['sleep', '100']\n");
    let config = directory.directory.join("both.toml");
    let both = [
        semring(["supervise", "--config", config.to_str().unwrap()]),
        semring(["supervise", "--name", "twice", "--", "sleep", "100"]),
    ]
    .map(Running::start);
    let tell = |action: &str, board: &str| run(semring(["supervise", action, "twice", "--board", board]));
    for board in ["services", "twice"] {
        assert!(within(LIMIT, || tell("start", board).status.success()));
    }
    run(semring(["supervise", "stop", "twice"])).fails(1, "say --board services or twice");
    tell("stop", "services").ok();
    for supervisor in both {
        supervisor.signal(SIGTERM);
        supervisor.end().ok();
    }
}
