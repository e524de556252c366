//! Child processes: the test binary itself, started anew with only its `child_entry`, which runs one scenario.
//!
//! Parent and child talk in lines: the child's begin with `@`, because the test harness writes there too.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::{DEADLINE, PAUSE, sys};

const SCENARIO: &str = "SEMRING_TEST_SCENARIO";
const ARGUMENTS: &str = "SEMRING_TEST_ARGUMENTS";

/// What a child may run.
pub(crate) type Scenario = (&'static str, fn(&[&str]));

/// To be called by the test `child_entry` of every binary. Returns at once unless this process is a child.
pub(crate) fn entry(scenarios: &[Scenario]) {
    let Ok(name) = std::env::var(SCENARIO) else { return };
    let arguments = std::env::var(ARGUMENTS).unwrap_or_default();
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    if name == "puppet" {
        return super::puppet::dance();
    }
    match scenarios.iter().find(|(scenario, _)| *scenario == name) {
        Some((_, run)) => run(&arguments),
        None => panic!("no scenario {name}"),
    }
}

/// Tells the parent.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The harness may have begun a line.
    write!(out, "\n@{line}\n").and_then(|()| out.flush()).expect("the parent listens");
}

/// What the parent tells; `None` when it has nothing more to say.
pub(crate) fn hear() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).expect("stdin");
    (read > 0).then(|| line.trim().to_string())
}

/// A running child process; killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Child {
    /// Starts a scenario. The child dies with the calling thread, so call it from the test's own.
    pub(crate) fn start(scenario: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("own path"));
        command
            .args(["--exact", "child_entry", "--nocapture", "--test-threads=1"])
            .env(SCENARIO, scenario)
            .env(ARGUMENTS, arguments.join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        sys::tie(&mut command);
        let mut process = command.spawn().expect("spawn");
        let input = process.stdin.take();
        let output = process.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix('@') {
                    if sender.send(line.to_string()).is_err() {
                        return;
                    }
                }
            }
        });
        Self { process, input, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not closed");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the child listens");
    }

    /// The next line that the child says.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("child {} said nothing for {DEADLINE:?}", self.pid()),
            Err(RecvTimeoutError::Disconnected) => {
                panic!("child {} is gone: {:?}", self.process.id(), self.process.try_wait())
            }
        }
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.answer()
    }

    /// It says nothing for a while: it blocks.
    #[track_caller]
    pub(crate) fn is_silent(&mut self) {
        if let Ok(line) = self.lines.recv_timeout(PAUSE) {
            panic!("it should have blocked, but said: {line}");
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        sys::signal(self.pid(), signal);
    }

    /// SIGSTOP, and until all its threads have stopped.
    #[track_caller]
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        super::eventually("the process stops", || sys::all_stopped(self.pid()));
    }

    /// SIGKILL, and until the kernel has finished with it.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.input = None;
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("wait") {
                return status;
            }
            if start.elapsed() > DEADLINE {
                self.kill();
                panic!("child {} did not end within {DEADLINE:?}", self.pid());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
