//! `semring rm`, and what all commands have in common.

mod common;

use common::*;

#[test]
fn an_absent_channel_cannot_be_removed() {
    let name = Name::new();
    run(name.command("rm", "")).fails(1, "does not exist");
    run(name.command("rm", "--force")).fails(1, "does not exist");
}

#[test]
fn a_channel_goes_with_its_messages() {
    let name = Name::new();
    run_with_input(name.command("send", ""), "one\ntwo\n").ok();
    let removed = run(name.command("rm", "--json")).ok().json();
    assert_eq!((&removed["messages_discarded"], &removed["removed"]), (&2.into(), &name.as_str().into()));
    name.assert_gone();
}

#[test]
fn a_channel_in_use_is_removed_only_by_force_and_then_its_users_end() {
    let name = Name::new();
    let mut receiver = Running::start(name.command("recv", ""));
    assert!(within(LIMIT, || run(name.command("rm", "")).stderr.contains("in use")));
    let refused = run(name.command("rm", "")).fails(1, "in use by consumer");
    assert!(refused.stderr.contains(&receiver.id().to_string()), "{}", refused.stderr);
    assert!(receiver.is_running());
    run(name.command("rm", "--force")).ok();
    receiver.end().fails(1, "removed");
    name.assert_gone();
}

#[test]
fn every_command_has_examples_knows_json_and_is_in_the_readme() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let commands = commands();
    assert!(commands.len() >= 15, "{commands:?}");
    let helps = |words: &[&str]| {
        let help = text(run(semring(words.iter().copied().chain(["--help"]))));
        assert!(help.contains("Examples:") && help.contains("--json"), "{words:?}");
    };
    for action in ["p", "v", "zero", "value", "create", "remove"] {
        helps(&["sem", "name", action]);
    }
    for command in commands {
        helps(&[&command]);
        let row = readme
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&format!("`semring {command}")));
        assert!(row.is_some(), "{command} is not in the README's table");
    }
    assert_eq!(run(semring(["nonsense"])).status.code(), Some(2));
    assert_eq!(run(semring(["demo-worker", "producer", "0", "nonsense"])).status.code(), Some(1));
}
