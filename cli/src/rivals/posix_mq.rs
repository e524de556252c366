//! POSIX message queues: mq_overview(7).

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use nix::errno::Errno;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;

use super::{Rx, Tx, fresh_name, uninterrupted, wrong_length};

/// Most messages that an ordinary user may have in a queue, and most bytes in a message; what both are by default.
const MESSAGES: (&str, usize) = ("/proc/sys/fs/mqueue/msg_max", 10);
const BYTES: (&str, usize) = ("/proc/sys/fs/mqueue/msgsize_max", 8192);

/// An end of a queue.
pub struct PosixMq(MqdT);

fn limit((file, default): (&str, usize)) -> usize {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(default)
}

/// A queue of so many messages, or as many as anybody may have, of so many bytes. Its name is gone already.
///
/// # Errors
/// Those of mq_open(3), in words where a limit stands in the way.
pub fn create(messages: usize, size: usize) -> io::Result<OwnedFd> {
    let path = format!("/{}", fresh_name());
    let attributes = MqAttr::new(0, messages.min(limit(MESSAGES)) as i64, size as i64, 0);
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR;
    let queue = mq_open(path.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attributes));
    let queue = queue.map_err(|errno| refusal(errno, size))?;
    mq_unlink(path.as_str())?;
    // SAFETY: on Linux a queue's descriptor is a file descriptor; nothing else has this one.
    Ok(unsafe { OwnedFd::from_raw_fd(queue.into_raw_fd()) })
}

/// Why there is no queue for messages of `size` bytes.
fn refusal(errno: Errno, size: usize) -> io::Error {
    match errno {
        Errno::EINVAL => {
            let (file, most) = (BYTES.0, limit(BYTES));
            io::Error::other(format!("messages of {size} bytes, and {file} allows {most}"))
        }
        Errno::EMFILE => io::Error::other("its queue would be larger than `ulimit -q` allows"),
        Errno::ENOSYS => io::Error::other("this kernel has no POSIX message queues"),
        errno => errno.into(),
    }
}

impl From<OwnedFd> for PosixMq {
    fn from(queue: OwnedFd) -> Self {
        // SAFETY: on Linux a queue's descriptor is a file descriptor; this one is ours alone.
        PosixMq(unsafe { MqdT::from_raw_fd(queue.into_raw_fd()) })
    }
}

impl Tx for PosixMq {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        Ok(uninterrupted(|| mq_send(&self.0, message, 0))?)
    }
}

impl Rx for PosixMq {
    #[inline]
    fn recv(&mut self, message: &mut [u8]) -> io::Result<()> {
        let mut priority = 0;
        match uninterrupted(|| mq_receive(&self.0, message, &mut priority))? {
            length if length == message.len() => Ok(()),
            length => Err(wrong_length(length)),
        }
    }
}
