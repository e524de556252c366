//! What the header of a channel's segment says, besides what every pair's does: see `pair::header`.

use std::time::SystemTime;

use super::set::Set;
use crate::error::Result;
use crate::layout::{self, Geometry, MAX_CAPACITY, MAX_MESSAGE, MAX_PARTICIPANTS, header as at};
use crate::pair::header::{corrupt, from_nanos, read_name, to_nanos, word};
use crate::pair::{self, Format};
use crate::ring::Kind;
use crate::segment::Mapping;

/// What a producer does when no consumer is left.
///
/// # Examples
/// ```
/// use semring::{Options, TrySendError, WhenNoConsumer};
///
/// # let name = format!("policy-doc-{}", std::process::id());
/// // For a service whose consumers are restarted: producers wait for the next ones.
/// let options = Options::new().capacity(1).when_no_consumer(WhenNoConsumer::Wait);
/// let mut producer = options.producer(&name)?;
/// drop(options.consumer(&name)?);
/// producer.send(b"for whoever comes next")?;
/// assert_eq!(producer.try_send(b"no room"), Err(TrySendError::Full(())));
/// # producer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum WhenNoConsumer {
    /// Sending fails with `Disconnected`, as into a pipe.
    Disconnect = 1,
    /// Sending goes on until the channel is full and then waits: for services that are restarted.
    Wait = 2,
}

/// Who pays for the ordering between publishing and falling asleep; chosen at creation.
///
/// # Examples
/// ```
/// use semring::{Options, WakeMode};
///
/// # let name = format!("wake-doc-{}", std::process::id());
/// // Where membarrier(2) is not to be had, such as under some sandboxes.
/// let channel = Options::new().wake_mode(WakeMode::Fence).create(&name)?;
/// let mut producer = channel.producer()?;
/// producer.send(b"a fence with every message")?;
/// # channel.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum WakeMode {
    /// The sleeper, with membarrier(2): publishing costs nothing. Every participant registers for it.
    Membarrier = 1,
    /// Both, with a fence after every publication: for kernels and sandboxes without membarrier.
    Fence = 2,
}

macro_rules! words {
    ($($name:ident { $($variant:ident => $text:literal),* })*) => { $(
        impl $name {
            fn from_word(word: u64) -> Option<Self> {
                [$($name::$variant),*].into_iter().find(|v| *v as u64 == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($name::$variant => $text),* })
            }
        }
    )* };
}

words! {
    Kind { Spsc => "spsc", Mpmc => "mpmc" }
    WhenNoConsumer { Disconnect => "disconnect", Wait => "wait" }
    WakeMode { Membarrier => "membarrier", Fence => "fence" }
}

/// What a typed channel's messages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeInfo {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) align: u64,
}

/// A valid header's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) geometry: Geometry,
    pub(crate) when_no_consumer: WhenNoConsumer,
    pub(crate) wake: WakeMode,
    pub(crate) message_type: Option<TypeInfo>,
    pub(crate) origin: u64,
    /// Consumers zero what they have consumed.
    pub(crate) scrub: bool,
    pub(crate) created: SystemTime,
    pub(crate) creator: i32,
}

impl pair::Header for Header {
    const FORMAT: Format = Format { kind: "channel", magic: layout::MAGIC, version: layout::VERSION };

    fn read(mapping: &Mapping) -> Result<Self> {
        let kind = word(mapping, at::KIND);
        let policy = word(mapping, at::POLICY);
        let wake = word(mapping, at::WAKE);
        Ok(Self {
            kind: Kind::from_word(kind).ok_or_else(|| corrupt("kind", kind, "1 (SPSC) or 2 (MPMC)"))?,
            geometry: read_geometry(mapping)?,
            when_no_consumer: WhenNoConsumer::from_word(policy)
                .ok_or_else(|| corrupt("policy", policy, "1 (disconnect) or 2 (wait)"))?,
            wake: WakeMode::from_word(wake)
                .ok_or_else(|| corrupt("wake mode", wake, "1 (membarrier) or 2 (fence)"))?,
            message_type: read_type(mapping)?,
            origin: word(mapping, at::ORIGIN),
            scrub: read_scrub(mapping)?,
            created: from_nanos(word(mapping, at::CREATED)),
            creator: word(mapping, at::CREATOR) as u32 as i32,
        })
    }

    fn words(&self) -> Vec<(usize, u64)> {
        let (size, align) = self.message_type.as_ref().map_or((0, 0), |t| (t.size, t.align));
        vec![
            (at::KIND, self.kind as u64),
            (at::CAPACITY, self.geometry.capacity()),
            (at::MESSAGE_SIZE, self.geometry.message_size() as u64),
            (at::PARTICIPANTS, self.geometry.participants() as u64),
            (at::POLICY, self.when_no_consumer as u64),
            (at::WAKE, self.wake as u64),
            (at::TYPE_SIZE, size),
            (at::TYPE_ALIGN, align),
            (at::CREATED, to_nanos(self.created)),
            (at::CREATOR, u64::from(self.creator as u32)),
            (at::ORIGIN, self.origin),
            (at::SCRUB, self.scrub.into()),
        ]
    }

    fn type_name(&self) -> &str {
        self.message_type.as_ref().map_or("", |t| &t.name)
    }

    fn segment_size(&self) -> usize {
        self.geometry.size()
    }

    fn set_size(&self) -> usize {
        Set::size(self.geometry.participants())
    }
}

/// The sizes: each in its range, and together what the header and the kernel say the segment has.
fn read_geometry(mapping: &Mapping) -> Result<Geometry> {
    let (capacity, message_size) = (word(mapping, at::CAPACITY), word(mapping, at::MESSAGE_SIZE));
    let participants = word(mapping, at::PARTICIPANTS);
    if !capacity.is_power_of_two() || capacity > MAX_CAPACITY {
        return Err(corrupt("capacity", capacity, format!("a power of two up to {MAX_CAPACITY}")));
    }
    if message_size > MAX_MESSAGE {
        return Err(corrupt("message size", message_size, format!("at most {MAX_MESSAGE}")));
    }
    let places = usize::try_from(participants).ok().filter(|places| (2..=MAX_PARTICIPANTS).contains(places));
    let Some(places) = places else {
        return Err(corrupt("number of participants", participants, format!("2 to {MAX_PARTICIPANTS}")));
    };
    let size = word(mapping, at::SIZE);
    let geometry = Geometry::new(capacity, message_size, places);
    match geometry.filter(|geometry| geometry.size() as u64 == size && geometry.size() == mapping.len()) {
        Some(geometry) => Ok(geometry),
        None => {
            let all = format!("{capacity} messages of {message_size} bytes and {places} participants");
            Err(corrupt("size", size, format!("that of {all}, in a segment of {} bytes", mapping.len())))
        }
    }
}

fn read_scrub(mapping: &Mapping) -> Result<bool> {
    match word(mapping, at::SCRUB) {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(corrupt("scrubbing", other, "0 (no) or 1 (yes)")),
    }
}

fn read_type(mapping: &Mapping) -> Result<Option<TypeInfo>> {
    let (len, name) = read_name(mapping, at::TYPE_NAME);
    let name = name.ok_or_else(|| corrupt("type name's length", len, "at most 248 bytes of UTF-8"))?;
    let (size, align) = (word(mapping, at::TYPE_SIZE), word(mapping, at::TYPE_ALIGN));
    if name.is_empty() {
        return match (size, align) {
            (0, 0) => Ok(None),
            (0, _) => Err(corrupt("type's alignment", align, "0: the channel has no type")),
            _ => Err(corrupt("type's size", size, "0: the channel has no type")),
        };
    }
    if !align.is_power_of_two() {
        return Err(corrupt("type's alignment", align, "a power of two"));
    }
    if size % align != 0 || size > isize::MAX as u64 {
        return Err(corrupt("type's size", size, format!("a multiple of its alignment {align}")));
    }
    Ok(Some(TypeInfo { name, size, align }))
}

#[cfg(test)]
#[path = "corrupt_tests.rs"]
mod tests;
