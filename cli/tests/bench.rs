//! `semring bench`: it measures everybody, says who is left out and why, and leaves nothing behind.

mod common;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use common::*;
use nix::errno::Errno;
use serde_json::Value;

/// A bench in a world of its own, to see what is left of it: temporary files, and System V objects if we may have a
/// namespace for them.
struct World {
    files: PathBuf,
    alone: bool,
}

impl World {
    fn new(name: &str) -> Self {
        let files = std::env::temp_dir().join(format!("semring-bench-test-{}-{name}", std::process::id()));
        fs::create_dir(&files).unwrap();
        World { files, alone: alone() }
    }

    fn bench(&self, arguments: &str) -> Running {
        let mut command = semring(["bench"].into_iter().chain(arguments.split_whitespace()));
        command.env("TMPDIR", &self.files);
        Running::start(command)
    }

    /// Nothing is left of the bench that this process was.
    fn assert_clean(&self, bench: i32) {
        assert_eq!(fs::read_dir(&self.files).unwrap().count(), 0, "files are left in {:?}", self.files);
        for objects in ["shm", "sem", "msg"] {
            let list = fs::read_to_string(format!("/proc/sysvipc/{objects}")).unwrap();
            assert!(!self.alone || list.lines().count() == 1, "left: {list}");
        }
        for made in 0..1000 {
            let queue = nix::mqueue::mq_unlink(format!("/semring-bench-{bench}-{made}").as_str());
            assert!(matches!(queue, Err(Errno::ENOENT | Errno::ENOSYS)), "queue {made}: {queue:?}");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

#[test]
fn everybody_is_measured_at_every_size_and_nothing_is_left() {
    let world = World::new("everybody");
    let bench = world.bench("--json --rounds 2 --millis 2 --sizes 64,1,100,64");
    let id = bench.id();
    let report = bench.end().ok().json();
    world.assert_clean(id);
    assert_eq!((&report["rounds"], &report["millis"]), (&2.into(), &2.into()));
    let names = ["spsc", "mpmc", "pipe", "fifo", "socket", "posix-mq", "sysv-mq", "mmap"];
    let expected: Vec<(u64, &str)> =
        [1, 64, 100].into_iter().flat_map(|size| names.map(|name| (size, name))).collect();
    let results = report["results"].as_array().unwrap();
    let found: Vec<(u64, &str)> =
        results.iter().map(|row| (row["size"].as_u64().unwrap(), row["name"].as_str().unwrap())).collect();
    assert_eq!(found, expected);
    for row in results.iter().filter(|row| row["left_out"].is_null()) {
        for work in ["stream", "round_trip"] {
            let samples = row[work]["ns"].as_array().unwrap();
            assert!(samples.len() == 2 && samples.iter().all(|ns| ns.as_f64().unwrap() > 0.0), "{row}");
            assert!(row[work]["messages"].as_u64().unwrap() > 0, "{row}");
        }
        let first = row["name"] == "spsc";
        assert!(!first || row["stream"]["times_spsc"] == 1.0 && row["round_trip"]["times_spsc"] == 1.0);
    }
    // Only these two may be missing in a kernel.
    for row in results.iter().filter(|row| !row["left_out"].is_null()) {
        assert!(row["name"] == "posix-mq" || row["name"] == "sysv-mq", "{row}");
    }
}

#[test]
fn the_table_has_a_line_for_each() {
    let world = World::new("table");
    let done = world.bench("--rounds 1 --millis 1 --sizes 8,64 --against fifo,pipe").end().ok();
    let table = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.stderr, "");
    for line in ["semring SPSC ", "semring MPMC ", "FIFO ", "pipe "] {
        let lines: Vec<&str> = table.lines().filter(|other| other.starts_with(line)).collect();
        assert_eq!(lines.len(), 2, "{table}");
        assert!(lines.iter().all(|line| line.contains(['█', '▏', '▎', '▍', '▌', '▋', '▊', '▉'])), "{table}");
    }
    assert!(table.contains("\n8 bytes\n") && table.contains("\n64 bytes\n"), "{table}");
}

/// What a kernel file says, if it is a number.
fn limit(file: &str) -> Option<usize> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[test]
fn queues_that_cannot_hold_a_message_say_so() {
    let Some(most) = limit("/proc/sys/kernel/msgmax").filter(|most| *most < 1 << 20) else { return };
    let world = World::new("limits");
    let size = most + 1;
    let arguments = format!("--json --rounds 1 --millis 1 --sizes {size} --against sysv-mq,posix-mq,pipe");
    let bench = world.bench(&arguments);
    let id = bench.id();
    let report = bench.end().ok().json();
    world.assert_clean(id);
    let row = |name: &str| {
        let rows: &Vec<Value> = report["results"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    };
    let why = row("sysv-mq")["left_out"].as_str().unwrap().to_string();
    assert!(why.contains("msgmax") && why.contains(&most.to_string()), "{why}");
    // Root may go beyond the limit of POSIX queues.
    if let Some(why) = row("posix-mq")["left_out"].as_str() {
        assert!(why.contains(&size.to_string()) || why.contains("ulimit") || why.contains("POSIX"), "{why}");
    }
    assert!(row("pipe")["left_out"].is_null() && row("spsc")["left_out"].is_null());
}

#[test]
fn what_cannot_be_is_said_before_anything_runs() {
    let world = World::new("wrong");
    for (arguments, message) in [
        ("--against pigeon", "pigeon"),
        ("--against spsc", "spsc"),
        ("--sizes 0", "at least 1 byte"),
        ("--sizes 8,x", "not a number of bytes"),
        ("--sizes 16777217", "16777216"),
        ("--rounds 0", "rounds"),
        ("--millis 0", "millis"),
    ] {
        let done = world.bench(arguments).end();
        assert_eq!(done.status.code(), Some(2), "{arguments}");
        assert!(done.stderr.contains(message), "{arguments}: {}", done.stderr);
    }
}

#[test]
fn a_bench_that_is_stopped_leaves_nothing() {
    for (number, status, after) in [(SIGINT, 130, 0), (SIGINT, 130, 200), (SIGTERM, 143, 500)] {
        let world = World::new(&format!("stopped-{after}"));
        let bench = world.bench("--rounds 1000 --millis 20 --sizes 64");
        let id = bench.id();
        assert!(within(LIMIT, || children(id).len() == 2));
        thread::sleep(Duration::from_millis(after));
        let workers = children(id);
        bench.signal(number);
        assert!(bench.end().fails(status, "stopped by SIG").stdout.is_empty());
        assert!(within(LIMIT, || workers.iter().all(|worker| has_ended(*worker))), "{workers:?}");
        world.assert_clean(id);
    }
}

#[test]
fn a_side_that_is_killed_ends_the_bench() {
    let world = World::new("killed");
    let bench = world.bench("--rounds 1 --millis 60000 --sizes 64 --against pipe");
    let id = bench.id();
    // The samples that find out how fast it goes are over soon; the pair that is then there stays.
    let mut killed = None;
    assert!(within(LIMIT, || {
        thread::sleep(Duration::from_millis(500));
        let now = children(id);
        let stays = killed == now.first().copied();
        killed = now.first().copied();
        stays && killed.is_some()
    }));
    signal(killed.unwrap(), SIGKILL);
    bench.end().fails(1, "a process of the measurement: signal: 9");
    world.assert_clean(id);
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let mut bench = semring(["bench", "--rounds", "1", "--millis", "1", "--sizes", "8", "--against", "pipe"]);
    bench.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    run(bench).fails(1, "cannot write to standard output");
}
