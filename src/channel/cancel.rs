//! Making a blocked call return, from another thread or from a signal handler's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::attachment::Attachment;
use crate::os;
use crate::ring::Index;

/// Makes the calls of one handle return [`Error::Cancelled`](crate::Error::Cancelled) where they would block.
///
/// Sticky: also calls that come later, until [`Canceller::reset`]. A call that need not block is not affected, so
/// what is there can still be received. [`Canceller::cancel`] is an atomic store and one semop(2): it may be called
/// from any thread, and from a signal handler.
///
/// # Examples
/// ```
/// use semring::{Error, Options, RecvError};
///
/// let name = format!("cancel-doc-{}", std::process::id());
/// let mut consumer = Options::new().consumer(&name)?;
/// let canceller = consumer.canceller();
/// let blocked = std::thread::spawn(move || consumer.recv().map(|_| ()).map_err(|e| (e, consumer.channel())));
/// canceller.cancel();
/// let (error, channel) = blocked.join().unwrap().unwrap_err();
/// assert_eq!(error, RecvError::Failed(Error::Cancelled));
/// channel.remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
#[derive(Clone)]
pub struct Canceller {
    channel: Arc<Attachment>,
    index: Index,
    cancel: Arc<AtomicBool>,
}

impl Canceller {
    pub(crate) fn new(channel: Arc<Attachment>, index: Index, cancel: Arc<AtomicBool>) -> Self {
        Self { channel, index, cancel }
    }

    /// Makes the blocked call return, and later calls not block.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Release);
        if self.channel.is_ours() {
            // A token for an index that has another owner by now is one spurious look, and does no harm.
            os::keeping_errno(|| self.channel.set.post(self.index.bit()));
        }
    }

    /// Lets calls block again.
    pub fn reset(&self) {
        self.cancel.store(false, Ordering::Release);
    }

    /// Has [`Canceller::cancel`] been called, and not [`Canceller::reset`] since?
    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
