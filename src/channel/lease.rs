//! A message in a consumer's hand.

use super::consumer::Consumer;
use super::message::Received;
use super::participant::End;
use crate::error::{Error, Result};
use crate::ring::Side;

/// A message that stays in the channel until it is acknowledged. Made by [`Consumer::lease`].
///
/// [`Lease::ack`], or an ordinary drop, releases the slot. If the process dies, or the lease is dropped by a panic, or
/// [`Lease::retry`] is called, the message goes to another consumer (or to this one, if it asks first), with
/// [`Lease::redelivered`] true and [`Lease::attempt`] one higher. In an SPSC channel there is no other consumer: it
/// goes to this one or to its successor. A lease that is forgotten (`mem::forget`) is given back by the consumer's next
/// call or end.
///
/// # Examples
/// ```
/// use semring::Options;
///
/// let name = format!("lease-doc-{}", std::process::id());
/// let mut producer = Options::new().message_size(64).producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?;
/// producer.send(b"work")?;
/// let lease = consumer.lease()?;
/// assert_eq!(lease.attempt(), 1);
/// lease.retry(); // not now
/// let lease = consumer.lease()?;
/// assert_eq!((lease.to_vec().as_slice(), lease.attempt()), (&b"work"[..], 2));
/// lease.ack();
/// consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a lease that is dropped acknowledges the message"]
pub struct Lease<'a> {
    consumer: &'a mut Consumer,
    position: u64,
    received: Received,
}

impl<'a> Lease<'a> {
    /// The consumer has the message in hand.
    #[inline]
    pub(crate) fn new(consumer: &'a mut Consumer, received: Received) -> Self {
        let position = consumer.participant.in_hand();
        Self { consumer, position, received }
    }

    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.received.len
    }

    /// Is it a message of no bytes?
    pub fn is_empty(&self) -> bool {
        self.received.len == 0
    }

    /// The tag that the producer gave it.
    pub fn tag(&self) -> u32 {
        self.received.tag
    }

    /// How many times delivery of this message has been started, this time included; 1 for the first. Saturates at 16.
    pub fn attempt(&self) -> u32 {
        self.received.attempt
    }

    /// Has delivery been started before? A consumer died, panicked or gave it back.
    pub fn redelivered(&self) -> bool {
        self.received.attempt > 1
    }

    /// Copies bytes of the message, from byte `at` on.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they reach beyond the message; nothing is copied then. [`Error::Forked`].
    pub fn read(&self, at: usize, bytes: &mut [u8]) -> Result<()> {
        self.consumer.participant.channel.check_fork()?;
        match at.checked_add(bytes.len()) {
            Some(end) if end <= self.len() => {
                self.consumer.participant.channel.mem().read_payload_into(self.position, at, bytes);
                Ok(())
            }
            _ => Err(Error::Invalid {
                what: "range",
                detail: format!("{} bytes from byte {at} of a message of {}", bytes.len(), self.len()),
            }),
        }
    }

    /// A copy of the message.
    pub fn to_vec(&self) -> Vec<u8> {
        self.consumer.participant.channel.mem().copy_payload(self.position, self.len())
    }

    /// The message's bytes in the segment.
    ///
    /// # Errors
    /// [`Error::NotTrusted`] unless the channel was opened with
    /// [`Options::trust_peers`](crate::Options::trust_peers); [`Error::Forked`].
    #[allow(unsafe_code)]
    pub fn as_slice(&self) -> Result<&[u8]> {
        let channel = &self.consumer.participant.channel;
        channel.check_fork()?;
        if !channel.trusted {
            return Err(Error::NotTrusted);
        }
        let start = channel.mem().payload_ptr(self.position).cast_const();
        // SAFETY: the length was checked against the message size, so the bytes are within the slot; the slot is claimed
        // by us, and whoever opened the channel promised (Options::trust_peers) that nobody writes to it meanwhile.
        Ok(unsafe { std::slice::from_raw_parts(start, self.len()) })
    }

    /// Acknowledges: the message was dealt with, the slot is free.
    #[inline]
    pub fn ack(self) {}

    /// Gives the message back: to another consumer, or to this one if it asks first; flagged as redelivered.
    pub fn retry(mut self) {
        self.give_back();
    }

    fn give_back(&mut self) {
        let participant = &mut self.consumer.participant;
        if !participant.channel.is_ours() {
            return; // a copy that fork made: the message is the parent's
        }
        if let Some(claim) = participant.pending.take() {
            participant.end.settle(participant.channel.mem(), participant.me, claim);
            participant.wake(Side::Consumers);
        }
    }
}

impl Drop for Lease<'_> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            return self.give_back();
        }
        if !self.consumer.participant.channel.is_ours() {
            return; // as in `give_back`
        }
        self.consumer.acknowledge(self.received.len);
    }
}

impl std::fmt::Debug for Lease<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("len", &self.len())
            .field("tag", &self.tag())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
