//! What the kernel offers, as `semring bench` measures it too: pipe, FIFO, Unix stream socket, message queues.

use std::os::fd::{FromRawFd, OwnedFd};

use semring_cli::rivals::posix_mq::PosixMq;
use semring_cli::rivals::stream::Stream;
use semring_cli::rivals::sysv_mq::SysvMq;
use semring_cli::rivals::{self, Rx, Tx};

use crate::ends::{self, Between};
use crate::spec::Spec;

pub struct Streams;
pub struct PosixQueue;
pub struct SysvQueue;

/// An end of a stream, which does not know where messages begin.
pub struct StreamEnd(Stream);
/// An end of a queue.
pub struct QueueEnd<E>(E);

/// An inherited descriptor, one of the two of a lane, or the only one.
fn inherited(spec: &Spec, lane: usize, end: usize) -> OwnedFd {
    let each = spec.fds.len() / spec.lanes();
    // SAFETY: this process inherited the descriptor, and nothing else in it uses it.
    unsafe { OwnedFd::from_raw_fd(spec.fds[each * lane + end.min(each - 1)]) }
}

impl Between for Streams {
    type Tx<const N: usize> = StreamEnd;
    type Rx<const N: usize> = StreamEnd;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> StreamEnd {
        StreamEnd(inherited(spec, lane, 1).into())
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> StreamEnd {
        StreamEnd(inherited(spec, lane, 0).into())
    }
}

impl<const N: usize> ends::Tx<N> for StreamEnd {
    fn send(&mut self, message: &[u8; N]) {
        self.0.send(message).expect("write");
    }

    fn send_batch(&mut self, messages: &[[u8; N]]) {
        self.0.send(messages.as_flattened()).expect("write");
    }
}

impl<const N: usize> ends::Rx<N> for StreamEnd {
    fn recv(&mut self, message: &mut [u8; N]) {
        self.0.recv(message).expect("read");
    }
}

impl Between for PosixQueue {
    type Tx<const N: usize> = QueueEnd<PosixMq>;
    type Rx<const N: usize> = QueueEnd<PosixMq>;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> QueueEnd<PosixMq> {
        QueueEnd(inherited(spec, lane, 0).into())
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> QueueEnd<PosixMq> {
        QueueEnd(inherited(spec, lane, 0).into())
    }
}

impl Between for SysvQueue {
    type Tx<const N: usize> = QueueEnd<SysvMq>;
    type Rx<const N: usize> = QueueEnd<SysvMq>;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> QueueEnd<SysvMq> {
        QueueEnd(SysvMq::open(spec.ids[lane], N))
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> QueueEnd<SysvMq> {
        QueueEnd(SysvMq::open(spec.ids[lane], N))
    }
}

impl<E: rivals::Tx, const N: usize> ends::Tx<N> for QueueEnd<E> {
    fn send(&mut self, message: &[u8; N]) {
        self.0.send(message).expect("send");
    }
}

impl<E: rivals::Rx, const N: usize> ends::Rx<N> for QueueEnd<E> {
    fn recv(&mut self, message: &mut [u8; N]) {
        self.0.recv(message).expect("receive");
    }
}
