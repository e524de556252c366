//! Looking at a channel without being able to disturb it.

use std::time::Duration;

use super::attachment::Attachment;
use super::participant::Patience;
use super::status::Role;
use crate::error::{Error, Result};
use crate::ring::{self, Index, Side};

/// A channel that is open for reading only: permission to read is all that it takes. Made by
/// [`Options::observe`](crate::Options::observe).
///
/// The segment is mapped read-only, no lock is taken and no semaphore changed: whatever an observer does, even one that
/// is stopped in the middle, the participants do not notice.
///
/// # Examples
/// ```
/// use semring::{Options, Role};
/// use std::time::Duration;
///
/// let name = format!("observer-doc-{}", std::process::id());
/// let mut producer = Options::new().producer(&name)?;
/// let observer = Options::new().observe(&name)?;
/// producer.send(b"seen, not taken")?;
/// assert_eq!((observer.len(), observer.status()?.producers), (1, 1));
///
/// let watching = std::thread::spawn(move || observer.wait_until_gone(Role::Producer, Duration::MAX));
/// let channel = producer.channel();
/// drop(producer); // or exit, or panic, or kill -9
/// assert_eq!(watching.join().unwrap(), Ok(true));
/// channel.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Observer {
    /// Of a mapping that is read-only: nothing here may store to it.
    attachment: Attachment,
}

impl Observer {
    pub(crate) fn new(attachment: Attachment) -> Self {
        Self { attachment }
    }

    pub(super) fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// The first `count` messages that wait for a consumer, oldest first, and of each at most `bytes` bytes. None is
    /// consumed or changed.
    ///
    /// A picture that may be old when it is seen: messages that are taken meanwhile are left out. So are those that a
    /// consumer has claimed, and those that a producer is still writing.
    ///
    /// # Errors
    /// [`Error::Removed`] if the channel is being removed; [`Error::Corrupt`], [`Error::Forked`].
    ///
    /// # Examples
    /// ```
    /// use semring::Options;
    ///
    /// let name = format!("peek-doc-{}", std::process::id());
    /// let mut producer = Options::new().producer(&name)?;
    /// producer.send(b"first")?;
    /// producer.send(b"second")?;
    /// let seen = Options::new().observe(&name)?.peek(10, 3)?;
    /// assert_eq!((seen.len(), &*seen[1].bytes, seen[1].len), (2, &b"sec"[..], 6));
    /// producer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek(&self, count: usize, bytes: usize) -> Result<Vec<Peeked>> {
        self.attachment.check_fork()?;
        self.attachment.check_live()?;
        let (mem, header) = (self.attachment.mem(), &self.attachment.header);
        let max = header.geometry.message_size();
        let check = |seen: ring::Seen| {
            if seen.len as usize > max {
                let expected = format!("at most {max}");
                return Err(Error::Corrupt { what: "message length", found: seen.len.into(), expected });
            }
            let number = seen.position.wrapping_sub(header.origin);
            Ok(Peeked { number, len: seen.len as usize, bytes: seen.bytes })
        };
        ring::waiting(mem, header.kind)
            .filter_map(|position| ring::peek(mem, header.kind, position, bytes))
            .take(count)
            .map(check)
            .collect()
    }

    /// Waits until nobody is left on that side, dead or departed, but no longer than `timeout`
    /// ([`Duration::MAX`]: for ever); false if the time is over. True at once if nobody is there.
    ///
    /// # Errors
    /// [`Error::Removed`] when the channel is; [`Error::Forked`].
    pub fn wait_until_gone(&self, role: Role, timeout: Duration) -> Result<bool> {
        self.attachment.check_fork()?;
        let side = if role == Role::Producer { Side::Producers } else { Side::Consumers };
        self.attachment.set.wait_until_gone(side, Patience::lasting(timeout).deadline())
    }

    /// Waits until the participant of that index (see [`ParticipantStatus`](crate::ParticipantStatus)) has died or left,
    /// but no longer than `timeout`; false if the time is over. True at once if the index is vacant. Another may have the
    /// index when this returns.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such index; [`Error::Removed`], [`Error::Forked`].
    pub fn wait_for_death(&self, index: usize, timeout: Duration) -> Result<bool> {
        self.attachment.check_fork()?;
        let places = self.attachment.header.geometry.participants();
        let index = Index::new(index, places).ok_or_else(|| Error::Invalid {
            what: "participant",
            detail: format!("{index} of a channel for {places}"),
        })?;
        self.attachment.set.wait_for_death(index, Patience::lasting(timeout).deadline())
    }
}

/// A message that waits, as [`Observer::peek`] saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peeked {
    /// Which message since the channel was created, from 0 on; tombstones count.
    pub number: u64,
    /// Its length in bytes.
    pub len: usize,
    /// Its first bytes, as many as were asked for.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("channel", &self.name()).finish_non_exhaustive()
    }
}
