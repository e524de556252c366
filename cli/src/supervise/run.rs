//! Becoming the supervisor of a board: at once, or as a standby that sleeps until the kernel wakes it.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use semring::Error;
use semring::heartbeat::{Board, BoardOptions, Keeper};

use super::config::Config;
use super::engine::{Engine, NUDGE, block};
use super::events::Events;
use super::notify::Manager;
use crate::failure::Failure;

/// Places of a new board: some more than services, for a configuration that grows.
const PLACES: usize = 64;

/// How the wait for a board ended.
enum Turn {
    Ours(Keeper),
    /// The services were ended on purpose meanwhile.
    Over,
}

/// Supervises until all ends on purpose. `ready` is called when it begins, also as a standby.
pub(crate) fn run(
    config: Config,
    file: Option<PathBuf>,
    events: Events,
    ready: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    // What a standby or a starting supervisor is told waits until it can be read. TERM and INT are not blocked yet: they end
    // who has nothing to end first.
    let early: SigSet = [Signal::SIGHUP, NUDGE].into_iter().collect();
    block(&early).map_err(Failure::new)?;
    let mut ready = Some(ready);
    let turn = loop {
        let board = open(&config)?;
        if let Some(ready) = ready.take() {
            ready()?;
        }
        match wait(&board, events) {
            // Its last keeper has removed it, just now: from the start.
            Err(Error::Removed) => {}
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
    if let Some(manager) = Manager::from_environment() {
        manager.tell("READY=1\nSTATUS=standing by");
    }
    loop {
        let Some(keeper) = board.keep(Duration::MAX)? else { continue };
        if board.ended() == ended {
            events.own("its supervisor is gone: taking over");
            return Ok(Turn::Ours(keeper));
        }
        events.own("the services were ended on purpose: ending, too");
        keeper.leave()?;
        return Ok(Turn::Over);
    }
}
