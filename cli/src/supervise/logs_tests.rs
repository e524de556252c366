use super::*;

/// A directory of its own, gone in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("semring-logs-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn pump(&self, size: u64, keep: u32) -> Pump {
        Pump::open(&Log { path: self.0.join("log"), size, keep }).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn lines_stay_whole_and_only_so_many_files_are_kept() {
    let directory = Directory::new("rotate");
    let mut pump = directory.pump(10, 2);
    let _writer = pump.output().unwrap();
    for number in 0..8 {
        pump.write(format!("line {number}\n").as_bytes());
    }
    assert_eq!(directory.read("log"), "line 7\n");
    assert_eq!([directory.read("log.1"), directory.read("log.2")], ["line 6\n", "line 5\n"]);
    assert_eq!(directory.names(), ["log", "log.1", "log.2", "log.pipe"]);
    // A successor goes on where its predecessor stopped; one write with many lines is cut between them.
    let mut successor = directory.pump(20, 2);
    successor.write(b"a\nb\nlonger than the rest\nc\n");
    assert_eq!(directory.read("log.2"), "line 7\na\nb\n");
    assert_eq!(directory.read("log.1"), "longer than the rest");
    assert_eq!(directory.read("log"), "\nc\n");
    pump.close();
    assert_eq!(directory.names(), ["log", "log.1", "log.2"]);
}

#[test]
fn without_old_files_the_one_begins_anew() {
    let directory = Directory::new("none");
    let mut pump = directory.pump(4, 0);
    pump.write(b"abc\ndef\n");
    assert_eq!(directory.read("log"), "def\n");
    assert_eq!(directory.names(), ["log", "log.pipe"]);
}

/// The rotation of a supervisor that was killed in the middle of one: nothing that is to be kept is overwritten.
#[test]
fn a_gap_is_filled_first() {
    let directory = Directory::new("gap");
    fs::write(directory.0.join("log.1"), "1").unwrap();
    fs::write(directory.0.join("log.3"), "3").unwrap();
    let mut pump = directory.pump(2, 3);
    pump.write(b"0\nx\n");
    assert_eq!([1, 2, 3].map(|n| directory.read(&format!("log.{n}"))), ["0\n", "1", "3"]);
}

#[test]
fn what_cannot_be_written_is_counted_and_stops_nobody() {
    let directory = Directory::new("full");
    let mut pump = directory.pump(1000, 1);
    pump.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
    pump.write(b"lost\n");
    pump.write(b"lost, too\n");
    assert_eq!(pump.lost, 15);
    pump.file = None;
    pump.write(b"there is room again\n");
    let text = directory.read("log");
    assert_eq!(
        text,
        "semring: 15 bytes of output were lost: the file could not be written\nthere is room again\n"
    );
}

#[test]
fn what_is_no_fifo_is_left_alone() {
    let directory = Directory::new("no-fifo");
    fs::write(directory.0.join("log.pipe"), "precious").unwrap();
    let log = Log { path: directory.0.join("log"), size: 1, keep: 1 };
    assert!(Pump::open(&log).unwrap_err().to_string().contains("is no FIFO"));
    assert_eq!(directory.read("log.pipe"), "precious");
}
