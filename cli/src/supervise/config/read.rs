//! A configuration from a TOML file: all of its errors, or none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{User, geteuid};
use toml::de::DeTable;

use super::section::{At, Errors, Section};
use super::{Config, DEFAULT_BOARD, Log, MAX_SERVICES, Restart, Service, find_program};
use crate::supervise::order::order;
use crate::supervise::schedule::Schedule;

/// Reads a configuration. Paths in it count from the directory of the file.
pub(crate) fn read(file: &Path) -> Result<Config, Vec<String>> {
    let shown = file.display().to_string();
    let source = std::fs::read_to_string(file).map_err(|error| vec![format!("{shown}: {error}")])?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = std::path::absolute(directory).map_err(|error| vec![format!("{shown}: {error}")])?;
    parse(&source, &shown, &directory)
}

fn parse(source: &str, file: &str, base: &Path) -> Result<Config, Vec<String>> {
    let errors = Errors::default();
    let (document, wrong) = DeTable::parse_recoverable(source);
    for error in &wrong {
        errors.add(error.span().unwrap_or(0..0), error.message());
    }
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
    let mut read = Vec::new();
    for (name, section) in top.sections("service") {
        read.push(service(name, section, errors, base));
    }
    top.finish();
    if read.is_empty() {
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
type Read = ((Option<Service>, Vec<At<String>>), At<String>);

/// Two services cannot have one log: each would rotate it under the other, and take its FIFO away.
fn check_logs(read: &[Read], errors: &Errors) {
    let log = |read: &Read| Some(read.0.0.as_ref()?.log.as_ref()?.path.clone());
    for (i, one) in read.iter().enumerate() {
        let Some(path) = log(one) else { continue };
        if let Some(other) = read[..i].iter().find(|other| log(other).as_ref() == Some(&path)) {
            let (name, other) = (&one.1, &other.1.0);
            let expected =
                format_args!("log {} is that of {other:?}; expected one of its own", path.display());
            errors.add(name.1.clone(), expected);
        }
    }
}

/// Who comes after whom, in an order that can be kept.
fn check_order(read: &[Read], errors: &Errors) -> Option<Vec<usize>> {
    let index = |name: &str| read.iter().position(|(_, (other, _))| other == name);
    let mut after = Vec::new();
    for ((_, names), _) in read {
        let mut indices = Vec::new();
        for (name, span) in names {
            match index(name) {
                Some(other) => indices.push(other),
                None => errors.add(span.clone(), format_args!("there is no service {name:?} to be after")),
            }
        }
        after.push(indices);
    }
    order(&after)
        .map_err(|circle| {
            let names: Vec<&str> = circle.iter().map(|&i| read[i].1.0.as_str()).collect();
            let span = circle.first().map_or(0..0, |&i| read[i].1.1.clone());
            errors.add(span, format_args!("a circle: {}; expected an order", names.join(" after ")));
        })
        .ok()
}

fn service(name: At<String>, section: Section<'_, '_>, errors: &Errors, base: &Path) -> Read {
    if !semring::heartbeat::is_name(&name.0) || name.0.contains('/') {
        let most = semring::heartbeat::MAX_NAME;
        let expected = format!("1 to {most} bytes without '/' and control characters");
        errors.add(
            name.1.clone(),
            format_args!("{:?} cannot be a service's name; expected {expected}", name.0),
        );
    }
    let after = section.strings("after").unwrap_or_default();
    let command = section.command("command");
    if command.is_none() && section.span("command") == (0..0) {
        errors.add(name.1.clone(), format_args!("service {:?} has no command", name.0));
    }
    let mut service = Service::new(&name.0, command.clone().unwrap_or_default());
    service.after = after.iter().map(|(name, _)| name.clone()).collect();
    pace(&mut service, &section);
    service.restart = restart(&section, errors);
    service.log = log(&section, errors, base);
    service.environment = section.pairs("env").unwrap_or_default().into_iter().collect();
    service.user = section.string("user", "a user's name").and_then(|user| known_user(user, errors));
    service.directory = section.string("directory", "a path").map(|(path, span)| {
        let path = base.join(path);
        if !path.is_dir() {
            errors.add(span, format_args!("directory {} does not exist", path.display()));
        }
        path
    });
    let ready = section.duration("ready");
    service.ready = section.yes("notify").then(|| ready.unwrap_or(Duration::from_secs(60)));
    if ready.is_some() && service.ready.is_none() {
        errors.add(section.span("ready"), "ready is for a service with notify = true");
    }
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

fn pace(service: &mut Service, section: &Section<'_, '_>) {
    let (backoff, rate) = (&mut service.backoff, &mut service.rate);
    backoff.least = section.duration("backoff").unwrap_or(backoff.least);
    backoff.most = section.duration("backoff_max").unwrap_or(backoff.most);
    backoff.healthy = section.duration("healthy").unwrap_or(backoff.healthy);
    rate.starts = section.number("starts", 1).unwrap_or(rate.starts);
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
    let said_times =
        ["restart", "every", "cron"].into_iter().filter(|key| section.span(key) != (0..0)).count();
    if said_times > 1 {
        let key = if section.span("cron") != (0..0) { "cron" } else { "every" };
        errors.add(section.span(key), "expected only one of restart, every and cron");
    }
    match (said, every.or(cron)) {
        (_, Some(schedule)) => Restart::At(schedule),
        (Some(Plain::OnFailure), _) => Restart::OnFailure,
        (Some(Plain::Never), _) => Restart::Never,
        _ => Restart::Always,
    }
}

fn log(section: &Section<'_, '_>, errors: &Errors, base: &Path) -> Option<Log> {
    let (size, keep) = (section.bytes("log_size"), section.number("log_keep", 0));
    let path = section.string("log", "the path of a file").map(|(path, span)| {
        let path: PathBuf = base.join(path);
        let parent = path.parent().filter(|parent| parent.is_dir() && !path.is_dir());
        if parent.is_none() {
            errors.add(span, format_args!("log {} cannot be a file: no such directory", path.display()));
        } else if path.exists() && !path.is_file() {
            // It would be renamed when it is full: /dev/null, for all of the system.
            errors.add(span, format_args!("log {} is not a regular file; expected one", path.display()));
        }
        path
    });
    if path.is_none() {
        for key in ["log_size", "log_keep"].into_iter().filter(|key| section.span(key) != (0..0)) {
            errors.add(section.span(key), format_args!("{key} is for a service with log = \"FILE\""));
        }
    }
    Some(Log { path: path?, size: size.unwrap_or(10 << 20), keep: keep.unwrap_or(4) })
}

fn known_user((user, span): At<String>, errors: &Errors) -> Option<String> {
    match User::from_name(&user) {
        Ok(Some(found)) if geteuid().is_root() || found.uid == geteuid() => {}
        Ok(Some(_)) => errors.add(span, format_args!("user {user:?}: only root may run services as others")),
        _ => errors.add(span, format_args!("there is no user {user:?}")),
    }
    Some(user)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
