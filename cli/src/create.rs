//! `semring create`: a channel before anybody uses it.

use clap::Args;
use semring::WakeMode;
use semring::segment::Key;
use serde_json::json;

use crate::failure::{Failure, print};
use crate::options::Properties;

/// Create a channel, for whoever comes later
///
/// Not needed before `send` and `recv`, which create what is missing; but a script may want the permissions and sizes
/// settled, or to fail if the name is taken.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring create jobs --capacity 65536 --size 256 --mode 660
  semring create audit --wait --scrub
  id=$(semring create --private | cut -d ' ' -f 2)     found by its segment's id only")]
pub(crate) struct Create {
    /// Name of the channel, or the key (0x...) of its segment and semaphore set
    #[arg(required_unless_present = "private")]
    name: Option<Key>,

    #[command(flatten)]
    properties: Properties,

    /// No name and no key: the channel is found by its id only
    #[arg(long, conflicts_with = "name")]
    private: bool,

    /// Be content if the channel exists and is as asked for
    #[arg(long, conflicts_with = "private")]
    if_absent: bool,

    /// Receivers overwrite with zeroes what they have consumed
    #[arg(long)]
    scrub: bool,

    /// A fence after each message instead of membarrier(2) before each sleep: for sandboxes that forbid it
    #[arg(long)]
    fence: bool,

    /// Use huge pages, which the system must have reserved
    #[arg(long)]
    huge_pages: bool,

    /// Lock the segment in memory
    #[arg(long)]
    lock_memory: bool,

    /// Let the kernel allocate memory when it is used, not now
    #[arg(long)]
    lazy: bool,
}

impl Create {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let mut options = self
            .properties
            .options()
            .prefault(!self.lazy)
            .huge_pages(self.huge_pages)
            .lock_memory(self.lock_memory);
        if self.scrub {
            options = options.scrub(true);
        }
        if self.fence {
            options = options.wake_mode(WakeMode::Fence);
        }
        let key = self.name.unwrap_or(Key::Private);
        let channel = if self.if_absent { options.open_or_create(key)? } else { options.create(key)? };
        let status = channel.status()?;
        let text = if json {
            format!(
                "{}\n",
                json!({
                    "created": status.name,
                    "segment_id": status.segment_id,
                    "semaphore_id": status.semaphore_id,
                    "segment_key": format!("{:#010x}", status.segment_key),
                    "size_bytes": status.size_bytes,
                })
            )
        } else if self.private {
            // A name would be reported to whoever gave it; an id is news.
            format!("id {}\n", status.segment_id)
        } else {
            String::new()
        };
        let printed = print(text);
        if printed.is_err() && self.private {
            // Without its id nobody finds it.
            channel.remove()?;
        }
        printed
    }
}
