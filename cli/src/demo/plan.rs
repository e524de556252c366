//! What a run of the demo consists of: the parent decides it, the workers get it as JSON.

use serde::{Deserialize, Serialize};

/// Latency is measured on about so many messages of a run, so that asking for the time costs the others nothing.
const SAMPLES: u64 = 1 << 16;

/// One run: who sends how many messages of what size to whom, over what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) transport: Transport,
    pub(super) producers: usize,
    pub(super) consumers: usize,
    pub(super) messages: u64,
    pub(super) size: usize,
    pub(super) batch: usize,
    pub(super) ack: bool,
    /// The process that started the workers.
    pub(super) parent: u32,
}

/// What the messages go through.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Transport {
    /// The channel of this name.
    Channel(String),
    /// A pipe, which each worker has as its standard output.
    Pipe,
}

/// Which side a worker is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Producer,
    Consumer,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Producer => "producer",
            Role::Consumer => "consumer",
        }
    }
}

impl Plan {
    /// Messages that this producer is to send.
    pub(super) fn quota(&self, producer: usize) -> u64 {
        self.first(producer + 1) - self.first(producer)
    }

    /// The number, over all producers, of this producer's first message.
    pub(super) fn first(&self, producer: usize) -> u64 {
        // Exact for any number of messages: 64 bits times at most 6.
        (u128::from(self.messages) * producer as u128 / self.producers as u128) as u64
    }

    /// Latency is measured on each message whose number is a multiple of this, a power of two.
    pub(super) fn stride(&self) -> u64 {
        self.messages.div_ceil(SAMPLES).next_power_of_two()
    }
}
