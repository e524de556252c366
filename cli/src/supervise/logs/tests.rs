use std::io::Write;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

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

/// Who made it has it open, to read what the service says or to put words into its mouth.
#[test]
fn a_fifo_that_others_can_open_is_not_used() {
    let directory = Directory::new("strange-fifo");
    let path = directory.0.join("log.00000007.pipe");
    let refused = || {
        let opened = Pump::open(&directory.log(1, 1), 7, geteuid().as_raw());
        opened.map(drop).unwrap_err().to_string()
    };
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    for mode in [0o620, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(
            refused().ends_with(&format!("has the mode {mode:04o}, so that others can open it: remove it"))
        );
    }
    if geteuid().is_root() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        lchown(&path, Some(65_534), None).unwrap();
        assert!(refused().ends_with("exists and belongs to user 65534: remove it"));
        // Of a predecessor, for the same user.
        Pump::open(&directory.log(1, 1), 7, 65_534).unwrap();
    }
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

/// The supervisor waited for somebody to read it, and for nothing else.
#[test]
fn a_fifo_in_place_of_the_file_stops_nobody() {
    let directory = Directory::new("fifo");
    let mut pump = directory.pump(4, 1);
    mkfifo(&directory.0.join("log"), Mode::S_IRWXU).unwrap();
    pump.file.write(b"lost\n");
    assert!(pump.news().unwrap().contains("cannot be written (No such device or address"));
    // Nor for one who has it open and does not read.
    let _reader =
        OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(directory.0.join("log")).unwrap();
    let mut pump = directory.pump(1 << 30, 1);
    pump.file.write(&[b'x'; 1 << 20]);
    pump.file.write(b"lost\n");
    assert!(pump.file.lost > 0);
}

/// Its end waited for the end of what is written.
#[test]
fn who_writes_on_and_on_does_not_keep_a_log_open() {
    let directory = Directory::new("endless");
    let pump = directory.pump(1 << 30, 1);
    let mut writer = open_fifo(&pump.fifo, geteuid().as_raw(), O_NONBLOCK).unwrap();
    assert!(writer.write(&[b'\n'; CHUNK]).unwrap() > 0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _full = writer.write(&[b'\n'; CHUNK]);
            }
        });
        pump.close();
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(directory.names(), ["log"]);
    assert!(directory.read("log").len() <= PIPE as usize + CHUNK);
}
