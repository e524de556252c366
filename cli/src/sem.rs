//! `semring sem`: semaphores for scripts.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use semring::segment::Key;
use semring::sem::{Set, SetOptions};
use serde_json::json;

use crate::failure::Failure;
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
    P(Step),
    /// Give: add, and wake whoever can go on
    V {
        /// Which semaphore of the set
        #[arg(long, short, default_value_t = 0)]
        index: usize,
        /// How much, all at once
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        by: u16,
    },
    /// Wait until the semaphore is 0
    Zero(Zero),
    /// Print the values, one a line
    Value {
        /// Only this semaphore of the set
        #[arg(long, short)]
        index: Option<usize>,
    },
    /// Make the set; fails if it exists
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
        match &self.action {
            Action::P(step) => {
                let limit = step.waiting.limit();
                let done = self.open()?.p_by_timeout(step.index, step.by, limit)?;
                in_time(done, format_args!("{} did not reach {} in time", self.name, step.by))
            }
            Action::V { index, by } => Ok(self.open()?.v_by(*index, *by)?),
            Action::Zero(zero) => {
                let done = self.open()?.wait_zero_timeout(zero.index, zero.waiting.limit())?;
                in_time(done, format_args!("{} did not become 0 in time", self.name))
            }
            Action::Value { index } => self.print(*index, json),
            Action::Create { semaphores, value, mode } => self.create(*semaphores, *value, *mode),
            Action::Remove => Ok(self.open()?.remove()?),
        }
    }

    fn open(&self) -> semring::Result<Set> {
        SetOptions::new(0).open(&self.name)
    }

    fn print(&self, index: Option<usize>, json: bool) -> Result<(), Failure> {
        let set = self.open()?;
        let values = match index {
            Some(index) => vec![set.value(index)?],
            None => set.values()?,
        };
        let text = if json {
            format!("{}\n", json!({ "set": self.name.to_string(), "values": values }))
        } else {
            values.iter().map(|value| format!("{value}\n")).collect()
        };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
    }

    fn create(&self, semaphores: usize, value: u16, mode: u32) -> Result<(), Failure> {
        let set = SetOptions::new(semaphores).mode(mode).create(&self.name)?;
        let filled = if value == 0 { Ok(()) } else { (0..semaphores).try_for_each(|i| set.v_by(i, value)) };
        filled.map_err(|error| {
            // Ours and new: nobody can miss it.
            let _ = set.remove();
            error.into()
        })
    }
}

fn in_time(done: bool, otherwise: impl std::fmt::Display) -> Result<(), Failure> {
    if done { Ok(()) } else { Err(Failure::new(otherwise)) }
}
