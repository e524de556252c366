//! Any sequence of operations in one process against a plain queue of slots: what comes out is what went in, in
//! order, each once, with the right tag and attempt; and Full, Empty and Disconnected come when they should.
//!
//! One consumer at a time, up to two producers (MPMC). So the order is exact for both rings: what was given back is
//! in front, and comes again first.
#![no_main]

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use semring::{
    Batch, Channel, Consumer, Error, Kind, Options, Producer, TryRecvError, TrySendError, WakeMode,
    WhenNoConsumer,
};

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

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Grant {
    Commit,
    Abort,
    Forget,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum End {
    Ack,
    Drop,
    Retry,
    Forget,
}

#[derive(Arbitrary, Clone, Debug)]
enum Op {
    Send {
        who: bool,
        len: u8,
    },
    Batch {
        who: bool,
        lens: Vec<u8>,
    },
    Reserve {
        who: bool,
        len: u8,
        end: Grant,
    },
    Recv,
    RecvInto,
    RecvBatch {
        max: u8,
    },
    Lease {
        end: End,
    },
    /// The same message again and again, to where its attempts saturate.
    Retry {
        times: u8,
    },
    Producer {
        who: bool,
    },
    DropProducer {
        who: bool,
    },
    CloneProducer,
    Consumer,
    DropConsumer,
    SecondConsumer,
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

/// What a slot between the consumer's and the producers' position holds.
#[derive(Debug)]
enum Slot {
    Message {
        data: Vec<u8>,
        tag: u32,
        attempts: u32,
    },
    /// Claimed by that producer, whose grant was forgotten.
    Open(usize),
    Void,
}

const MOST_ATTEMPTS: u32 = 16;

struct Model {
    channel: Channel,
    kind: Kind,
    wait: bool,
    capacity: usize,
    size: usize,
    producers: [Option<Producer>; 2],
    /// Was a consumer there during this producer's life?
    saw_consumer: [bool; 2],
    consumer: Option<Consumer>,
    queue: VecDeque<Slot>,
    /// The front was given back by `retry`: a call that does not wait may be told "empty" for some microseconds.
    given: bool,
    serial: u32,
}

/// Removes the channel also if the model and the ring disagree.
struct Remove(Channel);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = self.0.clone().remove();
    }
}

impl Model {
    fn message(&mut self, len: u8) -> Vec<u8> {
        self.serial += 1;
        let len = usize::from(len) % (self.size + 2);
        (0..len).map(|i| (self.serial as usize + i * 7) as u8).collect()
    }

    /// Every operation of a producer begins with ending what it left behind.
    fn begin_producer(&mut self, who: usize) {
        for slot in &mut self.queue {
            if matches!(slot, Slot::Open(by) if *by == who) {
                *slot = Slot::Void;
            }
        }
    }

    fn room(&self) -> usize {
        self.capacity - self.queue.len()
    }

    fn has_messages(&self) -> bool {
        self.queue.iter().any(|slot| matches!(slot, Slot::Message { .. }))
    }

    /// Judges an error; says whether it was one that the model foresees.
    fn refused(&self, who: usize, e: &TrySendError, len: usize) {
        match e {
            TrySendError::Full(()) => assert_eq!(self.room(), 0, "full with room"),
            TrySendError::Disconnected(()) => {
                assert!(self.consumer.is_none(), "disconnected from a living consumer");
                assert!(!self.wait, "disconnected although the policy is to wait");
                assert!(self.saw_consumer[who], "disconnected from a consumer that never was");
            }
            TrySendError::Failed((), Error::MessageTooLong { .. }) => assert!(len > self.size),
            TrySendError::Failed((), e) => panic!("sending failed: {e}"),
        }
    }

    fn send(&mut self, who: usize, len: u8) {
        let data = self.message(len);
        let tag = self.serial;
        let Some(producer) = &mut self.producers[who] else { return };
        let sent = producer.try_send_tagged(tag, &data);
        self.begin_producer(who);
        match sent {
            Ok(()) => {
                assert!(self.room() > 0 && data.len() <= self.size, "sent beyond the capacity or the size");
                self.queue.push_back(Slot::Message { data, tag, attempts: 0 });
            }
            Err(e) => self.refused(who, &e, data.len()),
        }
    }

    fn batch(&mut self, who: usize, lens: &[u8]) {
        let all: Vec<Vec<u8>> = lens.iter().take(40).map(|&len| self.message(len)).collect();
        let Some(producer) = &mut self.producers[who] else { return };
        let sent = producer.try_send_batch(&all);
        if !all.is_empty() {
            self.begin_producer(who);
        }
        let fitting = all.iter().take_while(|m| m.len() <= self.size).count();
        match sent {
            Ok(n) => {
                // Fewer only if the other side was found gone in the middle.
                let most = fitting.min(self.room());
                assert!(n == most || n < most && self.consumer.is_none(), "{n} of {most} sent");
                for data in all.into_iter().take(n) {
                    self.queue.push_back(Slot::Message { data, tag: 0, attempts: 0 });
                }
            }
            Err(e) => self.refused(who, &e, all.first().map_or(0, Vec::len)),
        }
    }

    fn reserve(&mut self, who: usize, len: u8, end: Grant) {
        let data = self.message(len);
        let tag = self.serial;
        let Some(producer) = &mut self.producers[who] else { return };
        let refused = match producer.try_reserve(data.len()) {
            Ok(mut grant) => {
                let half = data.len() / 2;
                grant.set_tag(tag);
                grant.write(half, &data[half..]).expect("within the length");
                grant.write(0, &data[..half]).expect("within the length");
                assert!(grant.write(data.len(), b"x").is_err());
                match end {
                    Grant::Commit => grant.commit(),
                    Grant::Abort => drop(grant),
                    Grant::Forget => std::mem::forget(grant),
                }
                None
            }
            Err(e) => Some(e),
        };
        self.begin_producer(who);
        if let Some(e) = refused {
            return self.refused(who, &e, data.len());
        }
        assert!(self.room() > 0, "reserved beyond the capacity");
        match (end, self.kind) {
            (Grant::Commit, _) => self.queue.push_back(Slot::Message { data, tag, attempts: 0 }),
            (_, Kind::Spsc) => {} // the slot was promised to nobody
            (Grant::Abort, _) => self.queue.push_back(Slot::Void),
            (Grant::Forget, _) => self.queue.push_back(Slot::Open(who)),
        }
    }

    /// The next message as the model has it, with one more attempt. Voids before it are freed on the way.
    fn front(&mut self) -> Option<(Vec<u8>, u32, u32)> {
        while matches!(self.queue.front(), Some(Slot::Void)) {
            self.queue.pop_front();
        }
        match self.queue.front_mut() {
            Some(Slot::Message { data, tag, attempts }) => {
                *attempts = (*attempts + 1).min(MOST_ATTEMPTS);
                Some((data.clone(), *tag, *attempts))
            }
            _ => None,
        }
    }

    /// Runs a receiving call; nothing only if the model agrees that there is nothing.
    fn receive<T>(&mut self, mut call: impl FnMut(&mut Consumer) -> Result<T, TryRecvError>) -> Option<T> {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let consumer = self.consumer.as_mut()?;
            match call(consumer) {
                Ok(got) => {
                    self.given = false;
                    return Some(got);
                }
                Err(TryRecvError::Empty) if self.given && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_micros(10));
                }
                Err(TryRecvError::Empty) => {
                    assert!(
                        self.front().is_none(),
                        "empty with a message in front (given back: {})",
                        self.given
                    );
                    return None;
                }
                Err(TryRecvError::Disconnected) => {
                    assert!(
                        self.producers.iter().all(Option::is_none),
                        "end of stream with a living producer"
                    );
                    assert!(!self.has_messages(), "end of stream with messages left");
                    self.front();
                    return None;
                }
                Err(e) => panic!("receiving failed: {e}"),
            }
        }
    }

    fn recv(&mut self, into: bool) {
        let size = self.size;
        let got = self.receive(|consumer| {
            if into {
                let mut buffer = vec![0; size + 3];
                let r = consumer.try_recv_into(&mut buffer)?;
                buffer.truncate(r.len);
                Ok((buffer, r.tag, r.attempt))
            } else {
                consumer.try_recv().map(|m| (m.data, m.tag, m.attempt))
            }
        });
        if let Some(got) = got {
            assert_eq!(Some(got), self.front(), "received (data, tag, attempt)");
            self.queue.pop_front();
        }
    }

    fn recv_batch(&mut self, max: u8) {
        let mut batch = Batch::new();
        let Some(n) = self.receive(|consumer| consumer.try_recv_batch(&mut batch, max.into()).map(|n| n))
        else {
            return;
        };
        assert_eq!(n, batch.len());
        assert!(n <= usize::from(max) && (n > 0 || max == 0));
        if n == 0 {
            return;
        }
        // A range taken back comes alone. Otherwise claims of up to `max` slots, until one has a message in it.
        let again = self.kind == Kind::Mpmc
            && matches!(self.queue.front(), Some(Slot::Message { attempts, .. }) if *attempts > 0);
        let mut expected = Vec::new();
        while expected.is_empty() {
            let want = if again { 1 } else { usize::from(max).min(self.capacity) };
            let ready =
                self.queue.iter().take_while(|slot| !matches!(slot, Slot::Open(_))).take(want).count();
            assert!(ready > 0, "received {n} messages where there are none");
            for slot in self.queue.drain(..ready) {
                if let Slot::Message { data, tag, attempts } = slot {
                    expected.push((data, tag, (attempts + 1).min(MOST_ATTEMPTS)));
                }
            }
        }
        let got: Vec<_> = batch.iter().map(|m| (m.data.to_vec(), m.tag, m.attempt)).collect();
        assert_eq!(got, expected, "received (data, tag, attempt)");
    }

    fn lease(&mut self, end: End) {
        let got = self.receive(|consumer| {
            consumer.try_lease().map(|lease| {
                let got = (lease.to_vec(), lease.tag(), lease.attempt());
                assert_eq!(lease.redelivered(), got.2 > 1);
                match end {
                    End::Ack => lease.ack(),
                    End::Drop => drop(lease),
                    End::Retry => lease.retry(),
                    End::Forget => std::mem::forget(lease),
                }
                got
            })
        });
        if let Some(got) = got {
            assert_eq!(Some(got), self.front(), "leased (data, tag, attempt)");
            match end {
                End::Ack | End::Drop => drop(self.queue.pop_front()),
                End::Retry => self.given = self.kind == Kind::Mpmc,
                End::Forget => {}
            }
        }
    }

    fn register(&mut self, who: usize) {
        if self.producers[who].is_some() {
            return;
        }
        let producer = self.channel.producer();
        if self.kind == Kind::Spsc && self.producers[1 - who].is_some() {
            assert!(matches!(producer, Err(Error::NoRoom { .. })), "a second producer of an SPSC channel");
            return;
        }
        self.producers[who] = Some(producer.expect("room for a producer"));
        self.saw_consumer[who] = self.consumer.is_some();
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Send { who, len } => self.send(who.into(), len),
            Op::Batch { who, ref lens } => self.batch(who.into(), lens),
            Op::Reserve { who, len, end } => self.reserve(who.into(), len, end),
            Op::Recv => self.recv(false),
            Op::RecvInto => self.recv(true),
            Op::RecvBatch { max } => self.recv_batch(max),
            Op::Lease { end } => self.lease(end),
            Op::Retry { times } => (0..times % 20).for_each(|_| self.lease(End::Retry)),
            Op::Producer { who } => self.register(who.into()),
            Op::DropProducer { who } => {
                if self.producers[usize::from(who)].take().is_some() {
                    self.begin_producer(who.into());
                }
            }
            Op::CloneProducer => {
                if let [Some(one), None] = &self.producers {
                    match (one.try_clone(), self.kind) {
                        (Err(Error::NoRoom { .. }), Kind::Spsc) => {}
                        (Ok(two), Kind::Mpmc) => {
                            self.producers[1] = Some(two);
                            self.saw_consumer[1] = self.saw_consumer[0] || self.consumer.is_some();
                        }
                        (other, kind) => panic!("a clone of a {kind} producer: {other:?}"),
                    }
                }
            }
            Op::Consumer if self.consumer.is_none() => {
                self.consumer = Some(self.channel.consumer().expect("room for a consumer"));
                self.saw_consumer = [true; 2];
            }
            Op::Consumer => {}
            Op::DropConsumer => {
                self.consumer = None;
                self.given = false; // an heir has it at once
            }
            Op::SecondConsumer => {
                if self.kind == Kind::Spsc && self.consumer.is_some() {
                    assert!(matches!(self.channel.consumer(), Err(Error::NoRoom { .. })));
                }
            }
        }
        let len = self.channel.len();
        assert!(len <= self.capacity as u64, "{len} messages in a channel of {}", self.capacity);
    }

    /// All producers leave; everything that is left comes out, then the end of the stream.
    fn finish(&mut self) {
        for who in [false, true] {
            self.step(&Op::DropProducer { who });
        }
        self.step(&Op::Consumer);
        while self.has_messages() {
            let before = self.queue.len();
            self.recv(false);
            assert!(self.queue.len() < before, "a message stays away");
        }
        // Whether a fresh consumer sees an end of stream depends on who was there in its life.
        self.recv(false);
        assert_eq!(self.channel.len(), 0, "slots are left when everything was received");
        self.consumer = None;
        assert!(self.channel.clone().remove_if_unused().expect("an unused channel"), "used, but by whom?");
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
    let mut model = Model {
        channel,
        kind,
        wait: input.wait,
        capacity: capacity as usize,
        size,
        producers: [None, None],
        saw_consumer: [false; 2],
        consumer: None,
        queue: VecDeque::new(),
        given: false,
        serial: 0,
    };
    model.step(&Op::Producer { who: false });
    model.step(&Op::Consumer);
    for op in input.ops.iter().take(200) {
        model.step(op);
    }
    model.finish();
});
