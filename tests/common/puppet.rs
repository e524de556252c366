//! A child process that does what it is told: one command a line, one answer each. Tests of deaths and restarts read
//! as scripts then, with the parent holding all the strings.

use std::time::Duration;

use semring::segment::Key;
use semring::{Consumer, Kind, Lease, Options, Producer, RecvError, WakeMode, WhenNoConsumer};

use super::child::{Child, hear, say};
use super::sys;

/// How a process leaves a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Drops its handle and goes on.
    Drop,
    /// `exit`, without destructors of its handles.
    Exit,
    /// Panics.
    Panic,
    /// SIGKILL.
    Kill,
}

pub(crate) const LEAVES: [Leave; 4] = [Leave::Drop, Leave::Exit, Leave::Panic, Leave::Kill];

/// The strings.
pub(crate) struct Puppet(Child);

impl std::ops::Deref for Puppet {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Puppet {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Puppet {
    pub(crate) fn new() -> Self {
        Self(Child::start("puppet", &[]))
    }

    /// A puppet that has already followed a command.
    #[track_caller]
    pub(crate) fn with(command: &str) -> Self {
        let mut puppet = Self::new();
        puppet.expect(command, "ok");
        puppet
    }

    /// The answer to a command must be this.
    #[track_caller]
    pub(crate) fn expect(&mut self, command: &str, answer: &str) {
        let found = self.ask(command);
        assert_eq!(found, answer, "the answer of process {} to: {command}", self.pid());
    }

    /// The answer to an earlier command must be this.
    #[track_caller]
    pub(crate) fn then(&mut self, answer: &str) {
        let found = self.answer();
        assert_eq!(found, answer, "the late answer of process {}", self.pid());
    }

    /// Leaves the channel, and returns when it has happened. A guard in hand is left too: by `Drop` it is dropped.
    #[track_caller]
    pub(crate) fn leave(&mut self, how: Leave) {
        match how {
            Leave::Drop => self.expect("drop", "ok"),
            Leave::Kill => self.kill(),
            Leave::Exit => {
                self.tell("exit");
                assert_eq!(self.end().code(), Some(7));
            }
            Leave::Panic => {
                self.tell("panic");
                assert_eq!(self.end().code(), Some(101), "the status of a failed test");
            }
        }
    }
}

/// What `key=value` words say.
pub(crate) fn options(words: &[&str]) -> Options {
    words.iter().fold(super::options(), |options, word| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u64>().expect("a number");
        match key {
            "kind" => options.kind(if value == "spsc" { Kind::Spsc } else { Kind::Mpmc }),
            "capacity" => options.capacity(number()),
            "size" => options.message_size(number()),
            "participants" => options.participants(number() as usize),
            "mode" => options.mode(u32::from_str_radix(value, 8).expect("octal")),
            "policy" if value == "wait" => options.when_no_consumer(WhenNoConsumer::Wait),
            "policy" => options.when_no_consumer(WhenNoConsumer::Disconnect),
            "wake" if value == "fence" => options.wake_mode(WakeMode::Fence),
            "wake" => options.wake_mode(WakeMode::Membarrier),
            "origin" => options.origin(number()),
            "recheck" => options.recheck_interval(Some(Duration::from_millis(number()))),
            "existing" => options.existing(),
            "any_owner" => options.allow_any_owner(),
            _ => panic!("no option {word}"),
        }
    })
}

/// A name, or `id:` and an id.
fn key(word: &str) -> Key {
    word.strip_prefix("id:").map_or_else(|| Key::from(word), |id| Key::Id(id.parse().expect("an id")))
}

fn ok<T, E: std::fmt::Debug>(result: Result<T, E>) -> String {
    result.map_or_else(|e| format!("err {e:?}"), |_| "ok".into())
}

fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

fn got<E: std::fmt::Debug>(result: Result<semring::Message, E>) -> String {
    match result {
        Ok(m) => format!("got {} {} {}", text(&m), m.tag, m.attempt),
        Err(e) => format!("err {e:?}"),
    }
}

/// On purpose, so without the message that would only alarm whoever reads the log.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("told to panic"))
}

/// The puppet's life.
pub(crate) fn dance() {
    let mut producer: Option<Producer> = None;
    let mut consumer: Option<Consumer> = None;
    while let Some(line) = hear() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (command, rest) = words.split_first().expect("a command");
        let word = |i: usize| rest.get(i).copied().unwrap_or("");
        let number = |i: usize| word(i).parse::<u64>().expect("a number");
        let millis = |i: usize| Duration::from_millis(number(i));
        let answer = match (*command, &mut producer, &mut consumer) {
            ("producer", p, _) => ok(options(&rest[1..]).producer(key(word(0))).map(|new| *p = Some(new))),
            ("consumer", _, c) => ok(options(&rest[1..]).consumer(key(word(0))).map(|new| *c = Some(new))),
            ("open", ..) => ok(options(&rest[1..]).open(word(0))),
            ("open_or_create", ..) => ok(options(&rest[1..]).open_or_create(word(0))),
            ("create", ..) => ok(options(&rest[1..]).create(word(0))),
            ("remove", ..) => ok(options(&rest[1..]).open(word(0)).and_then(semring::Channel::remove)),
            // As whoever is stopped or killed in the middle of opening.
            ("hold_lock", ..) => {
                ok(semring::sem::SetOptions::new(0).open(word(0)).and_then(|set| set.v_undo(1)))
            }
            ("nobody", ..) => {
                sys::become_nobody();
                "ok".into()
            }
            ("drop", p, c) => {
                (*p, *c) = (None, None);
                "ok".into()
            }
            ("exit", ..) => std::process::exit(7),
            ("panic", ..) => panic_quietly(),
            ("send", Some(p), _) => {
                ok(p.send_tagged(rest.get(1).map_or(0, |_| number(1) as u32), word(0).as_bytes()))
            }
            ("try_send", Some(p), _) => ok(p.try_send(word(0).as_bytes())),
            ("send_timeout", Some(p), _) => ok(p.send_timeout(word(1).as_bytes(), millis(0))),
            ("send_range", Some(p), _) => {
                ok((number(0)..number(1)).try_for_each(|i| p.send(i.to_string().as_bytes())))
            }
            // As a producer does that notices the end of a killed consumer only after a while.
            ("send_on", Some(p), _) => loop {
                if let Err(e) = p.send(b"on") {
                    break format!("err {e:?}");
                }
            },
            ("reserve", Some(p), _) => reserved(p, word(0)),
            ("recv", _, Some(c)) => got(c.recv()),
            ("try_recv", _, Some(c)) => got(c.try_recv()),
            ("recv_timeout", _, Some(c)) => got(c.recv_timeout(millis(0))),
            ("drain", _, Some(c)) => {
                let mut all = Vec::new();
                let end = loop {
                    match c.recv() {
                        Ok(m) => all.push(text(&m).into_owned()),
                        Err(e) => break e,
                    }
                };
                format!("drained {} {end:?}", all.join(","))
            }
            ("lease", _, Some(c)) => leased(c.lease()),
            ("cpu", ..) => sys::cpu_time().as_micros().to_string(),
            _ => panic!("cannot {line}"),
        };
        say(&answer);
    }
}

/// A lease in hand, until the next command says what becomes of it.
fn leased(lease: Result<Lease<'_>, RecvError>) -> String {
    let lease = match lease {
        Ok(lease) => lease,
        Err(e) => return format!("err {e:?}"),
    };
    say(&format!("leased {} {} {}", text(&lease.to_vec()), lease.tag(), lease.attempt()));
    match hear().as_deref() {
        Some("ack") => lease.ack(),
        Some("retry") => lease.retry(),
        Some("forget") => std::mem::forget(lease),
        Some("exit") => std::process::exit(7),
        Some("panic") => panic_quietly(),
        _ => {} // dropped
    }
    "ok".into()
}

/// A grant in hand, filled, until the next command says what becomes of it.
fn reserved(producer: &mut Producer, text: &str) -> String {
    let mut grant = match producer.reserve(text.len()) {
        Ok(grant) => grant,
        Err(e) => return format!("err {e:?}"),
    };
    grant.write(0, text.as_bytes()).expect("fits");
    say("reserved");
    match hear().as_deref() {
        Some("commit") => grant.commit(),
        Some("forget") => std::mem::forget(grant),
        Some("exit") => std::process::exit(7),
        Some("panic") => panic_quietly(),
        _ => {} // dropped
    }
    "ok".into()
}
