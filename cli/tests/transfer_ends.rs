//! How `semring send` and `semring recv` end: what is too long, peers that are gone, full disks, signals, wrong use.

mod common;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::*;

#[test]
fn a_message_too_long_is_named_with_both_sizes_and_those_before_it_are_sent() {
    for (options, input, message) in [
        ("--size 10", "one\ntwo\nthis one is too long\nfour\n".as_bytes(), "line 3 has 21 bytes"),
        ("--size 10 --frames", b"\x01\0\0\0a\x01\0\0\0b\x0b\0\0\0", "frame 3 has 11 bytes"),
    ] {
        let name = Name::new();
        let sent = run_with_input(name.command("send", options), input).fails(1, message);
        assert!(sent.stderr.contains("at most 10"), "{}", sent.stderr);
        let received = run(name.command("recv", options)).ok().stdout;
        assert!(input.starts_with(&received) && !received.is_empty());
        assert_eq!(received, &input[..if options.contains("frames") { 10 } else { 8 }]);
    }
    let name = Name::new();
    let _receiver = Running::start(name.command("recv", "--size 100"));
    assert!(within(LIMIT, || run(name.command("rm", "")).stderr.contains("in use")));
    run_with_input(name.command("send", "--chunks 101"), noise(101)).fails(1, "chunk 1 has 101 bytes");
}

#[test]
fn an_input_that_ends_within_a_frame_is_an_error() {
    let name = Name::new();
    let sent = run_with_input(name.command("send", "--frames"), b"\x01\0\0\0a\x05\0\0\0bc");
    sent.fails(1, "within frame 2: 2 of 5 bytes");
    assert_eq!(run(name.command("recv", "--frames")).ok().stdout, b"\x01\0\0\0a");
}

#[test]
fn without_receivers_a_sender_gets_a_broken_pipe() {
    for kill in [SIGTERM, SIGKILL] {
        let name = Name::new();
        let mut recv = name.command("recv", "").spawn().unwrap();
        let mut send = name.command("send", "");
        send.stdin(Stdio::piped());
        let mut sender = Running::start(send);
        let mut stdin = sender.stdin();
        stdin.write_all(b"hello\n").unwrap();
        let (_, _stdout) = next(recv.stdout.take().unwrap(), 6);
        signal(recv.id() as i32, kill);
        recv.wait().unwrap();
        thread::spawn(move || while stdin.write_all(b"into the void\n").is_ok() {});
        let sent = sender.end().fails(1, "broken pipe");
        assert!(sent.stderr.contains("line "), "{}", sent.stderr);
    }
}

#[test]
fn a_sender_that_waits_survives_its_receivers() {
    let name = Name::new();
    let text = numbered(100_000);
    let options = "--wait --capacity 16";
    let sender = Running::with_input(name.command("send", options), &text);
    let mut first = name.command("recv", options).spawn().unwrap();
    // Its output is full, and then closed.
    let (line, stdout) = next(first.stdout.take().unwrap(), 7);
    assert_eq!(line, b"line 0\n");
    drop(stdout);
    assert_eq!(first.wait().unwrap().code(), Some(1));
    let rest = run(name.command("recv", "")).ok().stdout;
    assert!(text.as_bytes().ends_with(&rest) && !rest.is_empty());
    sender.end().ok();
    name.assert_gone();
}

#[test]
fn a_killed_sender_is_a_sender_that_is_gone() {
    let name = Name::new();
    let receiver = Running::start(name.command("recv", "--json"));
    let mut send = name.command("send", "");
    send.stdin(Stdio::piped());
    let mut sender = Running::start(send);
    let mut stdin = sender.stdin();
    stdin.write_all(b"last words\n").unwrap();
    // It is there and waits for more.
    thread::sleep(Duration::from_millis(200));
    sender.signal(SIGKILL);
    let received = receiver.end().ok();
    assert_eq!(received.stdout, b"last words\n");
    assert!(received.stderr.contains("\"messages\":1"), "{}", received.stderr);
    name.assert_gone();
}

#[test]
fn a_full_disk_is_an_error_and_with_acknowledgements_nothing_is_lost() {
    for ack in [false, true] {
        let name = Name::new();
        run_with_input(name.command("send", ""), "one\ntwo\n").ok();
        let mut recv = name.command("recv", if ack { "--ack" } else { "" });
        recv.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let failed = run(recv).fails(1, "cannot write to standard output");
        if ack {
            let received = run(name.command("recv", "--ack --verbose")).ok();
            assert_eq!(
                BTreeSet::from_iter(received.stdout.split(|b| *b == b'\n')),
                BTreeSet::from([&b"one"[..], b"two", b""])
            );
        } else {
            assert!(failed.stderr.contains("2 messages were taken and not written"), "{}", failed.stderr);
        }
        name.assert_gone();
    }
}

#[test]
fn a_receiver_killed_while_it_writes_loses_nothing_with_acknowledgements() {
    let name = Name::new();
    let text = numbered(3);
    run_with_input(name.command("send", ""), &text).ok();
    // A pipe that is full: the receiver takes a message and hangs in its write.
    let (read, mut write) =
        nix::unistd::pipe().map(|(r, w)| (std::fs::File::from(r), std::fs::File::from(w))).unwrap();
    let size = nix::fcntl::fcntl(&write, nix::fcntl::FcntlArg::F_GETPIPE_SZ).unwrap();
    write.write_all(&vec![b'x'; size as usize]).unwrap();
    let mut recv = name.command("recv", "--ack");
    recv.stdout(write.try_clone().unwrap());
    let receiver = Running::start(recv);
    thread::sleep(Duration::from_millis(300));
    receiver.signal(SIGKILL);
    assert!(!receiver.end().status.success());
    drop((read, write));
    let received = run(name.command("recv", "--ack --json")).ok();
    assert_eq!(received.stdout, text.as_bytes());
    assert!(received.stderr.contains("\"redelivered\":1"), "{}", received.stderr);
    name.assert_gone();
}

#[test]
fn signals_end_whoever_waits() {
    for (number, status) in [(SIGINT, 130), (SIGTERM, 143)] {
        for ack in ["", "--ack"] {
            let name = Name::new();
            let receiver = Running::start(name.command("recv", ack));
            assert!(within(LIMIT, || run(name.command("rm", "")).stderr.contains("in use")));
            receiver.signal(number);
            receiver.end().fails(status, "stopped by SIG");
            name.assert_gone();
        }
        // A sender that waits for its input, and one that waits for room.
        let name = Name::new();
        let mut send = name.command("send", "");
        send.stdin(Stdio::piped());
        let mut sender = Running::start(send);
        let _stdin = sender.stdin();
        assert!(within(LIMIT, || run(name.command("rm", "")).stderr.contains("in use")));
        sender.signal(number);
        sender.end().fails(status, "stopped by SIG");
        name.assert_gone();

        let sender = Running::with_input(name.command("send", "--capacity 2"), "1\n2\n3\n");
        assert!(within(LIMIT, || run(name.command("rm", "")).stderr.contains("in use")));
        thread::sleep(Duration::from_millis(100));
        sender.signal(number);
        sender.end().fails(status, "stopped by SIG");
        // What was sent stays.
        assert_eq!(run(name.command("recv", "")).ok().stdout, b"1\n2\n");
    }
}

#[test]
fn an_empty_channel_stays_if_asked() {
    let name = Name::new();
    let receiver = Running::start(name.command("recv", "--keep"));
    run_with_input(name.command("send", "--keep"), "x\n").ok();
    assert_eq!(receiver.end().ok().stdout, b"x\n");
    run(name.command("rm", "")).ok();
    name.assert_gone();
}

#[test]
fn what_is_said_must_fit_the_existing_channel() {
    let name = Name::new();
    run(name.command("recv", "--existing")).fails(1, "does not exist");
    run_with_input(name.command("send", "--size 100 --capacity 8"), "x\n").ok();
    let mismatch = run(name.command("recv", "--size 200")).fails(1, "200");
    assert!(mismatch.stderr.contains("100"), "{}", mismatch.stderr);
    // Chunks of another size are no demand: the channel is taken as it is.
    assert_eq!(run(name.command("recv", "--chunks 5000 --existing")).ok().stdout, b"x\n");
}

#[test]
fn usage_errors_have_a_status_of_their_own() {
    let name = Name::new();
    for arguments in ["--chunks 0", "--chunks 5 --frames", "--mode 888", "--kind queue"] {
        assert_eq!(run(name.command("send", arguments)).status.code(), Some(2), "{arguments}");
    }
    run_with_input(name.command("send", "--capacity 0"), "x\n").fails(1, "capacity");
}

#[test]
fn summaries() {
    let name = Name::new();
    let receiver = Running::start(name.command("recv", "--json"));
    let sent = run_with_input(name.command("send", "--json"), "one\ntwo\n").ok().json();
    assert_eq!((&sent["messages"], &sent["bytes"]), (&2.into(), &8.into()));
    assert_eq!(sent["channel"], name.as_str());
    let received = receiver.end().ok();
    assert_eq!(received.stdout, b"one\ntwo\n");
    let received: serde_json::Value = serde_json::from_str(&received.stderr).unwrap();
    assert_eq!((&received["messages"], &received["redelivered"]), (&2.into(), &0.into()));
    let failed = run_with_input(name.command("send", "--json --size 5"), "too long\n");
    assert!(failed.json()["error"].as_str().unwrap().contains("line 1"));
    failed.fails(1, "line 1 has 9 bytes");
}
