//! The layers hold: who may name what, read from the sources. See the crate's documentation and docs/design.md.

use std::path::{Path, PathBuf};

/// Sources of the crate, by their path below `src`, without comments and with their lines kept.
fn sources() -> Vec<(String, Vec<String>)> {
    let code = |line: &str| line.split("//").next().unwrap_or("").to_string();
    texts().into_iter().map(|(path, text)| (path, text.lines().map(code).collect())).collect()
}

/// Sources of the crate as they are, by their path below `src`.
fn texts() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("directory") {
            let path = entry.expect("entry").path();
            match path.is_dir() {
                true => walk(&path, found),
                false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
                false => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    assert!(files.len() > 30, "{files:?}");
    let named = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("source");
        (path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned(), text)
    };
    files.into_iter().map(named).collect()
}

/// Does the line have it as a whole word?
fn names(line: &str, word: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    line.match_indices(word)
        .any(|(at, _)| edge(line[..at].chars().next_back()) && edge(line[at + word.len()..].chars().next()))
}

/// Every line of the files that says one of the words.
fn lines_with(chosen: impl Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, lines) in sources().iter().filter(|(path, _)| chosen(path)) {
        for (number, line) in lines.iter().enumerate() {
            if words.iter().any(|word| names(line, word)) {
                found.push(format!("src/{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// Files of unit tests and models: they stand on everything.
fn is_test(path: &str) -> bool {
    ["tests.rs", "testing.rs", "scripted.rs", "world.rs", "hostile.rs", "models.rs", "modelled.rs"]
        .iter()
        .any(|end| path.ends_with(end))
        || ["/models/", "/world/"].iter().any(|folder| path.contains(folder))
}

/// The rings, the table's records and index and the protocol of sleeping and waking are algorithms over atomics: they know
/// no kernel.
#[test]
fn the_algorithms_know_no_kernel() {
    const FILES: [&str; 7] = [
        "layout.rs",
        "sync.rs",
        "pair/layout.rs",
        "table/layout.rs",
        "table/memory.rs",
        "table/record.rs",
        "table/index.rs",
    ];
    let pure = |path: &str| path.starts_with("ring/") || path.starts_with("park") || FILES.contains(&path);
    let known: Vec<_> = sources().into_iter().map(|(path, _)| path).collect();
    assert!(FILES.iter().all(|file| known.iter().any(|path| path == file)), "{known:?}");
    let found = lines_with(
        pure,
        &[
            "libc",
            "crate::os",
            "super::os",
            "crate::channel",
            "crate::segment",
            "crate::sem",
            "crate::pair::header",
        ],
    );
    assert!(found.is_empty(), "{found:#?}");
}

/// The models replace one file, `sync`, and see every access. What never touches shared memory may do as it likes:
/// the flag of a `Canceller`, which is a matter of one process.
#[test]
fn sync_is_the_only_door_to_atomics() {
    const PRIVATE: [&str; 2] = ["channel/cancel.rs", "channel/participant.rs"];
    let elsewhere = |path: &str| path != "sync.rs" && !is_test(path);
    let atomics = ["core::sync::atomic", "std::sync::atomic"];
    let found = lines_with(|path| elsewhere(path) && !PRIVATE.contains(&path), &atomics);
    assert!(found.is_empty(), "{found:#?}");
    let found =
        lines_with(|path| PRIVATE.contains(&path), &["AtomicU64", "AtomicU32", "AtomicUsize", "AtomicPtr"]);
    let beyond: Vec<_> = found.iter().filter(|line| line.contains("sync::atomic")).collect();
    assert!(beyond.is_empty(), "{beyond:#?}");
}

/// Files that may contain unsafe code, with how many functions of theirs are allowed it: `None` for the whole file.
const UNSAFE: [(&str, Option<usize>); 18] = [
    ("os/attached.rs", None),
    ("os/clock.rs", None),
    ("os/mod.rs", None),
    ("os/descriptor.rs", None),
    ("os/detach.rs", None),
    ("os/guarded.rs", None),
    ("os/mapping.rs", None),
    ("os/process.rs", None),
    ("os/sem.rs", None),
    ("os/shm.rs", None),
    ("os/testing.rs", None),
    ("os/user.rs", None),
    ("ring/slots.rs", None),
    ("ring/copy.rs", None),
    ("channel/grant.rs", Some(1)), // as_mut_slice, behind the promise of trust_peers
    ("channel/lease.rs", Some(1)), // as_slice, likewise
    ("channel/lifecycle.rs", Some(1)), // view, where a checked mapping becomes the ring's memory
    ("channel/options.rs", Some(1)), // trust_peers, the promise itself
];

#[test]
fn unsafe_code_is_where_it_belongs() {
    let allowed = |path: &str| UNSAFE.iter().any(|(file, _)| *file == path);
    let found = lines_with(|path| !allowed(path) && !is_test(path), &["unsafe", "allow(unsafe_code)"]);
    assert!(found.is_empty(), "{found:#?}");
    for (file, functions) in UNSAFE {
        let whole = lines_with(|path| path == file, &["#![allow(unsafe_code)]"]).len();
        let marked = lines_with(|path| path == file, &["#[allow(unsafe_code)]"]).len();
        match functions {
            None => assert_eq!((file, whole), (file, 1)),
            Some(count) => assert_eq!((file, whole, marked), (file, 0, count)),
        }
    }
    let root = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).expect("lib.rs");
    assert!(root.contains("#![deny(unsafe_code)]"));
}

/// A panic on a value that another process wrote would be its way to end this one: there is none on purpose, and no value
/// is taken out of its wrapper unasked. (What is left, slices and sums, is in SECURITY.md, and met by the hostile tests.)
#[test]
fn nothing_panics_on_purpose() {
    let ways = [
        ".unwrap()",
        ".expect(",
        ".unwrap_err()",
        "panic!",
        "unreachable!",
        "todo!",
        "unimplemented!",
        " assert",
    ];
    let mut found = Vec::new();
    // The probe's hooks are compiled in tests only.
    for (path, lines) in sources().iter().filter(|(path, _)| !is_test(path) && path != "ring/probe.rs") {
        let code = lines.iter().take_while(|line| line.trim() != "mod tests {");
        for (number, line) in code.enumerate().filter(|(_, line)| ways.iter().any(|way| line.contains(way))) {
            found.push(format!("src/{path}:{}: {}", number + 1, line.trim()));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// SETVAL and SETALL erase every process's undo for what they set: a dead process would stay alive for ever.
#[test]
fn no_semaphore_is_ever_set() {
    let found = lines_with(|path| !is_test(path), &["SETVAL", "SETALL"]);
    assert!(found.is_empty(), "{found:#?}");
}

/// An ordering that is not Relaxed says with which others it goes; the design says how.
#[test]
fn every_pair_of_orderings_is_in_the_design() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/design.md");
    let design = std::fs::read_to_string(path).expect("design.md");
    let head = "| SYNC | release side | acquire side |\n|---|---|---|\n";
    let (_, table) = design.split_once(head).expect("the table");
    let rows = table.lines().map_while(|row| row.strip_prefix('|')?.split('|').next());
    let mut known: Vec<&str> = rows.flat_map(|names| names.split(',')).map(str::trim).collect();
    let sources = texts();
    let mut used: Vec<&str> = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !is_test(path)) {
        for name in text.split("SYNC(").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(known.contains(&name), "SYNC({name}) of src/{path} is not in docs/design.md: {known:?}");
            used.push(name);
        }
    }
    known.retain(|name| !used.contains(name));
    assert!(known.is_empty(), "nothing is marked with {known:?}");
}
