//! Many values of one plain-data type to a slot, for streams of values that are smaller than what a slot of their own costs.

use std::marker::PhantomData;
use std::ops::Deref;
use std::time::{Duration, Instant};

use bytemuck::{AnyBitPattern, NoUninit};

use super::consumer::{Consumer, recv_error, recv_timeout_error, try_recv_error};
use super::lease::Lease;
use super::message::Received;
use super::participant::Stop;
use super::producer::{Producer, SendBatchError, send_error};
use crate::error::{
    Error, RecvError, RecvTimeoutError, Result, SendError, SendTimeoutError, TryRecvError, TrySendError,
};

/// Sends values of one plain-data type, many to a slot. Made by
/// [`Options::bulk_producer`](crate::Options::bulk_producer).
///
/// A slot with its values is one message in all that the channel promises: it reaches one consumer, whole; what was sent
/// before a death stays sent; and what a dead consumer had in hand is delivered again, flagged. So values cost some
/// nanoseconds each and not a slot of their own. Values that are sent one by one take a slot each all the same: nothing is
/// held back for others to join it.
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
#[derive(Debug)]
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

    /// Sends all values in order, waiting while the channel is full. Other producers' slots may come in between.
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

    /// Sends as many values as there are free slots for now, from the first; says how many.
    ///
    /// # Errors
    /// `Full` if there is no room for the first; otherwise as [`Producer::try_send`].
    pub fn try_send(&mut self, values: &[T]) -> Result<usize, TrySendError> {
        let mut sent = 0;
        for slot in values.chunks(self.values) {
            match self.inner.try_send(bytemuck::cast_slice(slot)) {
                Ok(()) => sent += slot.len(),
                Err(e) if sent == 0 => return Err(e),
                Err(_) => break, // the next call meets the reason again
            }
        }
        Ok(sent)
    }

    /// Sends all values in order, waiting no longer than `timeout`. Says how many were sent: fewer if the time was over.
    ///
    /// # Errors
    /// As [`BulkProducer::send`].
    pub fn send_timeout(&mut self, values: &[T], timeout: Duration) -> Result<usize, SendBatchError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut sent = 0;
        for slot in values.chunks(self.values) {
            let bytes = bytemuck::cast_slice(slot);
            let outcome = match deadline {
                Some(deadline) => self.inner.send_deadline(bytes, deadline),
                None => self.inner.send(bytes).map_err(unlimited),
            };
            match outcome {
                Ok(()) => sent += slot.len(),
                Err(SendTimeoutError::Timeout(())) => break,
                Err(SendTimeoutError::Disconnected(())) => {
                    return Err(SendBatchError { sent, error: SendError::Disconnected(()) });
                }
                Err(SendTimeoutError::Failed((), e)) => {
                    return Err(SendBatchError { sent, error: send_error(Stop::Failed(e)) });
                }
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

fn unlimited(error: SendError) -> SendTimeoutError {
    match error {
        SendError::Disconnected(()) => SendTimeoutError::Disconnected(()),
        SendError::Failed((), e) => SendTimeoutError::Failed((), e),
    }
}

/// Receives values of one plain-data type, a slot's at a time. Made by
/// [`Options::bulk_consumer`](crate::Options::bulk_consumer); its example is at [`BulkProducer`].
#[derive(Debug)]
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
    /// As [`Consumer::recv`]; `Failed` with [`Error::Mismatch`] for a message of no whole number of values, which a
    /// producer of plain bytes has sent.
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
    /// assert_eq!((lease.values(), lease.attempt()), (&[1, 2, 3][..], 2));
    /// lease.ack();
    /// # consumer.inner().channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lease(&mut self) -> Result<BulkLease<'_, T>, RecvError> {
        let Self { inner, buffer } = self;
        let lease = inner.lease()?;
        BulkLease::new(lease, buffer).map_err(|e| recv_error(Stop::Failed(e)))
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

/// How many values a message of so many bytes has.
fn whole<T>(bytes: usize) -> Result<usize> {
    if bytes % size_of::<T>() == 0 {
        return Ok(bytes / size_of::<T>());
    }
    Err(Error::Mismatch {
        what: "message length",
        asked: format!("a multiple of {}", size_of::<T>()),
        existing: bytes.to_string(),
    })
}

/// The values of one slot, in the consumer's buffer until its next call.
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

/// The values of one slot, which stay there until they are acknowledged. Made by [`BulkConsumer::lease`]; a drop, a panic
/// and a death do what they do to a [`Lease`].
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

    /// The values.
    pub fn values(&self) -> &[T] {
        self.values
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
