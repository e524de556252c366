//! What the victim of a case does between its two marks.
//!
//! It notes what its calls return as soon as they do; what comes after the second mark happens only when it was
//! stopped instead of killed.

use std::io;
use std::sync::atomic::Ordering::SeqCst;

use semring::{Batch, Channel, Consumer, Error, Options, Producer};

use crate::cases::{Case, Op};
use crate::fault::Fault;
use crate::ledger::{Hand, Ledger};
use crate::message::{self, Bytes, Id};
use crate::reader::Reader;
use crate::sys::mark;

/// Numbers of the processes in the ledger, as producers and as consumers.
pub(crate) const HARNESS: usize = 0;
pub(crate) const VICTIM: usize = 1;
pub(crate) const PEER: usize = 2;
pub(crate) const DEAD: usize = 3;
pub(crate) const SECOND: usize = 4;
/// Those who try whether everything works, from this number on.
pub(crate) const TESTER: usize = 5;

/// Seconds after which a process that hangs is given up.
pub(crate) const HANG: u32 = 20;

/// A message and its tag.
type Next = (Id, Bytes);

/// What a process of a case needs to know.
pub(crate) struct Stage<'a> {
    pub(crate) name: &'a str,
    pub(crate) case: &'a Case,
    pub(crate) ledger: &'a Ledger,
    /// Those who keep it company look again now and then without being woken.
    pub(crate) rechecks: bool,
}

/// Why an operation did not do what it is for, if an ordinary peer explains it.
pub(crate) fn explained(error: &Error) -> bool {
    matches!(error, Error::Removed | Error::AlreadyExists { .. } | Error::NotFound { .. })
}

impl Stage<'_> {
    pub(crate) fn options(&self) -> Options {
        self.case.options().existing()
    }

    pub(crate) fn producer(&self) -> Producer {
        self.options().producer(self.name).expect("a place for a producer")
    }

    pub(crate) fn consumer(&self) -> Consumer {
        self.options().consumer(self.name).expect("a place for a consumer")
    }

    pub(crate) fn channel(&self) -> Channel {
        self.options().open(self.name).expect("the channel")
    }

    /// The case's operation, between marks.
    pub(crate) fn perform(&self) {
        match self.case.op {
            Op::Send | Op::SendBlocked => {
                self.send(|p, (id, b)| Ok(p.send_tagged(id.tag(), b.as_ref())?));
            }
            Op::TrySendFull => self.send(|p, (id, b)| Ok(p.try_send_tagged(id.tag(), b.as_ref())?)),
            Op::Commit => self.send(Self::commit),
            Op::SendBatch => self.send_batch(3),
            Op::SendBatchBlocked => self.send_batch(4),
            Op::Abort => self.abort(),
            Op::Recv | Op::RecvBlocked => self.recv(|c| Ok(c.recv()?)),
            Op::TryRecvEmpty | Op::Recover | Op::TakeGift => self.recv(|c| Ok(c.try_recv()?)),
            Op::RecvInto => self.recv_into(),
            Op::RecvBatch => self.recv_batch(),
            Op::Lease => self.lease(),
            Op::Ack => self.ack(),
            Op::Retry => self.retry(),
            Op::TakeBack => self.take_back(),
            Op::LeaveProducer => between(self.producer(), drop),
            Op::LeaveConsumer => between(self.consumer(), drop),
            Op::LeaveInHand => self.leave_in_hand(),
            Op::RegisterProducer | Op::RegisterOver => {
                let channel = self.channel();
                self.attempt(|| channel.producer());
            }
            Op::RegisterConsumer | Op::RegisterHeir => {
                let channel = self.channel();
                self.attempt(|| channel.consumer());
            }
            Op::Create => self.attempt(|| self.case.options().create(self.name)),
            Op::OpenOrCreate | Op::OpenExisting => {
                self.attempt(|| self.case.options().open_or_create(self.name));
            }
            Op::Open => self.attempt(|| self.case.options().open(self.name)),
            Op::Remove => {
                let channel = self.channel();
                self.attempt(|| channel.remove());
            }
            Op::RemoveIfUnused => {
                let channel = self.channel();
                self.attempt(|| channel.remove_if_unused());
            }
        }
    }

    /// An outcome that nothing explains is a fault.
    fn attempt<T>(&self, run: impl FnOnce() -> semring::Result<T>) {
        mark();
        let result = run();
        mark();
        if let Err(e) = result {
            self.judge(&e.into());
        }
    }

    /// Judges an outcome that is not a channel's ordinary answer.
    fn judge(&self, error: &io::Error) {
        let Some(error) = error.get_ref().and_then(|e| e.downcast_ref::<Error>()) else { return };
        if !self.ledger.excuses(error) && !explained(error) {
            complain("the victim", error);
            self.ledger.fault(Fault::Failed, 1);
        }
    }

    fn send(&self, send: impl FnOnce(&mut Producer, &Next) -> io::Result<()>) {
        let mut producer = self.producer();
        let next = self.ledger.begin(VICTIM);
        mark();
        let sent = send(&mut producer, &next);
        match &sent {
            Ok(()) => self.ledger.sent(next.0),
            Err(_) => self.ledger.aborted(next.0),
        }
        mark();
        sent.unwrap_or_else(|e| self.judge(&e));
    }

    fn commit(producer: &mut Producer, (id, bytes): &Next) -> io::Result<()> {
        let mut grant = producer.reserve(bytes.as_ref().len())?;
        grant.set_tag(id.tag());
        let (first, second) = bytes.as_ref().split_at(16);
        grant.write(0, first)?;
        grant.write(16, second)?;
        grant.commit();
        Ok(())
    }

    fn abort(&self) {
        let mut producer = self.producer();
        let (id, bytes) = self.ledger.begin(VICTIM);
        self.ledger.aborted(id);
        mark();
        let reserved = producer.reserve(bytes.as_ref().len()).map(|mut grant| {
            let _ = grant.write(0, bytes.as_ref()); // within: it was reserved for it
        });
        mark();
        reserved.unwrap_or_else(|e| self.judge(&e.into()));
    }

    fn send_batch(&self, count: usize) {
        let mut producer = self.producer();
        let (ids, batch): (Vec<Id>, Vec<Bytes>) = (0..count).map(|_| self.ledger.begin(VICTIM)).unzip();
        mark();
        let result = producer.send_batch(&batch);
        let sent = result.as_ref().map_or_else(|e| e.sent, |()| count);
        for (nth, &id) in ids.iter().enumerate() {
            if nth < sent { self.ledger.sent(id) } else { self.ledger.aborted(id) }
        }
        mark();
        result.unwrap_or_else(|e| self.judge(&e.error.into()));
    }

    /// A call that acknowledges by itself: until it is noted, the message is in doubt.
    fn recv(&self, recv: impl FnOnce(&mut Consumer) -> io::Result<semring::Message>) {
        let mut consumer = self.consumer();
        self.ledger.set_hand(VICTIM, Hand::Taking(1));
        mark();
        let message = recv(&mut consumer);
        mark();
        match message {
            Ok(message) => {
                Reader::new(self.ledger, VICTIM).took(&message, message.tag, message.attempt);
            }
            Err(e) => self.judge(&e),
        }
        self.ledger.set_hand(VICTIM, Hand::Empty);
    }

    /// Likewise; the tracer looks into the buffer of the dead, which must be complete if the message is gone.
    fn recv_into(&self) {
        let mut consumer = self.consumer();
        let mut buffer = [0; message::SIZE];
        self.ledger.buffer().store(buffer.as_ptr() as u64, SeqCst);
        self.ledger.set_hand(VICTIM, Hand::Taking(1));
        mark();
        let received = consumer.recv_into(&mut buffer);
        mark();
        match received {
            Ok(received) => {
                let bytes = &buffer[..received.len];
                Reader::new(self.ledger, VICTIM).took(bytes, received.tag, received.attempt);
            }
            Err(e) => self.judge(&e.into()),
        }
        self.ledger.set_hand(VICTIM, Hand::Empty);
    }

    fn recv_batch(&self) {
        let mut consumer = self.consumer();
        let mut batch = Batch::new();
        self.ledger.set_hand(VICTIM, Hand::Taking(3));
        mark();
        let received = consumer.recv_batch(&mut batch, 3); // an error leaves the batch empty
        mark();
        if let Err(e) = received {
            self.judge(&e.into());
        }
        let mut reader = Reader::new(self.ledger, VICTIM);
        batch.iter().for_each(|message| reader.took(message.data, message.tag, message.attempt));
        self.ledger.set_hand(VICTIM, Hand::Empty);
    }

    fn lease(&self) {
        let mut consumer = self.consumer();
        mark();
        let lease = consumer.lease();
        mark();
        match lease {
            Ok(lease) => Reader::new(self.ledger, VICTIM).acknowledge(lease),
            Err(e) => self.judge(&e.into()),
        }
    }

    fn ack(&self) {
        let mut consumer = self.consumer();
        let lease = consumer.lease().expect("a message");
        let id = Reader::new(self.ledger, VICTIM).hold(&lease).expect("whole");
        self.ledger.set_hand(VICTIM, Hand::Acking(id));
        mark();
        lease.ack();
        self.ledger.acknowledged(VICTIM, id);
        mark();
    }

    fn retry(&self) {
        let mut consumer = self.consumer();
        let lease = consumer.lease().expect("a message");
        Reader::new(self.ledger, VICTIM).hold(&lease);
        mark();
        lease.retry();
        mark();
        self.ledger.set_hand(VICTIM, Hand::Empty);
    }

    fn take_back(&self) {
        let mut consumer = self.consumer();
        let mut reader = Reader::new(self.ledger, VICTIM);
        reader.give_back(consumer.lease().expect("a message"));
        self.ledger.set_hand(VICTIM, Hand::Taking(1));
        mark();
        let message = consumer.try_recv();
        mark();
        match message {
            Ok(message) => reader.took(&message, message.tag, message.attempt),
            Err(e) => self.judge(&e.into()),
        }
        self.ledger.set_hand(VICTIM, Hand::Empty);
    }

    fn leave_in_hand(&self) {
        let mut consumer = self.consumer();
        let lease = consumer.lease().expect("a message");
        Reader::new(self.ledger, VICTIM).hold(&lease);
        std::mem::forget(lease);
        between(consumer, drop);
        self.ledger.set_hand(VICTIM, Hand::Empty);
    }
}

fn between<T>(what: T, run: impl FnOnce(T)) {
    mark();
    run(what);
    mark();
}

pub(crate) fn complain(who: &str, error: &dyn std::fmt::Display) -> i32 {
    eprintln!("{who}: {error}");
    1
}
