//! System V message queues: msgop(2). The only rival that outlives its processes if nobody removes it.

use std::io;

use nix::errno::Errno;

use super::{Rx, Tx, uninterrupted, wrong_length};

/// Most bytes of a message.
const BYTES: &str = "/proc/sys/kernel/msgmax";

/// A new queue, removed when this is dropped.
#[derive(Debug)]
pub struct Queue(i32);

impl Queue {
    /// A queue for messages of so many bytes, of the size that the kernel gives it.
    ///
    /// # Errors
    /// Those of msgget(2); a size that the kernel refuses.
    pub fn create(size: usize) -> io::Result<Self> {
        let most = std::fs::read_to_string(BYTES).ok().and_then(|text| text.trim().parse().ok());
        if let Some(most) = most.filter(|most: &usize| size > *most) {
            return Err(io::Error::other(format!("messages of {size} bytes, and {BYTES} allows {most}")));
        }
        // SAFETY: takes numbers only.
        let id = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
        Ok(Queue(Errno::result(id)?))
    }

    /// What its ends are opened by, in any process.
    pub fn id(&self) -> i32 {
        self.0
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: with IPC_RMID no buffer is used. An error says that it is gone already.
        unsafe { libc::msgctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// An end of a queue.
pub struct SysvMq {
    queue: i32,
    /// As msgsnd(2) wants it: a type, then the message.
    envelope: Vec<libc::c_long>,
    size: usize,
}

impl SysvMq {
    /// An end for messages of one size.
    pub fn open(queue: i32, size: usize) -> Self {
        const WORD: usize = size_of::<libc::c_long>();
        SysvMq { queue, envelope: vec![1; 1 + size.div_ceil(WORD)], size }
    }

    fn bytes(&mut self) -> &mut [u8] {
        let words = &mut self.envelope[1..];
        // SAFETY: these words are at least `size` bytes, and any bytes are words.
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), self.size) }
    }
}

impl Tx for SysvMq {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.bytes().copy_from_slice(message);
        let (envelope, size) = (self.envelope.as_ptr().cast(), self.size);
        // SAFETY: the envelope has the layout that msgsnd wants, and `size` bytes behind its type.
        uninterrupted(|| Errno::result(unsafe { libc::msgsnd(self.queue, envelope, size, 0) }))?;
        Ok(())
    }
}

impl Rx for SysvMq {
    #[inline]
    fn recv(&mut self, message: &mut [u8]) -> io::Result<()> {
        let (envelope, size) = (self.envelope.as_mut_ptr().cast(), self.size);
        // SAFETY: as for msgsnd; at most `size` bytes are written behind the type.
        let length =
            uninterrupted(|| Errno::result(unsafe { libc::msgrcv(self.queue, envelope, size, 0, 0) }))?;
        if length as usize != size {
            return Err(wrong_length(length as usize));
        }
        message.copy_from_slice(self.bytes());
        Ok(())
    }
}
