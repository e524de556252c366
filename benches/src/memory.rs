//! Memory: what a slot costs beside the message in it.

use semring::{Kind, Options};

/// Overhead goals: what, the most, and what was found; in bytes.
pub fn goals() -> Vec<(String, f64, Option<f64>)> {
    let mut goals = Vec::new();
    // 16 bytes behind each of these sizes is a slot that needs no rounding.
    for (kind, name) in [(Kind::Spsc, "SPSC"), (Kind::Mpmc, "MPMC")] {
        for size in [16, 48, 1008] {
            goals.push((
                format!("{name}: overhead of a slot, {size} B messages"),
                16.0,
                overhead(kind, size),
            ));
        }
    }
    // A slot of 30 values of 8 bytes needs no rounding either; what is left for each value is half a byte.
    let bulk = overhead(Kind::Mpmc, 30 * 8).map(|bytes| bytes / 30.0);
    goals.push(("bulk: overhead of a value of 8 B, 30 to a slot".into(), 0.6, bulk));
    goals
}

/// Bytes of a slot beyond its message: what twice the slots cost more.
fn overhead(kind: Kind, size: u64) -> Option<f64> {
    let bytes = |capacity: u64| {
        let options = Options::new().kind(kind).capacity(capacity).message_size(size).prefault(false);
        let channel = options.create(semring::segment::Key::Private).ok()?;
        let bytes = channel.status().ok().map(|status| status.size_bytes as f64);
        channel.remove().ok()?;
        bytes
    };
    let slots = 1024;
    Some((bytes(2 * slots)? - bytes(slots)?) / slots as f64 - size as f64)
}
