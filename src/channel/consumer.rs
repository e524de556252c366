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
use super::swift::Taken;
use crate::error::{Error, RecvError, RecvTimeoutError, Result, TryRecvError};
use crate::layout::shared;
use crate::park::Poll;
use crate::ring::{Claim, Found, Index, Receiver, Shared, Side};
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
    stop: Option<Stop>,
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

    /// Claims up to `want` messages and passes what is left on to another sleeping consumer.
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

    /// Claims the next message.
    fn take(&mut self, patience: Patience) -> Result<(Claim, Found), Stop> {
        let claim = match self.participant.met.take() {
            Some(claim) => {
                self.participant.count(1);
                self.participant.chain();
                claim
            }
            None => {
                self.participant.begin()?;
                self.claim(1, patience)?
            }
        };
        self.look_at(claim, patience)
    }

    /// The message of a claim, or the next one: skips tombstones, which are freed like messages.
    #[inline]
    fn look_at(&mut self, mut claim: Claim, patience: Patience) -> Result<(Claim, Found), Stop> {
        for skipped in 1u32.. {
            if let Some(found) = self.participant.end.look(self.participant.channel.mem(), &mut claim) {
                return if self.fits(&found) { Ok((claim, found)) } else { Err(self.refuse(claim, &found)) };
            }
            let unknown = self.message_size();
            self.release(&mut claim, unknown);
            self.participant.still(patience, skipped)?;
            claim = self.claim(1, patience)?;
        }
        Err(Stop::WouldBlock) // after four thousand million tombstones
    }

    #[inline]
    fn fits(&self, found: &Found) -> bool {
        found.len as usize <= self.message_size()
    }

    /// A message longer than any can be: the channel is corrupt, and the claim given back when this handle ends.
    #[cold]
    fn refuse(&mut self, claim: Claim, found: &Found) -> Stop {
        self.participant.pending = Some(claim);
        self.participant.broken(too_long(found.len, self.message_size()))
    }

    /// Frees the claim's next slot, and wakes whoever waits for room. Up to `written` bytes of it were ever written.
    #[inline]
    fn release(&mut self, claim: &mut Claim, written: usize) {
        self.free(claim, written);
        self.participant.wake(Side::Producers);
    }

    #[inline]
    fn free(&mut self, claim: &mut Claim, written: usize) {
        let Participant { channel, end, .. } = &mut self.participant;
        if channel.header.scrub {
            channel.mem().scrub(claim.position(), written);
        }
        end.release(channel.mem(), claim);
    }

    /// Frees the slot of the message in hand, of which so many bytes were ever written.
    #[inline]
    pub(crate) fn acknowledge(&mut self, written: usize) {
        // In its place: a claim that is moved out is read back in one piece, which waits for what wrote its parts.
        let Participant { channel, mem, end, pending, .. } = &mut self.participant;
        if let Some(claim) = pending {
            if channel.header.scrub {
                mem.scrub(claim.position(), written);
            }
            end.release(mem, claim);
            self.participant.pending = None;
            self.participant.wake(Side::Producers);
        }
    }

    /// Any receipt of a copy.
    #[cold]
    fn recv_message(&mut self, patience: Patience) -> Result<Message, Stop> {
        let (claim, found) = self.take(patience)?;
        self.participant.pending = Some(claim);
        Ok(self.copy_in_hand(found.into()))
    }

    /// Copies the message in hand and acknowledges it. Its length was checked against the geometry.
    fn copy_in_hand(&mut self, Received { len, tag, attempt }: Received) -> Message {
        let data = self.participant.mem.copy_payload(self.participant.in_hand(), len);
        self.acknowledge(len);
        Message { data, tag, attempt }
    }

    /// Any receipt.
    #[cold]
    fn recv_slowly(&mut self, buffer: &mut [u8], patience: Patience) -> Result<Found, Stop> {
        let needed = self.message_size();
        if buffer.len() < needed {
            return Err(Stop::Failed(Error::BufferTooSmall { len: buffer.len(), needed }));
        }
        let (mut claim, found) = self.take(patience)?;
        let len = found.len as usize;
        self.participant.channel.mem().read_payload_into(claim.position(), 0, &mut buffer[..len]);
        self.release(&mut claim, len);
        Ok(found)
    }

    pub(crate) fn recv_bytes(&mut self, buffer: &mut [u8], patience: Patience) -> Result<usize, Stop> {
        self.recv_into_with(buffer, || patience, |stop| stop).map(|received| received.len)
    }

    #[inline]
    fn recv_with<E>(
        &mut self,
        patience: impl FnOnce() -> Patience,
        error: fn(Stop) -> E,
    ) -> Result<Message, E> {
        if let Some(taken) = self.lease_swiftly() {
            return Ok(self.copy_in_hand(taken.into()));
        }
        let patience = patience();
        match self.lease_later(patience) {
            Some(taken) => Ok(self.copy_in_hand(taken.into())),
            None => self.recv_message(patience).map_err(error),
        }
    }

    #[inline(always)]
    fn recv_into_with<E>(
        &mut self,
        buffer: &mut [u8],
        patience: impl FnOnce() -> Patience,
        error: fn(Stop) -> E,
    ) -> Result<Received, E> {
        if let Some(taken) = self.recv_swiftly(buffer) {
            return Ok(taken.into());
        }
        match self.recv_later(buffer, patience()) {
            Some(taken) => Ok(taken.into()),
            None => Err(error(self.stopped())),
        }
    }

    /// Spins before it takes the slow path. `None`: see [`stopped`](Self::stopped).
    #[inline(never)]
    fn recv_later(&mut self, buffer: &mut [u8], patience: Patience) -> Option<Taken> {
        // Only for what the swift path can do: not where the answer is an error that is known already.
        if buffer.len() >= self.swift_buffer && self.participant.spin_first(patience) {
            if let Some(taken) = self.recv_swiftly(buffer) {
                return Some(taken);
            }
        }
        match self.recv_slowly(buffer, patience) {
            Ok(found) => Some(Taken::new(&found)),
            Err(stop) => {
                self.stop = Some(stop);
                None
            }
        }
    }

    /// Why the last call has ended without a message: apart from what it returns, so that this fits registers.
    #[cold]
    fn stopped(&mut self) -> Stop {
        self.stop.take().unwrap_or(Stop::WouldBlock)
    }

    #[inline]
    fn lease_with<E>(
        &mut self,
        patience: impl FnOnce() -> Patience,
        error: fn(Stop) -> E,
    ) -> Result<Lease<'_>, E> {
        if let Some(taken) = self.lease_swiftly() {
            return Ok(Lease::new(self, taken.into()));
        }
        let patience = patience();
        match self.lease_later(patience) {
            Some(taken) => Ok(Lease::new(self, taken.into())),
            None => self.lease_slowly(patience).map_err(error),
        }
    }

    /// The swift path once more, after spinning, if that has brought something.
    #[inline(never)]
    fn lease_later(&mut self, patience: Patience) -> Option<Taken> {
        if self.participant.spin_first(patience) { self.lease_swiftly() } else { None }
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

    fn recv_some(&mut self, batch: &mut Batch, max: usize, patience: Patience) -> Result<usize, Stop> {
        batch.clear();
        self.participant.begin()?;
        let want = u32::try_from(max).unwrap_or(u32::MAX);
        let mut skipped = 0u32;
        while batch.is_empty() && max > 0 {
            let mut claim = self.claim(want, patience)?;
            let most = self.message_size();
            let Participant { channel, end, .. } = &mut self.participant;
            if !channel.header.scrub {
                let mem = channel.mem();
                end.recv_claimed(mem, &mut claim, |position, found| {
                    let len = found.len as usize;
                    if len <= most {
                        mem.append_payload(position, len, batch.make_room(*found));
                    }
                    len <= most
                });
            }
            // What is left of it: all, if it is to be scrubbed; or what begins with a defect.
            while claim.len() > 0 {
                let Participant { channel, end, .. } = &mut self.participant;
                let mut written = channel.header.geometry.message_size();
                if let Some(found) = end.look(channel.mem(), &mut claim) {
                    if !self.fits(&found) {
                        return Err(self.refuse(claim, &found));
                    }
                    self.participant.channel.mem().append_payload(
                        claim.position(),
                        found.len as usize,
                        batch.make_room(found),
                    );
                    written = found.len as usize;
                }
                self.free(&mut claim, written);
            }
            self.participant.wake(Side::Producers);
            if batch.is_empty() {
                skipped = skipped.wrapping_add(1);
                self.participant.still(patience, skipped)?;
            }
        }
        self.participant.count(batch.len().saturating_sub(1)); // `begin` counted one
        Ok(batch.len())
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

    /// Any lease.
    #[cold]
    fn lease_slowly(&mut self, patience: Patience) -> Result<Lease<'_>, Stop> {
        let (claim, found) = self.take(patience)?;
        self.participant.pending = Some(claim);
        Ok(Lease::new(self, found.into()))
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

#[cold]
fn too_long(len: u32, most: usize) -> Error {
    Error::Corrupt { what: "message length", found: len.into(), expected: format!("at most {most}") }
}

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
