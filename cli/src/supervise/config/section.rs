//! One table of a configuration file: its values by key, each checked, and every error noted with its line.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::Errors;
use super::value::{hint, meant, number, number_or_text, shown};
use crate::supervise::units;

/// A table whose keys are looked at one by one; what nobody looked at is an error in the end.
pub(super) struct Section<'a, 'i> {
    table: &'a DeTable<'i>,
    errors: &'a Errors,
    known: RefCell<Vec<&'static str>>,
}

/// A value and where it stands.
pub(super) type At<T> = (T, Range<usize>);

impl<'a, 'i> Section<'a, 'i> {
    pub(super) fn new(table: &'a DeTable<'i>, errors: &'a Errors) -> Self {
        Section { table, errors, known: RefCell::default() }
    }

    fn find(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.known.borrow_mut().push(key);
        self.table.get(key)
    }

    /// A value as `convert` has it; an error says what would be right.
    fn value<T>(
        &self,
        key: &'static str,
        expected: &str,
        convert: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) -> Option<At<T>> {
        let found = self.find(key)?;
        let converted = convert(found.get_ref());
        if converted.is_none() {
            self.errors
                .add(found.span(), format_args!("{key} is {}; expected {expected}", shown(found.get_ref())));
        }
        Some((converted?, found.span()))
    }

    pub(super) fn string(&self, key: &'static str, expected: &str) -> Option<At<String>> {
        self.value(key, expected, |value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
    }

    pub(super) fn one_of<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        let choose = |value: &DeValue<'i>| {
            let text = value.as_str()?;
            choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice)
        };
        self.value(key, &names.join(" or "), choose).map(|(choice, _)| choice)
    }

    pub(super) fn yes(&self, key: &'static str) -> bool {
        self.value(key, "true or false", DeValue::as_bool).is_some_and(|(yes, _)| yes)
    }

    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        let convert = |value: &DeValue<'i>| units::duration(&number_or_text(value)?);
        self.value(key, "a time as \"100ms\", \"5s\", \"10m\", \"2h\" or \"1d\"", convert)
            .map(|(time, _)| time)
    }

    /// A time that is not zero.
    pub(super) fn period(&self, key: &'static str) -> Option<Duration> {
        let (time, span) = (self.duration(key)?, self.span(key));
        if time.is_zero() {
            self.errors.add(span, format_args!("{key} is 0; expected a time above 0"));
        }
        Some(time).filter(|time| !time.is_zero())
    }

    pub(super) fn bytes(&self, key: &'static str) -> Option<u64> {
        let convert = |value: &DeValue<'i>| units::bytes(&number_or_text(value)?).filter(|&bytes| bytes > 0);
        self.value(key, "a number of bytes as 4096, \"64K\", \"10M\" or \"1G\"", convert)
            .map(|(bytes, _)| bytes)
    }

    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let convert =
            |value: &DeValue<'i>| number(value)?.parse().ok().filter(|number| range.contains(number));
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.value(key, &expected, convert).map(|(number, _)| number)
    }

    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<At<String>>> {
        let convert = |value: &DeValue<'i>| {
            let items = value.as_array()?.iter();
            items.map(|item| Some((item.get_ref().as_str()?.to_owned(), item.span()))).collect()
        };
        self.value(key, "an array of strings", convert).map(|(strings, _)| strings)
    }

    /// A program and its arguments, which may be anything, or one line for the shell.
    pub(super) fn command(&self, key: &'static str) -> Option<Vec<String>> {
        let words = |value: &DeValue<'i>| match value.as_str() {
            Some(line) if line.trim().is_empty() => None,
            Some(line) => Some(vec!["/bin/sh".into(), "-c".into(), line.to_owned()]),
            None => value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect(),
        };
        let good = |command: &Vec<String>| {
            command.first().is_some_and(|program| !program.is_empty())
                && command.iter().all(|part| !part.contains('\0'))
        };
        let expected = "an array of strings, the program first, or a line for /bin/sh";
        self.value(key, expected, |value| words(value).filter(good)).map(|(command, _)| command)
    }

    /// A table of strings, or of numbers: each with its place.
    pub(super) fn pairs(&self, key: &'static str) -> Vec<(String, At<String>)> {
        let table = self.value(key, "a table of names and strings", |value| value.as_table().map(|_| ()));
        let table = table.and_then(|_| self.table.get(key)?.get_ref().as_table());
        let mut pairs = Vec::new();
        for (name, value) in table.into_iter().flatten() {
            let (name, text) = (name.get_ref(), number_or_text(value.get_ref()));
            match text.filter(|text| !text.contains('\0')) {
                _ if name.is_empty() || name.contains(['=', '\0']) => {
                    let wrong = format_args!("{key} has the name {name:?}; expected one without '='");
                    self.errors.add(value.span(), wrong);
                }
                Some(text) => pairs.push((name.to_string(), (text, value.span()))),
                None => {
                    let wrong = shown(value.get_ref());
                    self.errors.add(
                        value.span(),
                        format_args!("{key}.{name} is {wrong}; expected a string or a number"),
                    );
                }
            }
        }
        pairs
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where a key's value is; the beginning of the file for one that is not there.
    pub(super) fn span(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(0..0, |value| value.span())
    }

    /// The sections below a key, each with its name.
    pub(super) fn sections(&self, key: &'static str) -> Vec<(At<String>, Section<'a, 'i>)> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let Some(table) = found.get_ref().as_table() else {
            let wrong = shown(found.get_ref());
            self.errors.add(found.span(), format_args!("{key} is {wrong}; expected tables [{key}.NAME]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in table {
            match value.get_ref().as_table() {
                Some(table) => {
                    let name = (name.get_ref().to_string(), name.span());
                    sections.push((name, Section::new(table, self.errors)));
                }
                None => {
                    let (name, wrong) = (name.get_ref(), shown(value.get_ref()));
                    let wrong = format_args!("{key}.{name} is {wrong}; expected a table [{key}.{name}]");
                    self.errors.add(value.span(), wrong);
                }
            }
        }
        // In the order of the file, not of the names.
        sections.sort_by_key(|((_, span), _)| span.start);
        sections
    }

    /// Every key that nobody asked for is an error.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        for (key, value) in self.table.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            // `[web]` for `[service.web]`.
            let table = known.contains(&"service") && value.get_ref().is_table();
            let section = || table.then(|| format!("[service.{name}]"));
            let meant = meant(name, known.iter().copied()).map(|meant| format!("{meant:?}"));
            let (hint, expected) = (hint(meant.or_else(section)), known.join(", "));
            let wrong = format_args!("unknown key {name:?}{hint}; expected one of {expected}");
            self.errors.add(key.span(), wrong);
        }
    }
}
