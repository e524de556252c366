//! `semring sem`: semaphores for scripts.

use clap::{Args, Subcommand};
use semring::segment::Key;
use semring::sem::{Set, SetOptions};
use serde_json::json;

use crate::failure::{Failure, print};
use crate::options::parse_mode;
use crate::waiting::Waiting;

/// Semaphores for scripts: P, V and their values
///
/// A semaphore set is made by `create` and stays until `remove`. What a script has taken is not
/// given back when it dies: for that there is `semring lock`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring sem slots create --value 4     at most four at a time:
  semring sem slots p && { ./job; semring sem slots v; }
  semring sem slots value
  semring sem slots p --timeout 5 || echo 'none free'
  semring sem slots remove")]
pub(crate) struct Sem {
    /// Name of the set, or its key as ipcs prints it (0x...); not that of a channel
    name: Key,

    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Take: wait until the semaphore is high enough, and subtract
    #[command(after_help = "\
Examples:
  semring sem slots p
  semring sem slots p --by 2 --timeout 5 || echo 'not two free'")]
    P(Step),
    /// Give: add, and wake whoever can go on
    #[command(after_help = "\
Examples:
  semring sem slots v
  semring sem slots v --index 1 --by 4")]
    V {
        /// Which semaphore of the set
        #[arg(long, short, default_value_t = 0)]
        index: usize,
        /// How much, all at once
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        by: u16,
    },
    /// Wait until the semaphore is 0
    #[command(after_help = "\
Examples:
  semring sem running zero --timeout 60 && echo 'all done'")]
    Zero(Zero),
    /// Print the values, one a line
    #[command(after_help = "\
Examples:
  semring sem slots value
  semring sem slots value --index 0 --json | jq .values[0]")]
    Value {
        /// Only this semaphore of the set
        #[arg(long, short)]
        index: Option<usize>,
    },
    /// Make the set; fails if it exists
    #[command(after_help = "\
Examples:
  semring sem slots create --value 4
  semring sem shared create --semaphores 3 --mode 660")]
    Create {
        /// How many semaphores
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        semaphores: usize,
        /// What each of them begins with
        #[arg(long, default_value_t = 0)]
        value: u16,
        /// Permissions in octal [default: 600]
        #[arg(long, value_name = "OCTAL", value_parser = parse_mode, default_value = "600")]
        mode: u32,
    },
    /// Remove the set; whoever waits on it gets an error
    #[command(after_help = "\
Examples:
  semring sem slots remove")]
    Remove,
}

#[derive(Args)]
struct Step {
    /// Which semaphore of the set
    #[arg(long, short, default_value_t = 0)]
    index: usize,
    /// How much, all at once
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    by: u16,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Args)]
struct Zero {
    /// Which semaphore of the set
    #[arg(long, short, default_value_t = 0)]
    index: usize,
    #[command(flatten)]
    waiting: Waiting,
}

impl Sem {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let name = self.name.to_string();
        let report = match &self.action {
            Action::P(step) => {
                let done = self.open()?.p_by_timeout(step.index, step.by, step.waiting.limit())?;
                in_time(done, format_args!("{name} did not reach {} in time", step.by))?;
                json!({ "set": name, "semaphore": step.index, "taken": step.by })
            }
            Action::V { index, by } => {
                self.open()?.v_by(*index, *by)?;
                json!({ "set": name, "semaphore": index, "given": by })
            }
            Action::Zero(zero) => {
                let done = self.open()?.wait_zero_timeout(zero.index, zero.waiting.limit())?;
                in_time(done, format_args!("{name} did not become 0 in time"))?;
                json!({ "set": name, "semaphore": zero.index, "value": 0 })
            }
            Action::Value { index } => {
                let values = self.values(*index)?;
                if !json {
                    return print(values.iter().map(|value| format!("{value}\n")).collect::<String>());
                }
                json!({ "set": name, "values": values })
            }
            Action::Create { semaphores, value, mode } => {
                let id = self.create(*semaphores, *value, *mode)?;
                json!({ "created": name, "id": id, "semaphores": semaphores, "value": value })
            }
            Action::Remove => {
                self.open()?.remove()?;
                json!({ "removed": name })
            }
        };
        if json { print(format!("{report}\n")) } else { Ok(()) }
    }

    fn open(&self) -> semring::Result<Set> {
        SetOptions::new(0).open(&self.name)
    }

    fn values(&self, index: Option<usize>) -> semring::Result<Vec<u16>> {
        let set = self.open()?;
        match index {
            Some(index) => Ok(vec![set.value(index)?]),
            None => set.values(),
        }
    }

    /// Its id.
    fn create(&self, semaphores: usize, value: u16, mode: u32) -> Result<i32, Failure> {
        let set = SetOptions::new(semaphores).mode(mode).create(&self.name)?;
        let id = set.id();
        let filled = if value == 0 { Ok(()) } else { (0..semaphores).try_for_each(|i| set.v_by(i, value)) };
        match filled {
            Ok(()) => Ok(id),
            Err(error) => {
                // Ours and new: nobody can miss it.
                let _ = set.remove();
                Err(error.into())
            }
        }
    }
}

fn in_time(done: bool, otherwise: impl std::fmt::Display) -> Result<(), Failure> {
    if done { Ok(()) } else { Err(Failure::new(otherwise)) }
}
