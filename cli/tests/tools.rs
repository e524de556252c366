//! `semring lock`, `sem`, `doctor`, `completions` and `man`.

mod common;

use common::*;
use semring::sem::Mutex;

/// A name for a semaphore set, which is removed in the end.
struct SetName(Name);

impl SetName {
    fn new() -> Self {
        SetName(Name::new())
    }

    fn run(&self, command: &str, arguments: &str) -> Done {
        run(self.0.command(command, arguments))
    }
}

impl Drop for SetName {
    fn drop(&mut self) {
        let _ = self.0.command("sem", "remove").output();
    }
}

#[test]
fn lock_reports_the_commands_status() {
    let name = SetName::new();
    assert_eq!(name.run("lock", "-- echo hello").ok().stdout, b"hello\n");
    assert_eq!(name.run("lock", "-- false").status.code(), Some(1));
    let killed = run(semring(["lock", name.0.as_str(), "--", "sh", "-c", "kill -9 $$"]));
    assert_eq!(killed.status.code(), Some(128 + 9), "{}", killed.stderr);
    name.run("lock", "-- /nonexistent/command").fails(127, "cannot run");
    name.run("lock", "-- /").fails(126, "cannot run");
}

#[test]
fn only_one_holds_the_lock() {
    let name = SetName::new();
    let mut command = name.0.command("lock", "-- cat");
    command.stdin(std::process::Stdio::piped());
    let mut holder = Running::start(command);
    let mutex = Mutex::open_or_create(name.0.as_str()).unwrap();
    assert!(within(LIMIT, || mutex.holder().unwrap() == Some(holder.id())));
    name.run("lock", "--nonblock -- true").fails(1, &format!("locked by process {}", holder.id()));
    name.run("lock", "--timeout 0.01 --conflict 75 -- true").fails(75, "is locked");
    let mut waiter = Running::start(name.0.command("lock", "-- echo mine"));
    assert!(within(LIMIT, || mutex.set().waiting_for_zero(0).unwrap() == 1));
    assert!(waiter.is_running());
    // The end of its input is the end of cat.
    drop(holder.stdin());
    holder.end().ok();
    assert_eq!(waiter.end().ok().stdout, b"mine\n");
}

#[test]
fn a_killed_holder_unlocks_and_a_terminated_one_passes_it_on() {
    let name = SetName::new();
    let hold = || {
        let running = Running::start(name.0.command("lock", "-- sleep 1000"));
        let mutex = Mutex::open_or_create(name.0.as_str()).unwrap();
        assert!(within(LIMIT, || mutex.holder().unwrap() == Some(running.id())));
        let children = format!("/proc/{0}/task/{0}/children", running.id());
        let child =
            || std::fs::read_to_string(&children).unwrap().split_whitespace().next().map(str::to_owned);
        assert!(within(LIMIT, || child().is_some()));
        (running, child().unwrap().parse::<i32>().unwrap())
    };
    let (mut holder, child) = hold();
    holder.signal(SIGTERM);
    assert_eq!(holder.end().status.code(), Some(128 + SIGTERM));
    assert!(!std::path::Path::new(&format!("/proc/{child}")).exists());
    let (killed, child) = hold();
    killed.signal(SIGKILL);
    signal(child, SIGKILL);
    holder = killed;
    assert_eq!(holder.end().status.code(), None);
    let told = name.run("lock", "-- true");
    assert!(told.stderr.contains("died"), "{}", told.stderr);
    assert!(name.run("lock", "-- true").ok().stderr.is_empty());
}

#[test]
fn semaphores_count() {
    let name = SetName::new();
    name.run("sem", "p").fails(1, "does not exist");
    name.run("sem", "create --semaphores 2 --value 2").ok();
    name.run("sem", "create").fails(1, "exists already");
    name.run("sem", "p").ok();
    name.run("sem", "v --index 1 --by 5").ok();
    assert_eq!(name.run("sem", "value").ok().stdout, b"1\n7\n");
    assert_eq!(name.run("sem", "value --index 1 --json").ok().json()["values"][0], 7);
    name.run("sem", "p --by 2 --nonblock").fails(1, "in time");
    name.run("sem", "p --by 2 --timeout 0.01").fails(1, "in time");
    name.run("sem", "zero --nonblock").fails(1, "in time");
    let waiter = Running::start(name.0.command("sem", "p --by 2"));
    name.run("sem", "v").ok();
    waiter.end().ok();
    name.run("sem", "zero").ok();
    name.run("sem", "p --index 2").fails(1, "index");
    let steps =
        [("v --index 1 --by 3", "given", 3), ("p --index 1 --by 2", "taken", 2), ("zero", "value", 0)];
    for (step, what, number) in steps {
        let report = name.run("sem", &format!("{step} --json")).ok().json();
        assert_eq!((&report["set"], &report[what]), (&name.0.as_str().into(), &number.into()), "{report}");
    }
    let waiter = Running::start(name.0.command("sem", "p"));
    let set = semring::sem::SetOptions::new(0).open(name.0.as_str()).unwrap();
    assert!(within(LIMIT, || set.waiting(0).unwrap() == 1));
    assert_eq!(name.run("sem", "remove --json").ok().json()["removed"], name.0.as_str());
    waiter.end().fails(1, "removed");
    let created = name.run("sem", "create --value 4 --json").ok().json();
    let set = semring::sem::SetOptions::new(0).open(name.0.as_str()).unwrap();
    assert_eq!((&created["id"], &created["value"]), (&set.id().into(), &4.into()));
}

/// In a namespace of its own the limits are ours to lower.
#[test]
fn doctor_finds_what_would_go_wrong() {
    if !alone() {
        return;
    }
    let check = |what: &str| {
        let done = run(semring(["doctor", "--json"]));
        let checks = done.json()["checks"].as_array().unwrap().clone();
        let check = checks.into_iter().find(|check| check["what"] == what).unwrap();
        assert!(check["wrong"].is_null() || done.status.code() == Some(1), "{check}");
        check
    };
    assert!(check("shmmni")["wrong"].is_null() && check("a channel")["wrong"].is_null());
    let limits =
        [("shmmni", "0", "shmmni"), ("shmmax", "100", "shmmax"), ("sem", "250 32000 10 128", "kernel.sem")];
    for (file, value, what) in limits {
        let path = format!("/proc/sys/kernel/{file}");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, value).unwrap();
        let bad = check(what);
        std::fs::write(&path, before).unwrap();
        assert!(bad["fix"].as_str().unwrap().contains("sysctl -w kernel."), "{bad}");
        assert!(check(what)["wrong"].is_null());
    }
    let text = run(semring(["doctor", "--capacity", "1000000000000", "--size", "4000000000"]));
    assert!(text.stderr.contains("problem"), "{}", text.stderr);
    assert!(String::from_utf8_lossy(&text.stdout).contains("WRONG"));
    assert_eq!(semring::segment::list().unwrap(), []);
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let commands = commands();
    let directory = std::env::temp_dir().join(format!("semring-man-{}", std::process::id()));
    let written = run(semring(["man", directory.to_str().unwrap(), "--json"])).ok().json();
    let mut pages: Vec<String> =
        written["pages"].as_array().unwrap().iter().map(|p| p.as_str().unwrap().into()).collect();
    let files =
        std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.collect();
    pages.sort();
    files.sort();
    assert_eq!(pages, files);
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(run(semring(["completions", shell])).ok().stdout).unwrap();
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
        let report = run(semring(["completions", shell, "--json"])).ok().json();
        assert_eq!((&report["script"], &report["shell"]), (&script.into(), &shell.into()));
    }
    for command in commands {
        let page = std::fs::read_to_string(directory.join(format!("semring-{command}.1"))).unwrap();
        assert!(page.contains("Examples:") && page.contains(".TH"), "{command}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    run(semring(["man", "/proc/nowhere"])).fails(1, "cannot make");
    run(semring(["completions", "tcsh"])).status.code().filter(|&code| code == 2).expect("wrong usage");
}
