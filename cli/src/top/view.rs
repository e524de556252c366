//! What `semring top` shows: rates from two looks, and lines of text. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::listing::Entry;
use crate::text;

/// One channel.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    #[serde(flatten)]
    pub(super) entry: Entry,
    /// Messages a second since the last look; none at the first.
    pub(super) sent_per_second: Option<f64>,
    pub(super) received_per_second: Option<f64>,
}

/// Rates against the lines of some time ago, busiest first.
pub(super) fn lines(entries: Vec<Entry>, before: Option<(Duration, &[Line])>) -> Vec<Line> {
    let mut lines: Vec<Line> = entries.into_iter().map(|entry| line(entry, before)).collect();
    let traffic = |line: &Line| line.sent_per_second.unwrap_or(0.0) + line.received_per_second.unwrap_or(0.0);
    lines.sort_by(|a, b| traffic(b).total_cmp(&traffic(a)).then_with(|| a.entry.name.cmp(&b.entry.name)));
    lines
}

fn line(entry: Entry, before: Option<(Duration, &[Line])>) -> Line {
    // An id is not given again before the kernel has counted around.
    let same = |line: &&Line| line.entry.segment_id.is_some() && line.entry.segment_id == entry.segment_id;
    let old = before
        .and_then(|(time, lines)| lines.iter().find(same).map(|line| (time.as_secs_f64(), &line.entry)));
    let rate = |now: Option<u64>, then: fn(&Entry) -> Option<u64>| {
        let (time, old) = old?;
        Some(now?.saturating_sub(then(old)?) as f64 / time.max(f64::EPSILON))
    };
    let sent_per_second = rate(entry.sent, |entry| entry.sent);
    let received_per_second = rate(entry.received, |entry| entry.received);
    Line { sent_per_second, received_per_second, entry }
}

/// Lines above the channels.
pub(super) const HEAD: usize = 2;
/// All columns but the name and the bar, with the spaces between.
const FIXED: usize = 46;

/// The picture: at most `height` lines of at most `width` characters.
pub(super) fn render(lines: &[Line], width: usize, height: usize) -> Vec<String> {
    let bar = width.saturating_sub(FIXED) / 2;
    let name = width.saturating_sub(FIXED + bar);
    let wrong = lines.iter().filter(|line| !line.entry.problems.is_empty()).count();
    let total = |of: fn(&Line) -> Option<f64>| {
        text::count(lines.iter().filter_map(of).fold(0.0, |sum, rate| sum + rate))
    };
    let mut picture = vec![
        format!(
            "{} channels, {wrong} with problems; {} in/s, {} out/s        q quits",
            lines.len(),
            total(|line| line.sent_per_second),
            total(|line| line.received_per_second)
        ),
        format!(
            "{:<name$} {:>4} {:>4} {:>6} {:>6} {:<bar$} {:>6}/{:<6}",
            "NAME", "PROD", "CONS", "IN/S", "OUT/S", "FULL", "WAIT", "ROOM"
        ),
    ];
    let room = height.saturating_sub(HEAD);
    let shown = if lines.len() > room { room.saturating_sub(1) } else { lines.len() };
    picture.extend(lines.iter().take(shown).map(|line| row(line, name, bar)));
    if shown < lines.len() {
        picture.push(format!("... and {} more", lines.len() - shown));
    }
    picture.truncate(height);
    picture.iter().map(|line| text::shortened(line.trim_end(), width)).collect()
}

fn row(line: &Line, name: usize, bar: usize) -> String {
    let entry = &line.entry;
    let label = text::shortened(&entry.label(), name);
    let (Some(messages), Some(capacity)) = (entry.messages, entry.capacity) else {
        return format!("{label:<name$} {}", text::name(&entry.problems.join("; ")));
    };
    let number = |number: Option<f64>| number.map_or_else(|| "-".into(), text::count);
    let mark = if entry.problems.is_empty() { ' ' } else { '!' };
    format!(
        "{label:<name$} {:>4} {:>4} {:>6} {:>6} {} {:>6}/{:<6}{mark}",
        entry.producers.unwrap_or(0),
        entry.consumers.unwrap_or(0),
        number(line.sent_per_second),
        number(line.received_per_second),
        gauge(messages, capacity, bar),
        text::count(messages as f64),
        text::count(capacity as f64),
    )
}

/// A bar of `width` characters: empty only if nothing waits, full only if nothing fits.
fn gauge(messages: u64, capacity: u64, width: usize) -> String {
    let filled = (messages as f64 / capacity.max(1) as f64 * width as f64) as usize;
    let filled = match messages {
        0 => 0,
        _ if messages >= capacity => width,
        _ => filled.clamp(1.min(width), width.saturating_sub(1).max(1.min(width))),
    };
    "█".repeat(filled) + &"·".repeat(width - filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, id: i32, sent: u64) -> Entry {
        Entry {
            name: Some(name.into()),
            segment_key: None,
            segment_id: Some(id),
            semaphore_id: None,
            kind: None,
            size_bytes: None,
            mode: None,
            owner_uid: None,
            attached: None,
            producers: Some(2),
            consumers: Some(3),
            records: None,
            messages: Some(512),
            capacity: Some(1024),
            sent: Some(sent),
            received: Some(sent / 2),
            created: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn rates_are_differences_of_the_same_segment_over_time() {
        let first = lines(vec![entry("a", 1, 100), entry("b", 2, 100)], None);
        assert!(first.iter().all(|line| line.sent_per_second.is_none()));
        let then = Some((Duration::from_millis(500), &first[..]));
        let second = lines(vec![entry("a", 1, 100), entry("b", 2, 1100), entry("c", 3, 9)], then);
        let rates: Vec<_> = second.iter().map(|line| (line.entry.label(), line.sent_per_second)).collect();
        let expected = [("b", Some(2000.0)), ("a", Some(0.0)), ("c", None)];
        assert_eq!(rates, expected.map(|(name, rate)| (name.to_string(), rate)));
        assert_eq!(second[0].received_per_second, Some(1000.0));
    }

    #[test]
    fn a_picture_fits_its_terminal() {
        let mut many: Vec<Entry> = (0..30).map(|i| entry(&format!("channel {i}"), i, 1 << 40)).collect();
        many[0].name = Some("a name that is longer than any column can be, ".repeat(5));
        many[1].problems = vec!["x".into()];
        let lines = lines(many, None);
        for (width, height) in [(80, 24), (40, 10), (200, 50), (1, 1), (0, 0)] {
            let picture = render(&lines, width, height);
            assert!(picture.len() <= height, "{width}x{height}");
            assert!(
                picture.iter().all(|line| line.chars().count() <= width),
                "{width}x{height}: {picture:#?}"
            );
        }
        let picture = render(&lines, 80, 24);
        assert!(picture[0].starts_with("30 channels, 1 with problems; 0 in/s, 0 out/s"), "{}", picture[0]);
        assert_eq!(picture.last().unwrap(), "... and 9 more");
        let line = picture.iter().find(|line| line.starts_with("channel 2 ")).unwrap();
        assert!(
            line.contains(" 2    3 ") && line.contains("████████·········") && line.contains("512/1.02k"),
            "{line}"
        );
    }

    #[test]
    fn bars_are_empty_and_full_only_if_the_channel_is() {
        let bars = [0, 1, 50, 99, 100].map(|messages| gauge(messages, 100, 4));
        assert_eq!(bars, ["····", "█···", "██··", "███·", "████"]);
        assert_eq!((gauge(1, 2, 0), gauge(1, 2, 1)), (String::new(), "█".into()));
    }
}
