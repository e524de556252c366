//! What the processes of a case do: the victim between its two marks, and who recovers it.

use semring::{Error, Result};

use super::cases::{Author, CAPACITY, Case, Op, TYPE, Table};
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::operations::{complain, explained};
use crate::point::Recoverer;
use crate::sys::mark;

/// What a process of a case needs to know.
pub(crate) struct Stage<'a> {
    pub(crate) name: &'a str,
    pub(crate) case: &'a Case,
    pub(crate) ledger: &'a Ledger,
}

impl Stage<'_> {
    pub(crate) fn open_or_create(&self) -> Result<Table> {
        self.case.options().open_or_create(self.name, TYPE)
    }

    fn table(&self) -> Table {
        self.case.options().open(self.name, TYPE).expect("the table")
    }

    /// The case's operation, between marks.
    pub(crate) fn perform(&self) {
        let (key, value) = (self.case.key, Author::Victim.value(self.case.key));
        match self.case.op {
            Op::Insert => self.change(|table| table.insert(&key, &value).map(drop)),
            Op::InsertIfAbsent => self.change(|table| table.insert_if_absent(&key, &value).map(drop)),
            Op::Update => self.change(|table| table.update(&key, |old| *old = value).map(drop)),
            Op::Remove => self.change(|table| table.remove(&key).map(drop)),
            Op::Get => self.get(),
            Op::Iterate => self.iterate(),
            Op::Create => self.attempt(|| self.case.options().create::<u64, [u64; 4]>(self.name, TYPE)),
            Op::OpenOrCreate => self.attempt(|| self.open_or_create()),
            Op::Open => self.attempt(|| self.case.options().open::<u64, [u64; 4]>(self.name, TYPE)),
            Op::Destroy => {
                let table = self.table();
                self.attempt(|| table.destroy());
            }
        }
    }

    fn change(&self, change: impl FnOnce(&Table) -> Result<()>) {
        let table = self.table();
        self.attempt(|| change(&table));
    }

    /// An outcome that nothing explains is a fault.
    fn attempt<T>(&self, run: impl FnOnce() -> Result<T>) {
        mark();
        let result = run();
        mark();
        if let Err(e) = result {
            let full = self.case.op == Op::Insert && self.case.fill == Some(CAPACITY);
            if !(full && matches!(e, Error::NoRoom { .. }) || self.ledger.excuses(&e) || explained(&e)) {
                complain("the victim", &e);
                self.ledger.fault(Fault::Failed, 1);
            }
        }
    }

    fn get(&self) {
        let (table, key) = (self.table(), self.case.key);
        mark();
        let got = table.get(&key);
        mark();
        match got {
            Ok(value) if value == self.case.before(key).map(|author| author.value(key)) => {}
            got => self.failed(&format_args!("{got:?}")),
        }
    }

    fn iterate(&self) {
        let table = self.table();
        let mut found = [None; CAPACITY as usize];
        mark();
        let len = table.len();
        let records = table.iter().map(|records| {
            records.zip(&mut found).for_each(|(record, found)| *found = record.ok());
        });
        mark();
        let whole = |&(key, value): &(u64, [u64; 4])| Author::of(key, &value).is_some();
        let all = found.iter().flatten().filter(|record| whole(record)).count();
        if records.is_err() || len != Ok(all) || self.case.fill != Some(all as u64) {
            self.failed(&format_args!("{len:?}, {found:?}"));
        }
    }

    fn failed(&self, what: &dyn std::fmt::Display) {
        complain("the victim", what);
        self.ledger.fault(Fault::Failed, 1);
    }

    /// The recoverer of a double kill writes the same key; from a handle that it had before, or as a newcomer.
    pub(crate) fn recover(&self, who: Recoverer) {
        let value = Author::Recoverer.value(self.case.key);
        let resident = (who == Recoverer::Resident).then(|| self.table());
        mark();
        // Whatever comes of it: it is what is left that counts.
        let _ =
            resident.map_or_else(|| self.open_or_create(), Ok).and_then(|t| t.insert(&self.case.key, &value));
        mark();
    }
}
