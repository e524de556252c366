//! `semring top`: one picture, several, and on a terminal.

mod common;

use common::*;
use serde_json::Value;

#[test]
fn top_counts_what_passes() {
    let name = Name::new();
    run_with_input(name.command("send", "--capacity 8"), "one\ntwo\n").ok();
    let plain = text(run(semring(["top", "--count", "1"])));
    assert!(
        plain.lines().any(|line| line.starts_with(&name.as_str()[..8]) && line.contains(" 2/8")),
        "{plain}"
    );
    assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
    assert!(!plain.contains('\x1b'));
    let twice = text(run(semring(["top", "--count", "2", "--interval", "0.05", "--json"])));
    let mine = |line: &str| {
        let picture: Value = serde_json::from_str(line).unwrap();
        let channels = picture["channels"].as_array().unwrap().clone();
        channels.into_iter().find(|channel| channel["name"] == name.as_str()).unwrap()
    };
    let rates: Vec<Value> = twice.lines().map(|line| mine(line)["sent_per_second"].clone()).collect();
    assert_eq!(rates, [Value::Null, 0.0.into()]);
    run(semring(["top", "--interval", "0"])).status.code().filter(|&code| code == 2).expect("wrong usage");
}

#[test]
fn top_ends_in_order_when_told_to() {
    // Were it deaf it would end by itself, and well.
    let mut top = semring(["top", "--count", "200", "--interval", "0.05", "--json"]).spawn().unwrap();
    let (first, _rest) = next(top.stdout.take().unwrap(), 1);
    assert_eq!(first, b"{");
    signal(top.id() as i32, SIGTERM);
    assert_eq!(top.wait().unwrap().code(), Some(128 + SIGTERM));
}

/// On a terminal: the picture, q, and the terminal as it was.
#[test]
fn top_draws_and_quits_on_q() {
    let name = Name::new();
    run_with_input(name.command("send", "--capacity 8"), "one\ntwo\n").ok();
    let size = nix::pty::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(&size, None).unwrap();
    let mode = || nix::sys::termios::tcgetattr(&pty.slave).unwrap().local_flags;
    let before = mode();
    let mut command = semring(["top", "--interval", "0.05"]);
    command.stdin(pty.slave.try_clone().unwrap()).stdout(pty.slave.try_clone().unwrap());
    let top = Running::start(command);
    let mut screen = std::fs::File::from(pty.master.try_clone().unwrap());
    let mut drawn = String::new();
    while !drawn.contains(name.as_str()) {
        let (byte, rest) = next(screen, 1);
        drawn.push(char::from(byte[0]));
        screen = rest;
    }
    assert!(drawn.contains("\x1b[?1049h"), "not on the alternate screen");
    assert_ne!(mode(), before);
    nix::unistd::write(&pty.master, b"q").unwrap();
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        while !rest.contains("\x1b[?1049l") {
            let (byte, back) = next(screen, 1);
            rest.push(char::from(byte[0]));
            screen = back;
        }
    });
    top.end().ok();
    reader.join().unwrap();
    assert_eq!(mode(), before, "the terminal is as it was");
}
