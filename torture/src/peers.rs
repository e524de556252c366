//! What the others of a case do: who keeps the victim company, who died before, and who recovers it in a double kill.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use semring::{Channel, Consumer, Error, Options, RecvError};

use crate::cases::Part;
use crate::operations::{DEAD, HANG, PEER, SECOND, Stage, complain};
use crate::reader::Reader;
use crate::sys::{self, mark};

/// How often company looks again that does.
const RECHECK: Duration = Duration::from_millis(2);

impl Stage<'_> {
    /// Of those who keep the victim company.
    fn peer_options(&self) -> Options {
        self.options().recheck_interval(self.rechecks.then_some(RECHECK))
    }

    /// A consumer that takes all there is until the end; from now on, or from when it is told to.
    pub(crate) fn drain(&self, at_once: bool) -> i32 {
        sys::alarm(HANG);
        let mut consumer = self.peer_options().consumer(self.name).expect("a place for a consumer");
        while !at_once && self.ledger.go().load(SeqCst) == 0 {
            sys::pause(20);
        }
        let mut reader = Reader::new(self.ledger, PEER);
        loop {
            match consumer.lease() {
                Ok(lease) => reader.acknowledge(lease),
                Err(RecvError::Disconnected) => return 0,
                Err(RecvError::Failed(Error::Removed)) if self.case.op.removes() => return 0,
                Err(e) => return complain("a consumer", &e),
            }
        }
    }

    /// A producer that sends two messages, if need be when there is room.
    pub(crate) fn fill(&self) -> i32 {
        sys::alarm(HANG);
        let mut producer = self.peer_options().producer(self.name).expect("a place for a producer");
        for _ in 0..2 {
            let (id, bytes) = self.ledger.begin(PEER);
            match producer.send_tagged(id.tag(), bytes.as_ref()) {
                Ok(()) => self.ledger.sent(id),
                Err(semring::SendError::Disconnected(())) if !self.case.waits => return 0,
                Err(e) => return complain("a producer", &e),
            }
        }
        0
    }

    /// Takes a message and dies.
    pub(crate) fn die_consuming(&self) -> i32 {
        let mut consumer = self.consumer();
        let lease = consumer.lease().expect("a message");
        Reader::new(self.ledger, DEAD).hold(&lease);
        die()
    }

    /// Claims a slot and dies.
    pub(crate) fn die_producing(&self) -> i32 {
        let mut producer = self.producer();
        let (id, bytes) = self.ledger.begin(DEAD);
        self.ledger.aborted(id);
        let mut grant = producer.reserve(bytes.as_ref().len()).expect("room");
        grant.write(0, bytes.as_ref()).expect("within");
        die()
    }

    /// The recoverer of a double kill: it was there when the victim died, and takes everything that it can, between marks.
    pub(crate) fn recover(&self) {
        let mut consumer = self.consumer();
        mark();
        self.take_all(&mut consumer);
        mark();
    }

    /// The successor of the dead in a double kill: joins afterwards, and takes everything.
    pub(crate) fn succeed(&self) {
        let join = self.join(Channel::consumer, Options::consumer);
        mark();
        if let Ok(mut consumer) = join() {
            self.take_all(&mut consumer);
        }
        mark();
    }

    /// Another newcomer: repairs what it can, and produces.
    pub(crate) fn succeed_producing(&self) {
        let (id, bytes) = self.ledger.begin(SECOND);
        let join = self.join(Channel::producer, Options::producer);
        mark();
        if let Ok(mut producer) = join() {
            if producer.try_send(bytes.as_ref()).is_ok() {
                self.ledger.sent(id);
            }
        }
        mark();
    }

    /// How a newcomer joins. Where the dead one was opening or removing, the channel has to be opened, or made.
    fn join<'s, T: 's>(
        &'s self,
        register: fn(&Channel) -> semring::Result<T>,
        open: fn(&Options, &'s str) -> semring::Result<T>,
    ) -> impl FnOnce() -> semring::Result<T> + 's {
        let channel = (self.case.op.part() != Part::Nobody).then(|| self.channel());
        move || match channel {
            Some(channel) => register(&channel),
            None => open(&self.case.options(), self.name),
        }
    }

    fn take_all(&self, consumer: &mut Consumer) {
        let mut reader = Reader::new(self.ledger, SECOND);
        while let Ok(lease) = consumer.try_lease() {
            reader.acknowledge(lease);
        }
    }
}

fn die() -> i32 {
    sys::signal(std::process::id() as sys::Pid, libc::SIGKILL);
    1
}
