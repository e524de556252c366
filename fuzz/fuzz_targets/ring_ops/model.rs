//! A plain queue of slots beside the channel, and what each operation must answer by it.

mod receiving;

use std::collections::VecDeque;

use arbitrary::Arbitrary;
use semring::{Channel, Consumer, Error, Kind, Producer, TrySendError};

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Grant {
    Commit,
    Abort,
    Forget,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum End {
    Ack,
    Drop,
    Retry,
    Forget,
}

#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Op {
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

pub(crate) struct Model {
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

impl Model {
    pub(crate) fn new(channel: Channel, kind: Kind, wait: bool, capacity: usize, size: usize) -> Self {
        Model {
            channel,
            kind,
            wait,
            capacity,
            size,
            producers: [None, None],
            saw_consumer: [false; 2],
            consumer: None,
            queue: VecDeque::new(),
            given: false,
            serial: 0,
        }
    }

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

    pub(crate) fn step(&mut self, op: &Op) {
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
    pub(crate) fn finish(&mut self) {
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
