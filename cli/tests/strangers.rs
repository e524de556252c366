//! The socket of a service with `notify = true` has a name without owner or mode: what strangers can do there, and what not,
//! as SECURITY.md says.

mod common;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::supervised::{SLEEP, Supervised, service};

fn notifying() -> Supervised {
    let tells = "notify = true\nready = '1000s'\nbackoff = '10ms'\nbackoff_max = '10ms'\nstarts = 10000";
    let a = service("a", "echo $NOTIFY_SOCKET > address; exec sleep 1000", tells);
    Supervised::new(&format!("{a}{}", service("b", SLEEP, "")))
}

fn address(set: &Supervised) -> String {
    set.until("its address", || set.read("address").ends_with('\n'));
    set.read("address").trim().to_owned()
}

/// The kernel says who sent a datagram.
#[test]
fn who_is_neither_the_services_user_nor_ours_is_not_heard() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: it takes root to be somebody else");
    }
    let mut set = notifying();
    set.supervise();
    let address = address(&set);
    let notify = |uid: u32| {
        let mut command = Command::new("systemd-notify");
        command.arg("READY=1").env("NOTIFY_SOCKET", &address).uid(uid).gid(uid).output()
    };
    if let Err(error) = notify(65_534) {
        set.end();
        return eprintln!("skipped: no systemd-notify ({error})");
    }
    // Whoever does as it is told has looked at all sockets before.
    set.tell("restart", "b").ok();
    assert!(!set.read("events").contains("is ready"), "{}", set.read("events"));
    set.until("it is heard", || {
        notify(0).unwrap();
        set.read("events").contains("is ready")
    });
    set.end();
}

/// They can keep it from starting; it starts when they are gone.
#[test]
fn who_takes_the_address_first_keeps_the_service_from_starting_and_no_longer() {
    let mut set = notifying();
    set.supervise();
    let name = address(&set);
    set.end();
    let runs = set.runs("a").len();
    let name = SocketAddr::from_abstract_name(name.strip_prefix('@').unwrap()).unwrap();
    let squatter = UnixDatagram::bind_addr(&name).unwrap();
    set.supervise();
    set.until_said("cannot start: Address already in use");
    assert_eq!(set.runs("a").len(), runs);
    drop(squatter);
    set.until_run("a", runs + 1);
    set.end();
}
