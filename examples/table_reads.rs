//! How many reads a second one thread makes: a [`Table`] of 100,000 records of 64 bytes, a `RwLock<HashMap>` of the same
//! in one process, and a linear search. Keys come in random order.
//!
//! `cargo run --release --example table_reads`

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use semring::segment::Key;
use semring::{Table, TableOptions};

const RECORDS: u64 = 100_000;
/// With its key of 8 bytes, a record of 64.
type Value = [u64; 7];

/// The processor's time of this thread, so that a busy machine does not count; the clock's where the kernel has no such
/// file.
fn now(start: Instant) -> Duration {
    let file = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent = file.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    spent.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Reads a second, the best of five rounds.
fn rate(reads: usize, keys: &[u64], read: impl Fn(u64) -> u64) -> f64 {
    let start = Instant::now();
    let round = || {
        let before = now(start);
        let sum = keys.iter().cycle().take(reads).fold(0, |sum: u64, &key| sum.wrapping_add(read(key)));
        black_box(sum);
        reads as f64 / now(start).saturating_sub(before).as_secs_f64()
    };
    (0..5).map(|_| round()).fold(0.0, f64::max)
}

fn main() -> Result<(), semring::Error> {
    let value = |key: u64| -> Value { [key; 7] };
    let mut random = 1_u64;
    let keys: Vec<u64> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % RECORDS
    })
    .take(1 << 16)
    .collect();

    let table: Table<u64, Value> = TableOptions::new().capacity(RECORDS).create(Key::Private, "bench")?;
    let start = Instant::now();
    for key in 0..RECORDS {
        table.insert(&key, &value(key))?;
    }
    let inserts = RECORDS as f64 / start.elapsed().as_secs_f64();
    let found = |value: Option<Value>| value.map_or(0, |value| value[3]);
    let reads = rate(4_000_000, &keys, |key| found(table.get(&key).ok().flatten()));
    let absent = rate(4_000_000, &keys, |key| found(table.get(&(key + RECORDS)).ok().flatten()));
    let start = Instant::now();
    let counted = table.len()?;
    let count_time = start.elapsed();
    table.destroy()?;

    let map: RwLock<HashMap<u64, Value>> = RwLock::new((0..RECORDS).map(|key| (key, value(key))).collect());
    let mapped = rate(4_000_000, &keys, |key| found(map.read().ok().and_then(|map| map.get(&key).copied())));

    let array: Vec<(u64, Value)> = (0..RECORDS).map(|key| (key, value(key))).collect();
    let scanned = rate(2_000, &keys, |key| found(array.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)));

    println!("{counted} records of 64 bytes, one thread, millions of operations a second");
    println!("  Table::get           {:8.2}", reads / 1e6);
    println!("  Table::get, absent   {:8.2}", absent / 1e6);
    println!("  RwLock<HashMap>      {:8.2}", mapped / 1e6);
    println!("  linear search        {:8.4}", scanned / 1e6);
    println!("  Table::insert        {:8.2}", inserts / 1e6);
    println!("  Table::len took {count_time:?}");
    Ok(())
}
