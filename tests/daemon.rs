//! Daemons, looked at from outside: what /proc says of the process, what its caller is told, whose pid file it is.
//!
//! A test binary has threads, so whoever starts a daemon here is forked from one: it has a controlling terminal and an
//! inherited descriptor, and says what became of it.

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use common::child::{self, Child, say};
use common::{DEADLINE, eventually, sys};
use semring::daemon::{Daemon, DaemonError, PidFile, Started, Starting, Stream, User};

#[test]
fn child_entry() {
    child::entry(&[("daemon", become_daemon)]);
}

/// What a daemon is told: words `key=value`.
type Orders<'a> = BTreeMap<&'a str, &'a str>;

/// In a child: starts a daemon, and says what its caller heard and how its caller ended.
fn become_daemon(words: &[&str]) {
    let orders: Orders = words.iter().map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
    let terminal = orders.contains_key("terminal").then(sys::take_terminal);
    if terminal.is_some() {
        assert_ne!(Process::named("self").stat(TERMINAL), 0, "no controlling terminal to get rid of");
    }
    if orders.contains_key("nobody") {
        sys::become_nobody();
    }
    if orders.contains_key("keep-capabilities") {
        sys::keep_capabilities();
    }
    let inherited = sys::without_close_on_exec(&File::open("/dev/zero").expect("open"));
    let mut daemon = Daemon::new();
    for (&order, &value) in &orders {
        daemon = match order {
            "pid-file" => daemon.pid_file(value),
            "umask" => daemon.umask(u32::from_str_radix(value, 8).expect("octal")),
            "directory" => daemon.working_directory(value),
            "stdin" => daemon.stdin(Stream::File(value.into())),
            "stdout" => daemon.stdout(Stream::File(value.into())),
            "stderr" => daemon.stderr(Stream::File(value.into())),
            "keep" => daemon.keep_descriptor(inherited),
            "keep-all" => daemon.keep_all_descriptors(),
            "user" => daemon.user(User::named(value).expect("user")),
            "uid" => daemon.user(User::new(value.parse().expect("uid"), sys::NOBODY)),
            _ => daemon,
        };
    }
    let own = File::open("/dev/full").expect("open");
    let status = sys::wait(sys::fork(|| {
        if orders.contains_key("no-more-processes") {
            sys::forbid_processes();
        }
        match daemon.start() {
            Ok(Started::Caller(pid)) => {
                say(&format!("ready {pid}"));
                0
            }
            Ok(Started::Daemon(starting)) => serve(starting, &orders, own),
            Err(error) => {
                say(&format!("{error:?}"));
                1
            }
        }
    }));
    say(&format!("status {status}"));
    child::hear(); // A session leader that ends takes its terminal along: not before it is asked to
}

/// In the daemon: gets ready, or not, and serves until a file says to stop.
fn serve(starting: Starting, orders: &Orders, own: File) -> i32 {
    match orders.get("then") {
        Some(&"fail") => {
            starting.failed("no such thing");
            return 3;
        }
        Some(&"die") => sys::exit_now(3),
        Some(&"kill") => sys::signal(std::process::id(), libc::SIGKILL),
        Some(&"panic") => panic!("before it is ready"),
        Some(&"late") => {
            let waits = Path::new(orders["waits"]);
            fs::write(waits, std::process::id().to_string()).expect("write");
            eventually("the caller is gone", || !waits.exists());
            let result = starting.ready();
            fs::write(waits.with_extension("told"), format!("{result:?}")).expect("write");
            return 0;
        }
        _ => {}
    }
    // It is no session's leader: not even by opening one does it get a terminal.
    let terminal = sys::open_terminal();
    assert_eq!(Process::named("self").stat(TERMINAL), 0);
    if orders.contains_key("words") {
        println!("out");
        eprintln!("err {}", std::io::stdin().lines().map_while(Result::ok).count());
    }
    let background = starting.ready().expect("the caller is there");
    let until = Instant::now() + 2 * DEADLINE;
    let stop = orders.get("stop").map(Path::new).expect("where to hear");
    while !stop.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop((background, own, terminal));
    0
}

/// A directory for one test, and the daemon that it began, which does not outlive it.
struct Scene {
    directory: PathBuf,
    children: Vec<Child>,
    daemons: Vec<i32>,
}

impl Scene {
    fn new(test: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("semring-daemon-{test}-{}", std::process::id()));
        fs::create_dir(&directory).expect("a new directory");
        Scene { directory, children: Vec::new(), daemons: Vec::new() }
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().expect("a path").to_string()
    }

    /// What the caller of `start` heard, and its exit status.
    fn attempt(&mut self, orders: &str) -> (String, String) {
        let stop = format!("stop={}", self.path("stop"));
        let words: Vec<&str> = orders.split_whitespace().chain([stop.as_str()]).collect();
        let mut child = Child::start("daemon", &words);
        let heard = child.answer();
        if let Some(pid) = heard.strip_prefix("ready ") {
            self.daemons.push(pid.parse().expect("a pid"));
        }
        let status = child.answer();
        self.children.push(child);
        (heard, status)
    }

    fn daemon(&mut self, orders: &str) -> Process {
        let (heard, status) = self.attempt(orders);
        assert_eq!(status, "status 0", "{heard}");
        Process::named(&self.daemons.last().expect("ready").to_string())
    }

    /// Has the daemons end by themselves, and waits until they have.
    fn stop(&mut self) {
        File::create(self.path("stop")).expect("create");
        for daemon in self.daemons.drain(..) {
            let process = Process::named(&daemon.to_string());
            eventually("the daemon ends", || !process.lives());
        }
        fs::remove_file(self.path("stop")).expect("remove");
    }

    fn kill(&mut self) {
        for daemon in self.daemons.drain(..) {
            sys::signal(daemon as u32, libc::SIGKILL);
            let process = Process::named(&daemon.to_string());
            eventually("the daemon is gone", || !process.lives());
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = File::create(self.directory.join("stop"));
        for &daemon in &self.daemons {
            let process = Process::named(&daemon.to_string());
            let until = Instant::now() + DEADLINE;
            while process.lives() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A process, as proc(5) shows it.
struct Process(PathBuf);

/// Fields behind the name in /proc/PID/stat, from 0 for the state.
const PARENT: usize = 1;
const SESSION: usize = 3;
const TERMINAL: usize = 4;

impl Process {
    fn named(pid: &str) -> Self {
        Process(Path::new("/proc").join(pid))
    }

    fn pid(&self) -> i64 {
        self.0.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a pid")
    }

    fn stat(&self, field: usize) -> i64 {
        let stat = fs::read_to_string(self.0.join("stat")).expect("stat");
        let (_, rest) = stat.rsplit_once(") ").expect("a name");
        rest.split(' ').nth(field).and_then(|text| text.parse().ok()).expect("a number")
    }

    /// A line of /proc/PID/status, its spaces made one.
    fn status(&self, key: &str) -> String {
        let status = fs::read_to_string(self.0.join("status")).expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{key}:"))).expect("a line");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn directory(&self) -> PathBuf {
        fs::read_link(self.0.join("cwd")).expect("cwd")
    }

    /// Its descriptors, with what they lead to.
    fn descriptors(&self) -> BTreeMap<i32, PathBuf> {
        let entries = fs::read_dir(self.0.join("fd")).expect("fd").map(|entry| entry.expect("entry"));
        let open = |entry: fs::DirEntry| {
            Some((entry.file_name().to_str()?.parse().ok()?, fs::read_link(entry.path()).ok()?))
        };
        entries.filter_map(open).collect()
    }

    fn children(&self) -> Vec<Process> {
        let tasks = fs::read_dir(self.0.join("task")).expect("task").map(|task| task.expect("entry").path());
        let children: String =
            tasks.map(|task| fs::read_to_string(task.join("children")).expect("children")).collect();
        children.split_whitespace().map(Process::named).collect()
    }

    fn lives(&self) -> bool {
        let stat = fs::read_to_string(self.0.join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }
}

#[test]
fn a_daemon_has_left_everything_behind() {
    let mut scene = Scene::new("plain");
    let pid_file = scene.path("pid");
    let daemon = scene.daemon(&format!("terminal pid-file={pid_file}"));
    let caller = i64::from(scene.children[0].pid());
    let (session, pid) = (daemon.stat(SESSION), daemon.pid());
    assert_ne!(session, Process::named(&caller.to_string()).stat(SESSION), "a session of its own");
    assert_ne!(session, pid, "whose leader is gone, so that no terminal can come");
    assert!(!Process::named(&session.to_string()).lives());
    assert_eq!(daemon.stat(TERMINAL), 0);
    assert_ne!(daemon.stat(PARENT), caller);
    assert_eq!((daemon.directory(), daemon.status("Umask")), ("/".into(), "0022".into()));
    let null = PathBuf::from("/dev/null");
    let descriptors = daemon.descriptors();
    assert!([0, 1, 2].iter().all(|number| descriptors[number] == null), "{descriptors:?}");
    // What the caller had opened is still there, what it had inherited is not.
    for (path, open) in [(pid_file.as_str(), true), ("/dev/full", true), ("/dev/zero", false)] {
        assert_eq!(descriptors.values().any(|other| other == Path::new(path)), open, "{descriptors:?}");
    }
    assert_eq!(fs::read_to_string(&pid_file).expect("pid file"), format!("{pid}\n"));
    // Its caller's session ends, and takes its terminal along: no business of the daemon.
    scene.children[0].kill();
    assert!(daemon.lives());
    scene.stop();
    assert!(!Path::new(&pid_file).exists());
}

#[test]
fn a_daemon_is_as_it_was_asked_for() {
    let mut scene = Scene::new("asked");
    let (input, log) = (scene.path("input"), scene.path("log"));
    fs::write(&input, "one\ntwo\n").expect("write");
    fs::write(&log, "before\n").expect("write");
    let directory = scene.directory.display().to_string();
    let daemon = scene.daemon(&format!(
        "words umask=077 directory={directory} stdin={input} stdout={log} stderr={log} keep"
    ));
    assert_eq!((daemon.directory(), daemon.status("Umask")), (scene.directory.clone(), "0077".into()));
    let descriptors = daemon.descriptors();
    assert_eq!([0, 1, 2].map(|number| descriptors[&number].clone()), [&input, &log, &log].map(PathBuf::from));
    assert!(descriptors.values().any(|path| path == Path::new("/dev/zero")), "kept: {descriptors:?}");
    assert_eq!(fs::read_to_string(&log).expect("log"), "before\nout\nerr 2\n");
    let all = scene.daemon("keep-all").descriptors();
    assert!(all.values().any(|path| path == Path::new("/dev/zero")), "{all:?}");
    scene.stop();
}

#[test]
fn the_caller_ends_well_only_if_the_daemon_is_ready() {
    let mut scene = Scene::new("truth");
    let pid_file = scene.path("pid");
    let nowhere = scene.path("nowhere");
    let full = "stderr=/nowhere/at/all";
    for (orders, heard) in [
        ("then=fail", "NotReady { reason: \"no such thing\" }"),
        ("then=die", "Died { status: Some(ExitStatus(unix_wait_status(768))) }"),
        ("then=kill", "Died { status: Some(ExitStatus(unix_wait_status(9))) }"),
        ("then=panic", "Died { status: Some("),
        (&format!("directory={nowhere}"), &format!("Os(OsError(chdir({nowhere}): No such file")),
        (full, "Os(OsError(open(/nowhere/at/all): No such file"),
        (&format!("stdin={nowhere}"), &format!("Os(OsError(open({nowhere}): No such file")),
        ("uid=0", "Privileges"),
    ] {
        let (said, status) = scene.attempt(&format!("{orders} pid-file={pid_file}"));
        assert!(said.starts_with(heard), "{orders}: {said}");
        assert_eq!(status, "status 1", "{orders}");
        assert!(!Path::new(&pid_file).exists(), "{orders}: a pid file without a daemon");
    }
    scene.daemon(&format!("pid-file={pid_file}"));
    scene.stop();
}

/// Who reads the message need not know what a wait status is.
#[test]
fn a_death_is_put_into_words() {
    let died =
        |status: Option<i32>| DaemonError::Died { status: status.map(ExitStatus::from_raw) }.to_string();
    assert!(died(Some(9)).starts_with("the daemon ended before it was ready (signal: 9 (SIGKILL)): "));
    assert!(died(Some(3 << 8)).starts_with("the daemon ended before it was ready (exit status: 3): "));
    assert!(died(None).starts_with("the daemon ended before it was ready: "));
}

#[test]
fn a_second_one_is_refused_and_a_dead_one_is_replaced() {
    let mut scene = Scene::new("second");
    let pid_file = scene.path("pid");
    let first = scene.daemon(&format!("pid-file={pid_file}"));
    let (said, status) = scene.attempt(&format!("pid-file={pid_file}"));
    assert_eq!(said, format!("AlreadyRunning {{ pid_file: {pid_file:?}, pid: Some({}) }}", first.pid()));
    assert_eq!(status, "status 1");
    assert!(first.lives());
    assert_eq!(PidFile::holder(&pid_file), Ok(Some(first.pid() as i32)));
    // Killed, it leaves its file, which keeps nobody from starting.
    scene.kill();
    assert_eq!(fs::read_to_string(&pid_file).expect("left"), format!("{}\n", first.pid()));
    assert_eq!(PidFile::holder(&pid_file), Ok(None));
    let second = scene.daemon(&format!("pid-file={pid_file}"));
    assert_eq!(PidFile::holder(&pid_file), Ok(Some(second.pid() as i32)));
    scene.stop();
    assert!(!Path::new(&pid_file).exists());
}

#[test]
fn privileges_are_given_up_for_good() {
    if !sys::is_root() {
        eprintln!("skipped: it takes root to give it up");
        return;
    }
    let mut scene = Scene::new("privileges");
    let pid_file = scene.path("pid");
    let daemon = scene.daemon(&format!("user=nobody pid-file={pid_file}"));
    let expected = User::named("nobody").expect("nobody");
    let four = |id: u32| [id.to_string().as_str(); 4].join(" ");
    assert_eq!((daemon.status("Uid"), daemon.status("Gid")), (four(expected.uid()), four(expected.gid())));
    let groups = daemon.status("Groups");
    assert!(
        groups.split(' ').all(|group| group.is_empty() || group == expected.gid().to_string()),
        "{groups}"
    );
    for capabilities in ["CapEff", "CapPrm"] {
        assert_eq!(u64::from_str_radix(&daemon.status(capabilities), 16), Ok(0), "{capabilities}");
    }
    // It may not remove its file any more: an empty one is left, that nobody holds.
    scene.stop();
    assert_eq!(
        (fs::read_to_string(&pid_file).expect("left"), PidFile::holder(&pid_file)),
        (String::new(), Ok(None))
    );
    // Where setuid(2) leaves the capabilities, it is no use.
    let (said, status) = scene.attempt(&format!("keep-capabilities user=nobody pid-file={pid_file}"));
    assert!(said.starts_with("Privileges") && said.contains("CAP_SETUID"), "{said}");
    assert_eq!(status, "status 1");
    let (said, _) = scene.attempt("nobody user=nobody");
    assert!(said.starts_with("Os(OsError(setgroups(") && said.contains("root"), "{said}");
}

/// Nobody would know that it runs.
#[test]
fn a_daemon_whose_caller_was_killed_meanwhile_is_told() {
    let mut scene = Scene::new("alone");
    let (pid_file, waits) = (scene.path("pid"), scene.path("waits"));
    let words = ["then=late", &format!("pid-file={pid_file}"), &format!("waits={waits}")];
    let mut caller = Child::start("daemon", &words);
    eventually("the daemon is there", || fs::read_to_string(&waits).is_ok_and(|pid| !pid.is_empty()));
    scene.daemons.push(fs::read_to_string(&waits).expect("its pid").parse().expect("a pid"));
    let callers = Process::named(&caller.pid().to_string()).children();
    caller.kill(); // and with it, soon, the one that it forked to call `start`
    assert_eq!(callers.len(), 1);
    eventually("the caller is dead", || !callers[0].lives());
    fs::remove_file(&waits).expect("remove");
    let told = scene.path("waits.told");
    eventually("it has an answer", || fs::read_to_string(&told).is_ok_and(|told| !told.is_empty()));
    assert_eq!(fs::read_to_string(&told).expect("told"), "Err(CallerGone)");
    assert!(!Path::new(&pid_file).exists());
}

/// A failed fork left the pid file.
#[test]
fn without_processes_there_is_no_daemon_and_no_pid_file() {
    if !sys::is_root() {
        eprintln!("skipped: it takes root to become somebody with a limit");
        return;
    }
    let mut scene = Scene::new("limit");
    fs::set_permissions(&scene.directory, fs::Permissions::from_mode(0o777)).expect("chmod");
    let pid_file = scene.path("pid");
    let (said, status) = scene.attempt(&format!("nobody no-more-processes pid-file={pid_file}"));
    assert!(said.starts_with("Os(OsError(fork(): ") && said.contains("ulimit -u"), "{said}");
    assert_eq!(status, "status 1");
    assert!(!Path::new(&pid_file).exists());
}

/// Threads would not come along; nothing is begun.
#[test]
fn a_process_with_threads_is_refused() {
    match Daemon::new().start() {
        Err(DaemonError::Threads { count }) => assert!(count >= 2, "{count}"),
        other => panic!("{other:?}"),
    }
}
