//! The looking commands on a real terminal of 80 by 24, and the screens in docs/tools.md: made here, compared here.
//!
//! `SEMRING_UPDATE_SCREENS=1 cargo test -p semring-cli --test terminal` writes them anew.

mod common;

use common::*;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use semring::Options;
use semring::segment::Segment;

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

fn at_least_one(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has a size")
}

/// A command on a terminal, with somebody who looks at it.
struct Terminal {
    running: Running,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Terminal {
    fn run(arguments: &str, columns: u16) -> Self {
        let size = nix::pty::Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(&size, None).unwrap();
        let mut command = semring(arguments.split_whitespace());
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let running = Running::start(command);
        let keyboard = File::from(pty.master);
        let mut picture = keyboard.try_clone().unwrap();
        let (sender, output) = channel();
        // When the command has ended nobody has the other end: an error, and the end.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = picture.read(&mut bytes) {
                if count == 0 || sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            running,
            keyboard,
            output,
            screen: vt100::Parser::new(at_least_one(ROWS), at_least_one(columns), 0),
        }
    }

    fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Looks until the screen is as expected.
    fn until(&mut self, expected: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + LIMIT;
        while !expected(&self.text()) {
            assert!(Instant::now() < until, "{}", self.text());
            match self.output.recv_timeout(LIMIT) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("it ended:\n{}", self.text()),
            }
        }
        self.text()
    }

    /// All that it shows to its end.
    fn end(mut self) -> String {
        while let Ok(bytes) = self.output.recv_timeout(LIMIT) {
            self.screen.process(&bytes);
        }
        self.running.end().ok();
        self.screen.screen().contents()
    }
}

/// The scene that docs/tools.md tells of, in a namespace of its own; the busy channel is busy until this is dropped.
struct Scene {
    _receivers: Vec<Running>,
    stop: std::sync::Arc<AtomicBool>,
    busy: Option<std::thread::JoinHandle<()>>,
}

impl Scene {
    fn new() -> Self {
        // One after the other: the listings are in the order of the ids.
        let receive = |name: &str, arguments: &str, count: u32| {
            let mut recv = semring(["recv", name].into_iter().chain(arguments.split_whitespace()));
            recv.stdout(Stdio::null());
            let receiver = Running::start(recv);
            let status = || Options::new().observe(name).and_then(|observer| observer.status());
            assert!(within(LIMIT, || status().is_ok_and(|status| status.consumers == count)));
            receiver
        };
        let receivers =
            vec![receive("orders", "", 1), receive("orders", "", 2), receive("events", "--size 200", 1)];
        let mut orders = Options::new().producer("orders").unwrap();
        let events = Options::new().producer("events").unwrap();
        receivers[2].signal(SIGKILL);
        let observer = Options::new().observe("events").unwrap();
        assert!(observer.wait_until_gone(semring::Role::Consumer, LIMIT).unwrap());
        let jobs: String =
            (0..300).map(|number| format!("job {number}: resize image-{number}.png\n")).collect();
        run_with_input(semring(["send", "jobs"]), jobs).ok();
        run(semring(["create", "halved", "--capacity", "64"])).ok();
        let halved = Options::new().observe("halved").unwrap().status().unwrap().segment_id;
        Segment::from_id(halved).unwrap().remove().unwrap();

        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let busy = std::thread::spawn(move || {
            let _events = events;
            while !told.load(Ordering::Relaxed) {
                for _ in 0..50 {
                    orders.send(b"an order").unwrap();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Scene { _receivers: receivers, stop, busy: Some(busy) }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.busy.take().map(std::thread::JoinHandle::join);
    }
}

/// Four services under a supervisor: one runs, one was stopped, one is done and one is not due yet.
struct Services {
    supervisor: Running,
    directory: std::path::PathBuf,
}

impl Services {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("semring-screens-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let configuration = "name = 'shop'\n\
            [service.database]\ncommand = 'exec sleep 1000'\n\
            [service.web]\ncommand = 'exec sleep 1000'\n\
            [service.import]\ncommand = 'exit 3'\nrestart = 'never'\n\
            [service.nightly]\ncommand = 'true'\ncron = '0 0 29 2 *'\n";
        std::fs::write(directory.join("services.toml"), configuration).unwrap();
        let mut supervise = semring(["supervise", "--config", "services.toml"]);
        supervise.current_dir(&directory);
        let services = Services { supervisor: Running::start(supervise), directory };
        let status = || run(semring(["supervise", "status", "--board", "shop"]));
        let running = |text: &str| text.matches(" alive ").count() == 2 && text.contains("exited with 3");
        assert!(within(LIMIT, || running(&String::from_utf8_lossy(&status().stdout))));
        run(semring(["supervise", "stop", "web", "--board", "shop"])).ok();
        services
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.supervisor.signal(SIGTERM);
        let ended = within(LIMIT, || !self.supervisor.is_running());
        let _ = std::fs::remove_dir_all(&self.directory);
        assert!(ended || std::thread::panicking(), "the supervisor does not end");
    }
}

/// Its second picture, with rates. It ends by that key.
fn top(key: &[u8]) -> String {
    let mut top = Terminal::run("top --interval 0.3", COLUMNS);
    let picture = top.until(|text| {
        let orders = text.lines().find(|line| line.starts_with("orders"));
        // NAME PROD CONS IN/S OUT/S
        let rates = orders.map(|line| line.split_whitespace().skip(3).take(2).collect::<Vec<_>>());
        rates.is_some_and(|rates| rates.iter().all(|rate| *rate != "-" && *rate != "0"))
    });
    top.keyboard.write_all(key).unwrap();
    let after = top.end();
    assert!(!after.contains("q quits"), "the screen is as it was before:\n{after}");
    picture
}

/// What stays of a text when time passes: its words, with one mark for what holds a digit or is a bar.
fn shape(text: &str) -> Vec<Vec<String>> {
    let word = |word: &str| match word {
        _ if word.contains(|c: char| c.is_ascii_digit()) => "#".to_string(),
        _ if word.contains(['█', '·']) => "▒".to_string(),
        _ => word.to_string(),
    };
    text.lines().map(|line| line.split_whitespace().map(word).collect()).collect()
}

const MARK: &str = "<!-- screen: semring ";
const OPEN: &str = "-->\n```text\n";

/// The screens in a document: each command with where its text begins and ends.
fn screens(document: &str) -> Vec<(String, std::ops::Range<usize>)> {
    let found = document.match_indices(MARK).map(|(at, _)| {
        let command = document[at + MARK.len()..].split(" -->").next().unwrap().to_string();
        let start = at + document[at..].find(OPEN).expect("a block") + OPEN.len();
        (command, start..start + document[start..].find("```").expect("the block's end"))
    });
    found.collect()
}

#[test]
fn the_screens_in_the_documentation_are_what_a_terminal_shows() {
    if !alone() {
        return;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tools.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut updated = document.clone();
    let screens = screens(&document);
    assert_eq!(screens.len(), 5);
    // From the last one on: the services' comes first, and is gone before the channels are looked at.
    let (mut services, mut scene) = (Some(Services::new()), None);
    for (command, range) in screens.into_iter().rev() {
        if !command.starts_with("supervise") {
            drop(services.take());
            scene.get_or_insert_with(Scene::new);
        }
        // What is wider than a screen is kept in one piece by a wide one.
        let shown = if command == "top" { top(b"q") } else { Terminal::run(&command, 200).end() };
        let shown: String = shown.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        if std::env::var_os("SEMRING_UPDATE_SCREENS").is_none() {
            assert_eq!(
                shape(&document[range.clone()]),
                shape(&shown),
                "semring {command} in docs/tools.md is out of date: SEMRING_UPDATE_SCREENS=1 writes it anew. Now:\n{shown}"
            );
        }
        updated.replace_range(range, &shown);
    }
    if std::env::var_os("SEMRING_UPDATE_SCREENS").is_some() {
        std::fs::write(path, updated).unwrap();
    }
}

#[test]
fn on_a_small_terminal_everything_is_there_to_read() {
    if !alone() {
        return;
    }
    let _scene = Scene::new();
    let picture = top(b"\x03"); // Ctrl-C, which in a raw terminal is a key
    let lines: Vec<&str> = picture.lines().collect();
    assert!(lines.len() <= ROWS.into() && lines.iter().all(|line| line.chars().count() <= COLUMNS.into()));
    assert!(
        lines[0].starts_with("4 channels, 2 with problems") && lines[0].ends_with("q quits"),
        "{picture}"
    );
    assert!(lines[1].starts_with("NAME") && lines[1].ends_with("ROOM"), "{picture}");
    let jobs = lines.iter().find(|line| line.starts_with("jobs")).expect("jobs");
    assert!(jobs.contains("████") && jobs.contains("300/1.02k"), "{picture}");
    let events = lines.iter().find(|line| line.starts_with("events")).expect("events");
    assert!(events.ends_with('!'), "{picture}");
    // Lines that are longer than the screen go on in the next row; a terminal puts them together again.
    let listed = Terminal::run("ls", COLUMNS).end();
    for expected in
        ["NAME", "WHAT IS WRONG", "orders", "300/1024", "dead consumer", "orphaned: half of a pair"]
    {
        assert!(listed.contains(expected), "{expected}:\n{listed}");
    }
}
