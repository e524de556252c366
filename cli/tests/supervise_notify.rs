//! sd_notify(3), both ways: what services tell the supervisor, and what that tells its own. Real processes.

mod common;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::supervised::*;
use common::*;

/// An address as NOTIFY_SOCKET has it.
fn address(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(name.trim().strip_prefix('@').unwrap()).unwrap()
}

/// Where a supervisor tells what it does.
fn manager(set: &Supervised) -> UnixDatagram {
    let socket = UnixDatagram::bind(set.directory.join("notify")).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 100];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn until_told(socket: &UnixDatagram, what: &str) -> String {
    loop {
        let told = next(socket);
        if told.lines().next() == Some(what) {
            return told;
        }
    }
}

#[test]
fn the_supervisor_tells_its_own() {
    let mut set = Supervised::new(&service(
        "a",
        "ulimit -n > files; env > environment; trap 'test -e end && exit' TERM; while ! test -e end; do sleep 0.02; done",
        "env = { WHO = 'me' }",
    ));
    let socket = manager(&set);
    let mut command = set.command();
    let child =
        command.env("NOTIFY_SOCKET", set.directory.join("notify")).env("WATCHDOG_USEC", "100000").spawn();
    set.adopt(child.unwrap());
    let mut heard = Vec::new();
    while heard.iter().filter(|text| *text == "WATCHDOG=1").count() < 3 {
        heard.push(next(&socket));
    }
    assert!(heard.iter().any(|text| text == "READY=1"), "{heard:?}");
    set.until_run("a", 1);
    set.until("its environment", || set.read("environment").contains("WHO=me\n"));
    let environment = set.read("environment");
    assert!(
        !environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG_USEC"),
        "{environment}"
    );
    assert!(environment.contains("SEMRING_SERVICE=a\n"));
    // What the supervisor has raised for itself is not for its services.
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    assert_eq!(set.read("files").trim(), soft.to_string());
    signal(set.last(), nix::libc::SIGHUP);
    let reloading = until_told(&socket, "RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    until_told(&socket, "READY=1");
    // Told when the end begins, and not when it is over.
    signal(set.last(), SIGTERM);
    until_told(&socket, "STOPPING=1");
    assert!(set.alive("a").is_some());
    set.write("end", "");
    assert!(within(LIMIT, || set.reap() == 0), "{}", set.read("events"));
}

/// One that stands by was killed for its silence.
#[test]
fn a_standby_says_that_it_lives() {
    let mut set = Supervised::new(&service("a", SLEEP, ""));
    set.supervise();
    set.until_run("a", 1);
    let socket = manager(&set);
    let mut command = set.command();
    let path = set.directory.join("notify");
    let standby = command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "100000").spawn();
    set.adopt(standby.unwrap());
    assert_eq!(until_told(&socket, "READY=1"), "READY=1\nSTATUS=standing by");
    for _ in 0..3 {
        until_told(&socket, "WATCHDOG=1");
    }
    assert_eq!(set.board().unwrap().standbys(), Ok(1));
    set.end_all();
}

/// Services keep the address that they were given: whoever supervises hears them.
#[test]
fn a_successor_hears_what_services_say() {
    let tells = "notify = true\nready = '1000s'\nsilence = '1000s'";
    let mut set = Supervised::new(&service("a", "echo $NOTIFY_SOCKET > socket; exec sleep 1000", tells));
    set.supervise();
    set.until_run("a", 1);
    for _ in 0..5 {
        set.supervise();
        let board = set.board().unwrap();
        set.until("a standby", || board.standbys() == Ok(1));
        signal(board.keeper().unwrap().unwrap(), SIGKILL);
        set.until("the standby takes over", || board.standbys() == Ok(0));
        set.until("its address", || set.read("socket").ends_with('\n'));
        let name = set.read("socket");
        let address = address(&name);
        let before = set.find("a").unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        set.until("a beat", || {
            let _ = socket.send_to_addr(b"WATCHDOG=1", &address);
            set.find("a").unwrap().silent_for < before.silent_for
        });
    }
    assert_eq!(set.runs("a").len(), 1, "{}", set.read("events"));
    assert!(!set.read("events").contains("cannot be heard"), "{}", set.read("events"));
    set.reap();
    set.end();
}

/// Not a test but a service, when it is told so: ready, and alive until there is a file `hang`.
#[test]
fn beats_by_datagrams() {
    let Ok(silence) = std::env::var("WATCHDOG_USEC") else { return };
    let address = address(&std::env::var("NOTIFY_SOCKET").unwrap());
    let socket = UnixDatagram::unbound().unwrap();
    let _from_the_last_time = std::fs::remove_file("hang");
    socket.send_to_addr(b"READY=1", &address).unwrap();
    while !Path::new("hang").exists() {
        socket.send_to_addr(b"WATCHDOG=1", &address).unwrap();
        std::thread::sleep(Duration::from_micros(silence.parse::<u64>().unwrap() / 8));
    }
    std::thread::sleep(LIMIT);
}

/// As a service under systemd does it, and nothing of ours in it.
#[test]
fn who_stops_sending_watchdog_is_restarted_and_who_sends_is_not() {
    let silence = Duration::from_secs(2);
    let beats = format!("exec {} --exact beats_by_datagrams", std::env::current_exe().unwrap().display());
    let mut set = Supervised::new(&format!(
        "{}{}",
        service("a", &beats, "notify = true\nready = '1000s'\nsilence = '2s'"),
        service("b", SLEEP, "after = ['a']"),
    ));
    set.supervise();
    // Its READY=1 lets the other one start.
    set.until_run("b", 1);
    set.until("it lives on", || set.find("a").is_some_and(|member| member.age > silence * 2));
    assert_eq!(set.runs("a").len(), 1, "{}", set.read("events"));
    set.write("hang", "");
    set.until("it runs again", || set.runs("a").len() == 2);
    assert!(set.read("events").contains("a: hangs"), "{}", set.read("events"));
    set.until("and lives on", || set.find("a").is_some_and(|member| member.age > silence * 2));
    set.end();
    assert_eq!((set.runs("a").len(), set.runs("b").len()), (2, 1), "{}", set.read("events"));
}

/// Anybody may send datagrams, and does so without end.
#[test]
fn who_floods_starves_nobody() {
    let floods = "echo $NOTIFY_SOCKET > socket; exec sleep 1000";
    let mut set = Supervised::new(&format!(
        "{}{}",
        service("floods", floods, "notify = true\nready = '1000s'"),
        service("b", SLEEP, "backoff = '1ms'\nhealthy = '0s'\nlog = 'b.log'"),
    ));
    let supervisor = set.supervise();
    set.until("its address", || set.read("socket").ends_with('\n'));
    let address = address(&set.read("socket"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let socket = UnixDatagram::unbound().unwrap();
                while !done.load(Ordering::Relaxed) {
                    // Refused once the supervisor has ended.
                    let _ = socket.send_to_addr(b"WATCHDOG=1", &address);
                }
            });
        }
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for times in 1..4 {
                set.until_run("b", times);
                signal(set.alive("b").unwrap(), SIGKILL);
            }
            signal(supervisor, SIGTERM);
            assert!(within(LIMIT, || set.reap() == 0), "{}", set.read("events"));
        }));
        done.store(true, Ordering::Relaxed);
        served.unwrap();
    });
}
