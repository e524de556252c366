//! The sending handle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Channel;
use super::attachment::Attachment;
use super::cancel::Canceller;
use super::grant::Grant;
use super::lock::Lock;
use super::participant::{End, Participant, Patience, Stop};
use crate::error::{Error, Result, SendError, SendTimeoutError, TrySendError};
use crate::park::Poll;
use crate::ring::{Claim, Index, Sender, Shared, Side};

/// Sends messages into a channel; a participant from its making to its drop.
///
/// Each message goes to exactly one consumer, those of one producer in the order sent. When a call returns `Ok`, the
/// message is in the channel and survives the death of this process. A full channel blocks; when the last consumer is
/// gone, sending fails with `Disconnected` (unless the channel's policy is
/// [`WhenNoConsumer::Wait`](crate::WhenNoConsumer)). A consumer that leaves is noticed by the next send. The
/// death of one that is killed, while there is room in the channel, may take up to 256 sends to be noticed: until
/// then messages go into the channel, where the next consumer finds them.
///
/// `Send`, but not `Sync`: each thread has its own, by [`Producer::try_clone`].
///
/// # Examples
/// ```
/// use semring::Options;
///
/// let name = format!("producer-doc-{}", std::process::id());
/// let mut producer = Options::new().message_size(64).producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?;
/// producer.send(b"one")?;
/// producer.send_tagged(7, b"two")?;
/// drop(producer);
/// assert_eq!(&*consumer.recv()?, b"one");
/// assert_eq!(consumer.recv()?.tag, 7);
/// assert!(consumer.recv().is_err()); // end of stream
/// consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Producer {
    pub(crate) participant: Participant<Sender>,
    /// `Cell` is `Send` and not `Sync`, and so is this handle: two threads must not claim as one participant.
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

/// A batch of messages, or a bulk of values, that was not sent whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendBatchError {
    /// How many messages (of a bulk: values) were sent, from the first.
    pub sent: usize,
    /// Why the next one was not.
    pub error: SendError,
}

impl std::fmt::Display for SendBatchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} of the batch were sent)", self.error, self.sent)
    }
}

impl std::error::Error for SendBatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<SendBatchError> for std::io::Error {
    fn from(e: SendBatchError) -> Self {
        e.error.into()
    }
}

impl End for Sender {
    const SIDE: Side = Side::Producers;

    fn resume(channel: &Attachment, me: Index) -> Self {
        Sender::resume(channel.header.kind, channel.mem(), me)
    }

    fn poll(&self, mem: &Shared) -> Poll {
        Sender::poll(self, mem).into()
    }

    #[inline]
    fn glance(&self, mem: &Shared) -> bool {
        Sender::glance(self, mem)
    }

    fn raced(&mut self) -> bool {
        Sender::raced(self)
    }

    fn before_sleep(&mut self, _mem: &Shared) -> bool {
        false
    }

    fn settle(&mut self, mem: &Shared, _me: Index, mut claim: Claim) {
        while claim.len() > 0 {
            self.abandon(mem, &mut claim);
        }
    }

    fn retire(&mut self, mem: &Shared) -> bool {
        self.clean(mem)
    }

    // Producers leave recovery to consumers: they cannot adopt, and what they wait for is room, which only consumers
    // make. A registering participant of either side repairs what it can.
    fn repair(&mut self, _channel: &Attachment, _me: Index, _alive: u64) -> bool {
        false
    }

    fn gifts(&self, _channel: &Attachment, _me: Index) -> bool {
        false
    }

    fn needs_repair(&self, _channel: &Attachment, _me: Index, _alive: u64) -> bool {
        false
    }
}

/// The end of a batch, also by a panic of the caller's `as_ref`: nothing stays claimed, and those who sleep hear of what
/// was sent.
struct Ending<'a>(&'a mut Participant<Sender>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let Participant { channel, end, me, pending, .. } = &mut *self.0;
        if let Some(claim) = pending.take() {
            End::settle(end, channel.mem(), *me, claim);
        }
        self.0.wake(Side::Consumers);
    }
}

impl Producer {
    pub(crate) fn register(channel: Arc<Attachment>, lock: Lock) -> Result<Self> {
        Ok(Self { participant: Participant::register(channel, lock)?, _not_sync: std::marker::PhantomData })
    }

    fn check_len(&self, len: usize) -> Result<(), Stop> {
        let max = self.message_size();
        if len > max { Err(Stop::Failed(Error::MessageTooLong { len, max })) } else { Ok(()) }
    }

    /// Claims up to `want` slots and passes surplus room on to another sleeping producer.
    #[inline]
    fn claim(&mut self, want: u32, patience: Patience) -> Result<Claim, Stop> {
        let participant = &mut self.participant;
        let claimed = match participant.end.claim(participant.channel.mem(), want) {
            Ok(claim) => claim,
            Err(nothing) => {
                participant.wait_for(patience, nothing, |p| p.end.claim(p.channel.mem(), want))?
            }
        };
        participant.spun = false; // of no use to the next call
        participant.chain();
        Ok(claimed)
    }

    /// Claims the slot for a message of so many bytes.
    fn take(&mut self, len: usize, patience: Patience) -> Result<Claim, Stop> {
        self.participant.begin()?;
        self.check_len(len)?;
        self.claim(1, patience)
    }

    /// Any send.
    #[cold]
    fn send_slowly(&mut self, tag: u32, data: &[u8], patience: Patience) -> Result<(), Stop> {
        let mut claim = self.take(data.len(), patience)?;
        let Participant { mem, end, .. } = &mut self.participant;
        // The length was checked against the geometry, so the copy is within the slot.
        let _fits = mem.write_payload(claim.position(), 0, data);
        end.publish(mem, &mut claim, data.len() as u32, tag);
        self.participant.wake(Side::Consumers);
        Ok(())
    }

    #[inline]
    pub(super) fn send_with<E>(
        &mut self,
        tag: u32,
        data: &[u8],
        patience: impl FnOnce() -> Patience,
        error: fn(Stop) -> E,
    ) -> Result<(), E> {
        if self.send_swiftly(tag, data) {
            return Ok(());
        }
        self.send_later(tag, data, patience()).map_err(error)
    }

    #[cold]
    fn send_later(&mut self, tag: u32, data: &[u8], patience: Patience) -> Result<(), Stop> {
        // As in `Consumer::recv_later`.
        let fits = data.len() <= self.message_size();
        if fits && self.participant.spin_first(patience) && self.send_swiftly(tag, data) {
            return Ok(());
        }
        self.send_slowly(tag, data, patience)
    }

    #[inline]
    fn reserve_with<E>(
        &mut self,
        len: usize,
        patience: impl FnOnce() -> Patience,
        error: fn(Stop) -> E,
    ) -> Result<Grant<'_>, E> {
        if self.reserve_swiftly(len) {
            return Ok(Grant::new(self, len));
        }
        let patience = patience();
        let fits = len <= self.message_size();
        if fits && self.participant.spin_first(patience) && self.reserve_swiftly(len) {
            return Ok(Grant::new(self, len));
        }
        self.reserve_slowly(len, patience).map_err(error)
    }

    /// Sends a message, waiting while the channel is full.
    ///
    /// # Errors
    /// `Disconnected` when no consumer is left; `Failed` with [`Error::MessageTooLong`], [`Error::Cancelled`],
    /// [`Error::Removed`], [`Error::Forked`]. The message was not sent then.
    #[inline]
    pub fn send(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.send_tagged(0, data)
    }

    /// As [`Producer::send`], with a tag that the receiver gets beside the message (`mtype` of msgsnd(2)).
    ///
    /// # Errors
    /// As [`Producer::send`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("tagged-doc-{}", std::process::id());
    /// # let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
    /// # let mut consumer = Options::new().consumer(&name)?;
    /// producer.send_tagged(3, b"of type 3")?;
    /// assert_eq!(consumer.recv()?.tag, 3);
    /// # consumer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn send_tagged(&mut self, tag: u32, data: &[u8]) -> Result<(), SendError> {
        self.send_with(tag, data, || Patience::Forever, send_error)
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// `Full`; otherwise as [`Producer::send`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("try-send-doc-{}", std::process::id());
    /// # let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
    /// # let mut consumer = Options::new().consumer(&name)?;
    /// use semring::TrySendError;
    ///
    /// while producer.try_send(b"more").is_ok() {}
    /// assert_eq!(producer.try_send(b"x"), Err(TrySendError::Full(())));
    /// # consumer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_send(&mut self, data: &[u8]) -> Result<(), TrySendError> {
        self.try_send_tagged(0, data)
    }

    /// As [`Producer::try_send`], with a tag.
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    #[inline]
    pub fn try_send_tagged(&mut self, tag: u32, data: &[u8]) -> Result<(), TrySendError> {
        self.send_with(tag, data, || Patience::None, try_send_error)
    }

    /// Sends a message, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// `Timeout`; otherwise as [`Producer::send`].
    pub fn send_timeout(&mut self, data: &[u8], timeout: Duration) -> Result<(), SendTimeoutError> {
        self.send_with(0, data, || Patience::lasting(timeout), send_timeout_error)
    }

    /// Sends a message, waiting no longer than until `deadline`.
    ///
    /// # Errors
    /// As [`Producer::send_timeout`].
    pub fn send_deadline(&mut self, data: &[u8], deadline: Instant) -> Result<(), SendTimeoutError> {
        self.send_with(0, data, || Patience::Until(deadline), send_timeout_error)
    }

    /// Sends all messages of a batch in order, waiting while the channel is full. Far cheaper for each message than
    /// sending one by one: up to 256 slots are claimed at once. Other producers' messages may come in between.
    ///
    /// # Errors
    /// As [`Producer::send`], with the number of messages sent before.
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("send-batch-doc-{}", std::process::id());
    /// # let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
    /// # let mut consumer = Options::new().consumer(&name)?;
    /// producer.send_batch(&["one", "two", "three"])?;
    /// assert_eq!(consumer.try_iter().count(), 3);
    /// # consumer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_batch<M: AsRef<[u8]>>(&mut self, messages: &[M]) -> Result<(), SendBatchError> {
        let mut sent = 0;
        while sent < messages.len() {
            sent += self
                .send_some(&messages[sent..], Patience::Forever)
                .map_err(|stop| SendBatchError { sent, error: send_error(stop) })?;
        }
        Ok(())
    }

    /// Sends as many messages of a batch as there is room for now, from the first; says how many, at least one.
    /// No messages are sent without waiting: 0.
    ///
    /// # Errors
    /// `Full` if there is no room for the first; `Failed` with [`Error::MessageTooLong`] if the first message that
    /// would be sent now is too long; otherwise as [`Producer::send`].
    pub fn try_send_batch<M: AsRef<[u8]>>(&mut self, messages: &[M]) -> Result<usize, TrySendError> {
        let mut sent = 0;
        while sent < messages.len() {
            match self.send_some(&messages[sent..], Patience::None) {
                Ok(n) => sent += n,
                Err(stop) if sent == 0 => return Err(try_send_error(stop)),
                Err(_) => break, // the next call meets the reason again
            }
        }
        Ok(sent)
    }

    /// One claim's worth of a batch that is not empty.
    fn send_some<M: AsRef<[u8]>>(&mut self, messages: &[M], patience: Patience) -> Result<usize, Stop> {
        self.participant.begin()?;
        let max = self.message_size();
        // Only what will fit is claimed for: a claim cannot be given back unseen.
        let short = messages.iter().take(crate::layout::MAX_BATCH as usize);
        let fitting = short.take_while(|m| m.as_ref().len() <= max).count();
        if fitting == 0 {
            self.check_len(messages.first().map_or(0, |m| m.as_ref().len()))?;
        }
        let claim = self.claim(fitting as u32, patience)?;
        let claimed = claim.len() as usize;
        self.participant.count(claimed - 1); // `begin` counted one
        self.participant.pending = Some(claim);
        let ending = Ending(&mut self.participant);
        let Participant { channel, end, pending, .. } = &mut *ending.0;
        if let Some(claim) = pending {
            let mem = channel.mem();
            let mut messages = messages.iter();
            end.send_claimed(mem, claim, |position| {
                let data = messages.next().map_or(&[][..], |message| message.as_ref());
                // An `as_ref` that changes its mind must not write past the slot.
                let data = data.get(..max).unwrap_or(data);
                let _fits = mem.write_payload(position, 0, data);
                data.len() as u32
            });
        }
        drop(ending);
        Ok(claimed)
    }

    /// Claims a slot for a message of `len` bytes, to be filled in place, waiting while the channel is full. Nothing is
    /// sent before [`Grant::commit`]; dropping the grant aborts. Consumers wait for the slot meanwhile.
    ///
    /// # Errors
    /// As [`Producer::send`].
    ///
    /// # Examples
    /// ```
    /// # use semring::Options;
    /// # let name = format!("reserve-doc-{}", std::process::id());
    /// # let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
    /// # let mut consumer = Options::new().consumer(&name)?;
    /// let mut grant = producer.reserve(5)?;
    /// grant.write(0, b"hello")?;
    /// grant.commit(); // dropped instead, nothing is sent
    /// assert_eq!(&*consumer.recv()?, b"hello");
    /// # consumer.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Grant<'_>, SendError> {
        self.reserve_with(len, || Patience::Forever, send_error)
    }

    /// As [`Producer::reserve`], if there is room now.
    ///
    /// # Errors
    /// As [`Producer::try_send`].
    #[inline]
    pub fn try_reserve(&mut self, len: usize) -> Result<Grant<'_>, TrySendError> {
        self.reserve_with(len, || Patience::None, try_send_error)
    }

    /// Any reservation.
    #[cold]
    fn reserve_slowly(&mut self, len: usize, patience: Patience) -> Result<Grant<'_>, Stop> {
        let claim = self.take(len, patience)?;
        self.participant.pending = Some(claim);
        Ok(Grant::new(self, len))
    }

    /// Another producer of the same channel, for another thread: a participant of its own. If the consumers that this
    /// one has seen are gone, they are for the clone too.
    ///
    /// # Errors
    /// [`Error::NoRoom`] (always for SPSC), [`Error::Removed`], [`Error::LockBusy`].
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { participant: self.participant.try_clone()?, _not_sync: std::marker::PhantomData })
    }
}

super::handle!(Producer);

pub(crate) fn send_error(stop: Stop) -> SendError {
    match stop {
        Stop::Disconnected => SendError::Disconnected(()),
        Stop::Failed(e) => SendError::Failed((), e),
        // A call without a time limit ends in neither of these.
        Stop::WouldBlock | Stop::TimedOut => SendError::Failed((), Error::Cancelled),
    }
}

pub(crate) fn try_send_error(stop: Stop) -> TrySendError {
    match stop {
        Stop::WouldBlock | Stop::TimedOut => TrySendError::Full(()),
        Stop::Disconnected => TrySendError::Disconnected(()),
        Stop::Failed(e) => TrySendError::Failed((), e),
    }
}

pub(crate) fn send_timeout_error(stop: Stop) -> SendTimeoutError {
    match stop {
        Stop::WouldBlock | Stop::TimedOut => SendTimeoutError::Timeout(()),
        Stop::Disconnected => SendTimeoutError::Disconnected(()),
        Stop::Failed(e) => SendTimeoutError::Failed((), e),
    }
}
