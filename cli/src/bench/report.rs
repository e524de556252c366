//! What `semring bench` says: a table with bars for each size, or one JSON object. Pure.

use serde_json::{Value, json};

use crate::text::{self, Align};

use super::carrier::Carrier;
use super::results::{Measured, Row, Samples};

/// Characters of the longest bar.
const BAR: usize = 24;

const HEAD: [(&str, Align); 7] = [
    ("", Align::Left),
    ("MESSAGES/S", Align::Right),
    ("NS", Align::Right),
    ("TIMES", Align::Right),
    ("ROUND TRIP, NS", Align::Right),
    ("TIMES", Align::Right),
    ("MESSAGES/S", Align::Left),
];

pub(super) fn text(measured: &Measured) -> String {
    let Measured { cpus, rounds, millis, rows } = measured;
    let place = match cpus {
        Some([first, second]) => format!("processors {first} and {second}"),
        None => "one processor, for there is no second core".into(),
    };
    let mut text = format!(
        "From process to process, on {place}; every byte written, read and checked.\n\
         Medians of {rounds} rounds of {millis} ms; TIMES the time of the first line, within the rounds.\n"
    );
    for rows in rows.chunk_by(|a, b| a.size == b.size) {
        text.push_str(&table(rows));
    }
    text
}

/// All lines of one size.
fn table(rows: &[Row]) -> String {
    let size = rows[0].size;
    let unit = if size == 1 { "byte" } else { "bytes" };
    let fastest = rows.iter().filter_map(|row| row.stream.median()).fold(f64::INFINITY, f64::min);
    let (measured, left_out): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.left_out.is_none());
    let lines: Vec<Vec<String>> = measured.iter().map(|row| line(row, &rows[0], fastest)).collect();
    let mut text = format!("\n{size} {unit}\n{}", text::table(&HEAD, &lines));
    for row in left_out {
        let why = row.left_out.as_deref().unwrap_or_default();
        text.push_str(&format!("{} left out: {why}\n", row.carrier.label()));
    }
    text
}

fn line(row: &Row, first: &Row, fastest: f64) -> Vec<String> {
    let figure = |value: Option<f64>| value.map_or_else(|| "-".into(), three_digits);
    let rate = row.stream.median().map(|nanos| 1e9 / nanos);
    vec![
        row.carrier.label().into(),
        rate.map_or_else(|| "-".into(), text::count),
        figure(row.stream.median()),
        figure(row.stream.times(&first.stream)),
        figure(row.round_trip.median()),
        figure(row.round_trip.times(&first.round_trip)),
        row.stream.median().map_or_else(String::new, |nanos| bar(fastest / nanos)),
    ]
}

/// A bar for a part of the longest, to an eighth of a character; never none at all.
fn bar(part: f64) -> String {
    const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let eighths = ((part * (BAR * 8) as f64).round() as usize).clamp(1, BAR * 8);
    let mut bar = "█".repeat(eighths / 8);
    bar.extend((eighths % 8).checked_sub(1).map(|rest| EIGHTHS[rest]));
    bar
}

/// At least three digits, no more behind the point than are worth reading.
fn three_digits(value: f64) -> String {
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

pub(super) fn json(measured: &Measured) -> Value {
    let first = |size| measured.rows.iter().find(move |row| row.size == size);
    let rows: Vec<Value> = measured
        .rows
        .iter()
        .map(|row| {
            let name = name(row.carrier);
            match (&row.left_out, first(row.size)) {
                (Some(why), _) => json!({ "name": name, "size": row.size, "left_out": why }),
                (None, first) => json!({
                    "name": name,
                    "size": row.size,
                    "stream": samples(&row.stream, first.map(|row| &row.stream)),
                    "round_trip": samples(&row.round_trip, first.map(|row| &row.round_trip)),
                }),
            }
        })
        .collect();
    json!({
        "processors": measured.cpus,
        "rounds": measured.rounds,
        "millis": measured.millis,
        "results": rows,
    })
}

fn name(carrier: Carrier) -> Value {
    serde_json::to_value(carrier).unwrap_or_default()
}

fn samples(samples: &Samples, first: Option<&Samples>) -> Value {
    json!({
        "messages": samples.messages,
        "ns": samples.nanos,
        "median_ns": samples.median(),
        "messages_per_second": samples.median().map(|nanos| 1e9 / nanos),
        "times_spsc": first.and_then(|first| samples.times(first)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(carrier: Carrier, stream: &[f64]) -> Row {
        let mut row = Row::new(carrier, 64);
        row.stream.nanos = stream.into();
        row.round_trip.nanos = stream.iter().map(|nanos| nanos * 10.0).collect();
        row
    }

    #[test]
    fn bars_are_as_long_as_what_they_stand_for() {
        assert_eq!([1.0, 0.5, 0.0].map(bar), ["█".repeat(24), "█".repeat(12), "▏".into()]);
        assert_eq!(bar(1.0 / 24.0 + 3.0 / 192.0), "█▍");
    }

    #[test]
    fn a_table_compares_with_its_first_line_and_says_who_is_missing() {
        let mut gone = row(Carrier::PosixMq, &[]);
        gone.left_out = Some("no room".into());
        let rows = vec![row(Carrier::Spsc, &[20.0, 40.0]), row(Carrier::Pipe, &[200.0, 800.0]), gone];
        let measured = Measured { cpus: Some([0, 1]), rounds: 2, millis: 100, rows };
        let text = text(&measured);
        let pipe = text.lines().find(|line| line.starts_with("pipe")).unwrap();
        let cells: Vec<&str> = pipe.split_whitespace().collect();
        assert_eq!(cells, ["pipe", "2.00M", "500", "15.0", "5000", "15.0", "█▌"], "{text}");
        assert!(text.contains("\nPOSIX queue left out: no room\n"), "{text}");
        let json = json(&measured);
        assert_eq!(json["results"][1]["stream"]["times_spsc"], 15.0);
        assert_eq!(json["results"][1]["name"], "pipe");
        assert_eq!(json["results"][2]["left_out"], "no room");
    }
}
