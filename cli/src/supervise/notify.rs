//! sd_notify(3), both ways: what a service tells us, and what we tell who supervises us.
//!
//! Each service has a socket with an abstract name that follows from its own: a successor binds the same one, so nobody has
//! to be told. Anybody can send to it, so the kernel says who did.

use std::env;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt};
use nix::unistd::geteuid;

/// How often to try to get the address of a predecessor that has just died.
const ROUNDS: usize = 100;

/// What a service can say that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Ready,
    Beat,
}

/// Where a service says it.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: UnixDatagram,
    name: String,
    uid: u32,
}

impl Socket {
    /// The socket of a service that runs as `uid`.
    pub(crate) fn open(board: &str, service: &str, uid: u32) -> io::Result<Self> {
        // 107 bytes at most.
        let name = format!("semring/{}/{:016x}", geteuid(), super::tag(board, service));
        let socket = bind(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, PassCred, &true)?;
        Ok(Socket { socket, name: format!("@{name}"), uid })
    }

    /// For NOTIFY_SOCKET.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What was said, in no more than `most` datagrams: anybody may send some, and as fast as we read them.
    pub(crate) fn hear(&self, most: usize) -> Vec<Said> {
        (0..most).map_while(|_| self.receive()).flatten().collect()
    }

    /// The next messages, one datagram's; empty if it said nothing that matters, `None` if there is none.
    fn receive(&self) -> Option<Vec<Said>> {
        let mut buffer = [0; 4096];
        let mut control = cmsg_space!(UnixCredentials);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message =
            recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)
                .ok()?;
        let sender = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.uid()),
            _ => None,
        });
        let trusted = sender.is_some_and(|uid| uid == self.uid || uid == 0 || uid == geteuid().as_raw());
        let bytes = message.bytes;
        Some(if trusted { parse(&buffer[..bytes]) } else { Vec::new() })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn parse(bytes: &[u8]) -> Vec<Said> {
    let lines = bytes.split(|&byte| byte == b'\n');
    let said = |line: &[u8]| match line {
        b"READY=1" => Some(Said::Ready),
        b"WATCHDOG=1" => Some(Said::Beat),
        _ => None,
    };
    lines.filter_map(said).collect()
}

/// A predecessor's death wakes us before the kernel has closed its sockets: it goes on to, in microseconds.
fn bind(address: &SocketAddr) -> io::Result<UnixDatagram> {
    for _ in 0..ROUNDS {
        match UnixDatagram::bind_addr(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(Duration::from_millis(1)),
            other => return other,
        }
    }
    UnixDatagram::bind_addr(address)
}

/// Who supervises us, if it wants to hear anything.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl Manager {
    pub(crate) fn from_environment() -> Option<Self> {
        let path = env::var("NOTIFY_SOCKET").ok().filter(|path| path.starts_with(['/', '@']))?;
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&path),
        };
        let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| ours).map(Duration::from_micros);
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Manager { socket, address: address.ok()?, watchdog })
    }

    /// How often it wants to hear that we live: twice as often as it asks for.
    pub(crate) fn beat_every(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2).filter(|every| !every.is_zero())
    }

    /// Nobody waits for an answer, and nothing depends on it.
    pub(crate) fn tell(&self, state: &str) {
        let _ = self.socket.send_to_addr(state.as_bytes(), &self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_count() {
        assert_eq!(parse(b"READY=1\nSTATUS=up\nWATCHDOG=1\n"), [Said::Ready, Said::Beat]);
        assert_eq!(parse(b"READY=10\nXREADY=1\n\xff\n"), []);
    }

    #[test]
    fn a_service_is_heard_and_a_successor_has_the_same_address() {
        let board = format!("notify-test-{}", std::process::id());
        let socket = Socket::open(&board, "a", geteuid().as_raw()).unwrap();
        let name = socket.name().to_owned();
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let service = UnixDatagram::unbound().unwrap();
        assert_eq!(socket.receive(), None);
        service.send_to_addr(b"READY=1", &address).unwrap();
        assert_eq!(socket.receive(), Some(vec![Said::Ready]));
        drop(socket);
        let successor = Socket::open(&board, "a", geteuid().as_raw()).unwrap();
        assert_eq!(successor.name(), name);
        service.send_to_addr(b"WATCHDOG=1", &address).unwrap();
        assert_eq!(successor.receive(), Some(vec![Said::Beat]));
    }

    /// Whoever talks without end is heard, but not to the end: others wait.
    #[test]
    fn nobody_is_listened_to_for_ever() {
        let socket =
            Socket::open(&format!("notify-cap-{}", std::process::id()), "a", geteuid().as_raw()).unwrap();
        let address = SocketAddr::from_abstract_name(&socket.name()[1..]).unwrap();
        let service = UnixDatagram::unbound().unwrap();
        for _ in 0..8 {
            service.send_to_addr(b"X=1\nWATCHDOG=1", &address).unwrap();
        }
        assert_eq!([5, 5, 5].map(|most| socket.hear(most).len()), [5, 3, 0]);
    }
}
