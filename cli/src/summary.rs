//! What `send` and `recv` say at the end, if asked: one JSON object, or a sentence.

use std::io::{self, Write};
use std::time::Instant;

use serde::Serialize;

use crate::failure::Failure;

/// What passed, counted as it passes.
pub(crate) struct Passed {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) redelivered: u64,
    since: Instant,
}

#[derive(Serialize)]
struct Summary<'a> {
    channel: &'a str,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    redelivered: Option<u64>,
    elapsed_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Passed {
    pub(crate) fn nothing() -> Self {
        Passed { messages: 0, bytes: 0, redelivered: 0, since: Instant::now() }
    }

    /// One JSON object on a line of its own, for `send` on standard output and for `recv`, whose standard output
    /// carries the data, on standard error.
    pub(crate) fn write_json(
        &self,
        mut to: impl Write,
        channel: &str,
        receiving: bool,
        result: &Result<(), Failure>,
    ) -> io::Result<()> {
        let summary = Summary {
            channel,
            messages: self.messages,
            bytes: self.bytes,
            redelivered: receiving.then_some(self.redelivered),
            elapsed_seconds: self.since.elapsed().as_secs_f64(),
            error: result.as_ref().err().map(|failure| failure.message.as_str()),
        };
        let mut line = serde_json::to_vec(&summary)?;
        line.push(b'\n');
        to.write_all(&line)
    }
}
