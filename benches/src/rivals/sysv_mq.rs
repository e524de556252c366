//! System V message queues: msgop(2).

use super::succeeded;
use crate::ends::{self, Between};
use crate::spec::Spec;

pub struct SysvMq;

pub struct Tx(i32);
pub struct Rx(i32);

/// As msgsnd(2) wants it.
#[repr(C)]
struct Envelope<const N: usize> {
    kind: libc::c_long,
    bytes: [u8; N],
}

/// Creates a queue; its id.
pub fn create() -> std::io::Result<i32> {
    // SAFETY: takes numbers only.
    succeeded("msgget", unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) })
}

impl Between for SysvMq {
    type Tx<const N: usize> = Tx;
    type Rx<const N: usize> = Rx;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx {
        Tx(spec.ids[lane])
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx {
        Rx(spec.ids[lane])
    }
}

impl<const N: usize> ends::Tx<N> for Tx {
    fn send(&mut self, message: &[u8; N]) {
        let envelope = Envelope { kind: 1, bytes: *message };
        // SAFETY: the envelope has the layout that msgsnd wants, and N bytes behind its type.
        let sent = unsafe { libc::msgsnd(self.0, (&raw const envelope).cast(), N, 0) };
        succeeded("msgsnd", sent).expect("room in a queue of our own");
    }
}

impl<const N: usize> ends::Rx<N> for Rx {
    fn recv(&mut self, message: &mut [u8; N]) {
        let mut envelope = Envelope { kind: 0, bytes: [0; N] };
        // SAFETY: as for msgsnd; at most N bytes are written behind the type.
        let received = unsafe { libc::msgrcv(self.0, (&raw mut envelope).cast(), N, 0, 0) };
        assert_eq!(received, N as isize, "msgrcv: {}", std::io::Error::last_os_error());
        *message = envelope.bytes;
    }
}
