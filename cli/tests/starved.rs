//! `ls` and `rm --orphaned` with too little address space to attach a segment (RLIMIT_AS): what cannot be read is neither
//! called orphaned nor removed, and nor is a semaphore set that might belong to it.

mod common;

use common::*;
use semring::Options;
use semring::segment::Segment;
use serde_json::Value;

/// The tool with so many KiB of address space.
fn starved(kibibytes: u32, arguments: &str) -> Done {
    let mut command = std::process::Command::new("sh");
    let script = format!("ulimit -v {kibibytes} && exec {} {arguments}", env!("CARGO_BIN_EXE_semring"));
    command.args(["-c", &script]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    run(command)
}

fn orphans(report: &Value) -> Vec<&Value> {
    let channels = report["channels"].as_array().expect("channels").iter();
    channels.filter(|channel| channel["problems"].to_string().contains("orphaned")).collect()
}

#[test]
fn what_cannot_be_read_is_not_called_orphaned() {
    if !alone() {
        return;
    }
    // A channel of 128 MiB, whose set looks as lonely as that of the other one, as long as its segment is unknown.
    run(semring(["create", "large", "--capacity", "16384", "--size", "8000", "--lazy"])).ok();
    run_with_input(semring(["send", "large"]), "one\ntwo\n").ok();
    run(semring(["create", "halved", "--capacity", "1"])).ok();
    let halved = Options::new().observe("halved").unwrap().status().unwrap();
    Segment::from_id(halved.segment_id).unwrap().remove().unwrap();
    let full = run(semring(["ls", "--json"])).ok().json();
    assert_eq!(orphans(&full).len(), 1, "with room enough the orphan is known: {full}");

    let mut seen = 0;
    for kibibytes in [120_000, 60_000, 20_000, 12_000] {
        let listed = starved(kibibytes, "ls --json");
        if listed.status.success() {
            seen += 1;
            assert!(
                !listed.json().to_string().contains("large"),
                "{kibibytes} KiB are too many for this test"
            );
            assert_eq!(orphans(&listed.json()), Vec::<&Value>::new(), "{kibibytes} KiB");
        }
        // Whether it removes nothing, or cannot even start.
        let removed = starved(kibibytes, "rm --orphaned --yes --json");
        assert!(
            !removed.status.success() || removed.json()["removed"] == Value::Array(vec![]),
            "{removed:?}"
        );
    }
    assert!(seen >= 2, "the tool does not start with as much as this");
    assert_eq!(semring::sem::list().unwrap().len(), 2);

    let removed = run(semring(["rm", "--orphaned", "--yes", "--json"])).ok().json();
    assert_eq!(removed["removed"].as_array().map(Vec::len), Some(1), "{removed}");
    assert_eq!(run(semring(["recv", "large"])).ok().stdout, b"one\ntwo\n");
    assert_eq!((semring::segment::list().unwrap(), semring::sem::list().unwrap()), (vec![], vec![]));
}
