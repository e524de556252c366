//! A set of services under `semring supervise`, in a directory and on a board of its own, all gone in the end.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use semring::heartbeat::{Board, BoardOptions, Life, Member};

use super::{Done, LIMIT, SIGKILL, SIGTERM, run, semring, signal, within};

/// What a service does first: it leaves a line with its pid, and finds out if there is another one of it. `$1` is its name.
const BEGIN: &str = r#"echo $$ >> "runs.$1"; exec 9> "lock.$1"; flock -n 9 || echo "$1" >> doubled;"#;

pub(crate) struct Supervised {
    pub(crate) board: String,
    pub(crate) directory: PathBuf,
    supervisors: Vec<Child>,
}

impl Supervised {
    /// `NAME` in the configuration is the board's, `begin(service)` what a shell does first.
    pub(crate) fn new(configuration: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let board = format!("supervised-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(&board);
        fs::create_dir(&directory).unwrap();
        let new = Supervised { board, directory, supervisors: Vec::new() };
        new.configure(configuration);
        new
    }

    pub(crate) fn configure(&self, configuration: &str) {
        self.write("services.toml", &format!("name = {:?}\n{configuration}", self.board));
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.join(file), text).unwrap();
    }

    /// A file's text; empty if there is none.
    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.directory.join(file)).unwrap_or_default()
    }

    /// A supervisor that is not started yet. It says what it does in the file `events`.
    pub(crate) fn command(&self) -> Command {
        let events = fs::OpenOptions::new().append(true).create(true).open(self.directory.join("events"));
        let mut command = semring(["supervise", "--config", "services.toml"]);
        command.current_dir(&self.directory).stdout(Stdio::null()).stderr(events.unwrap());
        command
    }

    /// Starts a supervisor; returns its pid.
    pub(crate) fn supervise(&mut self) -> i32 {
        let child = self.command().spawn().unwrap();
        self.supervisors.push(child);
        self.supervisors.last().unwrap().id() as i32
    }

    /// The pid of the supervisor that was started last.
    pub(crate) fn last(&self) -> i32 {
        self.supervisors.last().unwrap().id() as i32
    }

    /// Takes over a supervisor that was started elsewhere.
    pub(crate) fn adopt(&mut self, child: Child) {
        self.supervisors.push(child);
    }

    /// `semring supervise ACTION SERVICE`.
    pub(crate) fn tell(&self, action: &str, service: &str) -> Done {
        run(semring(["supervise", action, service, "--board", &self.board, "--json"]))
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        run(semring(["supervise", "status", "--board", &self.board, "--json"])).ok().json()
    }

    pub(crate) fn board(&self) -> Option<Board> {
        BoardOptions::new().open(self.board.as_str()).ok()
    }

    pub(crate) fn find(&self, service: &str) -> Option<Member> {
        self.board()?.find(service).ok()?
    }

    /// The pid of a service, once it runs.
    pub(crate) fn alive(&self, service: &str) -> Option<i32> {
        self.find(service)
            .filter(|member| matches!(member.life, Life::Alive | Life::Hung))
            .map(|member| member.pid)
    }

    /// The pids with which a service has begun, in order.
    pub(crate) fn runs(&self, service: &str) -> Vec<i32> {
        self.read(&format!("runs.{service}")).lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Waits until it is true; says what the supervisors said if it does not become so.
    pub(crate) fn until(&self, what: &str, condition: impl FnMut() -> bool) {
        assert!(within(LIMIT, condition), "{what}: never\n{}", self.read("events"));
    }

    pub(crate) fn until_said(&self, text: &str) {
        self.until(text, || self.read("events").contains(text));
    }

    /// Waits until a service lives and has begun so many times.
    pub(crate) fn until_run(&self, service: &str, times: usize) {
        self.until(&format!("{service} runs for the {times}. time"), || {
            let runs = self.runs(service);
            runs.len() >= times && self.alive(service) == runs.last().copied()
        });
        assert_eq!(self.runs(service).len(), times, "{service}\n{}", self.read("events"));
    }

    /// Ends the last supervisor as it should be ended, and with it everything.
    pub(crate) fn end(&mut self) {
        let mut child = self.supervisors.pop().unwrap();
        let keeper = Ok(Some(child.id() as i32));
        self.until("the last supervisor is the one", || {
            self.board().is_some_and(|board| board.keeper() == keeper)
        });
        signal(child.id() as i32, SIGTERM);
        let mut status = None;
        self.until("the supervisor ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{}", self.read("events"));
        assert!(self.board().is_none(), "the board was left behind");
    }

    /// Ends whichever supervisor is the one, and with it the standbys.
    pub(crate) fn end_all(&mut self) {
        let board = self.board().unwrap();
        // One that begins only when the others have ended would begin anew.
        let all = |set: &mut Self| set.reap() as u32 == board.standbys().unwrap() + 1;
        assert!(within(LIMIT, || all(self) && board.keeper().unwrap().is_some()), "{}", self.read("events"));
        signal(board.keeper().unwrap().unwrap(), SIGTERM);
        assert!(within(LIMIT, || self.reap() == 0), "{}", self.read("events"));
        assert!(self.board().is_none(), "the board was left behind");
    }

    /// The FIFO through which the output of a service gets into a log.
    pub(crate) fn fifo(&self, log: &str) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.directory).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap());
        let mut fifos = names.filter(|name| name.starts_with(log) && name.ends_with(".pipe"));
        fifos.next().map(|name| self.directory.join(name))
    }

    /// All processes of the services, by their environment: with the board or without it.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mark = format!("SEMRING_BOARD={}", self.board);
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_ours = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
        };
        pids.filter(is_ours).collect()
    }

    /// A supervisor that is killed, and nobody takes over.
    pub(crate) fn kill_supervisor(&mut self) {
        signal(self.last(), SIGKILL);
        self.until("it is gone", || self.board().is_none_or(|board| board.keeper() == Ok(None)));
        self.reap();
    }

    pub(crate) fn assert_none_doubled(&self) {
        assert_eq!(self.read("doubled"), "", "{}", self.read("events"));
    }

    /// Reaps supervisors that have ended; how many are left.
    pub(crate) fn reap(&mut self) -> usize {
        self.supervisors.retain_mut(|child| child.try_wait().unwrap().is_none());
        self.supervisors.len()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        for child in &mut self.supervisors {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(board) = self.board() {
            for member in board.members().unwrap_or_default() {
                if let Ok(Some(Some(pid))) =
                    board.place(&member.name).map(|place| place.map(|place| place.holder().ok().flatten()))
                {
                    signal(pid, SIGKILL);
                }
            }
            let _ = board.remove();
        }
        // Those that have left, or never had, a place on it.
        self.processes().into_iter().for_each(|pid| signal(pid, SIGKILL));
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The configuration of a service: a shell script that first leaves its mark, and `more` keys.
pub(crate) fn service(name: &str, script: &str, more: &str) -> String {
    let begin = BEGIN.replace("$1", name);
    format!("[service.{name}]\ncommand = ['sh', '-c', '''{begin} {script}''']\n{more}\n")
}

/// What a service that does nothing does.
pub(crate) const SLEEP: &str = "exec sleep 1000";
