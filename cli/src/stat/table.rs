//! A table as `stat` shows it.

use std::time::SystemTime;

use semring::TableStatus;
use serde_json::{Value, json};

use super::pair::{Lines, Pair};
use crate::listing;
use crate::text;

pub(super) fn report(status: &TableStatus) -> Value {
    let mut report = json!({
        "name": status.name,
        "kind": "table",
        "capacity": status.capacity,
        "records": status.len,
        "record_type": status.type_name,
        "key_size": status.key_size,
        "value_size": status.value_size,
        "creator_pid": status.creator,
        "writers": status.writers,
        "unfinished": status.unfinished,
        "problems": listing::table_troubles(status),
    });
    Pair::from(status).report(&mut report);
    report
}

pub(super) fn describe(status: &TableStatus, now: SystemTime) -> String {
    let mut lines = Lines::default();
    lines.add("table", text::name(&status.name));
    lines.add("records", format_args!("{} of {}", status.len, status.capacity));
    let sizes = format!("keys of {}, values of {} bytes", status.key_size, status.value_size);
    lines.add("type", format_args!("{}: {sizes}", text::name(&status.type_name)));
    Pair::from(status).describe(&mut lines, &format!(", process {}", status.creator), now);
    let writers: Vec<String> = status.writers.iter().map(i32::to_string).collect();
    lines.add("writers now", if writers.is_empty() { "none".into() } else { writers.join(", ") });
    for trouble in listing::table_troubles(status) {
        lines.add("wrong", trouble);
    }
    lines.0
}
