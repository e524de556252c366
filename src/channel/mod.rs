//! Channels: one named object of a segment, a semaphore set and a ring, with producer and consumer handles.
//!
//! [`options`] says what is asked for; [`lifecycle`] opens, creates and removes it, a `pair` of [`set`] and segment
//! ([`header`]), under its [`lock`]; [`participant`] registers and runs the loop around blocking calls, over [`recovery`];
//! [`producer`], [`consumer`] (over [`receipt`]), [`grant`], [`lease`], [`typed`], [`bulk`] and [`observer`] are what users hold.

mod attachment;
mod batch;
mod bulk;
mod cancel;
mod consumer;
mod grant;
mod header;
mod lease;
mod lifecycle;
mod lock;
mod lookout;
mod looks;
mod message;
mod observer;
mod options;
mod pace;
mod participant;
mod producer;
mod receipt;
mod recovery;
mod set;
mod status;
mod swift;
mod typed;
mod waiting;

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod fetch_tests;
#[cfg(test)]
mod gift_tests;
#[cfg(test)]
mod look_tests;
#[cfg(test)]
mod recheck_tests;
#[cfg(test)]
mod spin_tests;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use crate::error::Result;
use attachment::Attachment;
use lock::Lock;
use looks::looks;

pub use batch::{Batch, BatchMessage};
pub use bulk::{Bulk, BulkConsumer, BulkLease, BulkProducer};
pub use cancel::Canceller;
pub use consumer::Consumer;
pub use grant::Grant;
pub(crate) use header::Header;
pub use header::{WakeMode, WhenNoConsumer};
pub use lease::Lease;
pub use message::{IntoIter, Iter, Message, Received, TryIter};
pub use observer::{Observer, Peeked};
pub use options::Options;
pub use producer::{Producer, SendBatchError};
pub(crate) use set::Set;
pub use status::{ParticipantStatus, Role, Status};
pub use typed::{TypedConsumer, TypedProducer};

/// What both handles have.
macro_rules! handle {
    ($handle:ident) => {
        impl $handle {
            #[inline]
            pub(super) fn attachment(&self) -> &Attachment {
                &self.participant.channel
            }

            /// The channel, for looking at it or removing it.
            pub fn channel(&self) -> Channel {
                Channel::new(Arc::clone(&self.participant.channel))
            }

            /// Makes this handle's blocked calls return, from another thread.
            pub fn canceller(&self) -> Canceller {
                let participant = &self.participant;
                let cancel = Arc::clone(&participant.cancel);
                Canceller::new(Arc::clone(&participant.channel), participant.me, cancel)
            }

            /// Leaves the channel, as a drop does.
            pub fn close(self) {}

            /// Leaves the channel, and removes it if nobody else is there and no message is left. Says whether it was
            /// removed.
            ///
            /// # Errors
            /// As [`Channel::remove_if_unused`].
            pub fn leave_and_remove_if_unused(self) -> Result<bool> {
                let channel = self.channel();
                drop(self);
                channel.remove_if_unused()
            }
        }

        impl std::fmt::Debug for $handle {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($handle)).field("channel", &self.name()).finish_non_exhaustive()
            }
        }
    };
}
use handle;

looks!(Channel, Observer, Producer, Consumer);

/// A channel that is open, without being one of its participants: to look at it, to join it, to remove it.
///
/// Dropping it detaches. The channel stays, until [`Channel::remove`] or the system's end, as System V objects do.
///
/// # Examples
/// ```
/// use semring::Options;
///
/// let name = format!("channel-doc-{}", std::process::id());
/// let channel = Options::new().capacity(100).create(&name)?;
/// assert_eq!(channel.capacity(), 128); // rounded up to a power of two
/// assert_eq!(channel.status()?.producers, 0);
/// let mut producer = channel.producer()?;
/// producer.send(b"stays until somebody takes it")?;
/// drop(producer);
/// assert_eq!(channel.len(), 1);
/// channel.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Channel {
    attachment: Arc<Attachment>,
}

impl Channel {
    fn new(attachment: Arc<Attachment>) -> Self {
        Self { attachment }
    }

    fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Becomes a producer.
    ///
    /// # Errors
    /// [`Error::NoRoom`](crate::Error::NoRoom), [`Error::Removed`](crate::Error::Removed),
    /// [`Error::LockBusy`](crate::Error::LockBusy), [`Error::Forked`](crate::Error::Forked).
    pub fn producer(&self) -> Result<Producer> {
        self.attachment.check_fork()?;
        let lock = Lock::take(&self.attachment)?;
        Producer::register(Arc::clone(&self.attachment), lock)
    }

    /// Becomes a consumer.
    ///
    /// # Errors
    /// As [`Channel::producer`].
    pub fn consumer(&self) -> Result<Consumer> {
        self.attachment.check_fork()?;
        let lock = Lock::take(&self.attachment)?;
        Consumer::register(Arc::clone(&self.attachment), lock)
    }

    /// The segment's id, by which a private channel is handed over ([`Key::Id`](crate::segment::Key)).
    pub fn id(&self) -> i32 {
        self.attachment.segment_id
    }

    /// Removes the channel with all messages in it. Everybody who has it open gets
    /// [`Error::Removed`](crate::Error::Removed) promptly, the sleeping ones too.
    ///
    /// # Errors
    /// [`Error::Removed`](crate::Error::Removed) if somebody was faster; [`Error::LockBusy`](crate::Error::LockBusy).
    pub fn remove(self) -> Result<()> {
        self.attachment.check_fork()?;
        lifecycle::remove(&self.attachment, Lock::take(&self.attachment)?)
    }

    /// Removes the channel if it has no participant and no message. Says whether it did; a channel that somebody
    /// else removed counts as removed.
    ///
    /// # Errors
    /// As [`Channel::remove`].
    pub fn remove_if_unused(self) -> Result<bool> {
        self.attachment.check_fork()?;
        let lock = match Lock::take(&self.attachment) {
            Err(crate::Error::Removed) => return Ok(true),
            lock => lock?,
        };
        let alive = self.attachment.set.snapshot()?.alive();
        let owed = recovery::indices(&self.attachment)
            .any(|i| recovery::role(&self.attachment, i).is_some() && alive & i.bit() == 0);
        if alive != 0 || owed || !self.is_empty() {
            return lock.release().map(|()| false);
        }
        lifecycle::remove(&self.attachment, lock).map(|()| true)
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("name", &self.name()).finish_non_exhaustive()
    }
}
