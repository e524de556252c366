//! sd_notify(3), both ways: what a service tells us, and what we tell who supervises us.
//!
//! Each service has a socket at a path that follows from its board and its own name (`sockets`): a successor has the same one,
//! so nobody has to be told. Its file belongs to the service's user and is nobody else's to write, so the kernel keeps all
//! others out (unix(7)).

use std::env;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::lchown;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::geteuid;

use super::sockets;

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
    path: PathBuf,
    uid: u32,
}

impl Socket {
    /// The socket of a service that runs as `uid`. What a predecessor has left at its path is replaced: nobody hears what is
    /// said there any more, and who says it is told so.
    pub(crate) fn open(path: &Path, uid: u32) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        path.parent().map_or(Ok(()), sockets::make)?;
        let socket = unbound()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(error)),
            _ => {}
        }
        bind(socket.as_raw_fd(), &UnixAddr::new(path)?).map_err(|errno| named(errno.into()))?;
        if uid != geteuid().as_raw() {
            lchown(path, Some(uid), None).map_err(named)?;
        }
        Ok(Socket { socket: socket.into(), path: path.into(), uid })
    }

    /// For NOTIFY_SOCKET.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Is it for that user, and can it still be found?
    pub(crate) fn is_of(&self, uid: u32) -> bool {
        self.uid == uid && self.path.exists()
    }

    /// What was said, in no more than `most` datagrams: a service may send as fast as we read.
    pub(crate) fn hear(&self, most: usize) -> Vec<Said> {
        (0..most).map_while(|_| self.receive()).flatten().collect()
    }

    /// The next messages, one datagram's; empty if it said nothing that matters, `None` if there is none.
    fn receive(&self) -> Option<Vec<Said>> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(parse(&buffer[..length]))
    }
}

/// A socket whose file will have the mode 0600 from its first moment: Linux takes it from the socket, less the umask.
fn unbound() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    Ok(socket)
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
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn only_whole_lines_count() {
        assert_eq!(parse(b"READY=1\nSTATUS=up\nWATCHDOG=1\n"), [Said::Ready, Said::Beat]);
        assert_eq!(parse(b"READY=10\nXREADY=1\n\xff\n"), []);
    }

    /// A socket in a directory that is gone in the end.
    struct Heard(Socket);

    impl Heard {
        fn new(name: &str) -> Self {
            let directory = env::temp_dir().join(format!("semring-notify-{name}-{}", std::process::id()));
            Heard(Socket::open(&sockets::path(&directory, "a"), geteuid().as_raw()).unwrap())
        }
    }

    impl Drop for Heard {
        fn drop(&mut self) {
            sockets::remove(self.0.path.parent().unwrap());
        }
    }

    #[test]
    fn a_service_is_heard_and_a_successor_has_the_same_address() {
        let mut heard = Heard::new("successor");
        let path = heard.0.path.clone();
        let service = UnixDatagram::unbound().unwrap();
        assert_eq!(heard.0.receive(), None);
        service.send_to(b"READY=1", &path).unwrap();
        assert_eq!(heard.0.receive(), Some(vec![Said::Ready]));
        heard.0 = Socket::open(&path, geteuid().as_raw()).unwrap();
        service.send_to(b"WATCHDOG=1", &path).unwrap();
        assert_eq!(heard.0.receive(), Some(vec![Said::Beat]));
    }

    /// Whoever talks without end is heard, but not to the end: others wait.
    #[test]
    fn nobody_is_listened_to_for_ever() {
        let heard = Heard::new("cap");
        let service = UnixDatagram::unbound().unwrap();
        for _ in 0..8 {
            service.send_to(b"X=1\nWATCHDOG=1", heard.0.path()).unwrap();
        }
        assert_eq!([5, 5, 5].map(|most| heard.0.hear(most).len()), [5, 3, 0]);
    }

    /// Another user, or a file that somebody tidied away: it takes another one.
    #[test]
    fn a_socket_is_one_users_and_nobody_elses() {
        let heard = Heard::new("mode");
        let found = fs::symlink_metadata(heard.0.path()).unwrap();
        assert_eq!((found.mode() & 0o777, found.uid()), (0o600, geteuid().as_raw()));
        let own = geteuid().as_raw();
        assert!(heard.0.is_of(own) && !heard.0.is_of(own + 1));
        fs::remove_file(heard.0.path()).unwrap();
        assert!(!heard.0.is_of(own));
    }
}
