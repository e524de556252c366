//! The example `never-stops` in a short form, as its script runs it.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::*;

#[test]
fn every_message_arrives_whoever_is_killed() {
    // With an IPC namespace of its own where that is allowed; otherwise its names are used as they are.
    alone();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/never-stops/run");
    let semring = PathBuf::from(env!("CARGO_BIN_EXE_semring"));
    let example = semring.with_file_name("examples").join("never-stops");
    // Examples are built with all tests, but not with this one alone.
    assert!(example.exists(), "first: cargo build -p semring-cli --example never-stops");
    let mut command = Command::new(script);
    command.arg("5").env("SEMRING", &semring).env("NEVER_STOPS", example);
    let done = Running::start({
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    });
    let done = done.end().ok();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    for said in ["killed ", " 0 missing; ", ", 0 of these without a flag"] {
        assert!(text.contains(said), "{text}");
    }
    println!("{text}");
}
