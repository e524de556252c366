//! A configuration from a TOML file: all of its errors, or none.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::unistd::{User, geteuid};
use semring::heartbeat::{BOARD_VARIABLE, SERVICE_VARIABLE};
use semring::segment::Key;
use toml::de::DeTable;

use super::errors::{self, Errors};
use super::section::{At, Section};
use super::together::{check_logs, check_order};
use super::{
    Config, DEFAULT_BOARD, Log, MAX_SERVICES, Restart, SERVICE_NAMES, Service, find_program, is_service_name,
};
use crate::failure::Fault;
use crate::supervise::events::Events;
use crate::supervise::schedule::Schedule;

/// Largest file that is read: many times what so many services need.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a configuration, be it from a pipe. Paths in it count from the directory of the file.
pub(crate) fn read(file: &Path) -> Result<Config, Vec<Fault>> {
    read_as(file, 0)
}

/// Reads a configuration, with flags for open(2).
fn read_as(file: &Path, flags: i32) -> Result<Config, Vec<Fault>> {
    let shown = file.display().to_string();
    let source = text(file, &shown, flags).map_err(|fault| vec![fault])?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = std::path::absolute(directory).map_err(|error| vec![errors::whole(&shown, error)])?;
    parse(&source, &shown, &directory)
}

/// The configuration of a board as it is now, if it can be had; what is wrong with it is said. A pipe whose writer is gone is
/// not waited for.
pub(crate) fn read_again(file: &Path, board: &str, events: Events) -> Option<Config> {
    match read_as(file, O_NONBLOCK) {
        Ok(config) if config.board == board => return Some(config),
        Ok(Config { board: new, .. }) => {
            events
                .own(format_args!("the name cannot change from {board} to {new}: end this supervisor first"));
        }
        Err(errors) => errors.iter().for_each(|error| events.own(error)),
    }
    events.own("the configuration stays as it was");
    None
}

/// What is in a file.
fn text(file: &Path, shown: &str, flags: i32) -> Result<String, Fault> {
    let read = || {
        let mut bytes = Vec::new();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes =
        read().map_err(|error| errors::whole(shown, format_args!("{error}; expected a file of TOML")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(errors::whole(shown, format_args!("too large; expected at most {MOST_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let byte = bytes.get(at).copied().unwrap_or_default();
        let line = Some(errors::line_of(bytes, at));
        Fault {
            line,
            ..errors::whole(shown, format_args!("the byte {byte:#04x} is no text; expected UTF-8"))
        }
    })
}

fn parse(source: &str, file: &str, base: &Path) -> Result<Config, Vec<Fault>> {
    let errors = Errors::default();
    let (document, wrong) = DeTable::parse_recoverable(source);
    errors.add_syntax(&wrong, source);
    let config =
        if wrong.is_empty() { whole(Section::new(document.get_ref(), &errors), &errors, base) } else { None };
    let found = errors.report(file, source);
    match config {
        Some(config) if found.is_empty() => Ok(config),
        _ => Err(found),
    }
}

fn whole(top: Section<'_, '_>, errors: &Errors, base: &Path) -> Option<Config> {
    let name = top.string("name", "a name for the board in shared memory");
    if let Some((name, span)) = &name {
        if let Err(wrong) = Key::from(name).segment_key() {
            let expected = "1 to 248 bytes without control characters, or a key other than 0x0";
            errors.add(span.clone(), format_args!("name cannot be a board's: {wrong}; expected {expected}"));
        }
    }
    let mut read = Vec::new();
    for (name, section) in top.sections("service") {
        read.push(service(name, section, errors, base));
    }
    top.finish();
    if read.is_empty() && errors.is_empty() {
        errors.add(0..0, "no services; expected a table [service.NAME]");
    }
    if let Some((_, (_, span))) = read.get(MAX_SERVICES) {
        errors.add(span.clone(), format_args!("too many services; expected at most {MAX_SERVICES}"));
    }
    check_logs(&read, errors);
    let order = check_order(&read, errors)?;
    let mut services: Vec<Option<Service>> = read.into_iter().map(|(service, _)| service.0).collect();
    let services = order.into_iter().map(|i| services[i].take()).collect::<Option<_>>()?;
    Some(Config { board: name.map_or_else(|| DEFAULT_BOARD.into(), |(name, _)| name), services })
}

/// A service, if nothing is wrong with it, and whom it is after; its name.
pub(super) type Read = ((Option<Service>, Vec<At<String>>), At<String>);

fn service(name: At<String>, section: Section<'_, '_>, errors: &Errors, base: &Path) -> Read {
    if !is_service_name(&name.0) {
        errors.add(name.1.clone(), format_args!("{:?} cannot be a service's name; {SERVICE_NAMES}", name.0));
    }
    let after = section.strings("after").unwrap_or_default();
    let command = section.command("command");
    if command.is_none() && !section.has("command") {
        errors.add(
            name.1.clone(),
            format_args!("service {:?} has no command; expected command = [PROGRAM, ARGUMENTS...]", name.0),
        );
    }
    let mut service = Service::new(&name.0, command.clone().unwrap_or_default());
    service.after = after.iter().map(|(name, _)| name.clone()).collect();
    pace(&mut service, &section, errors);
    service.restart = restart(&section, errors);
    service.log = log(&section, errors, base);
    service.user = section.string("user", "a user's name").and_then(|user| known_user(user, errors));
    service.directory = section.string("directory", "a path").map(|(path, span)| {
        let path = base.join(path);
        if !path.is_dir() {
            errors.add(span, format_args!("{} is no directory; expected one that exists", path.display()));
        }
        path
    });
    let ready = section.period("ready");
    service.ready = section.yes("notify").then(|| ready.unwrap_or(Duration::from_secs(60)));
    if ready.is_some() && service.ready.is_none() {
        errors.add(section.span("ready"), "ready is for a service with notify = true; expected that, too");
    }
    service.environment = environment(&section, service.ready.is_some(), errors);
    check_beats(&service, &section, errors);
    if let Some(program) = command.as_ref().and_then(|command| command.first()) {
        let path = service.environment.get("PATH").map(String::as_str);
        let directory = service.directory.as_deref().unwrap_or(base);
        if let Err(wrong) = find_program(program, path, Some(directory)) {
            errors.add(section.span("command"), format_args!("{wrong}; expected a program that can be run"));
        }
    }
    if service.directory.is_none() {
        service.directory = Some(base.to_owned());
    }
    section.finish();
    ((command.map(|_| service), after), name)
}

/// What a service finds in its environment is the supervisor's to say.
fn environment(section: &Section<'_, '_>, notifies: bool, errors: &Errors) -> BTreeMap<String, String> {
    let told = [BOARD_VARIABLE, SERVICE_VARIABLE];
    let told_if_it_notifies = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
    let mut environment = BTreeMap::new();
    for (name, (value, span)) in section.pairs("env") {
        if told.contains(&&*name) || notifies && told_if_it_notifies.contains(&&*name) {
            errors.add(span, format_args!("env.{name} is set by the supervisor; expected another name"));
        }
        environment.insert(name, value);
    }
    environment
}

/// A board is its creator's alone: somebody else can only beat by WATCHDOG=1, over the socket of `notify`.
fn check_beats(service: &Service, section: &Section<'_, '_>, errors: &Errors) {
    let user = service.user.as_deref().and_then(|user| User::from_name(user).ok().flatten());
    let other = user.is_some_and(|user| !user.uid.is_root() && user.uid != geteuid());
    if other && service.silence.is_some() && service.ready.is_none() {
        let who = service.user.as_deref().unwrap_or_default();
        let wrong = format_args!(
            "user {who:?} may not open the board, so it cannot beat there; expected notify = true, and WATCHDOG=1 by sd_notify(3)"
        );
        errors.add(section.span("silence"), wrong);
    }
}

fn pace(service: &mut Service, section: &Section<'_, '_>, errors: &Errors) {
    let (backoff, rate) = (&mut service.backoff, &mut service.rate);
    backoff.least = section.duration("backoff").unwrap_or(backoff.least);
    backoff.most = section.duration("backoff_max").unwrap_or(backoff.most);
    backoff.healthy = section.duration("healthy").unwrap_or(backoff.healthy);
    if backoff.least > backoff.most {
        let said = section.has("backoff");
        let (key, default) = if said { ("backoff", "") } else { ("backoff_max", " by default") };
        let (least, most) = (backoff.least, backoff.most);
        let wrong = format_args!("backoff is {least:?}{default}, more than backoff_max, {most:?}");
        errors.add(section.span(key), format_args!("{wrong}; expected no more"));
    }
    rate.starts = section.number("starts", 1..=u32::MAX).unwrap_or(rate.starts);
    rate.per = section.period("starts_per").unwrap_or(rate.per);
    service.grace = section.duration("grace").unwrap_or(service.grace);
    service.silence = section.period("silence");
}

fn restart(section: &Section<'_, '_>, errors: &Errors) -> Restart {
    enum Plain {
        Always,
        OnFailure,
        Never,
    }
    let choices = [("always", &Plain::Always), ("on-failure", &Plain::OnFailure), ("never", &Plain::Never)];
    let said = section.one_of("restart", &choices);
    let every = section.period("every").map(Schedule::Every);
    let cron =
        section.string("cron", "five fields: minute hour day month weekday").and_then(|(text, span)| {
            let expected = "expected minute hour day month weekday, as \"*/5 * * * mon-fri\"";
            Schedule::cron(&text)
                .map_err(|wrong| errors.add(span, format_args!("cron {text:?}: {wrong}; {expected}")))
                .ok()
        });
    let said_times = ["restart", "every", "cron"].into_iter().filter(|key| section.has(key)).count();
    if said_times > 1 {
        let key = if section.has("cron") { "cron" } else { "every" };
        errors.add(
            section.span(key),
            format_args!("{key} is not alone; expected only one of restart, every and cron"),
        );
    }
    match (said, every.or(cron)) {
        (_, Some(schedule)) => Restart::At(schedule),
        (Some(Plain::OnFailure), _) => Restart::OnFailure,
        (Some(Plain::Never), _) => Restart::Never,
        _ => Restart::Always,
    }
}

/// Each is renamed when the log is full.
const MOST_OLD_LOGS: u32 = 1000;

fn log(section: &Section<'_, '_>, errors: &Errors, base: &Path) -> Option<Log> {
    let (size, keep) = (section.bytes("log_size"), section.number("log_keep", 0..=MOST_OLD_LOGS));
    let path = section.string("log", "the path of a file").map(|(path, span)| {
        let path: PathBuf = base.join(path);
        let parent = path.parent().filter(|parent| parent.is_dir() && !path.is_dir());
        if parent.is_none() {
            errors.add(
                span,
                format_args!(
                    "log {} cannot be a file; expected one in a directory that exists",
                    path.display()
                ),
            );
        } else if path.exists() && !path.is_file() {
            // It would be renamed when it is full: /dev/null, for all of the system.
            errors.add(span, format_args!("log {} is not a regular file; expected one", path.display()));
        }
        path
    });
    if path.is_none() {
        for key in ["log_size", "log_keep"].into_iter().filter(|key| section.has(key)) {
            errors.add(
                section.span(key),
                format_args!("{key} is for a service with a log; expected log = \"FILE\", too"),
            );
        }
    }
    Some(Log { path: path?, size: size.unwrap_or(10 << 20), keep: keep.unwrap_or(4) })
}

fn known_user((user, span): At<String>, errors: &Errors) -> Option<String> {
    match User::from_name(&user) {
        Ok(Some(found)) if geteuid().is_root() || found.uid == geteuid() => {}
        Ok(Some(_)) => {
            errors.add(span, format_args!("only root may run services as {user:?}; expected no user"))
        }
        _ => errors.add(span, format_args!("there is no user {user:?}; expected the name of one")),
    }
    Some(user)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "random_tests.rs"]
mod random_tests;
