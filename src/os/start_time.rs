//! When a process began, as proc_pid_stat(5) tells it in field 22: together with its number that tells it from every other
//! process since the machine was started. Safe code only, and no allocation where a child between fork and exec asks.

use std::fs::File;
use std::io::Read;

/// Of this process, in clock ticks since the machine was started; 0 where /proc does not tell. Allocates nothing.
pub(crate) fn own() -> u64 {
    read("/proc/self/stat")
}

/// Of another; 0 also if there is none.
pub(crate) fn of(pid: i32) -> u64 {
    read(&format!("/proc/{pid}/stat"))
}

fn read(path: &str) -> u64 {
    // 22 fields: the name has up to 64 bytes, the numbers up to 21 each.
    let mut line = [0; 1024];
    let length = File::open(path).and_then(|mut file| file.read(&mut line)).unwrap_or(0);
    line.get(..length).and_then(parse).unwrap_or(0)
}

fn parse(line: &[u8]) -> Option<u64> {
    // The name is in parentheses and may hold anything; the state behind it is field 3.
    let name_ends = line.iter().rposition(|&byte| byte == b')')?;
    let field = line.get(name_ends + 2..)?.split(|&byte| byte == b' ').nth(22 - 3)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_begins_once_and_nobody_else_then() {
        let own = own();
        assert!(own > 0);
        assert_eq!(own, of(crate::os::process::pid()));
        assert!(of(1) < own);
        assert_eq!(of(-1), 0);
    }

    #[test]
    fn names_may_hold_anything() {
        let line = b"7 (a) b) (c) S 1 7 7 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 4711 22 23";
        assert_eq!(parse(line), Some(4711));
        for bad in [&b""[..], b"7 (a", b"7 (a)", b"7 (a) S 1 2", b"\xff)\xff"] {
            assert_eq!(parse(bad), None);
        }
    }
}
