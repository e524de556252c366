//! This run and an earlier one: has ours become slower? A guard against regressions.
//!
//! What the rivals of a case changed by is put down to the machine, and taken out.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::results::median;
use crate::spec::Rival;

/// What a run says of an entry.
#[derive(Debug, PartialEq)]
pub struct Figure {
    case: String,
    label: String,
    ours: bool,
    nanos: f64,
}

/// The figures of an earlier run.
pub fn read(file: &Path) -> Result<Vec<Figure>, String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let json = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let figures = figures(&json);
    match figures.is_empty() {
        true => Err(format!("{}: no samples; it should be what --json printed", file.display())),
        false => Ok(figures),
    }
}

/// The medians in the JSON of a run.
pub fn figures(run: &Value) -> Vec<Figure> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut figures = Vec::new();
    for case in list(run, "cases") {
        // Processor time of somebody who waits is no time of a message.
        let timed = case["id"] != "idle";
        for entry in list(&case, "entries").iter().filter(|_| timed) {
            let samples = list(entry, "samples");
            let nanos = median(samples.iter().filter_map(|sample| sample["nanos"].as_f64()));
            let rival = serde_json::from_value(entry["spec"]["rival"].clone()).ok();
            let (Some(case), Some(label)) = (case["id"].as_str(), entry["label"].as_str()) else { continue };
            figures.extend(nanos.map(|nanos| Figure {
                case: case.into(),
                label: label.into(),
                ours: rival.is_some_and(Rival::is_ours),
                nanos,
            }));
        }
    }
    figures
}

/// What became of an entry.
struct Change<'a> {
    figure: &'a Figure,
    before: f64,
    /// New by old time.
    ratio: f64,
}

/// Prints what changed; the entries of ours that became too slow are the error.
pub fn verdict(before: &[Figure], now: &[Figure], threshold: f64) -> Result<(), String> {
    let changes = changes(before, now);
    if changes.is_empty() {
        return Err("the two runs have no case in common".into());
    }
    println!("\n### Against the earlier run\n\n| case | | before, ns | now, ns | x | x, less the rivals' |");
    println!("|---|---|--:|--:|--:|--:|");
    let mut slower = Vec::new();
    for change in &changes {
        let Figure { case, label, nanos, ours } = change.figure;
        let own = change.ratio / drift(&changes, case);
        println!("| {case} | {label} | {:.1} | {nanos:.1} | {:.2} | {own:.2} |", change.before, change.ratio);
        if *ours && own > threshold {
            slower.push(format!("{case}, {label}: {own:.2} x"));
        }
    }
    match slower.is_empty() {
        true => Ok(()),
        false => Err(format!("slower than {threshold} x the earlier run: {}", slower.join("; "))),
    }
}

fn changes<'a>(before: &[Figure], now: &'a [Figure]) -> Vec<Change<'a>> {
    let change = |figure: &'a Figure| {
        let same = |other: &&Figure| other.case == figure.case && other.label == figure.label;
        let before = before.iter().find(same)?.nanos;
        Some(Change { figure, before, ratio: figure.nanos / before })
    };
    now.iter().filter_map(change).collect()
}

/// By how much the rivals of a case changed; of all cases, if it has none.
fn drift(changes: &[Change<'_>], case: &str) -> f64 {
    let rivals = |any: bool| {
        let rivals = changes.iter().filter(|change| !change.figure.ours);
        median(rivals.filter(|change| any || change.figure.case == case).map(|change| change.ratio))
    };
    rivals(false).or_else(|| rivals(true)).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(ours: f64, pipe: f64) -> Vec<Figure> {
        let entry = |label: &str, rival: &str, nanos: f64| {
            let samples = json!([null, { "nanos": nanos }, { "nanos": nanos }]);
            json!({ "label": label, "spec": { "rival": rival }, "samples": samples })
        };
        let entries = json!([entry("semring SPSC", "ours-spsc", ours), entry("pipe", "pipe", pipe)]);
        figures(&json!({ "cases": [{ "id": "stream/64", "entries": entries }] }))
    }

    #[test]
    fn a_slower_machine_is_no_regression_and_a_slower_channel_is() {
        let before = run(20.0, 300.0);
        assert_eq!(before[0].nanos, 20.0);
        assert_eq!(verdict(&before, &run(40.0, 600.0), 1.25), Ok(()));
        assert_eq!(verdict(&before, &run(24.0, 300.0), 1.25), Ok(()));
        let error = verdict(&before, &run(30.0, 300.0), 1.25).unwrap_err();
        assert!(error.contains("stream/64, semring SPSC: 1.50 x"), "{error}");
        assert!(verdict(&before, &[], 1.25).unwrap_err().contains("in common"));
    }
}
