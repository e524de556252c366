//! What must hold when the victim is dead, or has gone on and ended: the survivors go on by themselves, every message is
//! accounted for, and nothing is left of the dead.

use semring::segment::SegmentOptions;
use semring::sem::{Set, SetOptions};
use semring::{Channel, Consumer, Kind, Producer};

use crate::cases::{Company, Part};
use crate::fault::Fault;
use crate::ledger::{Hand, Ledger};
use crate::message::Id;
use crate::operations::{HARNESS, TESTER};
use crate::reader::Reader;
use crate::scene::Scene;

/// `IDENT` of a finished channel (docs/design.md, section 3).
const READY: u16 = 0x5eb1;
const MOST_TOKENS: u16 = 32_767;

/// Messages that the dead may have acknowledged without saying so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Up to so many.
    Count(u64),
    /// This one, whose copy was complete; or none.
    Copied(Option<Id>),
}

impl Doubt {
    pub(crate) fn of(hand: Hand) -> Self {
        Doubt::Count(if let Hand::Taking(most) = hand { most } else { 0 })
    }
}

impl Scene<'_> {
    fn fault(&self, fault: Fault) {
        self.ledger.fault(fault, 1);
    }

    /// Everything, from the first survivor to the last object.
    pub(crate) fn check_all(&mut self, doubt: &Doubt) {
        let removed = self.case.op.removes() && self.is_removed();
        if !removed && !self.case.op.creates() {
            self.survivors_go_on();
        }
        if !self.reopen() {
            return self.clear_away();
        }
        self.drain_all();
        self.producer = None;
        self.consumer = None;
        if !removed {
            self.count_messages(doubt);
        }
        self.is_clean();
        match &self.channel {
            Some(channel) => works_as_new(channel, self.ledger),
            None => self.fault(Fault::Leaked),
        }
        self.leaves_nothing();
    }

    /// Does the company end without anybody's help, by the death of the victim alone?
    fn ends_alone(&self) -> bool {
        match self.case.company {
            Company::Nobody => true,
            Company::Bystander | Company::Fellow => true,
            // A filler waits for the next consumer; who came before the first of the other side waits for that.
            Company::Sleeper => {
                let waits = self.case.waits && self.case.op.part() == Part::Consumer;
                !waits && !self.case.op.comes_late()
            }
        }
    }

    /// Those who were there recover the dead and go on, woken by nothing but the death.
    fn survivors_go_on(&mut self) {
        self.ledger.go().store(1, std::sync::atomic::Ordering::SeqCst);
        if self.case.company == Company::Nobody || !self.ends_alone() {
            return;
        }
        if self.case.op.part() == Part::Consumer && self.case.company != Company::Sleeper {
            let gone_on = |scene: &mut Scene<'_>| {
                scene.status().is_some_and(|s| s.len == 0 && s.participants.iter().all(|p| p.alive))
            };
            if !self.wait_until(gone_on) {
                self.fault(Fault::Stuck);
            }
        }
        self.producer = None;
        self.consumer = None;
        if !self.wait_until(Self::peers_ended) {
            self.fault(Fault::Stuck);
            self.give_up();
        }
    }

    /// Who comes next finds a channel, or makes one, at the first try.
    fn reopen(&mut self) -> bool {
        match self.options().open_or_create(&*self.name) {
            Ok(channel) => self.channel = Some(channel),
            Err(e) => {
                eprintln!("{}: the next one cannot open it: {e}", self.case.name());
                self.fault(Fault::Failed);
                return false;
            }
        }
        true
    }

    /// Takes whatever is left, until everybody has ended, everybody dead is recovered, and nothing is there.
    fn drain_all(&mut self) {
        let Some(channel) = self.channel.clone() else { return };
        let mut consumer = self.consumer.take();
        let mut reader = Reader::new(self.ledger, HARNESS);
        let mut announced = false;
        let ledger = self.ledger;
        let done = self.wait_until(|scene| {
            let ended = scene.peers_ended();
            // A drainer that has never seen a producer waits for one.
            if !ended && !announced && scene.case.op.part() != Part::Consumer {
                scene.producer = None;
                announced = channel.producer().is_ok();
            }
            if consumer.is_none() {
                consumer = channel.consumer().ok();
            }
            let Some(consumer) = &mut consumer else { return false };
            while let Ok(lease) = consumer.try_lease() {
                reader.acknowledge(lease);
            }
            ended && channel.status().is_ok_and(|s| s.len == 0 && s.participants.iter().all(|p| p.alive))
        });
        if !done {
            ledger.fault(Fault::Stuck, 1);
            self.give_up();
        }
    }

    fn count_messages(&self, doubt: &Doubt) {
        let missing = self.ledger.missing();
        let lost = match doubt {
            Doubt::Count(most) => (missing.len() as u64).saturating_sub(*most),
            Doubt::Copied(copied) => missing.iter().filter(|&&id| Some(id) != *copied).count() as u64,
        };
        self.ledger.fault(Fault::Lost, lost);
    }

    fn is_clean(&self) {
        if !self.channel.as_ref().is_some_and(is_idle) {
            eprintln!("{}: left behind: {:?}", self.case.name(), self.status());
            self.fault(Fault::Leaked);
        }
    }

    /// Removing it leaves neither segment nor set.
    fn leaves_nothing(&mut self) {
        if self.channel.take().is_none_or(|channel| channel.remove().is_err()) {
            self.fault(Fault::Failed);
        }
        self.clear_away();
    }

    /// Removes what is there by the kernel's own means; anything is too much.
    pub(crate) fn clear_away(&mut self) {
        self.give_up();
        clear_away(&self.name, self.ledger);
    }
}

/// Removes what is there of a name by the kernel's own means; anything is too much.
pub(crate) fn clear_away(name: &str, ledger: &Ledger) {
    if let Ok(segment) = SegmentOptions::new().open(name) {
        ledger.fault(Fault::Leaked, 1);
        let _ = segment.remove(); // or somebody else just did
    }
    if let Ok(set) = SetOptions::new(0).open(name) {
        ledger.fault(Fault::Leaked, 1);
        let _ = set.remove(); // likewise
    }
}

/// Nothing of the dead is left: no index, no lease, no count, no lock.
pub(crate) fn is_idle(channel: &Channel) -> bool {
    let Ok(status) = channel.status() else { return false };
    let idle = status.participants.is_empty()
        && status.lock_holder.is_none()
        && (status.producers, status.consumers, status.len) == (0, 0, 0);
    let values = Set::from_id(status.semaphore_id).and_then(|set| set.values());
    idle && values.is_ok_and(|values| are_idle(&values, status.limit))
}

fn are_idle(values: &[u16], participants: usize) -> bool {
    let [ident, lock, producers, consumers, rest @ ..] = values else { return false };
    let (leases, rest) = rest.split_at(participants.min(rest.len()));
    let (wakes, spare) = rest.split_at(participants.min(rest.len()));
    (*ident, *lock, *producers, *consumers) == (READY, 0, 0, 0)
        && leases.iter().all(|&lease| lease == 0)
        && wakes.iter().all(|&tokens| tokens <= MOST_TOKENS)
        && spare == [0]
}

/// Every place can be taken, and the ring works all the way round.
pub(crate) fn works_as_new(channel: &Channel, ledger: &Ledger) {
    match take_all_places(channel) {
        Ok((mut producers, mut consumers)) => {
            let laps = 2 * channel.capacity() as usize;
            let works = round_trips(laps, ledger, &mut producers, &mut consumers);
            ledger.fault(Fault::Failed, u64::from(!works));
        }
        Err(e) => {
            eprintln!("{}: a place is lost: {e}", channel.name());
            ledger.fault(Fault::Leaked, 1);
        }
    }
}

fn take_all_places(channel: &Channel) -> semring::Result<(Vec<Producer>, Vec<Consumer>)> {
    let (mut producers, mut consumers) = (Vec::new(), Vec::new());
    let pairs = if channel.kind() == Kind::Spsc { 1 } else { channel.status()?.limit / 2 };
    for _ in 0..pairs {
        producers.push(channel.producer()?);
        consumers.push(channel.consumer()?);
    }
    Ok((producers, consumers))
}

/// So many messages, by all producers to all consumers in turn.
fn round_trips(
    messages: usize,
    ledger: &Ledger,
    producers: &mut [Producer],
    consumers: &mut [Consumer],
) -> bool {
    let mut readers: Vec<Reader<'_>> =
        (0..consumers.len()).map(|c| Reader::new(ledger, TESTER + c)).collect();
    (0..messages).all(|i| {
        let (p, c) = (i % producers.len(), i % consumers.len());
        let (id, bytes) = ledger.begin(TESTER + p);
        if producers[p].try_send_tagged(id.tag(), bytes.as_ref()).is_err() {
            return false;
        }
        ledger.sent(id);
        match consumers[c].try_lease() {
            Ok(lease) => readers[c].hold(&lease) == Some(id) && lease.attempt() == 1,
            Err(_) => false,
        }
    })
}
