//! `semring peek`: messages that wait, left where they are.

use clap::Args;
use semring::segment::Key;
use semring::{Options, Peeked};
use serde_json::{Value, json};

use crate::failure::{Failure, print};
use crate::text;

/// Look at the messages that wait in a channel, without consuming them
///
/// Shows the oldest first, each with its number since the channel was created and its length, and escaped what is not
/// printable. Nobody who uses the channel notices; what is taken while we look is left out, and so is what a receiver
/// has in hand already.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring peek jobs
  semring peek jobs --count 1 --bytes 1000
  semring peek jobs --count 1 --raw | file -       the bytes as they are, nothing around them
  semring peek jobs --json | jq -r '.messages[].text'")]
pub(crate) struct Peek {
    /// Name of the channel, or its key as ipcs prints it (0x...)
    name: Key,

    /// How many messages at most
    #[arg(long, short = 'n', value_name = "MESSAGES", default_value_t = 10)]
    count: usize,

    /// How many bytes of each at most [default: 60; with --raw or --json all]
    #[arg(long, value_name = "BYTES")]
    bytes: Option<usize>,

    /// Write the messages' bytes as they are, one message behind the other
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

impl Peek {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let bytes = self.bytes.unwrap_or(if json || self.raw { usize::MAX } else { 60 });
        let observer = Options::new().allow_any_owner().observe(&self.name)?;
        let seen = observer.peek(self.count, bytes)?;
        let output = if json {
            let messages: Vec<Value> = seen.iter().map(report).collect();
            let report =
                json!({ "channel": observer.name(), "waiting": observer.len(), "messages": messages });
            format!("{report}\n").into_bytes()
        } else if self.raw {
            seen.into_iter().flat_map(|message| message.bytes).collect()
        } else {
            seen.iter().map(line).collect::<String>().into_bytes()
        };
        print(output)
    }
}

/// Bytes that are UTF-8 are told as text, others in hexadecimal.
fn report(message: &Peeked) -> Value {
    let mut report = json!({ "number": message.number, "length": message.len });
    match std::str::from_utf8(&message.bytes) {
        Ok(text) => report["text"] = text.into(),
        Err(_) => {
            report["hex"] = message.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
    }
    report
}

fn line(message: &Peeked) -> String {
    let text: String = message.bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(&text::name(chunk.valid()));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        text
    });
    let rest = if message.bytes.len() < message.len { "…" } else { "" };
    format!("{:>8}  {:>6}  {text}{rest}\n", message.number, message.len)
}
