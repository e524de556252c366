//! A slot in a producer's hand.

use super::participant::End;
use super::producer::Producer;
use crate::error::{Error, Result};
use crate::ring::Side;

/// A claimed slot that is filled in place: by copying parts into it, or through a slice. Made by
/// [`Producer::reserve`]. Dropped without [`Grant::commit`] it aborts, and nothing was sent; forgotten
/// (`mem::forget`) it is aborted by the producer's next call or end.
///
/// # Examples
/// ```
/// use semring::Options;
///
/// let name = format!("grant-doc-{}", std::process::id());
/// let mut producer = Options::new().message_size(64).producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?;
/// let mut grant = producer.reserve(8)?;
/// grant.write(0, b"half")?;
/// grant.write(4, b"half")?;
/// grant.commit();
/// drop(producer.reserve(8)?); // aborted
/// producer.send(b"next")?;
/// assert_eq!(&*consumer.recv()?, b"halfhalf");
/// assert_eq!(&*consumer.recv()?, b"next");
/// consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a grant that is dropped sends nothing"]
pub struct Grant<'a> {
    producer: &'a mut Producer,
    position: u64,
    len: usize,
    tag: u32,
}

impl<'a> Grant<'a> {
    /// The producer has the slot in hand.
    #[inline]
    pub(crate) fn new(producer: &'a mut Producer, len: usize) -> Self {
        let position = producer.participant.in_hand();
        Self { producer, position, len, tag: 0 }
    }

    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is it a message of no bytes?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tag that the receiver gets beside the message.
    pub fn set_tag(&mut self, tag: u32) {
        self.tag = tag;
    }

    /// Copies bytes into the message, from byte `at` on. What is never written holds whatever the slot held before.
    ///
    /// # Errors
    /// [`Error::MessageTooLong`] if they reach beyond the length reserved; nothing is written then. [`Error::Forked`].
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        self.producer.participant.channel.check_fork()?;
        match at.checked_add(bytes.len()) {
            Some(end) if end <= self.len => {
                let mem = self.producer.participant.channel.mem();
                let _fits = mem.write_payload(self.position, at, bytes); // the length was checked when it was reserved
                Ok(())
            }
            end => Err(Error::MessageTooLong { len: end.unwrap_or(usize::MAX), max: self.len }),
        }
    }

    /// The message's bytes in the segment. They hold whatever the slot held before.
    ///
    /// # Errors
    /// [`Error::NotTrusted`] unless the channel was opened with
    /// [`Options::trust_peers`](crate::Options::trust_peers); [`Error::Forked`].
    #[allow(unsafe_code)]
    pub fn as_mut_slice(&mut self) -> Result<&mut [u8]> {
        let channel = &self.producer.participant.channel;
        channel.check_fork()?;
        if !channel.trusted {
            return Err(Error::NotTrusted);
        }
        let start = channel.mem().payload_ptr(self.position);
        // SAFETY: `len` is at most the message size, so the bytes are within the slot; the slot is claimed by us, and
        // whoever opened the channel promised (Options::trust_peers) that nobody else writes to it meanwhile.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, self.len) })
    }

    /// Sends the message.
    #[inline]
    pub fn commit(self) {
        let participant = &mut self.producer.participant;
        if !participant.channel.is_ours() {
            return; // a copy that fork made: the slot is the parent's
        }
        // In its place, as `Consumer::acknowledge`.
        if let Some(claim) = &mut participant.pending {
            participant.end.publish(&participant.mem, claim, self.len as u32, self.tag);
            participant.pending = None;
            participant.wake(Side::Consumers);
        }
    }
}

impl Drop for Grant<'_> {
    #[inline]
    fn drop(&mut self) {
        let participant = &mut self.producer.participant;
        if !participant.channel.is_ours() {
            return; // as in `commit`
        }
        if let Some(claim) = participant.pending.take() {
            participant.end.settle(participant.channel.mem(), participant.me, claim);
            participant.wake(Side::Consumers); // they may have waited for this very slot
        }
    }
}

impl std::fmt::Debug for Grant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("len", &self.len).field("tag", &self.tag).finish_non_exhaustive()
    }
}
