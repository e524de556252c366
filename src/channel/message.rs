//! What receiving returns, and the iterators over it.

use std::ops::Deref;

use super::consumer::Consumer;
use crate::error::{Error, RecvError, Result, TryRecvError};
use crate::ring::Found;

/// A received message: a copy of its bytes, and what came with it.
///
/// # Examples
/// ```
/// use semring::Options;
///
/// # let name = format!("message-doc-{}", std::process::id());
/// let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?;
/// producer.send_tagged(7, b"seven")?;
/// let message = consumer.recv()?;
/// assert_eq!((&*message, message.tag, message.redelivered()), (&b"seven"[..], 7, false));
/// # consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The bytes.
    pub data: Vec<u8>,
    /// The tag that the producer gave it; 0 if none.
    pub tag: u32,
    /// How many times delivery of this message has been started, this time included; 1 for the first. Saturates at 16.
    pub attempt: u32,
}

impl Message {
    /// Has delivery been started before? A consumer died with it in hand, or gave it back.
    pub fn redelivered(&self) -> bool {
        self.attempt > 1
    }
}

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.data
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// What came with a message whose bytes are in the caller's buffer.
///
/// # Examples
/// ```
/// use semring::Options;
///
/// # let name = format!("received-doc-{}", std::process::id());
/// let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?;
/// producer.send(b"bytes")?;
/// let mut buffer = [0; 16]; // as long as the longest message
/// let received = consumer.recv_into(&mut buffer)?;
/// assert_eq!(&buffer[..received.len], b"bytes");
/// # consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the message.
    pub len: usize,
    /// The tag that the producer gave it; 0 if none.
    pub tag: u32,
    /// How many times delivery of this message has been started, this time included; 1 for the first. Saturates at 16.
    pub attempt: u32,
}

impl Received {
    /// Has delivery been started before? A consumer died with it in hand, or gave it back.
    pub fn redelivered(&self) -> bool {
        self.attempt > 1
    }
}

impl From<Found> for Received {
    #[inline]
    fn from(found: Found) -> Self {
        Received { len: found.len as usize, tag: found.tag, attempt: found.attempt }
    }
}

/// Ends at end of stream, and after an error.
fn next(consumer: &mut Consumer, over: &mut bool) -> Option<Result<Message>> {
    if *over {
        return None;
    }
    match consumer.recv() {
        Ok(message) => Some(Ok(message)),
        Err(RecvError::Disconnected) => None,
        Err(RecvError::Failed(e)) => {
            *over = true;
            Some(Err(e))
        }
    }
}

/// Messages until end of stream. Made by [`Consumer::iter`].
///
/// # Examples
/// ```
/// use semring::Options;
///
/// # let name = format!("iter-doc-{}", std::process::id());
/// let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?;
/// producer.send_batch(&["a", "b"])?;
/// drop(producer);
/// let all: Result<Vec<_>, _> = consumer.iter().map(|m| m.map(|m| m.data)).collect();
/// assert_eq!(all?, [b"a", b"b"]);
/// # consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Iter<'a> {
    consumer: &'a mut Consumer,
    over: bool,
}

impl<'a> Iter<'a> {
    pub(super) fn new(consumer: &'a mut Consumer) -> Self {
        Self { consumer, over: false }
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        next(self.consumer, &mut self.over)
    }
}

/// Messages until end of stream, by a consumer of its own. Made by `into_iter`.
///
/// # Examples
/// ```
/// use semring::Options;
///
/// # let name = format!("into-iter-doc-{}", std::process::id());
/// let mut producer = Options::new().producer(&name)?;
/// let consumer = Options::new().consumer(&name)?;
/// let channel = consumer.channel();
/// producer.send(b"one")?;
/// drop(producer);
/// for message in consumer {
///     assert_eq!(&*message?, b"one");
/// }
/// channel.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct IntoIter {
    consumer: Consumer,
    over: bool,
}

impl IntoIter {
    pub(super) fn new(consumer: Consumer) -> Self {
        Self { consumer, over: false }
    }
}

impl Iterator for IntoIter {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        next(&mut self.consumer, &mut self.over)
    }
}

/// The messages that are there now. Made by [`Consumer::try_iter`].
///
/// # Examples
/// ```
/// use semring::Options;
///
/// # let name = format!("try-iter-doc-{}", std::process::id());
/// let mut producer = Options::new().capacity(8).message_size(16).producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?;
/// producer.send_batch(&["a", "b"])?;
/// assert_eq!(consumer.try_iter().count(), 2); // and does not wait for a third
/// # consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TryIter<'a> {
    consumer: &'a mut Consumer,
    over: bool,
}

impl<'a> TryIter<'a> {
    pub(super) fn new(consumer: &'a mut Consumer) -> Self {
        Self { consumer, over: false }
    }
}

impl Iterator for TryIter<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        match self.consumer.try_recv() {
            Ok(message) => Some(Ok(message)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
            Err(TryRecvError::Failed(e)) => {
                self.over = true;
                Some(Err(e))
            }
        }
    }
}
