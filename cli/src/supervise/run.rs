//! Becoming the supervisor of a board: at once, or as a standby that sleeps until the kernel wakes it.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use semring::Error;
use semring::daemon::Starting;
use semring::heartbeat::{Board, BoardOptions, Keeper};

use super::config::Config;
use super::engine::Engine;
use super::events::Events;
use super::files;
use super::notify::Manager;
use super::signals::{block, incoming, nudge_self, read};
use crate::background::settle;
use crate::failure::{Context, Failure};

/// Places of a new board: some more than services, for a configuration that grows.
const PLACES: usize = 64;

/// How the wait for a board ended.
enum Turn {
    Ours(Keeper),
    /// We were told to end, or the services were ended on purpose meanwhile.
    Over,
}

/// Supervises until all ends on purpose. A daemon is ready when it has begun, also as a standby.
pub(crate) fn run(
    config: Config,
    file: Option<PathBuf>,
    events: Events,
    starting: Option<Starting>,
) -> Result<(), Failure> {
    let prepare = || {
        files::raise();
        // What we are told from now on waits until it is read.
        block().context("cannot block signals")?;
        Ok::<_, Failure>(open(&config)?)
    };
    let (mut board, _background) = settle(starting, prepare())?;
    let turn = loop {
        match wait(&board, events) {
            // Its last keeper has removed it, just now: from the start.
            Err(Error::Removed) => board = open(&config)?,
            other => break other?,
        }
    };
    match turn {
        Turn::Ours(keeper) => Engine::new(keeper, config, file, events)?.run()?.end()?,
        Turn::Over => true,
    };
    Ok(())
}

fn open(config: &Config) -> Result<Board, Error> {
    let places = PLACES.max(config.services.len() + PLACES / 2).min(semring::heartbeat::MAX_PLACES);
    loop {
        match BoardOptions::new().open(config.board.as_str()) {
            Err(Error::NotFound { .. }) => {}
            other => return other,
        }
        match BoardOptions::new().places(places).create(config.board.as_str()) {
            Err(Error::AlreadyExists { .. }) => {}
            other => return other,
        }
    }
}

fn wait(board: &Board, events: Events) -> Result<Turn, Error> {
    if let Some(keeper) = board.try_keep()? {
        return Ok(Turn::Ours(keeper));
    }
    let ended = board.ended();
    events.own(format_args!(
        "{} is supervised by process {}: standing by",
        board.name(),
        board.keeper()?.unwrap_or(0)
    ));
    let manager = Manager::from_environment();
    manager.iter().for_each(|manager| manager.tell("READY=1\nSTATUS=standing by"));
    let Some(keeper) = stand_by(board, manager.as_ref())? else { return Ok(Turn::Over) };
    if board.ended() == ended {
        events.own("its supervisor is gone: taking over");
        return Ok(Turn::Ours(keeper));
    }
    events.own("the services were ended on purpose: ending, too");
    keeper.leave()?;
    Ok(Turn::Over)
}

/// Sleeps until the board is ours; `None` if a signal ends us before. semop(2) and signals cannot be waited for together, so
/// a thread does the one, which is gone when this returns. Whoever supervises us hears that we live meanwhile.
fn stand_by(board: &Board, manager: Option<&Manager>) -> Result<Option<Keeper>, Error> {
    let incoming = incoming()?;
    let (sender, receiver) = mpsc::channel();
    let waiter = {
        let board = board.clone();
        thread::spawn(move || {
            let kept = board.keep(Duration::MAX);
            // Nobody is there to hear it only if the process is about to end.
            let _ = sender.send(kept);
            nudge_self();
        })
    };
    loop {
        let every = manager.and_then(Manager::beat_every);
        manager.filter(|_| every.is_some()).inspect(|manager| manager.tell("WATCHDOG=1"));
        let beats = every.and_then(|every| PollTimeout::try_from(every).ok());
        let mut fds = [PollFd::new(incoming.as_fd(), PollFlags::POLLIN)];
        let _whatever_it_says = poll(&mut fds, beats.unwrap_or(PollTimeout::NONE));
        let own_pid = std::process::id() as i32;
        let kept = match read(&incoming) {
            Some(signal @ (Signal::SIGTERM | Signal::SIGINT)) => {
                if board.keeper() != Ok(Some(own_pid)) {
                    return Ok(None);
                }
                // It came for the supervisor, which we are since a moment: that reads it again.
                let _ = kill(Pid::this(), signal);
                receiver.recv().ok()
            }
            _ => receiver.try_recv().ok(),
        };
        if let Some(kept) = kept {
            let _ = waiter.join();
            return kept;
        }
    }
}
