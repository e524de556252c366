//! `semring supervise status`, `stop`, `start` and `restart`: through the board, which the supervisor is told to look at.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use semring::heartbeat::{Board, BoardOptions, Life, Member, Observer, Place};
use semring::{Condition, Error};
use serde_json::{Value, json};

use super::config::{self, DEFAULT_BOARD};
use super::notes::{Notes, Outcome, Seen};
use super::pidfd::PidFd;
use super::signals::NUDGE;
use super::strays::{self, Main};
use super::unit::pids;
use crate::failure::Failure;
use crate::text::{self, Align};

/// Between two looks at what the kernel does not tell.
const LOOK: Duration = Duration::from_millis(5);

/// The board that is meant: the one that is named, the usual one, or the one of a single service, which has its name.
pub(crate) fn find(board: Option<&str>, service: &str) -> Result<Board, Failure> {
    if !config::is_service_name(service) {
        return Err(Failure::usage(format_args!("{service:?} is no service; {}", config::SERVICE_NAMES)));
    }
    let mut candidates = board.map_or_else(|| vec![DEFAULT_BOARD, service], |board| vec![board]);
    candidates.dedup();
    let mut found = Vec::new();
    for &name in &candidates {
        match BoardOptions::new().open(name) {
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
            // Its services are others: perhaps the next one is meant.
            Ok(open) if board.is_none() && open.place(service)?.is_none() => {}
            Ok(open) => found.push(open),
        }
    }
    match (found.pop(), candidates.join(" or ")) {
        (Some(_), boards) if !found.is_empty() => Err(Failure::new(format_args!(
            "{service} is a service of more than one board: say --board {boards}"
        ))),
        (Some(board), _) => Ok(board),
        (None, boards) => Err(not_there(format_args!("service {service} on board {boards}"))),
    }
}

/// The place of a service.
pub(crate) fn place(board: &Board, service: &str) -> Result<Place, Failure> {
    board.place(service)?.ok_or_else(|| missing(board.name(), service, &board.members().unwrap_or_default()))
}

/// No such service: those that there are.
fn missing(board: &str, service: &str, members: &[Member]) -> Failure {
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let others = if names.is_empty() { "none".into() } else { text::name(&names.join(", ")) };
    Failure::new(format_args!("service {service} does not exist on board {board}: that has {others}"))
}

/// Tells the supervisor to look at the board; it says so itself if there is none.
fn nudge(board: &Board) -> Result<(), Failure> {
    let nobody = || Failure::new("noted, but no supervisor is running: the next one will do it");
    let keeper = board.keeper()?.ok_or_else(nobody)?;
    let process = PidFd::open(keeper).map_err(|_| nobody())?;
    if board.keeper()? != Some(keeper) {
        return nudge(board); // it died, and another has taken over
    }
    process
        .signal(NUDGE)
        .map_err(|error| Failure::new(format_args!("cannot tell the supervisor, process {keeper}: {error}")))
}

pub(crate) fn stop(board: &Board, service: &str, limit: Duration) -> Result<(), Failure> {
    let (place, since) = (place(board, service)?, Instant::now());
    Notes(&place).set_wanted(false);
    nudge(board)?;
    loop {
        let left = limit.saturating_sub(since.elapsed());
        // The lease ends with its main process; "begun" is noted until nothing of it is left.
        if place.wait_for_death(left)? && !matches!(Notes(&place).outcome(), Outcome::Begun(_)) {
            return Ok(());
        }
        if left.is_zero() {
            return Err(refuses(board, &place, limit));
        }
        thread::sleep(LOOK.min(left));
    }
}

/// Who has not ended, by its pids.
fn refuses(board: &Board, place: &Place, limit: Duration) -> Failure {
    let left = strays::find(Main::Unseen, board.name(), place.name());
    let who = if left.is_empty() { String::new() } else { format!(" (processes {})", pids(&left)) };
    late(&format!("{}{who}", place.name()), "ended", limit)
}

/// Starts what was stopped or is done; what runs goes on.
pub(crate) fn start(board: &Board, service: &str, limit: Duration) -> Result<(), Failure> {
    let place = place(board, service)?;
    Notes(&place).set_wanted(true);
    if place.is_alive()? { nudge(board) } else { demand(board, &place, limit) }
}

pub(crate) fn restart(board: &Board, service: &str, limit: Duration) -> Result<(), Failure> {
    let place = place(board, service)?;
    Notes(&place).set_wanted(true);
    demand(board, &place, limit)
}

/// Asks for a restart, and waits for it.
fn demand(board: &Board, place: &Place, limit: Duration) -> Result<(), Failure> {
    let (starts, since) = (place.member()?.starts, Instant::now());
    Notes(place).ask();
    nudge(board)?;
    while Notes(place).is_asked() || place.member()?.starts == starts {
        if since.elapsed() >= limit {
            return Err(late(place.name(), "started", limit));
        }
        if !Notes(place).is_asked() && matches!(Notes(place).outcome(), Outcome::NotExecuted(_)) {
            return Err(Failure::new(format_args!("{}: {}", place.name(), Notes(place).outcome())));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn late(service: &str, done: &str, limit: Duration) -> Failure {
    Failure::new(format_args!("{service} has not {done} within {limit:?}; the supervisor goes on trying"))
}

/// The board of a service, as [`find`] has it, for who may only look.
fn observed(board: Option<&str>, service: Option<&str>) -> Result<Observer, Failure> {
    // Looking does no harm, whoever created it.
    let observe = |name: &str| BoardOptions::new().allow_any_owner().observe(name);
    let usual = board.unwrap_or(DEFAULT_BOARD);
    match (observe(usual), board, service) {
        (Ok(found), None, Some(service)) if found.find(service)?.is_none() => {
            Ok(observe(service).unwrap_or(found))
        }
        (Err(Error::NotFound { .. }), None, Some(service)) => {
            let both = format!("service {service} on board {usual} or {service}");
            observe(service).map_err(|_| not_there(both))
        }
        (Err(Error::NotFound { .. }), ..) => Err(not_there(format_args!("board {usual}"))),
        (found, ..) => Ok(found?),
    }
}

/// Who lives on a board, or one of them; permission to read is enough.
pub(crate) fn status(board: Option<&str>, service: Option<&str>, json: bool) -> Result<(), Failure> {
    let board = observed(board, service)?;
    let (mut members, supervisor, standbys) = (board.members()?, board.keeper()?, board.standbys()?);
    if let Some(service) = service {
        match members.iter().find(|member| member.name == service).cloned() {
            Some(member) => members = vec![member],
            None => return Err(missing(board.name(), service, &members)),
        }
    }
    let text = if json {
        let services: Vec<Value> = members.iter().map(report).collect();
        let (board, who) = (board.name(), supervisor);
        format!(
            "{}\n",
            json!({ "board": board, "supervisor": who, "standbys": standbys, "services": services })
        )
    } else {
        let rows: Vec<Vec<String>> = members.iter().map(row).collect();
        let who = supervisor.map_or("nobody: start a supervisor".into(), |pid| format!("process {pid}"));
        format!("{} is supervised by {who}\n{}", text::name(board.name()), text::table(&HEAD, &rows))
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
}

/// Not there; but others may be, and one of them meant.
fn not_there(what: impl std::fmt::Display) -> Failure {
    let found = semring::boards().unwrap_or_default();
    let live = found.iter().filter(|found| matches!(found.condition, Condition::Board(_)));
    let names: Vec<String> = live.filter_map(|found| Some(text::name(found.name.as_ref()?))).collect();
    let others = if names.is_empty() {
        "is the supervisor running?".into()
    } else {
        format!("there are {} (--board NAME)", names.join(", "))
    };
    Failure::new(format_args!("{what} does not exist: {others}"))
}

/// In a word.
fn state(member: &Member) -> String {
    match (member.life, Seen(&member.notes).is_wanted()) {
        (Life::Dead, false) => "stopped".into(),
        (Life::Dead, true) => "down".into(),
        (_, false) => "stopping".into(),
        (life, true) => life.to_string(),
    }
}

/// How it ended last. What we end ourselves is noted as if it had never been started, for nothing follows from it.
fn last_end(member: &Member) -> String {
    match Seen(&member.notes).outcome() {
        Outcome::None if member.starts > 0 => "ended as it was told".into(),
        outcome => outcome.to_string(),
    }
}

fn report(member: &Member) -> Value {
    let notes = Seen(&member.notes);
    let alive = member.life != Life::Dead;
    json!({
        "name": member.name,
        "state": state(member),
        "pid": alive.then_some(member.pid),
        "age_seconds": alive.then_some(member.age.as_secs_f64()),
        "starts": member.starts,
        "failures": notes.failures(),
        "wanted": notes.is_wanted(),
        "silence_seconds": member.silence.map(|silence| silence.as_secs_f64()),
        "silent_seconds": (alive && member.silence.is_some()).then_some(member.silent_for.as_secs_f64()),
        "kept": member.kept,
        "outcome": if alive { notes.outcome().to_string() } else { last_end(member) },
    })
}

const HEAD: [(&str, Align); 6] = [
    ("SERVICE", Align::Left),
    ("STATE", Align::Left),
    ("PID", Align::Right),
    ("SINCE", Align::Right),
    ("STARTS", Align::Right),
    ("LAST END", Align::Left),
];

fn row(member: &Member) -> Vec<String> {
    let alive = member.life != Life::Dead;
    let (pid, age) = match alive {
        true => (member.pid.to_string(), format!("{}s", member.age.as_secs())),
        false => ("-".into(), "-".into()),
    };
    let outcome = if alive { String::new() } else { last_end(member) };
    vec![text::name(&member.name), state(member), pid, age, member.starts.to_string(), outcome]
}
