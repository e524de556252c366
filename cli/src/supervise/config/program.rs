//! Can a program be run? Asked before anything is started.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// The file that execvp(3) would run, or what is wrong.
pub(crate) fn find(program: &str, path: Option<&str>, directory: Option<&Path>) -> Result<PathBuf, String> {
    if program.contains('/') {
        let file = directory.map_or_else(|| PathBuf::from(program), |directory| directory.join(program));
        return executable(&file).map(|()| file);
    }
    let path = path.map(OsString::from).or_else(|| env::var_os("PATH")).unwrap_or_default();
    let mut files = env::split_paths(&path).map(|directory| directory.join(program));
    files.find(|file| executable(file).is_ok()).ok_or_else(|| format!("no program {program:?} in PATH"))
}

fn executable(file: &Path) -> Result<(), String> {
    match file.metadata() {
        Err(error) => Err(format!("{}: {error}", file.display())),
        Ok(metadata) if !metadata.is_file() => Err(format!("{} is not a file", file.display())),
        Ok(_) => access(file, AccessFlags::X_OK).map_err(|_| format!("{} is not executable", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::find;
    use std::path::Path;

    #[test]
    fn programs_are_found_as_exec_finds_them() {
        assert!(find("sh", None, None).unwrap().ends_with("sh"));
        assert!(find("sh", Some("/nowhere"), None).unwrap_err().contains("in PATH"));
        assert_eq!(find("./sh", None, Some(Path::new("/bin"))).unwrap(), Path::new("/bin/./sh"));
        assert!(find("/", None, None).unwrap_err().contains("not a file"));
        assert!(find("/etc/passwd", None, None).unwrap_err().contains("not executable"));
        assert!(find("/no/such/thing", None, None).unwrap_err().contains("No such file"));
    }
}
