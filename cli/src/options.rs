//! What `send` and `recv` have in common: the name, the properties of the channel, the framing.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use semring::segment::Key;
use semring::{Error, Kind, Options, WhenNoConsumer};
use semring_cli::framing::Framing;

/// A channel, and what it is to be like if it has to be created.
#[derive(Args, Debug)]
pub(crate) struct ChannelOptions {
    /// Name of the channel, or its key as ipcs prints it (0x...)
    pub(crate) name: Key,

    #[command(flatten)]
    properties: Properties,

    /// Never create the channel: fail if it does not exist
    #[arg(long)]
    existing: bool,

    /// Accept a channel that another user created (else only one of ours or root's)
    #[arg(long)]
    any_owner: bool,

    /// Leave the channel in place at the end, even if it is empty and nobody else has it open
    #[arg(long)]
    pub(crate) keep: bool,

    #[command(flatten)]
    framing: FramingOptions,
}

/// What a channel is to be like if it has to be created.
#[derive(Args, Debug)]
pub(crate) struct Properties {
    /// spsc: one sender and one receiver at a time, fastest; mpmc: several of each [default: mpmc]
    #[arg(long, value_enum, help_heading = CREATE)]
    kind: Option<KindName>,

    /// How many messages fit, rounded up to a power of two [default: 1024]
    #[arg(long, value_name = "MESSAGES", help_heading = CREATE)]
    capacity: Option<u64>,

    /// Most bytes of one message [default: 4096, or the chunk's size with --chunks]
    #[arg(long, value_name = "BYTES", help_heading = CREATE)]
    size: Option<u64>,

    /// How many senders and receivers there can be at a time, 2 to 64 [default: 64]
    #[arg(long, value_name = "NUMBER", help_heading = CREATE)]
    participants: Option<usize>,

    /// Permissions in octal: read and write for whoever takes part [default: 600]
    #[arg(long, value_name = "OCTAL", value_parser = parse_mode, help_heading = CREATE)]
    mode: Option<u32>,

    /// When the last receiver is gone, senders wait for another instead of ending with a broken pipe
    #[arg(long, help_heading = CREATE)]
    wait: bool,
}

const CREATE: &str = "Channel, if it has to be created (else it must be like this)";

#[derive(Args, Debug)]
#[group(multiple = false)]
struct FramingOptions {
    /// A message is a line with its newline; the last may lack it (the default)
    #[arg(long)]
    lines: bool,

    /// A message is this many bytes, whatever they are; the last may have fewer
    #[arg(long, value_name = "BYTES")]
    chunks: Option<NonZeroUsize>,

    /// A message follows its length: 4 bytes, little-endian
    #[arg(long)]
    frames: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindName {
    Spsc,
    Mpmc,
}

impl ChannelOptions {
    pub(crate) fn framing(&self) -> Framing {
        match &self.framing {
            FramingOptions { chunks: Some(bytes), .. } => Framing::Chunks(*bytes),
            FramingOptions { frames: true, .. } => Framing::Frames,
            _ => Framing::Lines,
        }
    }

    /// Opens the channel or creates it.
    ///
    /// A message size that only follows from `--chunks` binds nobody: it counts if the channel has to be created, and
    /// an existing one is taken as it is.
    pub(crate) fn open<T>(&self, join: impl Fn(&Options, &Key) -> semring::Result<T>) -> semring::Result<T> {
        let said = self.said();
        let Framing::Chunks(bytes) = self.framing() else { return join(&said, &self.name) };
        if self.properties.size.is_some() || self.existing {
            return join(&said, &self.name);
        }
        loop {
            match join(&said.clone().existing(), &self.name) {
                Err(Error::NotFound { .. }) => {}
                result => return result,
            }
            match join(&said.clone().message_size(bytes.get() as u64), &self.name) {
                // Somebody else created it in between.
                Err(Error::Mismatch { what: "message size", .. }) => {}
                result => return result,
            }
        }
    }

    fn said(&self) -> Options {
        let mut options = self.properties.options();
        if self.existing {
            options = options.existing();
        }
        if self.any_owner {
            options = options.allow_any_owner();
        }
        options
    }
}

impl Properties {
    /// What was said; the rest is left open.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new();
        if let Some(kind) = self.kind {
            options = options.kind(match kind {
                KindName::Spsc => Kind::Spsc,
                KindName::Mpmc => Kind::Mpmc,
            });
        }
        if let Some(capacity) = self.capacity {
            options = options.capacity(capacity);
        }
        if let Some(size) = self.size {
            options = options.message_size(size);
        }
        if let Some(participants) = self.participants {
            options = options.participants(participants);
        }
        if let Some(mode) = self.mode {
            options = options.mode(mode);
        }
        if self.wait {
            options = options.when_no_consumer(WhenNoConsumer::Wait);
        }
        options
    }
}

pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("permissions are an octal number from 0 to 777".into()),
    }
}
