//! How a channel is to be opened or created. What is left unsaid is taken from the existing channel, or is the default.

use std::sync::Arc;
use std::time::Duration;

use super::Channel;
use super::attachment::Attachment;
use super::bulk::{BulkConsumer, BulkProducer};
use super::consumer::Consumer;
use super::header::{TypeInfo, WakeMode, WhenNoConsumer};
use super::lifecycle;
use super::lock::Lock;
use super::observer::Observer;
use super::producer::Producer;
use super::typed::{TypedConsumer, TypedProducer};
use crate::error::{Error, Result};
use crate::pair::{Create, Terms, check_type_name, terms_methods};
use crate::ring::Kind;
use crate::segment::Key;

/// Options for opening or creating a [`Channel`], a [`Producer`] or a [`Consumer`].
///
/// Whatever is said here and differs from an existing channel is an error with both values; whatever is unsaid is
/// taken from it.
///
/// # Examples
/// ```
/// use semring::{Kind, Options};
///
/// let options = Options::new().kind(Kind::Mpmc).capacity(256).message_size(128);
/// let name = format!("options-doc-{}", std::process::id());
/// let mut producer = options.producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?; // all the rest from the existing channel
/// producer.send(b"hello")?;
/// assert_eq!(&*consumer.recv()?, b"hello");
/// producer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(crate) kind: Option<Kind>,
    pub(crate) capacity: Option<u64>,
    pub(crate) message_size: Option<u64>,
    pub(crate) participants: Option<usize>,
    pub(crate) terms: Terms,
    pub(crate) when_no_consumer: Option<WhenNoConsumer>,
    pub(crate) wake: Option<WakeMode>,
    pub(crate) message_type: Option<TypeInfo>,
    pub(crate) existing: bool,
    pub(crate) trusted: bool,
    pub(crate) recheck: Recheck,
    pub(crate) scrub: Option<bool>,
    pub(crate) origin: u64,
}

/// After how long a sleeper looks again without having been woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recheck(pub(crate) Option<Duration>);

impl Recheck {
    /// More often it would be polling.
    const LEAST: Duration = Duration::from_millis(1);
}

impl Default for Recheck {
    fn default() -> Self {
        Self(Some(Duration::from_secs(1)))
    }
}

terms_methods!(Options, "channel");

impl Options {
    /// Nothing said: an MPMC channel of 1,024 messages of up to 4,096 bytes for 64 participants, mode 0600.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which ring: [`Kind::Mpmc`] by default.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// How many messages fit, at least; rounded up to a power of two. 1 to 2^40, and what memory allows.
    pub fn capacity(mut self, messages: u64) -> Self {
        self.capacity = Some(messages);
        self
    }

    /// Most bytes of one message, 0 to 2^32 - 1 and what memory allows; a message may have any length from 0 to
    /// this. A slot takes 16 bytes more, rounded up to 16, 32, 64 or a multiple of 64 bytes.
    pub fn message_size(mut self, bytes: u64) -> Self {
        self.message_size = Some(bytes);
        self
    }

    /// How many producers and consumers there can be at the same time, 2 to 64.
    pub fn participants(mut self, most: usize) -> Self {
        self.participants = Some(most);
        self
    }

    /// Permissions, as of a file: read for observers, read and write for participants; 0600 (the default) to 0777.
    pub fn mode(mut self, mode: u32) -> Self {
        self.terms.mode = Some(mode);
        self
    }

    /// What producers do when no consumer is left: [`WhenNoConsumer::Disconnect`] by default.
    pub fn when_no_consumer(mut self, policy: WhenNoConsumer) -> Self {
        self.when_no_consumer = Some(policy);
        self
    }

    /// Who pays for the ordering between publishing and sleeping: [`WakeMode::Membarrier`] where the kernel has it.
    pub fn wake_mode(mut self, mode: WakeMode) -> Self {
        self.wake = Some(mode);
        self
    }

    /// Consumers overwrite with zeroes what they have consumed, so that old messages do not linger in the segment for
    /// whoever may read it; not by default. It costs a second pass over each message, by the consumer, before the
    /// slot is free. What stays: a message that nobody has consumed yet, and what a producer had written when it died.
    pub fn scrub(mut self, scrub: bool) -> Self {
        self.scrub = Some(scrub);
        self
    }

    /// Never create: a channel that is not there is [`Error::NotFound`].
    pub fn existing(mut self) -> Self {
        self.existing = true;
        self
    }

    /// After how long a blocked call looks again by itself, though nobody has woken it: by default 1 s, at least 1 ms, or
    /// never.
    ///
    /// Messages, room, deaths and removal wake the sleepers that they concern; none of that waits for this. It bounds what
    /// a process can do to others that is *stopped* (SIGSTOP, a debugger) at the wrong moment: between sending and waking,
    /// or after it was woken and before it takes the message that it was woken for. It costs some microseconds each time.
    ///
    /// # Examples
    /// ```
    /// use semring::Options;
    /// use std::time::Duration;
    ///
    /// # let name = format!("recheck-doc-{}", std::process::id());
    /// let mut sooner = Options::new().recheck_interval(Some(Duration::from_millis(50))).consumer(&name)?;
    /// let mut never = Options::new().recheck_interval(None).producer(&name)?;
    /// never.send(b"in time")?;
    /// assert_eq!(&*sooner.recv()?, b"in time");
    /// # sooner.channel().remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recheck_interval(mut self, interval: Option<Duration>) -> Self {
        self.recheck = Recheck(interval.map(|interval| interval.max(Recheck::LEAST)));
        self
    }

    /// Allows in-place views ([`Grant::as_mut_slice`](crate::Grant::as_mut_slice), [`Lease::as_slice`](crate::Lease::as_slice)).
    ///
    /// # Safety
    /// Every process that may write to the segment must follow the protocol for as long as the handles made from
    /// these options exist: nobody writes to a slot that it has not claimed. A view is an ordinary Rust slice, and
    /// memory that changes behind a slice is undefined behaviour (as with a file mapped by memmap2). The
    /// copying calls need no such promise.
    #[allow(unsafe_code)]
    pub unsafe fn trust_peers(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Where positions start: only so that tests can begin just before they wrap.
    #[doc(hidden)]
    pub fn origin(mut self, position: u64) -> Self {
        self.origin = position;
        self
    }

    pub(crate) fn message_type(mut self, name: &str, size: usize, align: usize) -> Result<Self> {
        check_type_name(name)?;
        self.message_type = Some(TypeInfo { name: name.into(), size: size as u64, align: align as u64 });
        if self.message_size.is_none() {
            self.message_size = Some(size as u64);
        }
        Ok(self)
    }

    /// Creates a channel that does not exist yet.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::Foreign`] if the key belongs to something else; [`Error::Invalid`] for
    /// sizes out of range; [`Error::Os`] when the kernel refuses, with the remedy.
    pub fn create(&self, key: impl Into<Key>) -> Result<Channel> {
        self.locked(key, Create::Exclusive)
    }

    /// Opens a channel that exists, without becoming a participant.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Mismatch`], [`Error::Foreign`], [`Error::PermissionDenied`], [`Error::Version`],
    /// [`Error::Corrupt`].
    pub fn open(&self, key: impl Into<Key>) -> Result<Channel> {
        self.locked(key, Create::Never)
    }

    /// Opens a channel, creating it if it does not exist; without becoming a participant.
    ///
    /// # Errors
    /// As [`Options::open`] and [`Options::create`].
    pub fn open_or_create(&self, key: impl Into<Key>) -> Result<Channel> {
        self.locked(key, Create::IfAbsent)
    }

    /// Opens a channel that exists for reading only: for whoever may read it and no more. A channel that is being
    /// created or removed at this moment is not there.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn observe(&self, key: impl Into<Key>) -> Result<Observer> {
        lifecycle::observe(self, &key.into()).map(Observer::new)
    }

    /// Opens the channel, or creates it, and becomes one of its producers.
    ///
    /// # Errors
    /// As [`Options::open`] and [`Options::create`]; [`Error::NoRoom`] if all places are taken, or the one place of
    /// an SPSC channel is.
    pub fn producer(&self, key: impl Into<Key>) -> Result<Producer> {
        self.participant(key).and_then(|(channel, lock)| Producer::register(channel, lock))
    }

    /// Opens the channel, or creates it, and becomes one of its consumers.
    ///
    /// # Errors
    /// As [`Options::producer`].
    pub fn consumer(&self, key: impl Into<Key>) -> Result<Consumer> {
        self.participant(key).and_then(|(channel, lock)| Consumer::register(channel, lock))
    }

    /// Becomes a producer of values of one plain-data type, whose name, size and alignment are checked.
    ///
    /// # Errors
    /// As [`Options::producer`]; [`Error::Mismatch`] if the channel carries another type or none.
    pub fn typed_producer<T: bytemuck::NoUninit>(
        &self,
        key: impl Into<Key>,
        type_name: &str,
    ) -> Result<TypedProducer<T>> {
        let options = self.clone().message_type(type_name, size_of::<T>(), align_of::<T>())?;
        Ok(TypedProducer::new(options.producer(key)?))
    }

    /// Becomes a consumer of values of one plain-data type, whose name, size and alignment are checked.
    ///
    /// # Errors
    /// As [`Options::typed_producer`].
    pub fn typed_consumer<T: bytemuck::AnyBitPattern>(
        &self,
        key: impl Into<Key>,
        type_name: &str,
    ) -> Result<TypedConsumer<T>> {
        let options = self.clone().message_type(type_name, size_of::<T>(), align_of::<T>())?;
        Ok(TypedConsumer::new(options.consumer(key)?))
    }

    /// Becomes a producer of values of one plain-data type, `values` of them to a slot at most; all sides must agree on
    /// that: it makes the message size. [`Options::capacity`] counts slots. A slot takes 16 bytes besides the values, rounded
    /// up as [`Options::message_size`] says: 30 values of 8 bytes take 256 bytes.
    ///
    /// # Errors
    /// As [`Options::typed_producer`]; [`Error::Mismatch`] of the message size if others have another number of values
    /// to a slot; [`Error::Invalid`] for no values, values of no bytes, and a message size that says something else.
    pub fn bulk_producer<T: bytemuck::NoUninit>(
        &self,
        key: impl Into<Key>,
        type_name: &str,
        values: usize,
    ) -> Result<BulkProducer<T>> {
        Ok(BulkProducer::new(self.bulk::<T>(type_name, values)?.producer(key)?, values))
    }

    /// Becomes a consumer of values of one plain-data type, `values` of them to a slot at most.
    ///
    /// # Errors
    /// As [`Options::bulk_producer`].
    pub fn bulk_consumer<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &self,
        key: impl Into<Key>,
        type_name: &str,
        values: usize,
    ) -> Result<BulkConsumer<T>> {
        Ok(BulkConsumer::new(self.bulk::<T>(type_name, values)?.consumer(key)?, values))
    }

    fn bulk<T>(&self, type_name: &str, values: usize) -> Result<Self> {
        let size = size_of::<T>();
        let invalid = |what_is_wrong: &str| {
            let detail = format!("{values} values of {size} bytes {what_is_wrong}");
            Error::Invalid { what: "values per slot", detail }
        };
        let bytes = values.checked_mul(size).filter(|bytes| *bytes != 0);
        let bytes = bytes.ok_or_else(|| invalid("do not make a message"))? as u64;
        match self.message_size {
            Some(said) if said != bytes => Err(invalid(&format!("are not the {said} bytes of message_size"))),
            _ => self.clone().message_size(bytes).message_type(type_name, size, align_of::<T>()),
        }
    }

    fn participant(&self, key: impl Into<Key>) -> Result<(Arc<Attachment>, Lock)> {
        let create = if self.existing { Create::Never } else { Create::IfAbsent };
        lifecycle::open_locked(self, &key.into(), create)
    }

    fn locked(&self, key: impl Into<Key>, create: Create) -> Result<Channel> {
        let create = if self.existing && create == Create::IfAbsent { Create::Never } else { create };
        let (attachment, lock) = lifecycle::open_locked(self, &key.into(), create)?;
        lock.release()?;
        Ok(Channel::new(attachment))
    }
}
