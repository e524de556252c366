//! Channels of values of one plain-data type.

use std::marker::PhantomData;
use std::time::Duration;

use bytemuck::{AnyBitPattern, NoUninit};

use super::consumer::{Consumer, recv_error, recv_timeout_error, try_recv_error};
use super::participant::Patience;
use super::producer::Producer;
use crate::error::{
    Error, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};

/// Sends values of one plain-data type. Made by [`Options::typed_producer`](crate::Options::typed_producer).
///
/// # Examples
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use semring::Options;
///
/// #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
/// #[repr(C)]
/// struct Tick {
///     instrument: u64,
///     price: f64,
/// }
///
/// let name = format!("typed-doc-{}", std::process::id());
/// let mut producer = Options::new().typed_producer::<Tick>(&name, "Tick")?;
/// let mut consumer = Options::new().typed_consumer::<Tick>(&name, "Tick")?;
/// producer.send(Tick { instrument: 7, price: 1.5 })?;
/// assert_eq!(consumer.recv()?, Tick { instrument: 7, price: 1.5 });
/// // Another type of the same size is refused:
/// assert!(Options::new().typed_consumer::<[u64; 2]>(&name, "Pair").is_err());
/// consumer.inner().channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TypedProducer<T> {
    inner: Producer,
    of: PhantomData<T>,
}

impl<T: NoUninit> TypedProducer<T> {
    pub(crate) fn new(inner: Producer) -> Self {
        Self { inner, of: PhantomData }
    }

    /// Sends a value, waiting while the channel is full.
    ///
    /// # Errors
    /// As [`Producer::send`], with the value.
    pub fn send(&mut self, value: T) -> Result<(), SendError<T>> {
        self.inner.send(bytemuck::bytes_of(&value)).map_err(|e| e.map(|()| value))
    }

    /// Sends a value if there is room now.
    ///
    /// # Errors
    /// As [`Producer::try_send`], with the value.
    pub fn try_send(&mut self, value: T) -> Result<(), TrySendError<T>> {
        self.inner.try_send(bytemuck::bytes_of(&value)).map_err(|e| e.map(|()| value))
    }

    /// Sends a value, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As [`Producer::send_timeout`], with the value.
    pub fn send_timeout(&mut self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.inner.send_timeout(bytemuck::bytes_of(&value), timeout).map_err(|e| e.map(|()| value))
    }

    /// The producer of bytes underneath.
    pub fn inner(&self) -> &Producer {
        &self.inner
    }

    /// Another producer of the same channel, for another thread.
    ///
    /// # Errors
    /// As [`Producer::try_clone`].
    pub fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self::new(self.inner.try_clone()?))
    }
}

/// Receives values of one plain-data type. Made by [`Options::typed_consumer`](crate::Options::typed_consumer); its
/// example is at [`TypedProducer`].
#[derive(Debug)]
pub struct TypedConsumer<T> {
    inner: Consumer,
    buffer: Vec<u8>,
    of: PhantomData<T>,
}

impl<T: AnyBitPattern> TypedConsumer<T> {
    pub(crate) fn new(inner: Consumer) -> Self {
        let buffer = vec![0; inner.message_size()];
        Self { inner, buffer, of: PhantomData }
    }

    fn receive(&mut self, patience: Patience) -> Result<T, super::participant::Stop> {
        let len = self.inner.recv_bytes(&mut self.buffer, patience)?;
        if len == size_of::<T>() {
            return Ok(bytemuck::pod_read_unaligned(&self.buffer[..len]));
        }
        Err(Error::Mismatch {
            what: "message length",
            asked: size_of::<T>().to_string(),
            existing: len.to_string(),
        }
        .into())
    }

    /// Receives a value, waiting until there is one.
    ///
    /// # Errors
    /// As [`Consumer::recv`]; `Failed` with [`Error::Mismatch`] for a message of another length, which a producer
    /// of plain bytes has sent.
    pub fn recv(&mut self) -> Result<T, RecvError> {
        self.receive(Patience::Forever).map_err(recv_error)
    }

    /// Receives a value if there is one now.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.receive(Patience::None).map_err(try_recv_error)
    }

    /// Receives a value, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As [`Consumer::recv_timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.receive(Patience::lasting(timeout)).map_err(recv_timeout_error)
    }

    /// The consumer of bytes underneath.
    pub fn inner(&self) -> &Consumer {
        &self.inner
    }

    /// Another consumer of the same channel, for another thread.
    ///
    /// # Errors
    /// As [`Consumer::try_clone`].
    pub fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self::new(self.inner.try_clone()?))
    }
}
