//! Starting a service: what happens between fork and exec decides who it is. `docs/design.md` section 14 has the steps.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{Gid, User, setgid, setgroups, setuid};
use semring::heartbeat::{BOARD_VARIABLE, Place, SERVICE_VARIABLE};

use super::config::Service;
use super::files;
use super::notes::Notes;

/// How a start can fail.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// Somebody holds its place, for it runs already, or it has just been stopped.
    Overtaken,
    /// Nothing was tried, or the program could not be executed.
    Failed(io::Error),
}

/// Whom the program runs as: looked up before the fork.
struct Identity {
    user: User,
    /// All that the group database gives it.
    groups: Vec<Gid>,
}

impl Identity {
    fn of(user: &str) -> io::Result<Self> {
        let name = CString::new(user)?;
        let user = User::from_name(user)?.ok_or_else(|| io::Error::other(format!("no user {user:?}")))?;
        let groups = nix::unistd::getgrouplist(&name, user.gid)?;
        Ok(Identity { user, groups })
    }

    /// What a login would say of it; environment(7). No shell if it may have none.
    fn describe(&self, command: &mut Command) {
        let User { name, dir, shell, .. } = &self.user;
        command.env("USER", name).env("LOGNAME", name).env("HOME", dir);
        match shell.file_name().and_then(OsStr::to_str) {
            None | Some("nologin" | "false") => command.env_remove("SHELL"),
            _ => command.env("SHELL", shell),
        };
    }

    /// System calls only. Who is that user already needs no right to become it.
    fn assume(&self) -> io::Result<()> {
        if nix::unistd::geteuid() != self.user.uid {
            setgroups(&self.groups)?;
            setgid(self.user.gid)?;
            setuid(self.user.uid)?;
        }
        Ok(())
    }
}

/// Starts a service. Its output goes to `output`, if any.
pub(crate) fn start(
    service: &Service,
    board: &str,
    place: &Place,
    output: Option<(Stdio, Stdio)>,
    notify: Option<&str>,
    fingerprint: u64,
) -> Result<Child, NotStarted> {
    let identity = service.user.as_deref().map(Identity::of).transpose().map_err(NotStarted::Failed)?;
    let mut command = command(service, board, notify, identity.as_ref()).map_err(NotStarted::Failed)?;
    if let Some((out, err)) = output {
        command.stdout(out).stderr(err);
    }
    let (place, silence) = (place.clone(), service.silence);
    let become_it = move || {
        // What the supervisor blocks in order to read it is not for the program.
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        files::restore()?;
        // A session of its own: the terminal's Ctrl-C is for us, and its children can be found. It cannot fail: the
        // child of a fork leads no process group.
        let _leader = nix::unistd::setsid();
        place.claim_for_program(silence)?;
        // A stop that came since the fork saw a free place and believes that nobody runs.
        if !Notes(&place).is_wanted() {
            return Err(io::Error::from_raw_os_error(libc::ECANCELED));
        }
        Notes(&place).set_fingerprint(fingerprint);
        // The board is ours, not the user's: the claim comes first.
        identity.as_ref().map_or(Ok(()), Identity::assume)
    };
    // SAFETY: between fork and exec: system calls, and stores to memory that was mapped before; nothing that allocates or
    // takes a lock, which the other thread might have held. Errors are bare numbers. The closure makes `Command` fork, which shares no semaphore undo.
    unsafe { command.pre_exec(become_it) };
    command.spawn().map_err(|error| match error.raw_os_error() {
        Some(libc::EALREADY | libc::ECANCELED) => NotStarted::Overtaken,
        _ => NotStarted::Failed(error),
    })
}

fn command(
    service: &Service,
    board: &str,
    notify: Option<&str>,
    identity: Option<&Identity>,
) -> io::Result<Command> {
    let (program, arguments) = service.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    // What was said to us is not for it.
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(variable);
    }
    if let Some(socket) = notify {
        command.env("NOTIFY_SOCKET", socket);
        if let Some(silence) = service.silence {
            command.env("WATCHDOG_USEC", silence.as_micros().to_string());
        }
    }
    identity.inspect(|identity| identity.describe(&mut command));
    command.envs(&service.environment).env(BOARD_VARIABLE, board).env(SERVICE_VARIABLE, &service.name);
    if let Some(directory) = &service.directory {
        command.current_dir(directory);
    }
    Ok(command)
}
