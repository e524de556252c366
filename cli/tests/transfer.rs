//! `semring send` and `semring recv`: nothing changes on the way, in any order of starting.

mod common;

use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::*;

/// Sends `input` with the receiver started first, then with the sender started first; everything must arrive.
fn round_trip(input: &[u8], options: &str) {
    round_trip_with(input, options, "");
}

fn round_trip_with(input: &[u8], options: &str, of_receiver: &str) {
    for receiver_first in [true, false] {
        let name = Name::new();
        let (send, recv) =
            (name.command("send", options), name.command("recv", &format!("{options} {of_receiver}")));
        let (sender, receiver);
        if receiver_first {
            receiver = Running::start(recv);
            thread::sleep(Duration::from_millis(30));
            sender = Running::with_input(send, input);
        } else {
            sender = Running::with_input(send, input);
            thread::sleep(Duration::from_millis(30));
            receiver = Running::start(recv);
        }
        sender.end().ok();
        assert!(receiver.end().ok().stdout == input, "what arrives is not what was sent ({options})");
        name.assert_gone();
    }
}

#[test]
fn lines_arrive_as_they_were() {
    round_trip(numbered(20_000).as_bytes(), "");
    round_trip(b"\n\nbetween\n\nthe last lacks its newline", "--lines");
    round_trip(b"\0\xff\r\n\x80", "--capacity 1 --size 16");
}

#[test]
fn more_lines_than_the_channel_holds_by_spsc() {
    round_trip(numbered(20_000).as_bytes(), "--kind spsc --capacity 8");
}

#[test]
fn chunks_arrive_as_they_were() {
    round_trip(&noise(1_000_003), "--chunks 4096");
    round_trip(&noise(300_000), "--chunks 100000 --capacity 2");
    round_trip(&noise(3), "--chunks 1000");
}

/// What a user would try first: a big binary file, a long text, and the text shared out among four.
#[test]
fn a_hundred_megabytes_and_a_million_lines() {
    let binary = noise(100_000_000);
    let text = numbered(1_000_000);
    for kind in ["spsc", "mpmc"] {
        for (input, framing) in [(&binary[..], "--chunks 65536"), (text.as_bytes(), "--lines")] {
            let name = Name::new();
            let options = format!("{framing} --kind {kind}");
            let receiver = Running::start(name.command("recv", &options));
            let sender = Running::with_input(name.command("send", &options), input);
            sender.end().ok();
            assert!(receiver.end().ok().stdout == input, "{options}");
            name.assert_gone();
        }
    }
    let name = Name::new();
    let receivers = [(); 4].map(|()| Running::start(name.command("recv", "")));
    assert!(within(LIMIT, || run(name.command("rm", "")).stderr.matches("consumer").count() == 4));
    Running::with_input(name.command("send", ""), &text).end().ok();
    let outputs = receivers.map(|receiver| String::from_utf8(receiver.end().ok().stdout).unwrap());
    let mut all: Vec<&str> = outputs.iter().flat_map(|output| output.split_inclusive('\n')).collect();
    let mut expected: Vec<&str> = text.split_inclusive('\n').collect();
    all.sort_unstable();
    expected.sort_unstable();
    assert!(all == expected, "{} of {} lines", all.len(), expected.len());
    name.assert_gone();
}

#[test]
fn frames_arrive_as_they_were() {
    let mut input = Vec::new();
    for len in (0..300).chain([4096, 0, 1]) {
        input.extend_from_slice(&(len as u32).to_le_bytes());
        input.extend_from_slice(&noise(len));
    }
    round_trip(&input, "--frames");
    round_trip_with(&input, "--frames --capacity 4", "--ack");
}

#[test]
fn what_is_sent_before_anybody_receives_is_there_and_then_it_is_the_end() {
    let name = Name::new();
    run_with_input(name.command("send", ""), "one\ntwo\n").ok();
    run_with_input(name.command("send", ""), "three\n").ok();
    for arguments in ["--verbose", "--ack --verbose"] {
        let received = run(name.command("recv", arguments)).ok();
        assert_eq!(received.stdout, b"one\ntwo\nthree\n");
        assert!(received.stderr.contains("3 messages, 14 bytes"), "{}", received.stderr);
        name.assert_gone();
        run_with_input(name.command("send", ""), "one\ntwo\nthree\n").ok();
    }
}

#[test]
fn an_empty_input_is_seen_by_a_receiver_that_starts_at_the_same_time() {
    for _ in 0..5 {
        round_trip(b"", "");
    }
    let name = Name::new();
    run(name.command("send", "--linger 0")).ok();
    name.assert_gone();
}

#[test]
fn a_line_does_not_wait_for_the_next() {
    let name = Name::new();
    let mut recv = name.command("recv", "").spawn().unwrap();
    let mut send = name.command("send", "");
    let mut sender = Running::start({
        send.stdin(Stdio::piped());
        send
    });
    let mut stdin = sender.stdin();
    let mut stdout = recv.stdout.take().unwrap();
    for line in ["first\n", "second\n"] {
        stdin.write_all(line.as_bytes()).unwrap();
        let arrived;
        (arrived, stdout) = next(stdout, line.len());
        assert_eq!(arrived, line.as_bytes());
    }
    drop(stdin);
    sender.end().ok();
    assert!(recv.wait().unwrap().success());
}

#[test]
fn four_receivers_and_two_senders_share_the_lines() {
    let name = Name::new();
    let receivers: Vec<Running> = (0..4).map(|_| Running::start(name.command("recv", ""))).collect();
    let text = numbered(20_000);
    let middle = text.len() / 2 + text[text.len() / 2..].find('\n').unwrap() + 1;
    let mut senders = [(); 2].map(|()| {
        let mut send = name.command("send", "");
        send.stdin(Stdio::piped());
        Running::start(send)
    });
    // Both are there before either ends.
    assert!(within(LIMIT, || run(name.command("rm", "")).stderr.matches("producer").count() == 2));
    for (sender, input) in senders.iter_mut().zip([&text[..middle], &text[middle..]]) {
        let (mut stdin, input) = (sender.stdin(), input.to_owned());
        thread::spawn(move || stdin.write_all(input.as_bytes()));
    }
    for sender in senders {
        sender.end().ok();
    }
    let outputs: Vec<String> = receivers
        .into_iter()
        .map(|receiver| String::from_utf8(receiver.end().ok().stdout).unwrap())
        .collect();
    let mut all: Vec<&str> = outputs.iter().flat_map(|output| output.split_inclusive('\n')).collect();
    assert_eq!(all.len(), 20_000);
    all.sort_unstable();
    let mut expected: Vec<&str> = text.split_inclusive('\n').collect();
    expected.sort_unstable();
    assert!(all == expected);
    name.assert_gone();
}
