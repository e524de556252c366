//! What must hold when the victim is dead, or has gone on and ended: every record is old or new, for readers at once; who
//! writes next is not held up; and no place is lost.

use semring::sem::SetOptions;
use semring::{Error, Result};

use super::Scene;
use super::cases::{Author, CAPACITY, KEYS, Op, Table};
use crate::fault::Fault;

/// `IDENT` of a finished table (docs/design.md, section 11).
const READY: u16 = 0x6ae9;
/// Keys that no case has.
const OTHERS: std::ops::Range<u64> = 100..100 + CAPACITY;

impl Scene<'_> {
    /// Everything, from the first survivor to the last object.
    pub(super) fn check_all(&mut self) {
        if self.case.op != Op::Destroy {
            self.look();
            self.survivor_writes();
        }
        match self.stage().open_or_create() {
            Ok(table) => self.table = Some(table),
            Err(e) => return self.fault(Fault::Failed, &e),
        }
        self.look();
        self.survivor_writes();
        if let Err(e) = self.works_as_new() {
            self.fault(Fault::Leaked, &e);
        }
        self.is_idle();
        if let Some(Err(e)) = self.table.take().map(Table::destroy) {
            self.fault(Fault::Failed, &e);
        }
    }

    /// Reads everything in every way, whatever the dead have left.
    pub(super) fn look(&self) {
        let Some(table) = &self.table else { return };
        match self.authors(table) {
            Ok(authors) => {
                let all = authors.iter().flatten().count();
                let mut listed: Vec<u64> =
                    table.iter().into_iter().flatten().flatten().map(|(key, _)| key).collect();
                listed.sort_unstable();
                let there = KEYS.zip(&authors).filter(|(_, author)| author.is_some()).map(|(key, _)| key);
                if !there.eq(listed.iter().copied()) || table.len() != Ok(all) {
                    self.fault(Fault::Lost, &(authors, listed, table.len()));
                }
            }
            Err(e) => self.fault(Fault::Failed, &e),
        }
    }

    /// Who has written each record.
    fn authors(&self, table: &Table) -> Result<Vec<Option<Author>>> {
        let mut authors = Vec::new();
        for (key, allowed) in KEYS.zip(&self.allowed) {
            let value = table.get(&key)?;
            let author = value.and_then(|value| Author::of(key, &value));
            if value.is_some() && author.is_none() {
                self.fault(Fault::Torn, &(key, value));
            } else if !allowed.contains(&author) {
                self.fault(
                    if author.is_none() { Fault::Lost } else { Fault::Ghost },
                    &(key, author, allowed),
                );
            }
            authors.push(author);
        }
        Ok(authors)
    }

    /// Writes where the dead was writing: nobody is in the way.
    fn survivor_writes(&mut self) {
        let (key, full) = (self.case.key, self.case.fill == Some(CAPACITY));
        let Some(table) = &self.table else { return };
        let absent = table.get(&key) == Ok(None);
        match table.insert(&key, &Author::After.value(key)) {
            Ok(_) => self.allowed[key as usize] = vec![Some(Author::After)],
            Err(Error::NoRoom { .. }) if full && absent => {}
            Err(e @ Error::LockBusy { .. }) => self.fault(Fault::Stuck, &e),
            Err(e) => self.fault(Fault::Failed, &e),
        }
        self.look();
    }

    /// Every place can be taken, and no more.
    fn works_as_new(&self) -> Result<()> {
        let Some(table) = &self.table else { return Ok(()) };
        KEYS.map(|key| table.remove(&key)).collect::<Result<Vec<_>>>()?;
        for key in OTHERS {
            table.insert(&key, &Author::After.value(key))?;
        }
        let beyond = table.insert(&OTHERS.end, &Author::After.value(OTHERS.end));
        let all = OTHERS.map(|key| table.get(&key)).collect::<Result<Vec<_>>>()?;
        let whole = OTHERS.zip(&all).all(|(key, value)| *value == Some(Author::After.value(key)));
        if !whole || !matches!(beyond, Err(Error::NoRoom { .. })) || table.len()? as u64 != CAPACITY {
            self.fault(Fault::Lost, &(beyond, all));
        }
        Ok(())
    }

    /// Neither LOCK nor a stripe is held.
    fn is_idle(&self) {
        let values = SetOptions::new(0).open(&*self.name).and_then(|set| set.values());
        match values.as_deref() {
            Ok([READY, held @ ..]) if held.iter().all(|&value| value == 0) => {}
            _ => self.fault(Fault::Leaked, &values),
        }
    }
}
