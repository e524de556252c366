//! A reusable buffer for many received messages.

use crate::ring::Found;

/// Messages received together by [`Consumer::recv_batch`](crate::Consumer::recv_batch): one buffer for all, so that in
/// the long run nothing is allocated.
///
/// # Examples
/// ```
/// use semring::{Batch, Options};
///
/// let name = format!("batch-doc-{}", std::process::id());
/// let mut producer = Options::new().message_size(16).producer(&name)?;
/// let mut consumer = Options::new().consumer(&name)?;
/// producer.send_batch(&["one", "two", "three"])?;
/// let mut batch = Batch::new();
/// assert_eq!(consumer.recv_batch(&mut batch, 100)?, 3);
/// let all: Vec<&[u8]> = batch.iter().map(|m| m.data).collect();
/// assert_eq!(all, [&b"one"[..], b"two", b"three"]);
/// consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    end: usize,
    tag: u32,
    attempt: u32,
}

/// One message of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMessage<'a> {
    /// The bytes.
    pub data: &'a [u8],
    /// The tag that the producer gave it; 0 if none.
    pub tag: u32,
    /// How many times delivery of this message has been started, this time included; 1 for the first. Saturates at 16.
    pub attempt: u32,
}

impl BatchMessage<'_> {
    /// Has delivery been started before? A consumer died with it in hand, or gave it back.
    pub fn redelivered(&self) -> bool {
        self.attempt > 1
    }
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Has it no messages?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops the messages and keeps the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// The messages, in the order received.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BatchMessage<'_>> {
        self.entries.iter().map(|e| BatchMessage {
            data: &self.bytes[e.start..e.end],
            tag: e.tag,
            attempt: e.attempt,
        })
    }

    /// All bytes of all messages, one after the other.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds an entry and returns the buffer, to whose end its bytes are to be appended.
    pub(crate) fn make_room(&mut self, found: Found) -> &mut Vec<u8> {
        let start = self.bytes.len();
        let end = start + found.len as usize;
        self.entries.push(Entry { start, end, tag: found.tag, attempt: found.attempt });
        &mut self.bytes
    }
}
