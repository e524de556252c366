use nix::unistd::geteuid;

use super::*;

/// A directory of its own, gone in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("semring-logs-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn log(&self, size: u64, keep: u32) -> Log {
        Log { path: self.0.join("log"), size, keep }
    }

    fn pump(&self, size: u64, keep: u32) -> Pump {
        Pump::open(&self.log(size, keep), 7, geteuid().as_raw()).unwrap()
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
        pump.file.write(format!("line {number}\n").as_bytes());
    }
    assert_eq!(directory.read("log"), "line 7\n");
    assert_eq!([directory.read("log.1"), directory.read("log.2")], ["line 6\n", "line 5\n"]);
    assert_eq!(directory.names(), ["log", "log.00000007.pipe", "log.1", "log.2"]);
    // A successor goes on where its predecessor stopped; one write with many lines is cut between them.
    let mut successor = directory.pump(20, 2);
    successor.file.write(b"a\nb\nlonger than the rest\nc\n");
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
    pump.file.write(b"abc\ndef\n");
    assert_eq!(directory.read("log"), "def\n");
    assert_eq!(directory.names(), ["log", "log.00000007.pipe"]);
}

/// The rotation of a supervisor that was killed in the middle of one: nothing that is to be kept is overwritten.
#[test]
fn a_gap_is_filled_first() {
    let directory = Directory::new("gap");
    fs::write(directory.0.join("log.1"), "1").unwrap();
    fs::write(directory.0.join("log.3"), "3").unwrap();
    let mut pump = directory.pump(2, 3);
    pump.file.write(b"0\nx\n");
    assert_eq!([1, 2, 3].map(|n| directory.read(&format!("log.{n}"))), ["0\n", "1", "3"]);
}

#[test]
fn what_cannot_be_written_is_counted_and_stops_nobody() {
    let directory = Directory::new("full");
    let mut pump = directory.pump(1000, 1);
    pump.file.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
    pump.file.write(b"lost\n");
    pump.file.write(b"lost, too\n");
    assert_eq!(pump.file.lost, 15);
    let news = pump.news().unwrap();
    assert!(news.contains("cannot be written (No space left on device"), "{news}");
    assert_eq!(pump.news(), None, "once");
    pump.file.file = None;
    pump.file.write(b"there is room again\n");
    let text = directory.read("log");
    assert_eq!(
        text,
        "semring: 15 bytes of output were lost: the file could not be written\nthere is room again\n"
    );
}

#[test]
fn what_is_no_fifo_is_left_alone() {
    let directory = Directory::new("no-fifo");
    fs::write(directory.0.join("log.00000007.pipe"), "precious").unwrap();
    let open = || Pump::open(&directory.log(1, 1), 7, geteuid().as_raw());
    assert!(open().unwrap_err().to_string().contains("is no FIFO"));
    assert_eq!(directory.read("log.00000007.pipe"), "precious");
    // Nor is what a link leads to opened, whose owner might be changed.
    fs::remove_file(directory.0.join("log.00000007.pipe")).unwrap();
    std::os::unix::fs::symlink("/dev/null", directory.0.join("log.00000007.pipe")).unwrap();
    assert!(open().unwrap_err().to_string().contains("is no FIFO"));
}

/// A file that cannot be moved is emptied, so that the disk does not fill; that is said, once.
#[test]
fn what_cannot_be_rotated_is_bounded_all_the_same() {
    let directory = Directory::new("unrotatable");
    fs::create_dir_all(directory.0.join("log.1/full")).unwrap();
    let mut pump = directory.pump(4, 1);
    let mut news = Vec::new();
    for number in 0..5 {
        pump.file.write(format!("{number}\n\n\n").as_bytes());
        news.extend(pump.news());
    }
    assert_eq!(directory.read("log"), "4\n\n\n");
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(news[0].contains("cannot be rotated (Is a directory"), "{news:?}");
    // It is said again when it has been well in between.
    fs::remove_dir_all(directory.0.join("log.1")).unwrap();
    pump.file.write(b"5\n\n\n");
    fs::remove_file(directory.0.join("log.1")).unwrap();
    fs::create_dir_all(directory.0.join("log.1/full")).unwrap();
    pump.file.write(b"6\n\n\n");
    assert!(pump.news().is_some());
}

/// It could not even be created, and nobody said so.
#[test]
fn what_cannot_be_opened_is_told_once_and_counted() {
    let directory = Directory::new("unopened");
    let mut pump = directory.pump(100, 1);
    fs::create_dir(directory.0.join("log")).unwrap();
    pump.file.write(b"lost\n");
    assert!(pump.news().unwrap().contains("cannot be written (Is a directory"));
    pump.file.write(b"lost\n");
    assert_eq!((pump.news(), pump.file.lost), (None, 10));
    fs::remove_dir(directory.0.join("log")).unwrap();
    pump.file.write(b"here\n");
    assert!(directory.read("log").ends_with("file could not be written\nhere\n"));
}
