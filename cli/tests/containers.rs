//! What docs/containers.md says of IPC namespaces, shown with real ones: without the right to make them there is nothing to
//! show, and that is said.

mod common;

use common::*;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::{CloneFlags, setns};

/// Runs `work` in a thread that has an IPC namespace of its own; `None` if that is not allowed.
fn contained<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|threads| {
        threads.spawn(|| alone().then(work)).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn ipc_namespace() -> File {
    File::open("/proc/thread-self/ns/ipc").unwrap()
}

fn names() -> Vec<String> {
    let channels = run(semring(["ls", "--json"])).ok().json()["channels"].as_array().unwrap().clone();
    channels.iter().map(|channel| channel["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_name_in_two_namespaces_is_two_channels() {
    let apart = contained(|| {
        run_with_input(semring(["send", "orders"]), "ours\n").ok();
        let other = contained(|| {
            run(semring(["stat", "orders"])).fails(1, "does not exist");
            assert_eq!(names(), Vec::<String>::new());
            run_with_input(semring(["send", "orders"]), "theirs\n").ok();
            assert_eq!(run(semring(["recv", "orders"])).ok().stdout, b"theirs\n");
        });
        assert!(other.is_some(), "the first was allowed");
        assert_eq!(names(), ["orders"]);
        assert_eq!(run(semring(["recv", "orders"])).ok().stdout, b"ours\n");
    });
    if apart.is_some() {
        assert!(!names().contains(&"orders".to_string()), "it was never out here");
    }
}

/// What `--ipc=container:NAME` and the containers of a pod do: join the namespace of somebody else.
#[test]
fn who_joins_a_namespace_shares_its_channels() {
    contained(|| {
        let receiver = Running::start(semring(["recv", "orders"]));
        assert!(within(LIMIT, || names() == ["orders"]));
        let donor = File::open(format!("/proc/{}/ns/ipc", receiver.id())).unwrap();
        contained(move || {
            assert_eq!(names(), Vec::<String>::new());
            setns(&donor, CloneFlags::CLONE_NEWIPC).unwrap();
            run_with_input(semring(["send", "orders"]), "from another container\n").ok();
        });
        assert_eq!(receiver.end().ok().stdout, b"from another container\n");
    });
}

/// A container that is restarted finds what was there only if somebody kept the namespace.
#[test]
fn a_namespace_takes_its_channels_along() {
    contained(|| {
        let kept = contained(|| {
            run_with_input(semring(["send", "orders"]), "kept\n").ok();
            ipc_namespace()
        });
        let kept = kept.expect("the first was allowed");
        contained(move || {
            setns(&kept, CloneFlags::CLONE_NEWIPC).unwrap();
            assert_eq!(run(semring(["recv", "orders"])).ok().stdout, b"kept\n");
        });
        contained(|| run(semring(["recv", "orders", "--existing"])).fails(1, "does not exist"));
    });
}

#[test]
fn limits_are_a_namespaces_own() {
    contained(|| {
        let outside = std::fs::read_to_string("/proc/sys/kernel/shmmni").unwrap();
        contained(|| {
            if let Err(error) = std::fs::write("/proc/sys/kernel/shmmni", "0") {
                return eprintln!("skipped: the limits cannot be written ({error})");
            }
            run(semring(["create", "orders"])).fails(1, "kernel.shmmni");
            assert_eq!(semring::sem::list().unwrap(), [], "nothing is left of it");
        });
        assert_eq!(std::fs::read_to_string("/proc/sys/kernel/shmmni").unwrap(), outside);
        run(semring(["create", "orders"])).ok();
        run(semring(["rm", "orders"])).ok();
    });
}

/// As a rootless container has it: root inside, nobody outside.
#[test]
fn an_ordinary_user_has_channels_in_a_user_namespace() {
    let script = "unshare --user --map-root-user --ipc sh -c '
        printf \"rootless\\n\" | \"$0\" send orders && \"$0\" recv orders' \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_semring")]);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let done = run(command);
    if done.stderr.contains("unshare") || done.stderr.contains("Permission denied") {
        return eprintln!("skipped: no user namespace for an ordinary user ({})", done.stderr.trim());
    }
    assert_eq!(done.ok().stdout, b"rootless\n");
}
