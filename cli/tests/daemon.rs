//! `semring recv --daemon`: its start, what it does, how it is stopped, and what is said when it cannot start.

mod common;

use common::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory for one test, with a daemon's files; a daemon that is still there is killed.
struct Scene {
    name: Name,
    directory: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let name = Name::new();
        let directory = std::env::temp_dir().join(name.as_str());
        fs::create_dir(&directory).unwrap();
        Scene { name, directory }
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_string()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap_or_default()
    }

    /// `semring recv NAME --daemon` with its files in the directory.
    fn recv(&self, arguments: &str) -> Command {
        let (pid, out, log) = (self.file("pid"), self.file("out"), self.file("log"));
        self.name
            .command("recv", &format!("--daemon --pid-file {pid} --output {out} --log {log} {arguments}"))
    }

    fn pid(&self) -> Option<i32> {
        self.read("pid").trim().parse().ok()
    }

    fn start(&self, arguments: &str) -> i32 {
        run(self.recv(arguments)).ok();
        self.pid().expect("the daemon's pid")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().filter(|&pid| lives(pid)) {
            signal(pid, SIGKILL);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn a_daemon_receives_until_the_senders_are_gone() {
    let scene = Scene::new();
    let told = run(scene.recv("--json --verbose")).ok();
    let told: serde_json::Value = serde_json::from_str(&told.stderr).unwrap();
    let pid = scene.pid().unwrap();
    assert_eq!((&told["pid"], &told["channel"]), (&pid.into(), &scene.name.as_str().into()));
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    run_with_input(scene.name.command("send", ""), "one\ntwo\n").ok();
    assert!(within(LIMIT, || !lives(pid)));
    assert_eq!(scene.read("out"), "one\ntwo\n");
    let summary: serde_json::Value = serde_json::from_str(&scene.read("log")).unwrap();
    assert_eq!(summary["messages"], 2);
    assert!(!Path::new(&scene.file("pid")).exists());
    scene.name.assert_gone();
    // What comes later is appended.
    let pid = scene.start("");
    run_with_input(scene.name.command("send", ""), "three\n").ok();
    assert!(within(LIMIT, || !lives(pid)));
    assert_eq!(scene.read("out"), "one\ntwo\nthree\n");
}

#[test]
fn a_daemon_is_stopped_by_a_signal_and_leaves_nothing() {
    for number in [SIGTERM, SIGINT] {
        let scene = Scene::new();
        let pid = scene.start("");
        run(scene.recv("")).fails(1, &format!("is locked by process {pid}"));
        assert!(lives(pid));
        signal(pid, number);
        assert!(within(LIMIT, || !lives(pid)));
        assert!(scene.read("log").contains("stopped by SIG"), "{}", scene.read("log"));
        assert!(!Path::new(&scene.file("pid")).exists());
        scene.name.assert_gone();
    }
}

#[test]
fn what_keeps_a_daemon_from_starting_is_said_by_the_command() {
    let scene = Scene::new();
    run(scene.recv("--existing")).fails(1, "does not exist");
    assert!(!Path::new(&scene.file("pid")).exists());
    let missing = scene.file("missing/file");
    run(scene.name.command("recv", &format!("--daemon --output {missing}"))).fails(1, &missing);
    run(scene.name.command("recv", &format!("--daemon --log {missing}"))).fails(1, &missing);
    run(scene.name.command("recv", &format!("--daemon --pid-file {missing}"))).fails(1, &missing);
    fs::write(scene.file("pid"), "my diary\n").unwrap();
    run(scene.recv("")).fails(1, "is no pid file");
    assert_eq!(scene.read("pid"), "my diary\n");
    let usage = run(scene.name.command("recv", "--pid-file x"));
    assert_eq!(usage.status.code(), Some(2), "{}", usage.stderr);
    scene.name.assert_gone();
}

#[test]
fn a_killed_daemon_loses_nothing_with_acknowledgements() {
    let scene = Scene::new();
    let killed = scene.start("--ack");
    signal(killed, SIGKILL);
    assert!(within(LIMIT, || !lives(killed)));
    assert_eq!(scene.pid(), Some(killed), "a stale file");
    run_with_input(scene.name.command("send", ""), "one\ntwo\n").ok();
    run(scene.recv("--ack")).ok();
    assert!(within(LIMIT, || !Path::new(&scene.file("pid")).exists()), "left behind, received, ended");
    assert_eq!(scene.read("out"), "one\ntwo\n");
}

#[test]
fn a_daemons_full_disk_is_in_its_log() {
    let scene = Scene::new();
    run_with_input(scene.name.command("send", ""), "one\n").ok();
    let (pid, log) = (scene.file("pid"), scene.file("log"));
    let arguments = format!("--daemon --ack --output /dev/full --pid-file {pid} --log {log}");
    run(scene.name.command("recv", &arguments)).ok();
    assert!(within(LIMIT, || !Path::new(&pid).exists()));
    // What went wrong is said last of all.
    assert!(
        within(LIMIT, || scene.read("log").contains("cannot write to /dev/full")),
        "{}",
        scene.read("log")
    );
    assert_eq!(run(scene.name.command("recv", "")).ok().stdout, b"one\n");
}

/// Without `--output` it writes to where standard output leads, to the end.
#[test]
fn a_daemon_can_keep_its_standard_output() {
    let scene = Scene::new();
    let daemon = Running::start(scene.name.command("recv", "--daemon"));
    run_with_input(scene.name.command("send", ""), "one\n").ok();
    assert_eq!(daemon.end().ok().stdout, b"one\n");
    scene.name.assert_gone();
}
