//! Byte streams of the kernel: pipe, FIFO, Unix stream socket. Messages have one size, so they need no length.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::lane_name;
use crate::ends::{self, Between};
use crate::spec::{Rival, Spec};

pub struct Files;

pub struct Tx(File);
pub struct Rx(File);

pub fn socket_pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty())
}

fn fifo(spec: &Spec, lane: usize) -> String {
    format!("{}/{}", spec.dir, lane_name(spec, lane))
}

pub fn make_fifo(spec: &Spec, lane: usize) -> nix::Result<()> {
    let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
    nix::unistd::mkfifo(fifo(spec, lane).as_str(), mode)
}

/// An inherited end.
fn inherited(spec: &Spec, lane: usize, end: usize) -> File {
    // SAFETY: this process inherited the descriptor, and nothing else in it uses it.
    unsafe { File::from_raw_fd(spec.fds[2 * lane + end]) }
}

impl Between for Files {
    type Tx<const N: usize> = Tx;
    type Rx<const N: usize> = Rx;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx {
        Tx(match spec.rival {
            Rival::Fifo => OpenOptions::new().write(true).open(fifo(spec, lane)).expect("FIFO"),
            _ => inherited(spec, lane, 1),
        })
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx {
        Rx(match spec.rival {
            Rival::Fifo => File::open(fifo(spec, lane)).expect("FIFO"),
            _ => inherited(spec, lane, 0),
        })
    }
}

impl<const N: usize> ends::Tx<N> for Tx {
    fn send(&mut self, message: &[u8; N]) {
        self.0.write_all(message).expect("write");
    }

    fn send_batch(&mut self, messages: &[[u8; N]]) {
        self.0.write_all(messages.as_flattened()).expect("write");
    }
}

impl<const N: usize> ends::Rx<N> for Rx {
    fn recv(&mut self, message: &mut [u8; N]) {
        self.0.read_exact(message).expect("read");
    }
}
