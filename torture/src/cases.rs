//! The table of cases: which operation, on which ring, how full, in which company.

use semring::{Kind, Options, WhenNoConsumer};

use crate::message;

/// Slots of the rings here: small, so that they wrap and fill.
pub(crate) const CAPACITY: u64 = 4;
const PARTICIPANTS: usize = 6;

/// What the victim does while it is stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Send,
    TrySendFull,
    SendBlocked,
    SendBatch,
    SendBatchBlocked,
    Commit,
    Abort,
    Recv,
    TryRecvEmpty,
    RecvBlocked,
    RecvInto,
    RecvBatch,
    Lease,
    Ack,
    Retry,
    LeaveProducer,
    LeaveConsumer,
    LeaveInHand,
    RegisterProducer,
    RegisterConsumer,
    RegisterHeir,
    RegisterOver,
    Recover,
    TakeGift,
    TakeBack,
    Create,
    OpenOrCreate,
    OpenExisting,
    Open,
    Remove,
    RemoveIfUnused,
}

/// On which side the victim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Producer,
    Consumer,
    /// It opens or removes.
    Nobody,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Op::Send => "send",
            Op::TrySendFull => "try_send (full)",
            Op::SendBlocked => "send (blocked)",
            Op::SendBatch => "send_batch",
            Op::SendBatchBlocked => "send_batch (blocked)",
            Op::Commit => "reserve, commit",
            Op::Abort => "reserve, drop",
            Op::Recv => "recv",
            Op::TryRecvEmpty => "try_recv (empty)",
            Op::RecvBlocked => "recv (blocked)",
            Op::RecvInto => "recv_into",
            Op::RecvBatch => "recv_batch",
            Op::Lease => "lease",
            Op::Ack => "ack",
            Op::Retry => "retry",
            Op::LeaveProducer => "leave (producer)",
            Op::LeaveConsumer => "leave (consumer)",
            Op::LeaveInHand => "leave (message in hand)",
            Op::RegisterProducer => "register (producer)",
            Op::RegisterConsumer => "register (consumer)",
            Op::RegisterHeir => "register (heir)",
            Op::RegisterOver => "register (over the dead)",
            Op::Recover => "recover",
            Op::TakeGift => "take what was given",
            Op::TakeBack => "take back",
            Op::Create => "create",
            Op::OpenOrCreate => "open_or_create (absent)",
            Op::OpenExisting => "open_or_create (existing)",
            Op::Open => "open",
            Op::Remove => "remove",
            Op::RemoveIfUnused => "remove_if_unused",
        }
    }

    pub(crate) fn part(self) -> Part {
        match self {
            Op::Send | Op::TrySendFull | Op::SendBlocked | Op::SendBatch | Op::SendBatchBlocked => {
                Part::Producer
            }
            Op::Commit | Op::Abort | Op::LeaveProducer | Op::RegisterProducer | Op::RegisterOver => {
                Part::Producer
            }
            Op::Create | Op::OpenOrCreate | Op::OpenExisting | Op::Open => Part::Nobody,
            Op::Remove | Op::RemoveIfUnused => Part::Nobody,
            _ => Part::Consumer,
        }
    }

    /// Does it sleep until somebody helps it on?
    pub(crate) fn blocks(self) -> bool {
        matches!(self, Op::SendBlocked | Op::SendBatchBlocked | Op::RecvBlocked)
    }

    /// Is there no channel yet?
    pub(crate) fn creates(self) -> bool {
        matches!(self, Op::Create | Op::OpenOrCreate)
    }

    pub(crate) fn removes(self) -> bool {
        matches!(self, Op::Remove | Op::RemoveIfUnused)
    }

    /// Does the victim become a participant only while it is stepped, or never?
    pub(crate) fn comes_late(self) -> bool {
        self.part() == Part::Nobody
            || matches!(
                self,
                Op::RegisterProducer | Op::RegisterConsumer | Op::RegisterHeir | Op::RegisterOver
            )
    }
}

/// Who else is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// Nobody but the harness.
    Nobody,
    /// One of the other side, asleep in a blocking call. With an opener or remover: a consumer.
    Sleeper,
    /// Another consumer, who begins when the victim is dead.
    Bystander,
    /// Another consumer, asleep.
    Fellow,
}

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) op: Op,
    pub(crate) kind: Kind,
    /// Messages in the ring at the beginning.
    pub(crate) fill: u64,
    pub(crate) company: Company,
    /// Positions begin just before they wrap.
    pub(crate) wraps: bool,
    /// Producers wait for a consumer to come.
    pub(crate) waits: bool,
}

/// With these nobody looks again without being woken: a wake-up that was lost is to be seen.
pub(crate) fn options() -> Options {
    Options::new().recheck_interval(None)
}

impl Case {
    fn new(op: Op, kind: Kind, fill: u64, company: Company) -> Self {
        Case { op, kind, fill, company, wraps: false, waits: false }
    }

    pub(crate) fn options(&self) -> Options {
        let options = options()
            .kind(self.kind)
            .capacity(CAPACITY)
            .message_size(message::SIZE as u64)
            .participants(PARTICIPANTS)
            .when_no_consumer(if self.waits { WhenNoConsumer::Wait } else { WhenNoConsumer::Disconnect });
        if self.wraps { options.origin(u64::MAX - 1) } else { options }
    }

    /// Unique, and what `--only` takes.
    pub(crate) fn name(&self) -> String {
        let kind = if self.kind == Kind::Spsc { "spsc" } else { "mpmc" };
        let company = match self.company {
            Company::Nobody => "",
            Company::Sleeper => ", sleeper",
            Company::Bystander => ", bystander",
            Company::Fellow => ", fellow",
        };
        let wraps = if self.wraps { ", wrap" } else { "" };
        let waits = if self.waits { ", wait" } else { "" };
        format!("{kind} {} of {}{company}{wraps}{waits}", self.op.name(), self.fill)
    }
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [Kind::Spsc, Kind::Mpmc] {
        for &(op, rings) in BOTH {
            cases.extend(rings.iter().map(|&(fill, company)| Case::new(op, kind, fill, company)));
        }
    }
    for &(op, rings) in MPMC {
        cases.extend(rings.iter().map(|&(fill, company)| Case::new(op, Kind::Mpmc, fill, company)));
    }
    let waiting = |case: &&Case| {
        case.op == Op::SendBlocked
            || (case.fill == CAPACITY && case.company == Company::Sleeper && case.op != Op::RegisterConsumer)
    };
    let waits: Vec<Case> = cases.iter().filter(waiting).map(|&case| Case { waits: true, ..case }).collect();
    cases.extend(waits);
    let wraps: Vec<Case> = cases.iter().map(|&case| Case { wraps: true, ..case }).collect();
    cases.extend(wraps);
    cases
}

type Rings = &'static [(u64, Company)];

use Company::{Bystander, Fellow, Nobody, Sleeper};

const BOTH: &[(Op, Rings)] = &[
    (Op::Send, &[(0, Nobody), (0, Sleeper), (2, Nobody), (3, Nobody)]),
    (Op::TrySendFull, &[(CAPACITY, Nobody)]),
    (Op::SendBlocked, &[(CAPACITY, Nobody)]),
    (Op::SendBatch, &[(0, Nobody), (0, Sleeper), (1, Nobody)]),
    (Op::SendBatchBlocked, &[(2, Nobody)]),
    (Op::Commit, &[(0, Sleeper), (2, Nobody), (3, Nobody)]),
    (Op::Abort, &[(0, Sleeper), (2, Nobody), (3, Nobody)]),
    (Op::Recv, &[(2, Nobody), (CAPACITY, Nobody), (CAPACITY, Sleeper)]),
    (Op::TryRecvEmpty, &[(0, Nobody)]),
    (Op::RecvBlocked, &[(0, Nobody)]),
    (Op::RecvInto, &[(2, Nobody), (CAPACITY, Sleeper)]),
    (Op::RecvBatch, &[(CAPACITY, Nobody), (CAPACITY, Sleeper)]),
    (Op::Lease, &[(2, Nobody), (CAPACITY, Nobody), (CAPACITY, Sleeper)]),
    (Op::Ack, &[(2, Nobody), (CAPACITY, Nobody), (CAPACITY, Sleeper)]),
    (Op::Retry, &[(2, Nobody)]),
    (Op::LeaveProducer, &[(2, Nobody), (0, Sleeper)]),
    (Op::LeaveConsumer, &[(0, Nobody), (2, Nobody), (CAPACITY, Sleeper)]),
    (Op::LeaveInHand, &[(2, Nobody)]),
    (Op::RegisterProducer, &[(2, Nobody), (CAPACITY, Nobody), (0, Sleeper)]),
    (Op::RegisterConsumer, &[(0, Nobody), (2, Nobody), (CAPACITY, Sleeper)]),
    (Op::RegisterHeir, &[(2, Nobody)]),
    (Op::RegisterOver, &[(2, Nobody)]),
    (Op::Create, &[(0, Nobody)]),
    (Op::OpenOrCreate, &[(0, Nobody)]),
    (Op::OpenExisting, &[(2, Nobody)]),
    (Op::Open, &[(2, Nobody)]),
    (Op::Remove, &[(2, Nobody), (0, Sleeper)]),
    (Op::RemoveIfUnused, &[(0, Nobody)]),
];

const MPMC: &[(Op, Rings)] = &[
    (Op::Lease, &[(2, Bystander)]),
    (Op::Ack, &[(2, Bystander)]),
    (Op::RecvBatch, &[(CAPACITY, Bystander)]),
    (Op::Retry, &[(1, Fellow), (2, Bystander)]),
    (Op::LeaveInHand, &[(1, Fellow)]),
    // With more in the ring there would be no need to look around for the dead, or for gifts.
    (Op::Recover, &[(1, Nobody), (1, Bystander)]),
    (Op::TakeGift, &[(1, Nobody), (1, Bystander)]),
    (Op::TakeBack, &[(1, Nobody), (1, Fellow)]),
];
