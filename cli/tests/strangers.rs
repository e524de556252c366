//! The socket of a service with `notify = true`: whom the kernel lets through to it, and what strangers can do there, as
//! SECURITY.md says. Real processes.

mod common;

use std::io::ErrorKind::PermissionDenied;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use common::supervised::{SLEEP, Supervised, service};
use common::*;
use nix::unistd::{Uid, geteuid, setfsuid};

const NOBODY: u32 = 65_534;
const SOMEBODY: u32 = 65_533;

/// A service that says where it is to be told, and lets others say it.
fn notifying(more: &str) -> Supervised {
    let tells = format!("notify = true\nready = '1000s'\ngrace = '100ms'\n{more}");
    let a = service("a", "echo $NOTIFY_SOCKET > address; exec sleep 1000", &tells);
    Supervised::new(&format!("{a}{}", service("b", SLEEP, "")))
}

fn address(set: &Supervised) -> PathBuf {
    set.until("its address", || set.read("address").ends_with('\n'));
    set.read("address").trim().into()
}

/// Says READY=1 as that user. Was it let through? What else goes wrong fails the test.
fn tells(address: &Path, uid: u32) -> bool {
    let say = || {
        // Of this thread alone, with what root may do to files.
        setfsuid(Uid::from_raw(uid));
        UnixDatagram::unbound().unwrap().send_to(b"READY=1", address)
    };
    match std::thread::scope(|scope| scope.spawn(say).join().unwrap()) {
        Err(error) if error.kind() == PermissionDenied => false,
        sent => sent.unwrap() > 0,
    }
}

fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("skipped: it takes root to be somebody else");
    }
    root
}

/// The kernel keeps all others out.
#[test]
fn who_is_neither_the_services_user_nor_ours_is_not_let_through() {
    if !is_root() {
        return;
    }
    let mut set = notifying("");
    set.supervise();
    let address = address(&set);
    assert!(!tells(&address, NOBODY));
    assert!(!set.read("events").contains("is ready"), "{}", set.read("events"));
    assert!(tells(&address, 0));
    set.until_said("a: is ready");
    set.end();
}

/// Also once it is another one.
#[test]
fn a_service_is_heard_as_the_user_that_it_runs_as() {
    if !is_root() {
        return;
    }
    let mut set = notifying("");
    // Where it may write, as whoever it is.
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&set.directory, everybody).unwrap();
    let supervisor = set.supervise();
    address(&set);
    set.until_run("a", 1);
    for file in ["address", "runs.a", "lock.a"] {
        std::os::unix::fs::chown(set.directory.join(file), Some(NOBODY), None).unwrap();
    }
    set.write("address", "");
    set.configure(&format!(
        "{}user = 'nobody'",
        service(
            "a",
            "echo $NOTIFY_SOCKET > address; exec sleep 1000",
            "notify = true\nready = '1000s'\ngrace = '100ms'"
        )
    ));
    signal(supervisor, nix::libc::SIGHUP);
    set.until_run("a", 2);
    let address = address(&set);
    let found = std::fs::symlink_metadata(&address).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o777), (NOBODY, 0o600));
    assert!(!tells(&address, SOMEBODY));
    assert!(tells(&address, NOBODY));
    set.until_said("a: is ready");
    set.end();
}

/// A file that somebody took away does not keep the service from starting: it gets a new one, at the same place.
#[test]
fn a_socket_that_is_gone_is_made_again() {
    let mut set = notifying("");
    set.supervise();
    let first = address(&set);
    std::fs::remove_dir_all(first.parent().unwrap()).unwrap();
    set.write("address", "");
    run(semring(["supervise", "restart", "a", "--board", &set.board])).ok();
    assert_eq!(address(&set), first);
    UnixDatagram::unbound().unwrap().send_to(b"READY=1", &first).unwrap();
    set.until_said("a: is ready");
    set.end();
    assert!(!first.parent().unwrap().exists());
}
