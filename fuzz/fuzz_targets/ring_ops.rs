//! Any sequence of operations in one process against a plain queue of slots: what comes out is what went in, in
//! order, each once, with the right tag and attempt; and Full, Empty and Disconnected come when they should.
//!
//! One consumer at a time, up to two producers (MPMC). So the order is exact for both rings: what was given back is
//! in front, and comes again first.
#![no_main]

#[path = "ring_ops/model.rs"]
mod model;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use model::{Model, Op};
use semring::{Channel, Kind, Options, WakeMode, WhenNoConsumer};

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Origin {
    Zero,
    /// This much before 2^46, where stamps wrap.
    Stamp(u8),
    /// This much before 2^58, where cursors wrap.
    Cursor(u8),
    /// This much before 2^64.
    Word(u8),
    Any(u64),
}

#[derive(Arbitrary, Debug)]
struct Input {
    spsc: bool,
    fence: bool,
    wait: bool,
    capacity: u8,
    message_size: u8,
    origin: Origin,
    ops: Vec<Op>,
}

/// Removes the channel also if the model and the ring disagree.
struct Remove(Channel);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = self.0.clone().remove();
    }
}

fuzz_target!(|input: Input| {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static PROCESS: OnceLock<u32> = OnceLock::new();
    let process = PROCESS.get_or_init(std::process::id);
    let name = format!("fuzz-ring-{process}-{}", COUNT.fetch_add(1, Ordering::Relaxed));

    let capacity = 1u64 << (input.capacity % 5);
    let size = usize::from(input.message_size % 80);
    let origin = match input.origin {
        Origin::Zero => 0,
        Origin::Stamp(n) => (1 << 46) - u64::from(n),
        Origin::Cursor(n) => (1 << 58) - u64::from(n),
        Origin::Word(n) => 0u64.wrapping_sub(n.into()),
        Origin::Any(n) => n,
    };
    let kind = if input.spsc { Kind::Spsc } else { Kind::Mpmc };
    let channel = Options::new()
        .kind(kind)
        .capacity(capacity)
        .message_size(size as u64)
        .participants(5)
        .wake_mode(if input.fence { WakeMode::Fence } else { WakeMode::Membarrier })
        .when_no_consumer(if input.wait { WhenNoConsumer::Wait } else { WhenNoConsumer::Disconnect })
        .origin(origin)
        .create(&*name)
        .expect("a fresh name");
    let _remove = Remove(channel.clone());
    let mut model = Model::new(channel, kind, input.wait, capacity as usize, size);
    model.step(&Op::Producer { who: false });
    model.step(&Op::Consumer);
    for op in input.ops.iter().take(200) {
        model.step(op);
    }
    model.finish();
});
