//! The receiving handle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Channel;
use super::attachment::Attachment;
use super::batch::Batch;
use super::cancel::Canceller;
use super::lease::Lease;
use super::lock::Lock;
use super::message::{IntoIter, Iter, Message, Received, TryIter};
use super::participant::{End, Participant, Patience, Stop};
use super::recovery::{self, Author};
use crate::error::{Error, RecvError, RecvTimeoutError, Result, TryRecvError};
use crate::layout::shared;
use crate::park::Poll;
use crate::ring::{Claim, Index, Receiver, Shared, Side};
use crate::sync::Ordering;

/// Receives messages from a channel; a participant from its making to its drop.
///
/// Which call to use:
///
/// * [`recv`](Consumer::recv), [`recv_into`](Consumer::recv_into) and [`recv_batch`](Consumer::recv_batch) copy. A
///   message counts as delivered once its copy is made: safe against any peer, and at most once if *this* process
///   dies while it works on the copy.
/// * [`lease`](Consumer::lease) leaves the message in the channel until [`Lease::ack`]: at least once. If this process dies
///   (or panics) before, another consumer gets the message, flagged as redelivered.
///
/// Waiting burns no CPU: it spins for some tens of microseconds at most, then sleeps in the kernel.
///
/// `Send`, but not `Sync`: each thread has its own, by [`Consumer::try_clone`].
///
/// # Examples
/// ```
/// use semring::Options;
///
/// let name = format!("consumer-doc-{}", std::process::id());
/// let mut consumer = Options::new().consumer(&name)?;
/// let mut producer = Options::new().producer(&name)?;
/// std::thread::spawn(move || {
///     for i in 0..3u8 {
///         producer.send(&[i]).unwrap();
///     }
/// });
/// let all: Vec<u8> = consumer.iter().map(|m| m.unwrap()[0]).collect(); // ends at end of stream
/// assert_eq!(all, [0, 1, 2]);
/// consumer.channel().remove()?;
/// # Ok::<(), semring::Error>(())
/// ```
pub struct Consumer {
    pub(crate) participant: Participant<Receiver>,
    /// Bytes of a buffer for which the swift path will do: the message size, and none where messages are to be scrubbed.
    pub(super) swift_buffer: usize,
    pub(super) stop: Option<Stop>,
    /// `Cell` is `Send` and not `Sync`, and so is this handle: two threads must not claim as one participant.
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl End for Receiver {
    const SIDE: Side = Side::Consumers;

    fn resume(channel: &Attachment, me: Index) -> Self {
        Receiver::resume(channel.header.kind, channel.mem(), me)
    }

    fn poll(&self, mem: &Shared) -> Poll {
        Receiver::poll(self, mem).into()
    }

    #[inline]
    fn glance(&self, mem: &Shared) -> bool {
        Receiver::glance(self, mem)
    }

    fn raced(&mut self) -> bool {
        Receiver::raced(self)
    }

    fn before_sleep(&mut self, mem: &Shared) -> bool {
        Receiver::before_sleep(self, mem)
    }

    fn settle(&mut self, mem: &Shared, me: Index, mut claim: Claim) {
        self.give_back(mem, &mut claim);
        if self.given_back(mem) {
            // SYNC(given): whoever sees the bit sees the range.
            mem.word(shared::GIVEN).fetch_or(me.bit(), Ordering::AcqRel);
        }
    }

    fn retire(&mut self, mem: &Shared) -> bool {
        self.clean(mem)
    }

    fn repair(&mut self, channel: &Attachment, me: Index, alive: u64) -> bool {
        if self.given_back(channel.mem()) {
            self.take_back(channel.mem());
            channel.given().fetch_and(!me.bit(), Ordering::AcqRel);
            return true;
        }
        recovery::repair(channel, Author::Consumer(me), alive)
    }

    fn gifts(&self, channel: &Attachment, me: Index) -> bool {
        self.given_back(channel.mem()) || recovery::gifts(channel, me)
    }

    fn needs_repair(&self, channel: &Attachment, me: Index, alive: u64) -> bool {
        self.given_back(channel.mem()) || recovery::needed(channel, me, alive)
    }
}

impl Consumer {
    fn new(participant: Participant<Receiver>) -> Self {
        let header = &participant.channel.header;
        let swift_buffer = if header.scrub { usize::MAX } else { header.geometry.message_size() };
        Self { participant, swift_buffer, stop: None, _not_sync: std::marker::PhantomData }
    }

    pub(crate) fn register(channel: Arc<Attachment>, lock: Lock) -> Result<Self> {
        Ok(Self::new(Participant::register(channel, lock)?))
    }

    /// Receives a message, waiting until there is one.
    ///
    /// # Errors
    /// `Disconnected` at end of stream: no producer is left and everything was received. `Failed` with
    /// [`Error::Cancelled`], [`Error::Removed`], [`Error::Forked`], [`Error::Corrupt`].
    #[inline]
    pub fn recv(&mut self) -> Result<Message, RecvError> {
        self.recv_with(|| Patience::Forever, recv_error)
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    /// `Empty`; otherwise as [`Consumer::recv`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("try-recv-doc-{}", std::process::id());
    /// # let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
    /// # let mut consumer = Options::new().consumer(&name)?;
    /// use semring::TryRecvError;
    ///
    /// assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
    /// producer.send(b"now")?;
    /// assert_eq!(&*consumer.try_recv()?, b"now");
    /// drop(producer);
    /// assert_eq!(consumer.try_recv(), Err(TryRecvError::Disconnected));
    /// # consumer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.recv_with(|| Patience::None, try_recv_error)
    }

    /// Receives a message, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// `Timeout`; otherwise as [`Consumer::recv`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("timeout-doc-{}", std::process::id());
    /// # let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
    /// # let mut consumer = Options::new().consumer(&name)?;
    /// use std::time::Duration;
    ///
    /// use semring::RecvTimeoutError;
    ///
    /// let nothing = consumer.recv_timeout(Duration::from_millis(5));
    /// assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
    /// # consumer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, RecvTimeoutError> {
        self.recv_with(|| Patience::lasting(timeout), recv_timeout_error)
    }

    /// Receives a message, waiting no longer than until `deadline`.
    ///
    /// # Errors
    /// As [`Consumer::recv_timeout`].
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<Message, RecvTimeoutError> {
        self.recv_with(|| Patience::Until(deadline), recv_timeout_error)
    }

    /// Receives a message into the caller's buffer, which must have room for the longest message of the channel (as
    /// for mq_receive(3)). Allocates nothing.
    ///
    /// # Errors
    /// `Failed` with [`Error::BufferTooSmall`], and nothing was taken; otherwise as [`Consumer::recv`].
    #[inline]
    pub fn recv_into(&mut self, buffer: &mut [u8]) -> Result<Received, RecvError> {
        self.recv_into_with(buffer, || Patience::Forever, recv_error)
    }

    /// As [`Consumer::recv_into`], if there is a message now.
    ///
    /// # Errors
    /// `Empty`; otherwise as [`Consumer::recv_into`].
    #[inline]
    pub fn try_recv_into(&mut self, buffer: &mut [u8]) -> Result<Received, TryRecvError> {
        self.recv_into_with(buffer, || Patience::None, try_recv_error)
    }

    /// As [`Consumer::recv_into`], waiting no longer than `timeout`.
    ///
    /// # Errors
    /// `Timeout`; otherwise as [`Consumer::recv_into`].
    pub fn recv_into_timeout(
        &mut self,
        buffer: &mut [u8],
        timeout: Duration,
    ) -> Result<Received, RecvTimeoutError> {
        self.recv_into_with(buffer, || Patience::lasting(timeout), recv_timeout_error)
    }

    /// Replaces the contents of `batch` by what is there now, up to `max` messages (and up to 256), waiting until there
    /// is at least one. Far cheaper for each message than receiving one by one.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    pub fn recv_batch(&mut self, batch: &mut Batch, max: usize) -> Result<usize, RecvError> {
        self.recv_some(batch, max, Patience::Forever).map_err(recv_error)
    }

    /// As [`Consumer::recv_batch`], if there is a message now.
    ///
    /// # Errors
    /// `Empty`; otherwise as [`Consumer::recv`].
    pub fn try_recv_batch(&mut self, batch: &mut Batch, max: usize) -> Result<usize, TryRecvError> {
        self.recv_some(batch, max, Patience::None).map_err(try_recv_error)
    }

    /// Takes a message and leaves it in its slot until it is acknowledged, waiting until there is one.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("lease-doc-{}", std::process::id());
    /// # let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
    /// # let mut consumer = Options::new().consumer(&name)?;
    /// producer.send(b"work")?;
    /// consumer.lease()?.retry(); // could not: another consumer, or we again
    /// let lease = consumer.lease()?;
    /// assert_eq!((lease.to_vec(), lease.attempt()), (b"work".to_vec(), 2));
    /// lease.ack();
    /// # consumer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn lease(&mut self) -> Result<Lease<'_>, RecvError> {
        self.lease_with(|| Patience::Forever, recv_error)
    }

    /// As [`Consumer::lease`], if there is a message now.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    #[inline]
    pub fn try_lease(&mut self) -> Result<Lease<'_>, TryRecvError> {
        self.lease_with(|| Patience::None, try_recv_error)
    }

    /// As [`Consumer::lease`], waiting no longer than `timeout`.
    ///
    /// # Errors
    /// As [`Consumer::recv_timeout`].
    pub fn lease_timeout(&mut self, timeout: Duration) -> Result<Lease<'_>, RecvTimeoutError> {
        self.lease_with(|| Patience::lasting(timeout), recv_timeout_error)
    }

    /// The messages until end of stream, waiting for each. An item is an error only when something is wrong (the
    /// channel removed, the call cancelled); the iteration ends after it.
    pub fn iter(&mut self) -> Iter<'_> {
        Iter::new(self)
    }

    /// The messages that are there now, without waiting.
    pub fn try_iter(&mut self) -> TryIter<'_> {
        TryIter::new(self)
    }

    /// Another consumer of the same channel, for another thread: a participant of its own. If the producers that this
    /// one has seen are gone, the clone's stream ends too.
    ///
    /// # Errors
    /// [`Error::NoRoom`] (always for SPSC), [`Error::Removed`], [`Error::LockBusy`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("clone-doc-{}", std::process::id());
    /// # let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
    /// # let mut consumer = Options::new().consumer(&name)?;
    /// let mut other = consumer.try_clone()?; // for another thread
    /// producer.send_batch(&["one", "two"])?;
    /// assert_ne!(consumer.recv()?.data, other.recv()?.data);
    /// # consumer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self::new(self.participant.try_clone()?))
    }
}

impl IntoIterator for Consumer {
    type Item = Result<Message>;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter::new(self)
    }
}

impl<'a> IntoIterator for &'a mut Consumer {
    type Item = Result<Message>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

super::handle!(Consumer);

pub(crate) fn recv_error(stop: Stop) -> RecvError {
    match stop {
        Stop::Disconnected => RecvError::Disconnected,
        Stop::Failed(e) => RecvError::Failed(e),
        // A call without a time limit ends in neither of these.
        Stop::WouldBlock | Stop::TimedOut => RecvError::Failed(Error::Cancelled),
    }
}

pub(crate) fn try_recv_error(stop: Stop) -> TryRecvError {
    match stop {
        Stop::WouldBlock | Stop::TimedOut => TryRecvError::Empty,
        Stop::Disconnected => TryRecvError::Disconnected,
        Stop::Failed(e) => TryRecvError::Failed(e),
    }
}

pub(crate) fn recv_timeout_error(stop: Stop) -> RecvTimeoutError {
    match stop {
        Stop::WouldBlock | Stop::TimedOut => RecvTimeoutError::Timeout,
        Stop::Disconnected => RecvTimeoutError::Disconnected,
        Stop::Failed(e) => RecvTimeoutError::Failed(e),
    }
}
