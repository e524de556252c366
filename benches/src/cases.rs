//! What is compared with what.

use crate::spec::{Limit, Rival, Spec, Work};

/// A question, and everybody who answers it. The first one is what the others are compared with.
pub struct Case {
    /// As the goals and `--only` name it.
    pub id: String,
    pub title: String,
    /// What the figures are, in words.
    pub unit: &'static str,
    pub entries: Vec<Entry>,
}

pub struct Entry {
    /// Unique within the case.
    pub label: String,
    pub spec: Spec,
}

/// How long a sample takes, and how far the long ones go.
pub struct Scale {
    pub limit: Limit,
    /// Most messages of the case that only counts messages.
    pub most_messages: u64,
}

/// Everybody who can be compared one to one, ours first.
const EVERYBODY: [Rival; 15] = [
    Rival::OursSpsc,
    Rival::OursMpmc,
    Rival::Rtrb,
    Rival::ArrayQueue,
    Rival::CrossbeamChannel,
    Rival::Ringfire,
    Rival::Iceoryx2,
    Rival::IpcChannel,
    Rival::Pipe,
    Rival::Fifo,
    Rival::Socket,
    Rival::PosixMq,
    Rival::SysvMq,
    Rival::Boost,
    Rival::Textbook,
];

/// Slots of a ring of large messages: some megabytes at most.
fn large_capacity(size: usize) -> usize {
    (4 << 20 >> size.trailing_zeros()).clamp(4, 32)
}

fn entry(rival: Rival, work: Work, size: usize) -> Entry {
    Entry { label: rival.label().into(), spec: Spec::new(rival, work, size) }
}

fn case(id: String, title: String, unit: &'static str, entries: Vec<Entry>) -> Case {
    Case { id, title, unit, entries }
}

/// All cases.
pub fn all(scale: &Scale) -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend([8, 48, 64].map(round_trip));
    cases.push(distribution());
    cases.extend([8, 64, 1024].map(stream));
    cases.push(batches());
    cases.extend(PRICED.map(price));
    cases.extend(PRICED.map(fences));
    cases.extend([1, 2, 4].map(many));
    cases.extend([64 << 10, 1 << 20].map(in_place));
    cases.extend([wake(), idle()]);
    cases.extend([Rival::OursSpsc, Rival::OursMpmc].map(capacities));
    cases.extend([bystanders(), messages(scale.most_messages)]);
    for case in &mut cases {
        for entry in &mut case.entries {
            if entry.spec.limit == Limit::Millis(0) {
                entry.spec.limit = scale.limit;
            }
        }
    }
    cases
}

const EACH: &str = "ns a message";

/// Round trips between two looks at the clock, which takes a tenth of one.
const TRIPS: u64 = 16;

fn round_trip(size: usize) -> Case {
    let rivals = match size {
        64 => [&EVERYBODY[..], &[Rival::Bare]].concat(),
        _ => vec![Rival::OursSpsc, Rival::OursMpmc, Rival::Bare],
    };
    let entries = rivals.into_iter().map(|rival| entry(rival, Work::RoundTrip(TRIPS), size)).collect();
    case(format!("round-trip/{size}"), format!("Round trip, {size} B"), "ns a round trip", entries)
}

/// Each round trip timed by itself: a bit slower in the middle, but with its tail.
fn distribution() -> Case {
    let rivals = [
        Rival::OursSpsc,
        Rival::OursMpmc,
        Rival::Rtrb,
        Rival::ArrayQueue,
        Rival::Ringfire,
        Rival::Iceoryx2,
        Rival::Pipe,
        Rival::Socket,
        Rival::Bare,
    ];
    let entries = rivals.map(|rival| entry(rival, Work::RoundTrip(1), 64)).into();
    case("distribution/64".into(), "Each round trip, 64 B".into(), "ns a round trip", entries)
}

fn stream(size: usize) -> Case {
    let entries = EVERYBODY.map(|rival| entry(rival, Work::Stream, size)).into();
    case(format!("stream/{size}"), format!("Throughput one at a time, {size} B"), EACH, entries)
}

fn batches() -> Case {
    let rivals = [
        Rival::BulkSpsc,
        Rival::BulkMpmc,
        Rival::OursSpsc,
        Rival::OursMpmc,
        Rival::Rtrb,
        Rival::Ringfire,
        Rival::Pipe,
    ];
    let entries = rivals.map(|rival| entry(rival, Work::Batches(32), 8)).into();
    case("batches/8".into(), "Throughput in batches of 32, 8 B".into(), EACH, entries)
}

/// What crash safety is measured on: both rings.
const PRICED: [(Work, usize, &str); 3] = [
    (Work::RoundTrip(TRIPS), 64, "round trip"),
    (Work::Stream, 64, "one at a time"),
    (Work::Batches(32), 8, "batches"),
];

/// Ours beside the same ring that nobody may die in.
fn price((work, size, what): (Work, usize, &str)) -> Case {
    let rivals = [Rival::OursSpsc, Rival::UnsafeSpsc, Rival::OursMpmc, Rival::UnsafeMpmc];
    let entries = rivals.map(|rival| entry(rival, work, size)).into();
    case(format!("price/{what}"), format!("The price of crash safety, {what}, {size} B"), EACH, entries)
}

/// Ours beside itself with a fence at each publication, which membarrier(2) saves.
fn fences((work, size, what): (Work, usize, &str)) -> Case {
    let entries = [Rival::OursSpsc, Rival::OursMpmc].into_iter().flat_map(|rival| {
        let (without, mut with) = (entry(rival, work, size), entry(rival, work, size));
        with.spec.fences = true;
        with.label.push_str(", fences");
        [without, with]
    });
    let title = format!("Fences instead of membarrier, {what}, {size} B");
    case(format!("fences/{what}"), title, EACH, entries.collect())
}

fn many(pairs: usize) -> Case {
    let rivals = [Rival::OursMpmc, Rival::ArrayQueue, Rival::CrossbeamChannel];
    let mut entries: Vec<Entry> = rivals.map(|rival| entry(rival, Work::Stream, 8)).into();
    for entry in &mut entries {
        (entry.spec.producers, entry.spec.consumers) = (pairs, pairs);
    }
    let title = format!("Throughput of {pairs} producers and {pairs} consumers, 8 B");
    case(format!("many/{pairs}"), title, EACH, entries)
}

fn in_place(size: usize) -> Case {
    let mut entries: Vec<Entry> =
        [Rival::OursSpsc, Rival::OursMpmc, Rival::Bare].map(|rival| entry(rival, Work::InPlace, size)).into();
    for entry in &mut entries {
        entry.spec.capacity = large_capacity(size);
    }
    case(format!("in-place/{size}"), format!("Large messages in place, {} KiB", size >> 10), EACH, entries)
}

fn wake() -> Case {
    let rivals = [Rival::OursSpsc, Rival::OursMpmc, Rival::Pipe];
    let entries = rivals.map(|rival| entry(rival, Work::Wake, 8)).into();
    case("wake".into(), "From send to receipt by a sleeper".into(), "ns", entries)
}

fn idle() -> Case {
    let rivals = [Rival::OursSpsc, Rival::OursMpmc, Rival::Pipe];
    let entries = rivals.map(|rival| entry(rival, Work::Idle, 8)).into();
    case("idle".into(), "A receiver without messages".into(), "processor time, %", entries)
}

fn capacities(rival: Rival) -> Case {
    let entries = [1 << 10, 1 << 15, 1 << 20].map(|slots| {
        let mut entry = entry(rival, Work::Stream, 8);
        entry.spec.capacity = slots;
        entry.label = format!("{slots} slots");
        entry
    });
    let id = if rival == Rival::OursSpsc { "capacity/spsc" } else { "capacity/mpmc" };
    case(id.into(), format!("{}, 8 B, by capacity", rival.label()), EACH, entries.into())
}

fn bystanders() -> Case {
    let entries = [0, 14, 62].map(|bystanders| {
        let mut entry = entry(Rival::OursMpmc, Work::Stream, 8);
        entry.spec.bystanders = bystanders;
        entry.label = format!("{} participants", bystanders + 2);
        entry
    });
    case("participants".into(), "semring MPMC, 8 B, by participants".into(), EACH, entries.into())
}

fn messages(most: u64) -> Case {
    let counts = (5..).map(|exponent| 10u64.pow(exponent)).take_while(|count| *count <= most);
    let entries = counts.map(|count| {
        let mut entry = entry(Rival::OursSpsc, Work::Stream, 8);
        entry.spec.limit = Limit::Messages(count);
        entry.label = format!("{count} messages");
        entry
    });
    case("messages".into(), "semring SPSC, 8 B, by messages".into(), EACH, entries.collect())
}
