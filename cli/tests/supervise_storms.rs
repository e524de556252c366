//! Supervisors that begin with odd signals, and services that end as fast as they are started: nobody waits for ever.
//! Real processes.

mod common;

use std::os::unix::process::CommandExt;

use common::supervised::*;
use nix::libc;

const IGNORED: [i32; 6] = [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR2, 40];
const QUICK: &str = "backoff = '0s'\nbackoff_max = '0s'\nhealthy = '0s'\nstarts = 100000000";

/// Where nobody reaps children, their status is lost: who exited well was started again as if it had failed, and a program
/// that could not be executed ended the supervisor.
#[test]
fn ignored_signals_are_neither_ours_nor_the_services() {
    let mut set = Supervised::new(&format!(
        "{}{}{}",
        service("once", "exit 0", "restart = 'on-failure'"),
        service("a", "grep SigIgn /proc/self/status > ignored; exec sleep 1000", ""),
        "[service.none]\ncommand = ['./program']\n",
    ));
    set.write("program", "#!/no/such/interpreter");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(set.directory.join("program"), executable).unwrap();
    let mut command = set.command();
    let ignore = || {
        for signal in IGNORED {
            // SAFETY: a system call.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        Ok(())
    };
    // SAFETY: system calls only.
    unsafe { command.pre_exec(ignore) };
    set.adopt(command.spawn().unwrap());
    set.until_said("once: exited with 0: done");
    set.until_said("none: cannot start: No such file or directory");
    set.until("what it ignores", || set.read("ignored").ends_with('\n'));
    let ignored = set.read("ignored");
    let ignored = u64::from_str_radix(ignored.trim_start_matches("SigIgn:").trim(), 16).unwrap();
    assert_eq!(IGNORED.map(|signal| ignored >> (signal - 1) & 1), [0; 6]);
    set.until_run("a", 1);
    set.end();
}

/// There was always another one to be started, so nothing else was ever done.
#[test]
fn who_ends_at_once_starves_nobody() {
    let flaps = |i: usize| format!("[service.f{i}]\ncommand = ['true']\n{QUICK}\n");
    let flappers: String = (0..40).map(flaps).collect();
    let mut set = Supervised::new(&format!("{flappers}{}", service("a", SLEEP, "log = 'a.log'")));
    set.supervise();
    set.until_run("a", 1);
    set.tell("restart", "a").ok();
    set.until_run("a", 2);
    set.end();
}
