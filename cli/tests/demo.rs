//! `semring demo`: it counts what there is to count, leaves nothing behind, and survives the death of any process.

mod common;

use std::fs::OpenOptions;
use std::thread;
use std::time::Duration;

use common::*;
use serde_json::Value;

/// So many messages that there is time to do something meanwhile.
const MANY: &str = if cfg!(debug_assertions) { "400000" } else { "10000000" };

fn demo(arguments: &str) -> Running {
    Running::start(semring(["demo", "--json"].into_iter().chain(arguments.split_whitespace())))
}

/// Ends well, and nothing is left.
fn well(demo: Running) -> Value {
    let id = demo.id();
    let report = demo.end().ok().json();
    for count in ["lost", "duplicated", "redelivered", "torn", "out_of_order", "left", "in_hand"] {
        assert_eq!(report[count], 0, "{report}");
    }
    assert_eq!(report["sent"], report["received"]);
    assert_eq!(report["killed_workers"], Value::Array(vec![]));
    assert_gone(&format!("demo-{id}"));
    report
}

#[test]
fn the_report_has_what_is_promised() {
    let report = well(demo("--messages 20000"));
    assert_eq!(report["sent"], 20_000);
    for key in ["messages_per_second", "megabytes_per_second", "cpu_seconds", "elapsed_seconds"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {report}");
    }
    let latency = ["p50", "p99", "p99.9", "max"].map(|key| report["latency_ns"][key].as_u64().unwrap());
    assert!(latency[0] > 0 && latency.is_sorted(), "{report}");
    assert_eq!(report["latency_ns"]["samples"], 20_000);
}

#[test]
fn the_table_says_the_same() {
    let done = run(semring(["demo", "--messages", "20000", "--against", "pipe"])).ok();
    let table = String::from_utf8(done.stdout).unwrap();
    for row in [
        "sent ",
        "lost ",
        "torn ",
        "messages/s",
        "p99.9",
        "CPU time",
        "times as many",
        "Every message arrived",
    ] {
        assert!(table.contains(row), "{row} is missing: {table}");
    }
    assert_eq!(done.stderr, "");
}

#[test]
fn every_way_to_send_accounts_for_every_message() {
    for arguments in [
        "--messages 1",
        "--messages 20001 --spsc",
        "--messages 20001 --spsc --batch 7 --capacity 4",
        "--messages 20001 --producers 3 --consumers 4 --capacity 2",
        "--messages 20001 --batch 50",
        "--messages 20001 --ack",
        "--messages 2000 --size 10000 --capacity 16",
        "--messages 20000 --size 24 --producers 5 --consumers 1",
    ] {
        well(demo(arguments));
    }
}

#[test]
fn a_pipe_does_the_same_work() {
    for arguments in ["", "--size 4096 --spsc", "--batch 10", "--size 1000 --batch 10"] {
        let report = well(demo(&format!("--messages 10000 --against pipe {arguments}")));
        let pipe = &report["against"];
        assert_eq!(
            (&pipe["name"], &pipe["sent"], &pipe["received"]),
            (&"pipe".into(), &10_000.into(), &10_000.into())
        );
        assert_eq!((&pipe["torn"], &pipe["duplicated"]), (&0.into(), &0.into()));
        assert!(pipe["ratio"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn what_cannot_be_is_said_before_anything_runs() {
    for (arguments, message) in [
        ("--size 23", "24"),
        ("--messages 0", "messages"),
        ("--spsc --producers 2", "--spsc"),
        ("--producers 40 --consumers 40", "63"),
        ("--against pipe --size 4097", "4096"),
    ] {
        let done = demo(arguments).end();
        assert_eq!(done.status.code(), Some(2), "{arguments}");
        assert!(done.stderr.contains(message), "{}", done.stderr);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let mut demo = semring(["demo", "--messages", "1000"]);
    demo.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    run(demo).fails(1, "cannot write to standard output");
}

/// Starts a demo, kills the workers that `victims` names after a while, and returns its report.
fn with_killed(arguments: &str, victims: &[&str], after: Duration) -> Value {
    let demo = demo(&format!("--messages {MANY} {arguments}"));
    let id = demo.id();
    let mut found = Vec::new();
    let all_found = within(LIMIT, || {
        found = workers(id).into_iter().filter(|(worker, _)| victims.contains(&worker.as_str())).collect();
        found.len() == victims.len()
    });
    assert!(all_found, "no such workers: {victims:?}");
    thread::sleep(after);
    for (_, worker) in &found {
        signal(*worker, SIGKILL);
    }
    let done = demo.end();
    let report = done.json();
    assert_gone(&format!("demo-{id}"));
    for count in ["lost", "duplicated", "torn", "out_of_order"] {
        assert_eq!(report[count], 0, "{report}");
    }
    let number = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(number("sent"), number("received") + number("left") + number("in_hand"), "{report}");
    assert_eq!(report["killed_workers"].as_array().unwrap().len(), victims.len(), "{report}");
    for (victim, process) in &found {
        done.stderr
            .lines()
            .find(|line| line.contains(&format!("{victim} (process {process}) was killed by SIGKILL")))
            .unwrap();
    }
    assert_eq!(done.status.code(), Some(1));
    report
}

#[test]
fn a_killed_producer_takes_nothing_along() {
    for after in [0, 30, 100] {
        let report = with_killed("", &["producer 1"], Duration::from_millis(after));
        assert_eq!(report["in_hand"], 0, "{report}");
        assert_eq!(report["left"], 0, "{report}");
    }
}

#[test]
fn a_killed_consumer_takes_at_most_what_it_had_in_hand() {
    for (arguments, hand, after) in [("", 1, 50), ("--batch 16", 16, 100), ("--ack", 0, 100), ("--ack", 0, 5)]
    {
        let report = with_killed(arguments, &["consumer 0"], Duration::from_millis(after));
        assert!(report["in_hand"].as_u64().unwrap() <= hand, "{report}");
        assert_eq!(report["sent"], MANY.parse::<u64>().unwrap(), "{report}");
    }
}

#[test]
fn without_consumers_the_producers_end_and_without_producers_the_consumers_do() {
    for after in [0, 100] {
        with_killed("", &["consumer 0", "consumer 1"], Duration::from_millis(after));
        with_killed("--ack", &["consumer 0", "consumer 1"], Duration::from_millis(after));
        with_killed("", &["producer 0", "producer 1"], Duration::from_millis(after));
        with_killed("--spsc", &["consumer 0"], Duration::from_millis(after));
        with_killed("--spsc", &["producer 0"], Duration::from_millis(after));
    }
}

#[test]
fn a_demo_that_is_stopped_leaves_nothing() {
    for (number, status, after) in [(SIGINT, 130, 0), (SIGINT, 130, 150), (SIGTERM, 143, 150)] {
        let demo = demo(&format!("--messages {MANY}"));
        let id = demo.id();
        assert!(within(LIMIT, || workers(id).len() == 4));
        let workers = workers(id);
        thread::sleep(Duration::from_millis(after));
        demo.signal(number);
        let done = demo.end().fails(status, "stopped by SIG");
        assert!(done.stdout.is_empty());
        for (worker, process) in workers {
            assert!(!std::fs::exists(format!("/proc/{process}")).unwrap(), "{worker} is still there");
        }
        assert_gone(&format!("demo-{id}"));
    }
}

#[test]
fn a_killed_demo_takes_its_workers_and_its_channel_along() {
    let demo = demo(&format!("--messages {MANY}"));
    let id = demo.id();
    assert!(within(LIMIT, || workers(id).len() == 4));
    let workers = workers(id);
    thread::sleep(Duration::from_millis(100));
    demo.signal(SIGKILL);
    demo.end();
    assert!(within(LIMIT, || workers.iter().all(|(_, process)| has_ended(*process))));
    assert_gone(&format!("demo-{id}"));
}
