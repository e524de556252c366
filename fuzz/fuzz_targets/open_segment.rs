//! A channel's segment is hostile input: whatever its bytes are, opening and using it ends in `Ok` or in a clean
//! error. No panic, no fault, no hang, no object left behind.
#![no_main]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::{Corpus, fuzz_target};
use semring::segment::{Key, Mapping, Segment, SegmentOptions};
use semring::{Batch, Channel, Consumer, Kind, Options, Producer, Role, WakeMode, WhenNoConsumer};

/// Offsets worth more than chance: the header's words, the shared words, records, the first slots (src/layout.rs).
const WORDS: [usize; 45] = [
    0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, // header
    256, 264, 512, 520, // names
    1024, 1032, 1040, 1048, 1056, 1064, // counters
    1152, 1160, 1280, 1288, 1296, // sleepers, changes, given
    1408, 1536, 1544, 1664, // tail, head, in hand, free
    2048, 2056, 2176, 2184, 2200, // the first record
    2304, 2312, 2432, 2440, // the second
];

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Value {
    Word(u64),
    Small(u8),
    /// What is there, plus or minus a little.
    Near(i8),
    Flip(u8),
    /// A power of two, plus or minus a little: the edges of packed fields.
    Edge(u8, i8),
    /// What is there at another place.
    Copy(u8),
}

#[derive(Arbitrary, Clone, Debug)]
enum Change {
    Known(u8, Value),
    /// Anywhere, records and slots included.
    Any(u16, Value),
    Bytes(u16, Vec<u8>),
    /// The slot's stamp takes its position's place in this ring: position, low bits.
    Slot(u8, Value),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    Send(u8),
    SendBatch(u8),
    Reserve(u8, u8),
    Recv,
    RecvInto,
    RecvBatch(u8),
    Lease(u8),
    Status,
    Producer,
    Consumer,
    DropProducer,
    DropConsumer,
    Open,
    Remove,
    RemoveIfUnused,
    Observe,
}

#[derive(Arbitrary, Debug)]
struct Input {
    spsc: bool,
    fence: bool,
    wait: bool,
    typed: bool,
    scrub: bool,
    capacity: u8,
    message_size: u8,
    participants: u8,
    origin: u64,
    before: Vec<Op>,
    /// Another segment under the same key, of so many bytes, beginning as the first did.
    replaced: Option<u16>,
    at_rest: Vec<Change>,
    typed_open: bool,
    steps: Vec<(Op, Option<Change>)>,
}

/// Removes both objects by id at the end, whatever became of the names, and if the target panics.
struct Objects(Vec<i32>, Vec<i32>);

impl Drop for Objects {
    fn drop(&mut self) {
        for &id in &self.0 {
            // SAFETY: IPC_RMID takes no buffer; a segment that is gone is EINVAL or EIDRM.
            unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        }
        for &id in &self.1 {
            // SAFETY: as above.
            unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
        }
    }
}

fn put(mapping: &Mapping, at: usize, value: Value) {
    let at = at % mapping.len().max(8) / 8 * 8;
    let Some(word) = mapping.word(at) else { return };
    let old = word.load(Ordering::Relaxed);
    let new = match value {
        Value::Word(v) => v,
        Value::Small(v) => v.into(),
        Value::Near(d) => old.wrapping_add_signed(d.into()),
        Value::Flip(bit) => old ^ 1 << (bit % 64),
        Value::Edge(bit, d) => (1u64 << (bit % 64)).wrapping_add_signed(d.into()),
        Value::Copy(from) => mapping.load(WORDS[usize::from(from) % WORDS.len()]).unwrap_or(old),
    };
    word.store(new, Ordering::Relaxed);
}

fn apply(mapping: &Mapping, slots: usize, change: &Change) {
    match change {
        Change::Known(i, value) => put(mapping, WORDS[usize::from(*i) % WORDS.len()], *value),
        Change::Any(at, value) => put(mapping, usize::from(*at) * 8, *value),
        Change::Slot(at, value) => put(mapping, slots + usize::from(*at) * 8, *value),
        Change::Bytes(at, bytes) => {
            let at = usize::from(*at) % mapping.len();
            let len = bytes.len().min(mapping.len() - at);
            let _ = mapping.write(at, &bytes[..len]);
        }
    }
}

struct World<'a> {
    name: &'a str,
    options: Options,
    typed: bool,
    channel: Option<Channel>,
    producer: Option<Producer>,
    consumer: Option<Consumer>,
}

impl World<'_> {
    fn step(&mut self, op: Op) {
        let data = [0x5a; 300];
        match op {
            Op::Producer => match &self.channel {
                Some(channel) => self.producer = channel.producer().ok().or(self.producer.take()),
                None => self.producer = self.options.producer(self.name).ok().or(self.producer.take()),
            },
            Op::Consumer => match &self.channel {
                Some(channel) => self.consumer = channel.consumer().ok().or(self.consumer.take()),
                None => self.consumer = self.options.consumer(self.name).ok().or(self.consumer.take()),
            },
            Op::DropProducer => drop(self.producer.take()),
            Op::DropConsumer => drop(self.consumer.take()),
            Op::Open => {
                self.channel = self.options.open(self.name).ok();
                if self.typed {
                    drop(self.options.typed_producer::<u64>(self.name, "u64").map(|mut p| p.try_send(7)));
                    drop(self.options.typed_consumer::<u64>(self.name, "u64").map(|mut c| c.try_recv()));
                }
            }
            Op::Remove => drop(self.channel.take().map(Channel::remove)),
            Op::Observe => {
                if let Ok(observer) = self.options.observe(self.name) {
                    let _ = (format!("{:?}", observer.status()), observer.len());
                    let _ = observer.wait_until_gone(Role::Consumer, Duration::ZERO);
                    let _ = observer.wait_for_death(1, Duration::ZERO);
                }
            }
            Op::RemoveIfUnused => drop(self.channel.take().map(Channel::remove_if_unused)),
            Op::Status => {
                if let Some(channel) = &self.channel {
                    let _ = (format!("{:?}", channel.status()), channel.len(), channel.capacity());
                }
                drop(self.producer.as_ref().map(|p| (p.len(), format!("{:?}", p.status()))));
                drop(self.consumer.as_ref().map(|c| (c.len(), format!("{:?}", c.status()))));
            }
            Op::Send(len) => drop(self.producer.as_mut().map(|p| p.try_send(&data[..len.into()]))),
            Op::SendBatch(n) => {
                let all = vec![&data[..usize::from(n % 16)]; n.into()];
                drop(self.producer.as_mut().map(|p| p.try_send_batch(&all)));
            }
            Op::Reserve(len, how) => {
                if let Some(Ok(mut grant)) = self.producer.as_mut().map(|p| p.try_reserve(len.into())) {
                    grant.write(0, &data[..len.into()]).unwrap();
                    match how % 3 {
                        0 => grant.commit(),
                        1 => drop(grant),
                        _ => std::mem::forget(grant),
                    }
                }
            }
            Op::Recv => {
                if let Some(Ok(m)) = self.consumer.as_mut().map(Consumer::try_recv) {
                    assert!(m.data.len() <= self.consumer.as_ref().unwrap().message_size());
                }
            }
            Op::RecvInto => {
                if let Some(c) = self.consumer.as_mut() {
                    let mut buffer = vec![0; c.message_size()];
                    let _ = c.try_recv_into(&mut buffer);
                }
            }
            Op::RecvBatch(max) => {
                if let Some(c) = self.consumer.as_mut() {
                    let mut batch = Batch::new();
                    let _ = c.try_recv_batch(&mut batch, max.into());
                    assert!(batch.len() <= usize::from(max));
                    let most = c.message_size();
                    assert!(batch.iter().all(|m| m.data.len() <= most));
                }
            }
            Op::Lease(how) => {
                if let Some(Ok(lease)) = self.consumer.as_mut().map(Consumer::try_lease) {
                    let _ = lease.to_vec();
                    match how % 3 {
                        0 => lease.ack(),
                        1 => lease.retry(),
                        _ => std::mem::forget(lease),
                    }
                }
            }
        }
    }
}

fn run(input: Input) -> Corpus {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static PROCESS: OnceLock<u32> = OnceLock::new();
    let process = PROCESS.get_or_init(std::process::id);
    let name = format!("fuzz-open-{process}-{}", COUNT.fetch_add(1, Ordering::Relaxed));

    let participants = 2 + usize::from(input.participants % 5);
    let message_size = if input.typed { 8 } else { u64::from(input.message_size) };
    let creating = Options::new()
        .kind(if input.spsc { Kind::Spsc } else { Kind::Mpmc })
        .wake_mode(if input.fence { WakeMode::Fence } else { WakeMode::Membarrier })
        .when_no_consumer(if input.wait { WhenNoConsumer::Wait } else { WhenNoConsumer::Disconnect })
        .capacity(1 + u64::from(input.capacity % 16))
        .message_size(message_size)
        .participants(participants)
        .scrub(input.scrub)
        .origin(input.origin)
        .lock_timeout(Duration::from_millis(200));
    if input.typed {
        drop(creating.typed_producer::<u64>(&*name, "u64").expect("a fresh name"));
    }
    let channel =
        if input.typed { creating.open(&*name) } else { creating.create(&*name) }.expect("a fresh name");
    let status = channel.status().expect("a fresh channel");
    let mut objects = Objects(vec![status.segment_id], vec![status.semaphore_id]);

    let options = Options::new().existing().lock_timeout(Duration::from_millis(200));
    let mut world = World {
        name: &name,
        options,
        typed: input.typed_open,
        channel: Some(channel),
        producer: None,
        consumer: None,
    };
    for &op in input.before.iter().filter(|op| !matches!(op, Op::Remove | Op::RemoveIfUnused)).take(16) {
        world.step(op);
    }

    let mut mapping = Segment::from_id(status.segment_id).and_then(|s| s.attach()).expect("our own segment");
    if let Some(bytes) = input.replaced {
        // SAFETY: IPC_RMID takes no buffer.
        unsafe { libc::shmctl(status.segment_id, libc::IPC_RMID, std::ptr::null_mut()) };
        let size = usize::from(bytes % 20_000).max(1);
        let segment =
            SegmentOptions::new().size(size).create(Key::Name(name.clone())).expect("the key is free");
        objects.0.push(segment.id());
        let other = segment.attach().expect("our own segment");
        let mut begin = vec![0; other.len().min(mapping.len())];
        mapping.read(0, &mut begin).unwrap();
        other.write(0, &begin).unwrap();
        mapping = other;
    }
    let slots = 2048 + participants * 256;
    input.at_rest.iter().take(16).for_each(|change| apply(&mapping, slots, change));

    // What was made before the damage goes on; and what is opened after it.
    for round in 0..2 {
        for (op, change) in input.steps.iter().take(24) {
            if let Some(change) = change {
                apply(&mapping, slots, change);
            }
            world.step(*op);
        }
        if round == 0 {
            (world.producer, world.consumer) = (None, None);
            world.channel = None;
            for op in [Op::Open, Op::Producer, Op::Consumer, Op::Send(3), Op::Recv, Op::Status] {
                world.step(op);
            }
        }
    }
    drop(world);
    // As it would be removed; what that cannot find, `objects` removes.
    if let Ok(channel) = Options::new().existing().lock_timeout(Duration::from_millis(200)).open(&*name) {
        let _ = channel.remove();
    }
    Corpus::Keep
}

fuzz_target!(|input: Input| -> Corpus { run(input) });
