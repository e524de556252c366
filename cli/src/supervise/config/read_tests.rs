use super::*;

fn parse(source: &str) -> Result<Config, Vec<String>> {
    let texts = |faults: Vec<Fault>| faults.iter().map(Fault::to_string).collect();
    super::parse(source, "f.toml", Path::new("/tmp")).map_err(texts)
}

#[test]
fn all_that_can_be_said() {
    let config = parse(
        r#"
        name = "shop"
        [service.web]
        command = ["/bin/sh", "-c", "exec sleep 1"]
        after = ["db"]
        restart = "on-failure"
        backoff = "1s"
        backoff_max = 60
        healthy = "1m"
        starts = 3
        starts_per = "10s"
        grace = "2s"
        silence = "500ms"
        log = "web.log"
        log_size = "64K"
        log_keep = 2
        env = { A = "b", N = 1 }
        directory = "/"
        notify = true
        ready = "3s"
        [service.db]
        command = "echo hello"
        [service.tidy]
        command = "true"
        every = "10m"
        [service.nightly]
        command = "true"
        cron = "30 4 * * *"
        "#,
    )
    .unwrap();
    assert_eq!(config.board, "shop");
    let names: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["db", "web", "tidy", "nightly"], "after what they need, else as they stand");
    let web = &config.services[1];
    let s = Duration::from_secs;
    assert_eq!((web.backoff.least, web.backoff.most, web.backoff.healthy), (s(1), s(60), s(60)));
    assert_eq!((web.rate.starts, web.rate.per, web.grace), (3, s(10), s(2)));
    assert_eq!(
        (web.silence, web.ready, &web.restart),
        (Some(Duration::from_millis(500)), Some(s(3)), &Restart::OnFailure)
    );
    assert_eq!(web.log, Some(Log { path: "/tmp/web.log".into(), size: 65_536, keep: 2 }));
    assert_eq!(web.environment["N"], "1");
    assert_eq!(config.services[0].command, ["/bin/sh", "-c", "echo hello"]);
    assert!(matches!(&config.services[2].restart, Restart::At(Schedule::Every(time)) if *time == s(600)));
    assert!(matches!(&config.services[3].restart, Restart::At(Schedule::Cron(_))));
}

/// Each line has one error, and every one is reported, with its line and what would have been right.
#[test]
fn every_error_has_its_line() {
    let lines = [
        ("nmae = \"x\"", "unknown key \"nmae\" (did you mean \"name\"?); expected one of name, service"),
        ("[service.\"a/b\"]", "cannot be a service's name; expected 1 to 64 bytes"),
        ("command = \"true\"", ""),
        ("[service.a]", "service \"a\" has no command"),
        ("restart = \"often\"", "restart is \"often\"; expected \"always\" or \"on-failure\" or \"never\""),
        ("after = [\"nobody\"]", "there is no service \"nobody\""),
        ("grace = \"5 weeks\"", "grace is \"5 weeks\"; expected a time as"),
        ("silence = 0", "silence is 0; expected a time above 0"),
        ("starts = -1", "starts is -1; expected a whole number from 1 to 4294967295"),
        ("log_keep = 3", "log_keep is for a service with a log"),
        ("user = \"nobody-of-that-name\"", "there is no user"),
        ("directory = \"/no/such/place\"", "/no/such/place is no directory; expected"),
        ("notify = \"yes\"", "notify is \"yes\"; expected true or false"),
        ("ready = \"5s\"", "ready is for a service with notify = true"),
        ("[service.b]", ""),
        ("command = [\"/no/such/program\"]", "No such file or directory"),
        ("log = \"/no/such/place/log\"", "cannot be a file"),
        ("log_size = \"1T\"", "log_size is \"1T\"; expected a number of bytes"),
        ("env = { A = [] }", "env.A is []; expected a string or a number"),
        ("every = \"1s\"", "every is not alone; expected only one of restart, every and cron"),
        ("restart = \"never\"", ""),
        ("[service.c]", ""),
        ("command = []", "command is []; expected an array of strings"),
        ("cron = \"99 * * * *\"", "cron \"99 * * * *\""),
        ("after = \"b\"", "after is \"b\"; expected an array of strings"),
    ];
    let source = lines.map(|(line, _)| line).join("\n");
    let errors = parse(&source).unwrap_err();
    let expected: Vec<_> = lines.iter().enumerate().filter(|(_, (_, error))| !error.is_empty()).collect();
    for (error, (i, (_, message))) in errors.iter().zip(&expected) {
        assert!(
            error.starts_with(&format!("f.toml:{}: ", i + 1)) && error.contains(message),
            "{error}\n{message}"
        );
    }
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
}

/// Who rotates `/dev/null` takes it from everybody; and two who rotate one file lose it.
#[test]
fn a_log_is_a_file_of_ones_own() {
    let log = |log: &str| format!("command = 'true'\nlog = '{log}'\n");
    let errors = parse(&format!("[service.a]\n{}", log("/dev/null"))).unwrap_err();
    assert_eq!(errors, ["f.toml:3: log /dev/null is not a regular file; expected one"]);
    let (a, b) = (log("no-such-log"), log("/tmp/no-such-log"));
    let errors = parse(&format!("[service.a]\n{a}[service.b]\n{b}")).unwrap_err();
    assert_eq!(errors, ["f.toml:4: log /tmp/no-such-log is that of \"a\"; expected one of its own"]);
}

#[test]
fn syntax_circles_and_emptiness() {
    let errors = parse("a = \n[service.x\nb = ]").unwrap_err();
    assert!(errors.len() >= 2 && errors[0].starts_with("f.toml:1: "), "{errors:#?}");
    let circle = "[service.a]\ncommand='true'\nafter=['b']\n[service.b]\ncommand='true'\nafter=['a']";
    assert_eq!(parse(circle).unwrap_err(), ["f.toml:1: a circle: a after b after a; expected an order"]);
    assert_eq!(parse("").unwrap_err(), ["f.toml:1: no services; expected a table [service.NAME]"]);
    assert!(
        read(Path::new("/no/such/file")).unwrap_err()[0].to_string().contains("/no/such/file: No such file")
    );
}

/// Only the program has to be something.
#[test]
fn arguments_may_be_empty() {
    let command = |command: &str| parse(&format!("[service.a]\ncommand = {command}"));
    assert_eq!(command("['printf', '', ' ']").unwrap().services[0].command, ["printf", "", " "]);
    for bad in ["['', 'x']", "''", "' '"] {
        assert!(command(bad).unwrap_err()[0].contains("command is "), "{bad}");
    }
}

#[test]
fn numbers_are_written_in_any_base() {
    let service = |key: &str| parse(&format!("[service.a]\ncommand = 'true'\n{key}")).unwrap();
    let starts = |number: &str| service(&format!("starts = {number}")).services[0].rate.starts;
    assert_eq!(["0x10", "0o20", "1_6", "0b10000"].map(starts), [16; 4]);
}

/// Whoever may not open the board has one way to beat, and that is said before it is taken for hung.
#[test]
fn another_users_service_beats_by_sd_notify() {
    if !geteuid().is_root() {
        return eprintln!("skipped: only root may run services as others");
    }
    let service =
        |lines: &str| parse(&format!("[service.a]\ncommand = 'true'\nsilence = '5s'\nuser = {lines}"));
    let wrong = service("'nobody'").unwrap_err();
    assert!(wrong[0].starts_with("f.toml:3: user \"nobody\" may not open the board"), "{wrong:?}");
    assert!(wrong[0].contains("expected notify = true"), "{wrong:?}");
    service("'nobody'\nnotify = true").unwrap();
    service("'root'").unwrap();
}

/// The log of one is neither the FIFO nor an old log of another, however it is written.
#[test]
fn logs_do_not_get_in_each_others_way() {
    let logs = |a: &str, b: &str| {
        let log = |log: &str| format!("command = 'true'\nlog = '/tmp/no-such-{log}'\nlog_keep = 2\n");
        parse(&format!("[service.a]\n{}[service.b]\n{}", log(a), log(b)))
    };
    for (a, b) in [("x", "x.1"), ("x.2", "x"), ("x", "x.pipe")] {
        assert!(logs(a, b).unwrap_err()[0].contains("expected one of its own"), "{a} {b}");
    }
    for (a, b) in [("x", "x.3"), ("x", "x.log"), ("x", "x1"), ("x", "x.0")] {
        logs(a, b).unwrap();
    }
    let errors = parse(
        "[service.a]\ncommand='true'\nlog='/no-such-x'\n[service.b]\ncommand='true'\nlog='/tmp/../no-such-x'",
    );
    assert!(errors.unwrap_err()[0].contains("that of \"a\""));
}
