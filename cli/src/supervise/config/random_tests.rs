//! Configurations that nobody would write.

use crate::failure::Fault;
use proptest::prelude::*;

const KEYS: [&str; 24] = [
    "name",
    "service",
    "command",
    "after",
    "restart",
    "backoff",
    "backoff_max",
    "healthy",
    "starts",
    "starts_per",
    "grace",
    "silence",
    "log",
    "log_size",
    "log_keep",
    "env",
    "user",
    "directory",
    "notify",
    "ready",
    "every",
    "cron",
    "comand",
    "'a b'",
];

fn value() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "true",
        "-1",
        "0",
        "99999999999999999999999",
        "1e999",
        "nan",
        "0xff",
        "''",
        "'true'",
        "'5s'",
        "'1G'",
        "'a'",
        "'root'",
        "'/'",
        "'always'",
        "'* * * * *'",
        "'0 0 31 2 *'",
        "'*/0 * * * *'",
        "2030-01-01",
        "'\u{7f}\u{e9}'",
        "\"\\u0000\"",
        "'999999999999999999d'",
    ]);
    word.prop_map(str::to_owned).prop_recursive(3, 12, 4, |inner| {
        let array =
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", ")));
        let pair =
            (prop::sample::select(KEYS.to_vec()), inner).prop_map(|(key, value)| format!("{key} = {value}"));
        let table = prop::collection::vec(pair, 0..4).prop_map(|pairs| format!("{{ {} }}", pairs.join(", ")));
        prop_oneof![array, table]
    })
}

fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(KEYS.to_vec());
    let header = prop::sample::select(vec![
        "[service.a]",
        "[service.b]",
        "[service.'a/b']",
        "[service]",
        "[[service]]",
    ]);
    prop_oneof![
        6 => (key, value()).prop_map(|(key, value)| format!("{key} = {value}")),
        2 => header.prop_map(str::to_owned),
        1 => "[ -~]{0,20}",
    ]
}

proptest! {
    /// Whatever is in a file: a configuration, or errors of which each has its line and says what was expected.
    #[test]
    fn no_file_is_too_wrong(lines in prop::collection::vec(line(), 0..12)) {
        let source = lines.join("\n");
        match super::parse(&source, "f.toml", super::Path::new("/tmp")) {
            Ok(config) => prop_assert!(!config.services.is_empty()),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors.iter().map(Fault::to_string) {
                    let rest = error.strip_prefix("f.toml:").expect("the file");
                    let (line, message) = rest.split_once(": ").expect("the line");
                    let line: usize = line.parse().expect("a number");
                    prop_assert!((1..=lines.len().max(1)).contains(&line), "{}", error);
                    prop_assert!(message.contains("expected"), "{}", error);
                }
            }
        }
    }
}
