//! The files of a run: tables, samples and plots.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cases::Case;
use crate::plots;
use crate::results::Results;

type Failure = Box<dyn std::error::Error>;

/// Writes all of them into a directory, over those of an earlier run.
pub fn write(
    dir: &Path,
    tables: &str,
    json: &Value,
    cases: &[Case],
    results: &Results,
) -> Result<(), Failure> {
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    put("table.md", tables.trim_start())?;
    put("samples.json", &format!("{json}\n"))?;
    put("samples.csv", &csv(cases, results))?;
    plots::draw(dir, cases, results)
}

/// A line for each sample.
fn csv(cases: &[Case], results: &Results) -> String {
    let mut text = String::from(
        "case,entry,size,capacity,producers,consumers,bystanders,round,\
         ns,p99_ns,next_p50_ns,messages,sleeps,cpu,growth_bytes\n",
    );
    for case in cases {
        for entry in &case.entries {
            let spec = &entry.spec;
            for (round, sample) in results.of(&case.id, &entry.label).iter().enumerate() {
                // A failed one leaves a gap in the rounds.
                let Some(s) = sample else { continue };
                // Writing to a string cannot fail.
                let _ = write!(
                    text,
                    "{},{},{},{},",
                    field(&case.id),
                    field(&entry.label),
                    spec.size,
                    spec.capacity
                );
                let _ = write!(text, "{},{},{},", spec.producers, spec.consumers, spec.bystanders);
                let _ = write!(text, "{},{},{},{},{},", round + 1, s.nanos, s.p99, s.next_p50, s.messages);
                let _ = writeln!(text, "{},{},{}", s.sleeps, s.cpu, s.growth);
            }
        }
    }
    text
}

/// As RFC 4180 has it.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_that_need_quotes_get_them() {
        assert_eq!([field("pipe"), field("a, b"), field("\"x\"")], ["pipe", "\"a, b\"", "\"\"\"x\"\"\""]);
    }
}
