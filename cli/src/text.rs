//! Numbers and names as people read them, in few characters.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use nix::unistd::{Uid, User};

/// A name from a segment, which may hold anything: what a terminal would act on is escaped.
pub(crate) fn name(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        if c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
        text
    })
}

/// The first `width` characters, the last of them a mark if there were more.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

/// Three digits and a unit, by powers of 1,000: `999`, `1.23k`, `45.6M`.
pub(crate) fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T", "P", "E"])
}

/// Likewise for bytes, by powers of 1,024: `4.00K`.
pub(crate) fn bytes(number: u64) -> String {
    scaled(number as f64, 1024.0, &["", "K", "M", "G", "T", "P", "E"])
}

fn scaled(mut number: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while number >= 999.5 && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    let decimals = match number {
        _ if unit == 0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}{}", units[unit])
}

/// How long ago, in its largest unit: `41s`, `3m`, `5h`, `12d`; a moment that is still to come is `0s`.
pub(crate) fn age(since: SystemTime, now: SystemTime) -> String {
    let seconds = now.duration_since(since).unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        ..100 => format!("{seconds}s"),
        100..6_000 => format!("{}m", seconds / 60),
        6_000..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The user's name, or the number of one that has none.
pub(crate) fn user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

/// Columns as wide as their longest cell; numbers to the right. The last column is not padded.
pub(crate) fn table(head: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|(title, _)| title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let titles: Vec<String> = head.iter().map(|(title, _)| (*title).into()).collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for ((cell, (_, align)), &width) in row.iter().zip(head).zip(&widths) {
            // Writing to a string cannot fail.
            let _ = match align {
                Align::Left => write!(line, "{cell:<width$}  "),
                Align::Right => write!(line, "{cell:>width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let counts = [0.0, 999.4, 999.6, 1234.0, 45_600.0, 999_600.0, 1e7, 3e19];
        assert_eq!(counts.map(count), ["0", "999", "1.00k", "1.23k", "45.6k", "1.00M", "10.0M", "30.0E"]);
        assert_eq!([512, 4096, 1 << 20, 150 << 20].map(bytes), ["512", "4.00K", "1.00M", "150M"]);
    }

    #[test]
    fn ages_have_one_unit() {
        let now = SystemTime::now();
        let ago = |seconds| age(now - Duration::from_secs(seconds), now);
        assert_eq!([0, 99, 100, 7_200, 200_000].map(ago), ["0s", "99s", "1m", "2h", "2d"]);
        assert_eq!(age(now + Duration::from_secs(5), now), "0s");
    }

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(name("orders é"), "orders é");
        assert_eq!(name("a\x1b[2J\u{202e}\n"), "a\\u{1b}[2J\\u{202e}\\n");
    }

    #[test]
    fn what_is_too_long_ends_with_a_mark() {
        assert_eq!([6, 4, 1, 0].map(|width| shortened("abcdef", width)), ["abcdef", "abc…", "…", ""]);
    }

    #[test]
    fn tables_line_up() {
        let rows =
            [vec!["a".into(), "1".into(), "x".into()], vec!["long".into(), "100".into(), String::new()]];
        let text = table(&[("N", Align::Left), ("#", Align::Right), ("S", Align::Left)], &rows);
        assert_eq!(text, "N       #  S\na       1  x\nlong  100\n");
    }
}
