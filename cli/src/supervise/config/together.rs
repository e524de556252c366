//! What has to be right of all services together: an order that can be kept, and logs that nobody shares.

use std::path::{Path, PathBuf};

use super::Log;
use super::errors::Errors;
use super::read::Read;
use super::value::{hint, meant};
use crate::supervise::order::order;

/// Two services cannot have one log: each would rotate it under the other, and take its FIFO away.
pub(super) fn check_logs(read: &[Read], errors: &Errors) {
    let log = |read: &Read| read.0.0.as_ref()?.log.clone();
    for (i, one) in read.iter().enumerate() {
        let Some(mine) = log(one) else { continue };
        let shares =
            |other: &&Read| log(other).is_some_and(|other| owns(&other, &mine) || owns(&mine, &other));
        if let Some(other) = read[..i].iter().find(shares) {
            let (name, other) = (&one.1, &other.1.0);
            errors.add(
                name.1.clone(),
                format_args!("log {} is that of {other:?}; expected one of its own", mine.path.display()),
            );
        }
    }
}

/// Is the other's file one of those that this log has or will have?
fn owns(log: &Log, other: &Log) -> bool {
    let (mine, path) = (identity(&log.path), identity(&other.path));
    let (Some(mine), Some(path)) = (mine.to_str(), path.to_str()) else { return mine == path };
    match path.strip_prefix(mine) {
        Some("" | ".pipe") => true,
        Some(suffix) => {
            let number = suffix.strip_prefix('.').and_then(|number| number.parse().ok());
            number.is_some_and(|number: u32| (1..=log.keep).contains(&number))
        }
        None => false,
    }
}

/// The same for all paths that lead to a file, which need not be there yet.
fn identity(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|parent| parent.canonicalize().ok());
    directory.zip(path.file_name()).map_or_else(|| path.into(), |(directory, name)| directory.join(name))
}

/// Who comes after whom, in an order that can be kept.
pub(super) fn check_order(read: &[Read], errors: &Errors) -> Option<Vec<usize>> {
    let names = || read.iter().map(|(_, (name, _))| name.as_str());
    let mut after = Vec::new();
    for ((_, wanted), _) in read {
        let mut indices = Vec::new();
        for (name, span) in wanted {
            match names().position(|other| other == name) {
                Some(other) => indices.push(other),
                None => {
                    let hint = hint(meant(name, names()).map(|meant| format!("{meant:?}")));
                    let expected = "expected one that is defined here";
                    errors.add(
                        span.clone(),
                        format_args!("there is no service {name:?} to be after{hint}; {expected}"),
                    );
                }
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
