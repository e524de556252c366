//! Tables in markdown, and the same as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cases::Case;
use crate::goals::{self, Goal};
use crate::results::{Results, figure};

/// A table for each case, then the goals.
pub fn markdown(cases: &[Case], results: &Results, goals: &[Goal], left_out: &[String]) -> String {
    let mut text = String::new();
    cases.iter().for_each(|case| table(&mut text, case, results));
    for line in left_out {
        let _ = writeln!(text, "Left out: {line}.");
    }
    goals_table(&mut text, goals);
    text
}

fn table(text: &mut String, case: &Case, results: &Results) {
    let first = case.entries.first().map_or("", |entry| entry.label.as_str());
    let _ = writeln!(text, "\n### {}\n\n| | {} | least | most | x {first} |", case.title, case.unit);
    let _ = writeln!(text, "|---|--:|--:|--:|--:|");
    for entry in &case.entries {
        let value = |sample: &_| figure(entry.spec.work, sample);
        let label = entry.label.as_str();
        let Some(median) = results.median(&case.id, label, value) else {
            let _ = writeln!(text, "| {label} | failed | | | |");
            continue;
        };
        let values = || results.of(&case.id, label).iter().flatten().map(value);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let ratio = results.ratio((&case.id, label), (&case.id, first));
        let _ = writeln!(
            text,
            "| {label} | {} | {} | {} | {} |",
            number(median),
            number(least),
            number(most),
            ratio.map_or(String::new(), number)
        );
    }
}

fn goals_table(text: &mut String, goals: &[Goal]) {
    let _ = writeln!(text, "\n### Goals\n\n| what | goal | measured | |\n|---|---|--:|---|");
    for goal in goals {
        let verdict = match goal.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => goal.note,
        };
        let measured = goal.measured.map_or(String::new(), number);
        let _ = writeln!(text, "| {} | {} | {measured} | {verdict} |", goal.what, goal.goal);
    }
    let (met, measured) = goals::score(goals);
    let _ = writeln!(text, "\n{met} of {measured} measured goals met.");
}

/// Three digits or so.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Every sample and every goal.
pub fn json(cases: &[Case], results: &Results, goals: &[Goal], left_out: &[String]) -> Value {
    let cases: Vec<Value> = cases
        .iter()
        .map(|case| {
            let entries: Vec<Value> = case
                .entries
                .iter()
                .map(|e| json!({ "label": e.label, "spec": e.spec, "samples": results.of(&case.id, &e.label) }))
                .collect();
            json!({ "id": case.id, "title": case.title, "unit": case.unit, "entries": entries })
        })
        .collect();
    json!({ "cases": cases, "goals": goals, "left_out": left_out })
}
