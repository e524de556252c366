//! `semring beat` and the commands for services, used as somebody does who has not read the manual.

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::supervised::{SLEEP, Supervised, service};
use common::*;
use semring::heartbeat::BoardOptions;

fn told(arguments: &[&str], message: &str) {
    run(semring(arguments.iter().copied())).fails(1, message);
}

#[test]
fn what_is_not_there_is_named_beside_what_is() {
    let mut set = Supervised::new(&format!(
        "{}{}",
        service("web", SLEEP, ""),
        service("once", "true", "restart = 'never'")
    ));
    set.supervise();
    set.until_run("web", 1);
    set.until("once has ended", || set.read("events").contains("once: exited with 0: done"));
    let board = set.board.clone();
    let there = format!("{board}: that has web, once");
    told(&["beat", "nope", "--board", &board], &there);
    told(&["supervise", "stop", "nope", "--board", &board], &there);
    told(&["supervise", "status", "nope", "--board", &board], &there);
    // The board was forgotten: it is one of those that there are.
    for words in
        [vec!["beat", "web"], vec!["supervise", "restart", "web"], vec!["supervise", "status", "web"]]
    {
        let done = run(semring(words.iter().copied()))
            .fails(1, "service web on board services or web does not exist");
        assert!(done.stderr.contains(&board) && done.stderr.contains("--board NAME"), "{}", done.stderr);
    }
    told(&["supervise", "status"], &board);
    told(&["beat", "once", "--board", &board], "nobody to beat for");
    let one = run(semring(["supervise", "status", "web", "--board", &board, "--json"])).ok().json();
    let services = one["services"].as_array().unwrap();
    assert_eq!((services.len(), &services[0]["name"]), (1, &"web".into()));
    let lines = text(run(semring(["supervise", "status", "once", "--board", &board])));
    assert!(lines.contains("exited with 0") && !lines.contains("web"), "{lines}");
    set.end();
}

/// A channel is not a board, nor the other way round, and neither is somebody else's: it is said what it is.
#[test]
fn something_else_of_that_name_is_called_what_it_is() {
    let (channel, board, table) = (Name::new(), Name::new(), Name::new());
    run(channel.command("create", "")).ok();
    let _board = BoardOptions::new().create(board.as_str()).unwrap();
    let _table = semring::TableOptions::new().create::<u32, u32>(table.as_str(), "squares").unwrap();
    told(&["beat", "web", "--board", channel.as_str()], "(it is a channel)");
    told(&["supervise", "status", "--board", table.as_str()], "(it is a table)");
    told(&["send", board.as_str()], "(it is a board)");
    told(&["peek", board.as_str()], "(it is a board)");
}

#[test]
fn names_that_cannot_be_are_refused_before_anything_is_looked_for() {
    let with = |board: &[u8], service: &str| {
        let mut command = semring(["beat"]);
        command.env("SEMRING_BOARD", std::ffi::OsStr::from_bytes(board)).env("SEMRING_SERVICE", service);
        run(command)
    };
    with(b"\xff", "web").fails(2, "SEMRING_BOARD is \"\\xFF\", which is not UTF-8");
    with(b"shop", "").fails(2, "\"\" is no service; expected 1 to 64 bytes");
    with(b"", "web").fails(1, "invalid name: 0 bytes");
    run(semring(["beat"])).fails(2, "which service?");
    for command in ["stop", "start", "restart"] {
        run(semring(["supervise", command, "a/b"])).fails(2, "\"a/b\" is no service; expected");
    }
    run(semring(["supervise", "--name", "a/b", "--", "true"]))
        .fails(2, "cannot be a service's name; expected");
    run(semring(["supervise", "--name", "", "--", "true"])).fails(2, "cannot be a service's name; expected");
}

/// Who may not open the board is told of the other way.
#[test]
fn somebody_else_is_told_how_to_beat() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: it takes root to be somebody else");
    }
    let name = Name::new();
    let _board = BoardOptions::new().create(name.as_str()).unwrap();
    told(&["beat", "web", "--board", name.as_str()], "that has none");
    let mut command = semring(["beat", "web", "--board", name.as_str()]);
    command.uid(65_534).gid(65_534);
    let done = run(command).fails(1, &format!("permission denied on {}", name.as_str()));
    assert!(done.stderr.contains("notify = true") && done.stderr.contains("WATCHDOG=1"), "{}", done.stderr);
}

/// The lines of docs/from-sysv.md, compiled: a C program says that it is ready, beats, and is taken for hung when it stops.
#[test]
fn a_c_program_beats_with_the_lines_of_the_manual() {
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/from-sysv.md")).unwrap();
    let tell = manual.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).expect("lines of C");
    let main = "int main(void)\n{\n    tell(\"READY=1\");\n    while (access(\"hang\", F_OK) != 0) {\n        \
                usleep(20000);\n        tell(\"WATCHDOG=1\");\n    }\n    for (;;)\n        pause();\n}\n";
    let tells = "notify = true\nready = '1000s'\nsilence = '3s'";
    let mut set = Supervised::new(&format!(
        "{}{}",
        service("c", "exec ./beats", tells),
        service("next", SLEEP, "after = ['c']")
    ));
    set.write("beats.c", &format!("#define _DEFAULT_SOURCE\n{tell}\n{main}"));
    let compiler = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-o", "beats", "beats.c"])
        .current_dir(&set.directory)
        .output();
    match compiler {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => return eprintln!("skipped: there is no C compiler ({error})"),
    }
    set.supervise();
    set.until_run("next", 1); // which waits for the first READY=1
    set.until("it beats", || set.find("c").is_some_and(|member| member.silent_for < member.age));
    let before = set.runs("c").len();
    set.write("hang", "");
    set.until("it is restarted", || set.runs("c").len() > before);
    assert!(set.read("events").contains("c: hangs"), "{}", set.read("events"));
    set.end();
}
