//! `semring lock`: a command under a mutex between processes.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use semring::segment::Key;
use semring::sem::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;

use crate::failure::{Context, Failure};
use crate::waiting::Waiting;

/// Run a command while holding a mutex: one at a time, of all that lock the same name
///
/// As flock(1), without a file. The mutex is that of semring::sem::Mutex, a semaphore set, made at the first use; it stays
/// until `semring sem NAME remove`. If this process dies the kernel unlocks; if it is killed (not the command) the
/// command may go on without the mutex. SIGTERM and SIGHUP are passed on to the command. The exit status is the
/// command's, 128 and the number for a signal.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring lock backup -- rsync -a /data /mnt/backup
  semring lock backup --nonblock -- ./once || echo 'somebody else is at it'
  semring lock backup --timeout 60 --conflict 75 -- ./nightly")]
pub(crate) struct Lock {
    /// Name of the mutex, or its key as ipcs prints it (0x...); not that of a channel
    name: Key,

    #[command(flatten)]
    waiting: Waiting,

    /// Exit status if the mutex was not to be had in time
    #[arg(long, short = 'E', value_name = "STATUS", default_value_t = 1)]
    conflict: u8,

    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// As a shell reports it.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

impl Lock {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let mutex = Mutex::open_or_create(&self.name)?;
        let Some(guard) = mutex.lock_timeout(self.waiting.limit())? else {
            let holder = mutex.holder()?.map(|pid| format!(" by process {pid}")).unwrap_or_default();
            let message = format!("{} is locked{holder}", self.name);
            return Err(Failure::with_status(self.conflict, message));
        };
        if guard.previous_holder_died() {
            eprintln!(
                "semring: whoever held {} before died: what it was to protect may be half done",
                self.name
            );
        }
        let status = self.run_command();
        drop(guard);
        let status = status?;
        if json {
            let report = serde_json::json!({ "mutex": self.name.to_string(), "status": status.code(),
                "signal": status.signal() });
            eprintln!("{report}");
        }
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            // The command has said itself what there is to say.
            (Some(code), _) => Err(Failure::with_status(code as u8, "")),
            (None, signal) => Err(Failure::signal(signal.unwrap_or(0))),
        }
    }

    fn run_command(&self) -> Result<ExitStatus, Failure> {
        // From here on, or a signal in between would end us and leave the command to itself.
        let incoming = Incoming::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT]).context("cannot handle signals")?;
        let (program, arguments) = self.command.split_first().ok_or_else(|| Failure::usage("no command"))?;
        let mut child = Command::new(program).args(arguments).spawn().map_err(|error| {
            let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            Failure::with_status(status, format_args!("cannot run {program}: {error}"))
        })?;
        pass_on(incoming, &child);
        child.wait().context("cannot wait for the command")
    }
}

/// Passes on what is meant for the command. SIGINT and SIGQUIT come from the terminal, to both of us.
fn pass_on(mut incoming: Incoming, child: &Child) {
    let child = Pid::from_raw(child.id() as i32);
    std::thread::spawn(move || {
        for number in incoming.forever().filter(|&number| matches!(number, SIGTERM | SIGHUP)) {
            if let Ok(signal) = Signal::try_from(number) {
                // It may have ended: then so do we.
                let _ = kill(child, signal);
            }
        }
    });
}
