//! The `semring` command: channels between processes, from the shell.

#![allow(missing_docs)] // a binary: `--help` is its documentation

mod background;
mod beat;
mod bench;
mod clock;
mod completions;
mod create;
mod demo;
mod doctor;
mod failure;
mod listing;
mod lock;
mod ls;
mod offspring;
mod options;
mod peek;
mod recv;
mod removal;
mod rm;
mod sem;
mod send;
mod signals;
mod stat;
mod summary;
mod supervise;
mod text;
mod top;
mod torture;
mod waiting;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Channels between Linux processes over System V shared memory
///
/// A channel is found by its name and needs no server: whoever comes first creates it, senders and receivers in any
/// order. It behaves as a pipe does: full blocks the sender, empty blocks the receiver; when the senders are gone the
/// receivers get the rest and then the end; when the receivers are gone the senders get a broken pipe. A process that
/// is killed has left like any other, and what it did not finish goes to another one.
#[derive(Parser)]
#[command(name = "semring", version, after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Print the result as one JSON object (recv: on standard error), and an error as one on standard error
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  semring demo --against pipe            a million messages between four processes, counted and timed
  semring bench                          this machine: a channel beside pipes, sockets and queues
  semring recv jobs | wc -l              receive lines ...
  seq 1000000 | semring send jobs        ... that another process sends, in either order
  semring rm jobs                        remove a channel that still holds messages

Exit status: 0 all well; 1 an error, named on standard error; 2 wrong usage; 128+N ended by signal N.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Send(send::Send),
    Recv(recv::Recv),
    Ls(ls::Ls),
    Stat(stat::Stat),
    Top(top::Top),
    Peek(peek::Peek),
    Create(create::Create),
    Rm(rm::Rm),
    Lock(lock::Lock),
    Sem(sem::Sem),
    Supervise(supervise::Supervise),
    Beat(beat::Beat),
    Doctor(doctor::Doctor),
    Bench(bench::Bench),
    Torture(torture::Torture),
    Completions(completions::Completions),
    Man(completions::Man),
    #[command(name = bench::WORKER, hide = true)]
    BenchWorker(bench::worker::Worker),
    #[command(name = demo::WORKER, hide = true)]
    DemoWorker(demo::worker::Worker),
}

fn main() -> ExitCode {
    let (json, result) = match Cli::try_parse() {
        Ok(cli) => (cli.json, run(cli)),
        Err(error) => (true, Err(failure::refused(&error))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json);
            ExitCode::from(failure.status)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Demo(demo) => demo.run(cli.json),
        Command::Send(send) => send.run(cli.json),
        Command::Recv(recv) => recv.run(cli.json),
        Command::Ls(ls) => ls.run(cli.json),
        Command::Stat(stat) => stat.run(cli.json),
        Command::Top(top) => top.run(cli.json),
        Command::Peek(peek) => peek.run(cli.json),
        Command::Create(create) => create.run(cli.json),
        Command::Rm(rm) => rm.run(cli.json),
        Command::Lock(lock) => lock.run(cli.json),
        Command::Sem(sem) => sem.run(cli.json),
        Command::Supervise(supervise) => supervise.run(cli.json),
        Command::Beat(beat) => beat.run(cli.json),
        Command::Doctor(doctor) => doctor.run(cli.json),
        Command::Bench(bench) => bench.run(cli.json),
        Command::BenchWorker(worker) => worker.run(),
        Command::Completions(completions) => completions.run(cli.json),
        Command::Man(man) => man.run(cli.json),
        Command::Torture(torture) => torture.run(cli.json),
        Command::DemoWorker(worker) => worker.run(),
    }
}
