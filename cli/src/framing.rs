//! Cuts a byte stream into messages and puts messages together again. Pure: `send` and `recv` do the reading and
//! writing, and the fuzzer feeds it what it likes.
//!
//! ```text
//! lines     a message is a line with its newline; the last one may lack it
//! chunks N  a message is N bytes; the last one may be shorter
//! frames    4 bytes, little-endian: the length; then as many bytes, which are the message
//! ```
//! No byte changes on the way: whatever the framing, joining the messages of a stream gives the stream.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;

/// Bytes of a frame's length.
pub const PREFIX: usize = 4;

/// How much is read at a time; the buffer grows only for longer messages.
const READ: usize = 256 * 1024;

/// An overlong line is counted up to here, so that the error can name its length, and not beyond.
const COUNTED: u64 = 1 << 30;

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A message is a line, with its newline.
    Lines,
    /// A message is so many bytes.
    Chunks(NonZeroUsize),
    /// A message is preceded by its length: 4 bytes, little-endian.
    Frames,
}

impl Framing {
    /// What one message is called in an error.
    pub fn noun(self) -> &'static str {
        match self {
            Framing::Lines => "line",
            Framing::Chunks(_) => "chunk",
            Framing::Frames => "frame",
        }
    }

    /// Appends a message to a stream.
    ///
    /// # Examples
    /// ```
    /// use semring_cli::framing::Framing;
    /// let mut out = Vec::new();
    /// Framing::Frames.join(b"hi", &mut out);
    /// assert_eq!(out, b"\x02\0\0\0hi");
    /// ```
    ///
    /// # Panics
    /// With [`Framing::Frames`] if the message has 2^32 bytes or more, which no message of a channel has.
    pub fn join(self, message: &[u8], stream: &mut Vec<u8>) {
        if self == Framing::Frames {
            let length =
                u32::try_from(message.len()).expect("messages of a channel are shorter than 2^32 bytes");
            stream.extend_from_slice(&length.to_le_bytes());
        }
        stream.extend_from_slice(message);
    }
}

/// Why a stream cannot be cut further. All messages before were handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A message is longer than a message can be.
    TooLong {
        /// What it is called.
        noun: &'static str,
        /// Its number, from 1.
        number: u64,
        /// Its bytes.
        len: u64,
        /// Whether it has still more: nobody looked for its end any further.
        more: bool,
        /// Most bytes that a message can have.
        max: usize,
    },
    /// The stream ends within a frame.
    Truncated {
        /// The frame's number, from 1.
        number: u64,
        /// Bytes that are there: of the length if `need` is [`PREFIX`] and the length is unknown, else of the message.
        have: usize,
        /// Bytes that should be there.
        need: usize,
        /// Whether even the length is incomplete.
        prefix: bool,
    },
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Defect::TooLong { noun, number, len, more, max } => {
                let more = if more { "more than " } else { "" };
                write!(f, "{noun} {number} has {more}{len} bytes, a message can have at most {max}")
            }
            Defect::Truncated { number, have, need, prefix } => {
                let part = if prefix { "length" } else { "contents" };
                write!(
                    f,
                    "the input ends within frame {number}: {have} of {need} bytes of its {part} are there"
                )
            }
        }
    }
}

impl std::error::Error for Defect {}

/// A buffer that is filled with a stream and hands out its messages.
///
/// # Examples
/// ```
/// use semring_cli::framing::{Framing, Splitter};
/// let mut splitter = Splitter::new(Framing::Lines, 100);
/// splitter.space()[..9].copy_from_slice(b"one\ntwo\nt");
/// splitter.filled(9);
/// let mut messages = Vec::new();
/// splitter.messages(&mut messages)?;
/// assert_eq!(splitter.get(&messages[1]), b"two\n");
/// assert_eq!(messages.len(), 2); // "t" is not complete yet
/// # Ok::<(), semring_cli::framing::Defect>(())
/// ```
pub struct Splitter {
    framing: Framing,
    max: usize,
    buffer: Vec<u8>,
    /// `buffer[start..end]` was read and not handed out.
    start: usize,
    end: usize,
    /// So much of it holds no newline.
    scanned: usize,
    /// Bytes of an overlong line that were dropped: only its length is still of interest.
    dropped: u64,
    /// Messages handed out.
    count: u64,
    ended: bool,
}

impl Splitter {
    /// A splitter for messages of at most `max` bytes.
    pub fn new(framing: Framing, max: usize) -> Self {
        Splitter {
            framing,
            max,
            buffer: vec![0; READ],
            start: 0,
            end: 0,
            scanned: 0,
            dropped: 0,
            count: 0,
            ended: false,
        }
    }

    /// Where to read to; never empty. What [`Splitter::messages`] handed out is gone afterwards.
    pub fn space(&mut self) -> &mut [u8] {
        let pending = self.end - self.start;
        // Moving is worth it only if it frees more than it moves; otherwise the buffer would be moved for every
        // few bytes that fit behind a long message.
        if pending == 0 || self.start > pending {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, pending);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// Says how many bytes were read into [`Splitter::space`]; 0 is the end of the stream.
    ///
    /// # Panics
    /// If there was less space.
    pub fn filled(&mut self, bytes: usize) {
        assert!(bytes <= self.buffer.len() - self.end, "more bytes than space");
        self.end += bytes;
        self.ended |= bytes == 0;
    }

    /// Finds all messages that are complete; what follows them stays for later.
    ///
    /// # Errors
    /// The [`Defect`] that follows the messages found. The stream cannot be used further.
    pub fn messages(&mut self, found: &mut Vec<Range<usize>>) -> Result<(), Defect> {
        found.clear();
        while let Some(message) = self.next()? {
            self.count += 1;
            found.push(message);
        }
        Ok(())
    }

    /// The bytes of a message found.
    pub fn get(&self, message: &Range<usize>) -> &[u8] {
        &self.buffer[message.clone()]
    }

    fn next(&mut self) -> Result<Option<Range<usize>>, Defect> {
        match self.framing {
            Framing::Lines => self.next_line(),
            Framing::Chunks(bytes) => self.next_chunk(bytes.get()),
            Framing::Frames => self.next_frame(),
        }
    }

    fn next_line(&mut self) -> Result<Option<Range<usize>>, Defect> {
        let pending = &self.buffer[self.start..self.end];
        let newline = memchr::memchr(b'\n', &pending[self.scanned..]);
        let (len, complete) = match newline {
            Some(at) => (self.scanned + at + 1, true),
            None => (pending.len(), self.ended),
        };
        let whole = self.dropped + len as u64;
        if complete && whole > self.max as u64 || whole > COUNTED.max(self.max as u64) {
            return Err(self.too_long(whole, !complete));
        }
        if complete {
            self.scanned = 0;
            return Ok((len > 0).then(|| self.take(0, len)));
        }
        if whole > self.max as u64 {
            // From here on only the length counts.
            (self.dropped, self.scanned) = (whole, 0);
            self.start = self.end;
        } else {
            self.scanned = len;
        }
        Ok(None)
    }

    fn next_chunk(&mut self, bytes: usize) -> Result<Option<Range<usize>>, Defect> {
        let pending = self.end - self.start;
        let len = pending.min(bytes);
        if len > self.max {
            return Err(self.too_long(bytes as u64, false));
        }
        let complete = len == bytes || self.ended && len > 0;
        Ok(complete.then(|| self.take(0, len)))
    }

    fn next_frame(&mut self) -> Result<Option<Range<usize>>, Defect> {
        let number = self.count + 1;
        let pending = &self.buffer[self.start..self.end];
        let Some(prefix) = pending.first_chunk::<PREFIX>() else {
            return match pending.len() {
                have @ 1.. if self.ended => {
                    Err(Defect::Truncated { number, have, need: PREFIX, prefix: true })
                }
                _ => Ok(None),
            };
        };
        let len = u32::from_le_bytes(*prefix) as usize;
        let have = pending.len() - PREFIX;
        if len > self.max {
            return Err(self.too_long(len as u64, false));
        }
        if have < len && self.ended {
            return Err(Defect::Truncated { number, have, need: len, prefix: false });
        }
        Ok((have >= len).then(|| self.take(PREFIX, len)))
    }

    fn take(&mut self, skip: usize, len: usize) -> Range<usize> {
        let message = self.start + skip..self.start + skip + len;
        self.start = message.end;
        message
    }

    fn too_long(&self, len: u64, more: bool) -> Defect {
        Defect::TooLong { noun: self.framing.noun(), number: self.count + 1, len, more, max: self.max }
    }
}

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod pieces;
#[cfg(test)]
mod tests;
