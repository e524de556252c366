//! The table of cases: which operation, on which key, with how many records.

use semring::TableOptions;

use crate::point::Recoverer;

/// Records that there is room for.
pub(crate) const CAPACITY: u64 = 4;
/// The keys, of which the first are there at the beginning.
pub(crate) const KEYS: std::ops::Range<u64> = 0..5;
/// Of the keys all meet in one bucket, and the one stripe that it has, but for this one.
pub(crate) const ASIDE: u64 = 3;
/// A seed with which that is so.
const SEED: u64 = 18;

/// The name of the type.
pub(crate) const TYPE: &str = "torture";

/// A value, from which it can be told whether it is whole.
pub(crate) type Value = [u64; 4];
pub(crate) type Table = semring::Table<u64, Value>;

/// Who wrote a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// The harness, before.
    Before = 1,
    Victim = 2,
    Recoverer = 3,
    /// The harness, afterwards.
    After = 4,
}

impl Author {
    const ALL: [Author; 4] = [Author::Before, Author::Victim, Author::Recoverer, Author::After];

    pub(crate) fn value(self, key: u64) -> Value {
        let number = self as u64;
        [number, number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ key, !number, key]
    }

    /// Who wrote it; `None` if nobody wrote it so.
    pub(crate) fn of(key: u64, value: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|author| author.value(key) == *value)
    }
}

/// What the victim does while it is stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Insert,
    InsertIfAbsent,
    Update,
    Remove,
    Get,
    Iterate,
    Create,
    OpenOrCreate,
    Open,
    Destroy,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Op::Insert => "insert",
            Op::InsertIfAbsent => "insert_if_absent",
            Op::Update => "update",
            Op::Remove => "remove",
            Op::Get => "get",
            Op::Iterate => "iter, len",
            Op::Create => "create",
            Op::OpenOrCreate => "open_or_create",
            Op::Open => "open",
            Op::Destroy => "destroy",
        }
    }

    /// Does it open or remove the table?
    pub(crate) fn is_of_the_pair(self) -> bool {
        matches!(self, Op::Create | Op::OpenOrCreate | Op::Open | Op::Destroy)
    }
}

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) op: Op,
    /// Records at the beginning, of the first keys; `None`: there is no table.
    pub(crate) fill: Option<u64>,
    pub(crate) key: u64,
}

impl Case {
    /// Unique, and what `--only` takes.
    pub(crate) fn name(&self) -> String {
        let fill = self.fill.map_or("no table".into(), |fill| format!("{fill} records"));
        format!("table {}, key {}, {fill}", self.op.name(), self.key)
    }

    pub(crate) fn options(&self) -> TableOptions {
        TableOptions::new().capacity(CAPACITY).seed(SEED)
    }

    pub(crate) fn recoverers(&self) -> &'static [Recoverer] {
        let all = &[Recoverer::Writer, Recoverer::Resident];
        if self.fill.is_some() { all } else { &all[..1] }
    }

    /// Who has written what a key has at the beginning.
    pub(crate) fn before(&self, key: u64) -> Option<Author> {
        (key < self.fill.unwrap_or(0)).then_some(Author::Before)
    }

    /// The same after the operation, if it is done.
    pub(crate) fn after(&self, key: u64) -> Option<Author> {
        let old = self.before(key);
        let full = self.fill == Some(CAPACITY);
        match self.op {
            Op::Destroy => None,
            _ if key != self.key => old,
            Op::Insert if old.is_some() || !full => Some(Author::Victim),
            Op::InsertIfAbsent if old.is_none() => Some(Author::Victim),
            Op::Update if old.is_some() => Some(Author::Victim),
            Op::Remove => None,
            _ => old,
        }
    }
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let of = |&(op, fill, key): &(Op, Option<u64>, u64)| Case { op, fill, key };
    CASES.iter().map(of).collect()
}

const CASES: &[(Op, Option<u64>, u64)] = &[
    (Op::Insert, Some(0), 0),
    (Op::Insert, Some(3), 3),
    (Op::Insert, Some(3), 4),
    // Full.
    (Op::Insert, Some(4), 4),
    // In place.
    (Op::Insert, Some(4), 1),
    (Op::InsertIfAbsent, Some(3), 4),
    (Op::InsertIfAbsent, Some(4), 1),
    (Op::Update, Some(4), 1),
    (Op::Update, Some(3), 4),
    // Last, within and first of its chain, and alone in it.
    (Op::Remove, Some(4), 0),
    (Op::Remove, Some(4), 1),
    (Op::Remove, Some(4), 2),
    (Op::Remove, Some(4), 3),
    (Op::Remove, Some(3), 4),
    (Op::Get, Some(4), 0),
    (Op::Get, Some(4), 4),
    (Op::Iterate, Some(4), 0),
    (Op::Create, None, 0),
    (Op::OpenOrCreate, None, 0),
    (Op::OpenOrCreate, Some(3), 0),
    (Op::Open, Some(3), 0),
    (Op::Destroy, Some(3), 0),
];
