//! A board that is removed behind our back: without it nothing says any more who runs. Rather none than two of each.

use std::thread;
use std::time::Duration;

use semring::Error;
use semring::heartbeat::Board;

use super::{Engine, invalid};
use crate::supervise::clock::Now;
use crate::supervise::signals::nudge_self;
use crate::supervise::unit::{Orders, Unit};

/// Sees to it that we are woken at once: a thread sleeps on the board's set, for ever unless that is removed. It touches
/// nothing else, so it is in the way of no fork.
pub(super) fn watch(board: &Board) -> Result<(), Error> {
    let board = board.clone();
    let wait = move || {
        // Whatever it says, the engine asks the board itself.
        let _ = board.wait_for_removal(Duration::MAX);
        nudge_self();
    };
    let thread = thread::Builder::new().name("board".into()).spawn(wait);
    thread.map(drop).map_err(|error| invalid("thread", error))
}

impl Engine {
    /// Ends all processes that we know, by their pidfds alone. None of these steps asks the board.
    pub(super) fn end_without_board(&mut self) {
        while self.units.iter().any(Unit::has_processes) {
            let orders = Orders { now: Now::read(), ending: true, hurry: self.hurry, turn: true, lost: true };
            let (mut again, mut wake_at) = (false, u64::MAX);
            for unit in self.units.iter_mut().filter(|unit| unit.has_processes()) {
                again |= unit.step(&self.board, &orders).unwrap_or(false);
                wake_at = wake_at.min(unit.wake_at(&orders).unwrap_or(u64::MAX));
            }
            if !again {
                self.sleep(wake_at);
                self.serve();
            }
        }
    }
}
