//! Configurations that are wrong in every way that came to mind: all that is wrong is said, with file and line and what was
//! expected, and nothing is started. What is said of each is in `bad-configs`, beside it; `SEMRING_UPDATE_CONFIGS=1` writes
//! it anew.

mod common;

use common::*;
use std::fs;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-configs")
}

#[test]
fn bad_configurations_are_told_as_expected() {
    let directory = directory();
    let here = directory.to_str().unwrap();
    let mut files: Vec<PathBuf> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    assert!(files.len() > 10);
    for file in files {
        let done =
            run(semring(["supervise", "--config", file.to_str().unwrap()])).fails(1, "nothing was started");
        let said = done.stderr.replace(here, "DIRECTORY");
        for line in said.lines().filter(|line| !line.ends_with("nothing was started")) {
            assert!(line.contains("; expected ") || line.contains(", expected "), "{line}");
        }
        let beside = file.with_extension("expected");
        if std::env::var_os("SEMRING_UPDATE_CONFIGS").is_some() {
            fs::write(&beside, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&beside).unwrap_or_default(), "{}", file.display());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let file = |path: &str, message: &str| {
        let done = run(semring(["supervise", "--config", path])).fails(1, message);
        assert!(done.stderr.starts_with(&format!("semring: {path}: ")), "{}", done.stderr);
        assert!(done.stderr.contains("; expected "), "{}", done.stderr);
    };
    file("/no/such/file.toml", "No such file or directory");
    file("/", "Is a directory");
    file("/dev/zero", "too large");
}

/// For programs the same as one object, as the errors of every other command are.
#[test]
fn errors_are_json_if_that_was_asked_for() {
    let error = |words: &str, status: i32| {
        let done = run(semring(words.split(' ')));
        assert_eq!((done.status.code(), done.stdout.len()), (Some(status), 0), "{words}: {}", done.stderr);
        let report: serde_json::Value = serde_json::from_str(&done.stderr).expect(words);
        assert_eq!(report["exit_status"], status, "{words}");
        report
    };
    let file = directory().join("board-zero.toml");
    let report = error(&format!("supervise --json --config {}", file.display()), 1);
    assert_eq!(report["error"], "1 error in the configuration: nothing was started");
    let fault = &report["faults"][0];
    assert_eq!((&fault["file"], &fault["line"]), (&file.to_str().unwrap().into(), &1.into()));
    assert!(fault["message"].as_str().unwrap().contains("expected"), "{fault}");
    assert_eq!(error("supervise --config / --json", 1)["faults"][0]["line"], serde_json::Value::Null);
    for words in ["stat no-such-channel --json", "beat x --json", "rm --json no-such-channel"] {
        assert!(error(words, 1)["error"].as_str().unwrap().contains("does not exist"), "{words}");
    }
    for words in ["--json supervise", "recv --json", "ls --jsn --json", "beat --json"] {
        assert!(error(words, 2)["error"].is_string(), "{words}");
    }
    // What comes after -- is not ours.
    run(semring(["lock", "--", "true", "--json"])).fails_usage();
    assert!(!run(semring(["lock", "--", "true", "--json"])).stderr.starts_with('{'));
}

#[test]
fn supervise_alone_names_both_ways_to_say_what() {
    let said = run(semring(["supervise"])).stderr;
    assert!(said.contains("--config <FILE>") && said.contains("--name <NAME>"), "{said}");
    run(semring(["supervise"])).fails_usage();
    run(semring(["supervise", "--name", "x"])).fails_usage();
    run(semring(["supervise", "--name", "x", "--config", "y", "--", "true"])).fails_usage();
}

/// docs/tools.md is where somebody looks first: its example is one, with every key, and each key has its line.
#[test]
fn the_manual_knows_every_key_and_its_example_is_right() {
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tools.md")).unwrap();
    let example =
        manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let directory = std::env::temp_dir().join(format!("semring-manual-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let check = |text: &str| {
        let file = directory.join("services.toml");
        fs::write(&file, text).unwrap();
        run(semring(["supervise", "--check", "--config", file.to_str().unwrap()]))
    };
    let wrong = check("nothing-like-it = 1\n[service.a]\nnothing-like-it = 1\n").stderr;
    // Only root may name another than itself, and not everybody has a name.
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
    let user = me.map(|me| format!("user = {:?}", me.name)).unwrap_or_default();
    let right = check(&example.replace("user = \"root\"", &user));
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(right.ok().stdout, b"shop: database, web, tidy, nightly\n");
    let lists = wrong.lines().filter_map(|line| line.split_once("expected one of ")).map(|(_, keys)| keys);
    let keys: Vec<&str> = lists.flat_map(|keys| keys.split(", ")).collect();
    assert_eq!(keys.len(), 22, "{wrong}");
    for key in keys {
        let line = manual.lines().find(|line| {
            line.split('|')
                .nth(1)
                .is_some_and(|cell| cell.split(", ").any(|word| word.trim() == format!("`{key}`")))
        });
        assert!(line.is_some(), "{key} is not in the table of docs/tools.md");
        let written =
            |line: &str| line.starts_with(&format!("{key} = ")) || line.starts_with(&format!("[{key}."));
        assert!(example.lines().any(written), "{key} is not in the example of docs/tools.md");
    }
}
