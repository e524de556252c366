//! Running the tool: with names that no other test has, channels that go away whatever happens, and a time limit on
//! everything, because what must not happen most is that something hangs.

#![allow(dead_code)] // each test file uses its part

pub(crate) mod supervised;

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// No command here takes a tenth of this.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The tool, with arguments.
pub(crate) fn semring<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_semring"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A shell without job control starts what runs in the background, these tests maybe, with SIGINT ignored.
    let heed = || {
        // SAFETY: a system call.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        Ok(())
    };
    // SAFETY: the closure makes a system call only.
    unsafe { command.pre_exec(heed) };
    command
}

/// The name of a channel, which is removed in the end.
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Name(format!("cli-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// `semring COMMAND NAME ARGUMENTS`, split at spaces.
    pub(crate) fn command(&self, command: &str, arguments: &str) -> Command {
        semring([command, &self.0].into_iter().chain(arguments.split_whitespace()))
    }

    pub(crate) fn assert_gone(&self) {
        assert_gone(&self.0);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = semring(["rm", "--force", &self.0]).output();
    }
}

/// Nothing is left of the channel.
pub(crate) fn assert_gone(name: &str) {
    let output = semring(["rm", name]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "channel {name} was left behind");
    assert!(error.contains("does not exist"), "{error}");
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn ok(self) -> Self {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        self
    }

    /// Asserts an exit status and that standard error says so.
    pub(crate) fn fails(self, status: i32, message: &str) -> Self {
        assert_eq!(self.status.code(), Some(status), "{}: {}", self.status, self.stderr);
        assert!(self.stderr.contains(message), "{:?} does not contain {message:?}", self.stderr);
        assert!(
            self.stderr.lines().all(|line| line.starts_with("semring: ") || line.starts_with('{')),
            "{}",
            self.stderr
        );
        self
    }

    /// Wrong use, as clap tells it.
    pub(crate) fn fails_usage(self) {
        assert_eq!(self.status.code(), Some(2), "{}", self.stderr);
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).expect("one JSON object on standard output")
    }
}

/// A running command; killed if it is dropped before it ended.
pub(crate) struct Running {
    child: Child,
    readers: Vec<thread::JoinHandle<Vec<u8>>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(reader).unwrap_or_else(|| thread::spawn(Vec::new));
        let stderr = child.stderr.take().map(reader).unwrap_or_else(|| thread::spawn(Vec::new));
        Running { child, readers: vec![stdout, stderr] }
    }

    /// Starts it with `input`, all at once, as its standard input.
    pub(crate) fn with_input(mut command: Command, input: impl AsRef<[u8]>) -> Self {
        command.stdin(Stdio::piped());
        let mut running = Self::start(command);
        let (mut stdin, input) = (running.stdin(), input.as_ref().to_vec());
        // It may end before it has read all.
        thread::spawn(move || drop(stdin.write_all(&input)));
        running
    }

    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn id(&self) -> i32 {
        self.child.id() as i32
    }

    pub(crate) fn signal(&self, number: i32) {
        signal(self.id(), number);
    }

    /// Waits for its end, not for ever.
    pub(crate) fn end(mut self) -> Done {
        let mut status = None;
        assert!(
            within(LIMIT, || {
                status = self.child.try_wait().unwrap();
                status.is_some()
            }),
            "it hangs"
        );
        let mut output = self.readers.drain(..).map(|reader| reader.join().unwrap());
        Done {
            status: status.unwrap(),
            stdout: output.next().unwrap(),
            stderr: String::from_utf8(output.next().unwrap()).unwrap(),
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The commands, as `semring --help` lists them.
pub(crate) fn commands() -> Vec<String> {
    let help = String::from_utf8(run(semring(["--help"])).ok().stdout).unwrap();
    assert!(help.contains("Examples:") && !help.contains("demo-worker"));
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    // Longer descriptions go on in further lines, which are indented further.
    let list = list.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    list.filter_map(|line| line.split_whitespace().next())
        .filter(|c| *c != "help")
        .map(str::to_owned)
        .collect()
}

/// What a command that ended well has written.
pub(crate) fn text(done: Done) -> String {
    String::from_utf8(done.ok().stdout).unwrap()
}

/// An entry of `semring ls --json`, of one kind of object.
pub(crate) fn listed(kind: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> Option<serde_json::Value> {
    let report = run(semring(["ls", "--json"])).ok().json();
    report[kind].as_array().expect("a list").iter().find(|object| wanted(object)).cloned()
}

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Done {
    Running::start(command).end()
}

pub(crate) fn run_with_input(command: Command, input: impl AsRef<[u8]>) -> Done {
    Running::with_input(command, input).end()
}

/// The next bytes of a command that goes on running, and its stream again.
pub(crate) fn next<S: Read + Send + 'static>(mut stream: S, bytes: usize) -> (Vec<u8>, S) {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = vec![0; bytes];
        let result = stream.read_exact(&mut buffer);
        drop(sender.send(result.map(|()| (buffer, stream))));
    });
    receiver.recv_timeout(LIMIT).expect("nothing comes").unwrap()
}

fn reader(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGKILL: i32 = 9;
pub(crate) const SIGTERM: i32 = 15;

pub(crate) fn signal(process: i32, number: i32) {
    use nix::sys::signal::{Signal, kill};
    // It may be gone already; whoever calls sees what came of it.
    let _ = kill(nix::unistd::Pid::from_raw(process), Signal::try_from(number).unwrap());
}

/// Whether it becomes true in time.
pub(crate) fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while since.elapsed() < limit {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    condition()
}

/// Gives the calling thread, and what it starts, an IPC namespace of its own, where nothing is but what it makes and
/// which takes everything along in the end. False without the right to.
pub(crate) fn alone() -> bool {
    let alone = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWIPC);
    if let Err(errno) = alone {
        eprintln!("skipped: no IPC namespace of its own ({errno})");
    }
    alone.is_ok()
}

/// The processes that a command has started and not waited for.
pub(crate) fn children(of: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Has it ended? A process that nobody has waited for yet is a zombie, and has ended.
pub(crate) fn has_ended(process: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// The worker processes of a demo: their arguments after the hidden command, and their ids.
pub(crate) fn workers(demo: i32) -> Vec<(String, i32)> {
    let worker = |child: i32| {
        let arguments = std::fs::read_to_string(format!("/proc/{child}/cmdline")).ok()?;
        let mut arguments = arguments.split('\0').skip_while(|argument| *argument != "demo-worker");
        let (_, role, index) = (arguments.next()?, arguments.next()?, arguments.next()?);
        Some((format!("{role} {index}"), child))
    };
    children(demo).into_iter().filter_map(worker).collect()
}

/// Bytes without any order, the same each time.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(len as u64).fill(&mut bytes);
    bytes
}

/// So many lines, each its own.
pub(crate) fn numbered(lines: usize) -> String {
    (0..lines).map(|number| format!("line {number}\n")).collect()
}
