//! The output of services under `semring supervise`: more than fits, on disks that are full, in files that cannot be moved,
//! and under one supervisor after the other. Real processes.

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::supervised::*;
use common::*;
use nix::sys::resource::{Resource, setrlimit};

/// Writes lines for ever, and says now and then how far it is.
const COUNTS: &str =
    "i=0; while :; do echo line $i; i=$((i+1)); test $((i%100)) = 0 && echo $i > at.$0; sleep 0.001; done";

fn counts(name: &str, more: &str) -> String {
    service(name, &COUNTS.replace("$0", name), more)
}

impl Supervised {
    fn at(&self, service: &str) -> usize {
        self.read(&format!("at.{service}")).trim().parse().unwrap_or(0)
    }

    /// It goes on to write, and nothing that it writes to is full.
    fn until_it_goes_on(&self, service: &str) {
        let before = self.at(service);
        self.until("it goes on", || self.at(service) > before + 100);
    }

    fn said(&self, text: &str) -> usize {
        self.read("events").matches(text).count()
    }
}

#[test]
fn logs_are_bounded_and_survive_the_supervisor() {
    let log = |name: &str, size: &str, keep: u32| {
        format!("log = '{name}.log'\nlog_size = '{size}'\nlog_keep = {keep}")
    };
    let mut set = Supervised::new(&format!(
        "{}{}",
        service(
            "much",
            "yes 0123456789 | head -c 3000000; echo end; exec sleep 1000",
            &log("much", "64K", 2)
        ),
        service("counts", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.001; done", &log("counts", "1G", 1)),
    ));
    set.supervise();
    set.until("the end", || set.read("much.log").ends_with("end\n"));
    let sizes = ["much.log", "much.log.1", "much.log.2"].map(|name| set.read(name).len());
    assert!(sizes.iter().all(|&size| size <= 65_536) && sizes[1] > 60_000, "{sizes:?}");
    assert_eq!(set.read("much.log.3"), "");
    for _ in 0..5 {
        set.supervise();
        let board = set.board().unwrap();
        set.until("a standby", || board.standbys() == Ok(1));
        let keeper = board.keeper().unwrap().unwrap();
        signal(keeper, SIGKILL);
        set.until("a successor", || board.keeper().is_ok_and(|now| now.is_some_and(|now| now != keeper)));
        let before = set.read("counts.log").len();
        set.until("more lines", || set.read("counts.log").len() > before);
    }
    assert_eq!(set.runs("counts").len(), 1);
    set.reap();
    set.end();
    let text = set.read("counts.log");
    let numbers: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.iter().enumerate().all(|(i, &number)| i == number), "lines are missing");
    assert_eq!(set.fifo("counts.log"), None);
}

/// Old files that cannot be replaced: the log stays bounded, everybody goes on, and it is said once.
#[test]
fn a_log_that_cannot_be_rotated_stops_nobody() {
    let mut set = Supervised::new(&format!(
        "{}{}",
        counts("a", "log = 'a.log'\nlog_size = 1000\nlog_keep = 1"),
        service("b", SLEEP, "backoff = '1ms'"),
    ));
    fs::create_dir_all(set.directory.join("a.log.1/not empty")).unwrap();
    set.supervise();
    set.until_said("a.log cannot be rotated (");
    set.until_run("b", 1);
    signal(set.alive("b").unwrap(), SIGKILL);
    set.until_run("b", 2);
    for _ in 0..5 {
        set.until_it_goes_on("a");
        assert!(set.read("a.log").len() <= 1000);
    }
    set.end();
    assert_eq!((set.said("cannot be rotated"), set.runs("a").len()), (1, 1), "{}", set.read("events"));
}

/// A disk of 64 KiB, which only the supervisor has.
fn on_a_small_disk(set: &Supervised) -> Option<Command> {
    let small = "mount -t tmpfs -o size=64k none disk && head -c 61440 /dev/zero > disk/filler";
    let enter = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).current_dir(&set.directory);
        command
    };
    fs::create_dir(set.directory.join("disk")).unwrap();
    let tried = enter(small).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: only root can mount a small disk");
        return None;
    }
    let supervise =
        format!("{small} && exec {} supervise --config services.toml", env!("CARGO_BIN_EXE_semring"));
    let mut command = enter(&supervise);
    let events = fs::OpenOptions::new().append(true).create(true).open(set.directory.join("events"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(events.unwrap());
    Some(command)
}

#[test]
fn a_full_disk_stops_nobody_and_what_was_lost_is_counted() {
    let mut set = Supervised::new(&format!(
        "{}{}",
        counts("a", "log = 'disk/a.log'\ndirectory = '.'"),
        service("b", SLEEP, "backoff = '1ms'"),
    ));
    let Some(mut command) = on_a_small_disk(&set) else { return };
    set.adopt(command.spawn().unwrap());
    set.until_said("a.log cannot be written (No space left on device");
    set.until_run("b", 1);
    signal(set.alive("b").unwrap(), SIGKILL);
    set.until_run("b", 2);
    set.until_it_goes_on("a");
    // Room again: it is used at once.
    let inside = PathBuf::from(format!("/proc/{}/root", set.last()));
    let disk = inside.join(set.directory.strip_prefix("/").unwrap()).join("disk");
    fs::remove_file(disk.join("filler")).unwrap();
    let text = || fs::read_to_string(disk.join("a.log")).unwrap_or_default();
    set.until("what was lost is counted", || text().contains("bytes of output were lost"));
    let before = text().len();
    set.until("more lines", || text().len() > before);
    set.end();
    assert_eq!((set.said("cannot be written"), set.runs("a").len()), (1, 1), "{}", set.read("events"));
}

/// The old one took away the FIFO of the new one when it ended. The next supervisor made another, and the service waited for
/// ever, for somebody to read what it wrote.
#[test]
fn a_service_that_is_renamed_keeps_its_log() {
    let mut set = Supervised::new(&counts("old", "log = 'a.log'"));
    let supervisor = set.supervise();
    set.until_it_goes_on("old");
    set.configure(&counts("new", "log = 'a.log'"));
    signal(supervisor, nix::libc::SIGHUP);
    set.until("the old one is gone", || set.find("old").is_none());
    set.until_it_goes_on("new");
    set.kill_supervisor();
    set.supervise();
    let before = set.read("a.log").len();
    set.until("more lines", || set.read("a.log").len() > before);
    assert_eq!(set.runs("new").len(), 1);
    set.end();
    assert_eq!(set.fifo("a.log"), None);
}

/// The kernel ended the supervisor, and every successor.
#[test]
fn a_limit_on_the_size_of_files_stops_nobody() {
    let mut set = Supervised::new(&service("a", "yes | head -c 20000; exec sleep 1000", "log = 'a.log'"));
    let mut command = set.command();
    let limit = || Ok(setrlimit(Resource::RLIMIT_FSIZE, 8192, 8192)?);
    // SAFETY: a system call only.
    unsafe { command.pre_exec(limit) };
    set.adopt(command.spawn().unwrap());
    set.until_said("a.log cannot be written (File too large");
    set.end();
}
