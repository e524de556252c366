//! Many values of one plain-data type to a slot, for streams of values that cost less than a slot of their own would.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use bytemuck::{AnyBitPattern, NoUninit};

use super::consumer::{Consumer, recv_error, recv_timeout_error, try_recv_error};
use super::lease::Lease;
use super::message::Received;
use super::participant::{Patience, Stop};
use super::producer::{Producer, SendBatchError, send_timeout_error, try_send_error};
use crate::error::{
    Error, RecvError, RecvTimeoutError, Result, SendTimeoutError, TryRecvError, TrySendError,
};

/// Sends values of one plain-data type, many to a slot. Made by
/// [`Options::bulk_producer`](crate::Options::bulk_producer).
///
/// A slot with its values is one message in all that the channel promises: it reaches one consumer, whole; what was
/// sent before a death stays sent; and what a dead consumer had in hand is delivered again, flagged. So values cost
/// some nanoseconds each and not a slot of their own. Values that are sent one by one take a slot each all the same:
/// nothing is held back for others to join it.
///
/// # Examples
/// ```
/// use semring::Options;
///
/// let name = format!("bulk-doc-{}", std::process::id());
/// let options = Options::new().capacity(256); // slots, of 32 values each
/// let mut producer = options.bulk_producer::<u64>(&name, "Tick", 32)?;
/// let mut consumer = Options::new().bulk_consumer::<u64>(&name, "Tick", 32)?;
/// producer.send(&(0..100).collect::<Vec<_>>())?; // four slots: 32, 32, 32 and 4
/// let mut sum = 0;
/// for _ in 0..4 {
///     sum += consumer.recv()?.iter().sum::<u64>();
/// }
/// assert_eq!(sum, 4950);
/// consumer.inner().channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BulkProducer<T> {
    inner: Producer,
    values: usize,
    of: PhantomData<T>,
}

impl<T: NoUninit> BulkProducer<T> {
    pub(crate) fn new(inner: Producer, values: usize) -> Self {
        Self { inner, values, of: PhantomData }
    }

    /// Most values that a slot holds.
    pub fn values_per_slot(&self) -> usize {
        self.values
    }

    /// Sends all values in order, waiting while the channel is full. Other producers' slots may come in between. For no
    /// values nothing is sent.
    ///
    /// # Errors
    /// As [`Producer::send`], with the number of values sent before: whole slots.
    pub fn send(&mut self, values: &[T]) -> Result<(), SendBatchError> {
        let mut sent = 0;
        for slot in values.chunks(self.values) {
            self.inner.send(bytemuck::cast_slice(slot)).map_err(|error| SendBatchError { sent, error })?;
            sent += slot.len();
        }
        Ok(())
    }

    /// Sends as many values as there is room for now, from the first; says how many, at least one: whole slots. No
    /// values are sent without a look: 0.
    ///
    /// # Errors
    /// `Full` if there is no room for the first; otherwise as [`Producer::try_send`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("bulk-try-doc-{}", std::process::id());
    /// # let options = Options::new().capacity(2);
    /// # let mut producer = options.bulk_producer::<u64>(&name, "Tick", 32)?;
    /// # let consumer = Options::new().bulk_consumer::<u64>(&name, "Tick", 32)?;
    /// let ticks: Vec<u64> = (0..100).collect();
    /// assert_eq!(producer.try_send(&ticks)?, 64); // two slots were free
    /// assert!(producer.try_send(&ticks[64..]).is_err());
    /// # consumer.inner().channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_send(&mut self, values: &[T]) -> Result<usize, TrySendError> {
        self.send_some(values, Patience::None, try_send_error)
    }

    /// As [`BulkProducer::try_send`], waiting for room no longer than `timeout` in all.
    ///
    /// # Errors
    /// `Timeout` if there was no room for the first; otherwise as [`Producer::send_timeout`].
    pub fn send_timeout(&mut self, values: &[T], timeout: Duration) -> Result<usize, SendTimeoutError> {
        self.send_some(values, Patience::lasting(timeout), send_timeout_error)
    }

    fn send_some<E>(&mut self, values: &[T], patience: Patience, error: fn(Stop) -> E) -> Result<usize, E> {
        let mut sent = 0;
        for slot in values.chunks(self.values) {
            match self.inner.send_with(0, bytemuck::cast_slice(slot), || patience, error) {
                Ok(()) => sent += slot.len(),
                Err(e) if sent == 0 => return Err(e),
                Err(_) => break, // the next call meets the reason again
            }
        }
        Ok(sent)
    }

    /// The producer of bytes underneath.
    pub fn inner(&self) -> &Producer {
        &self.inner
    }

    /// Another producer of the same channel, for another thread.
    ///
    /// # Errors
    /// As [`Producer::try_clone`].
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self::new(self.inner.try_clone()?, self.values))
    }
}

impl<T> fmt::Debug for BulkProducer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, values, of: _ } = self;
        f.debug_struct("BulkProducer").field("inner", inner).field("values_per_slot", values).finish()
    }
}

/// Receives values of one plain-data type, a slot's at a time. Made by
/// [`Options::bulk_consumer`](crate::Options::bulk_consumer); its example is at [`BulkProducer`].
pub struct BulkConsumer<T> {
    inner: Consumer,
    /// A slot's values, as many as there can be.
    buffer: Vec<T>,
}

impl<T: AnyBitPattern + NoUninit> BulkConsumer<T> {
    pub(crate) fn new(inner: Consumer, values: usize) -> Self {
        Self { inner, buffer: vec![T::zeroed(); values] }
    }

    /// Most values that a slot holds.
    pub fn values_per_slot(&self) -> usize {
        self.buffer.len()
    }

    /// Receives the values of one slot, at least one, waiting until there are some. They are acknowledged: as with
    /// [`Consumer::recv`], at most once if this process dies while it works on them.
    ///
    /// # Errors
    /// As [`Consumer::recv`]; `Failed` with [`Error::Mismatch`] for a message of no values or no whole number of them,
    /// which a producer of plain bytes has sent: it is gone, and the next call receives the next one.
    #[inline]
    pub fn recv(&mut self) -> Result<Bulk<'_, T>, RecvError> {
        let received = self.inner.recv_into(bytemuck::cast_slice_mut(&mut self.buffer))?;
        Bulk::new(&self.buffer, received).map_err(|e| recv_error(Stop::Failed(e)))
    }

    /// Receives the values of one slot if there is one now.
    ///
    /// # Errors
    /// `Empty`; otherwise as [`BulkConsumer::recv`].
    #[inline]
    pub fn try_recv(&mut self) -> Result<Bulk<'_, T>, TryRecvError> {
        let received = self.inner.try_recv_into(bytemuck::cast_slice_mut(&mut self.buffer))?;
        Bulk::new(&self.buffer, received).map_err(|e| try_recv_error(Stop::Failed(e)))
    }

    /// Receives the values of one slot, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// `Timeout`; otherwise as [`BulkConsumer::recv`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Bulk<'_, T>, RecvTimeoutError> {
        let received = self.inner.recv_into_timeout(bytemuck::cast_slice_mut(&mut self.buffer), timeout)?;
        Bulk::new(&self.buffer, received).map_err(|e| recv_timeout_error(Stop::Failed(e)))
    }

    /// Receives a copy of the values of one slot and leaves them there until they are acknowledged, as
    /// [`Consumer::lease`] does: at least once.
    ///
    /// # Errors
    /// As [`BulkConsumer::recv`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("bulk-lease-doc-{}", std::process::id());
    /// # let mut producer = Options::new().bulk_producer::<u64>(&name, "Tick", 32)?;
    /// # let mut consumer = Options::new().bulk_consumer::<u64>(&name, "Tick", 32)?;
    /// producer.send(&[1, 2, 3])?;
    /// consumer.lease()?.retry(); // could not: another consumer, or we again
    /// let lease = consumer.lease()?;
    /// assert_eq!((&*lease, lease.attempt()), (&[1, 2, 3][..], 2));
    /// lease.ack();
    /// # consumer.inner().channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lease(&mut self) -> Result<BulkLease<'_, T>, RecvError> {
        let lease = self.inner.lease()?;
        BulkLease::new(lease, &mut self.buffer).map_err(|e| recv_error(Stop::Failed(e)))
    }

    /// As [`BulkConsumer::lease`], if there is a slot with values now.
    ///
    /// # Errors
    /// As [`BulkConsumer::try_recv`].
    pub fn try_lease(&mut self) -> Result<BulkLease<'_, T>, TryRecvError> {
        let lease = self.inner.try_lease()?;
        BulkLease::new(lease, &mut self.buffer).map_err(|e| try_recv_error(Stop::Failed(e)))
    }

    /// As [`BulkConsumer::lease`], waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As [`BulkConsumer::recv_timeout`].
    pub fn lease_timeout(&mut self, timeout: Duration) -> Result<BulkLease<'_, T>, RecvTimeoutError> {
        let lease = self.inner.lease_timeout(timeout)?;
        BulkLease::new(lease, &mut self.buffer).map_err(|e| recv_timeout_error(Stop::Failed(e)))
    }

    /// The consumer of bytes underneath.
    pub fn inner(&self) -> &Consumer {
        &self.inner
    }

    /// Another consumer of the same channel, for another thread.
    ///
    /// # Errors
    /// As [`Consumer::try_clone`].
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self::new(self.inner.try_clone()?, self.buffer.len()))
    }
}

impl<T> fmt::Debug for BulkConsumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, buffer } = self;
        f.debug_struct("BulkConsumer").field("inner", inner).field("values_per_slot", &buffer.len()).finish()
    }
}

/// How many values a message of so many bytes has: at least one.
#[inline]
fn whole<T>(bytes: usize) -> Result<usize> {
    if bytes != 0 && bytes % size_of::<T>() == 0 {
        return Ok(bytes / size_of::<T>());
    }
    Err(Error::Mismatch {
        what: "message length",
        asked: format!("{} or a multiple of it", size_of::<T>()),
        existing: bytes.to_string(),
    })
}

/// The values of one slot, in the consumer's buffer until its next call: a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk<'a, T> {
    values: &'a [T],
    attempt: u32,
}

impl<'a, T> Bulk<'a, T> {
    #[inline]
    fn new(buffer: &'a [T], received: Received) -> Result<Self> {
        // It fits: the buffer is a slot's, and the message came into it.
        let values = buffer.get(..whole::<T>(received.len)?).unwrap_or(buffer);
        Ok(Self { values, attempt: received.attempt })
    }

    /// How many times delivery of these values has been started, this time included; 1 for the first. Saturates at 16.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Has delivery been started before? A consumer died with them in hand, or gave them back.
    pub fn redelivered(&self) -> bool {
        self.attempt > 1
    }
}

impl<T> Deref for Bulk<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.values
    }
}

/// The values of one slot, which stay there until they are acknowledged; to look at, a slice. Made by
/// [`BulkConsumer::lease`]; a drop, a panic and a death do what they do to a [`Lease`].
#[must_use = "a lease that is dropped acknowledges the values"]
#[derive(Debug)]
pub struct BulkLease<'a, T> {
    lease: Lease<'a>,
    values: &'a [T],
}

impl<'a, T: AnyBitPattern + NoUninit> BulkLease<'a, T> {
    fn new(lease: Lease<'a>, buffer: &'a mut [T]) -> Result<Self> {
        let count = whole::<T>(lease.len())?.min(buffer.len());
        let values = &mut buffer[..count];
        lease.read(0, bytemuck::cast_slice_mut(values))?;
        Ok(Self { lease, values })
    }

    /// As [`Lease::attempt`].
    pub fn attempt(&self) -> u32 {
        self.lease.attempt()
    }

    /// As [`Lease::redelivered`].
    pub fn redelivered(&self) -> bool {
        self.lease.redelivered()
    }

    /// As [`Lease::ack`].
    pub fn ack(self) {
        self.lease.ack();
    }

    /// As [`Lease::retry`].
    pub fn retry(self) {
        self.lease.retry();
    }
}

impl<T> Deref for BulkLease<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.values
    }
}
