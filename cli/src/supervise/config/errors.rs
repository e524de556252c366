//! What is wrong with a file, each with its line, all of it at once.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;

use crate::failure::Fault;

/// More than anybody reads: what follows is the consequence of what was before.
const MOST: usize = 50;

/// Errors, by where they are.
#[derive(Debug, Default)]
pub(super) struct Errors(RefCell<Vec<(usize, String)>>);

impl Errors {
    pub(super) fn add(&self, span: Range<usize>, message: impl Display) {
        self.0.borrow_mut().push((span.start, message.to_string()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// What the parser says, the first of each line only: one missing quote is many errors.
    pub(super) fn add_syntax(&self, wrong: &[toml::de::Error], source: &str) {
        let mut last = 0;
        for error in wrong {
            let span = error.span().unwrap_or(0..0);
            let line = line_of(source.as_bytes(), span.start);
            if line != last {
                self.add(span.clone(), described(error.message(), source.get(span).unwrap_or_default()));
            }
            last = line;
        }
    }

    /// From the top down.
    pub(super) fn report(self, file: &str, source: &str) -> Vec<Fault> {
        let mut errors = self.0.into_inner();
        errors.sort();
        errors.dedup();
        let fault =
            |(at, message)| Fault { file: file.into(), line: Some(line_of(source.as_bytes(), at)), message };
        let more = errors.len().saturating_sub(MOST);
        let mut faults: Vec<Fault> = errors.into_iter().take(MOST).map(fault).collect();
        if more > 0 {
            faults.push(whole(
                file,
                format_args!("{more} more errors; expected none of them once these are mended"),
            ));
        }
        faults
    }
}

/// Something wrong with a file as a whole.
pub(super) fn whole(file: &str, message: impl Display) -> Fault {
    Fault { file: file.into(), line: None, message: message.to_string() }
}

/// Counted from 1.
pub(super) fn line_of(source: &[u8], at: usize) -> usize {
    source.iter().take(at).filter(|&&byte| byte == b'\n').count() + 1
}

/// With what would have been right, which the parser does not always say.
fn described(message: &str, at: &str) -> String {
    match message {
        "duplicate key" => format!("duplicate key {}; expected once in its table", at.trim()),
        message if message.contains("expected") => message.into(),
        message => format!("{message}; expected TOML"),
    }
}
