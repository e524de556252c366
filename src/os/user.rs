//! Users and groups: looking one up, and becoming it. `daemon` is the only caller.
#![allow(unsafe_code)]

use super::{check, failed};
use crate::error::OsError;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr;

/// NGROUPS_MAX, from <linux/limits.h>.
const MOST_GROUPS: usize = 65_536;

/// The ids of a user by name, from getpwnam_r(3); `None` if there is no such user.
pub(crate) fn find(name: &CStr) -> Result<Option<(u32, u32)>, OsError> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found: *mut libc::passwd = ptr::null_mut();
        let (address, length) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: `name` ends with NUL, `entry` and `found` have room for what is stored, `buffer` for `length` bytes.
        let result =
            unsafe { libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), address, length, &mut found) };
        match result {
            0 if found.is_null() => return Ok(None),
            0 => {
                // SAFETY: a result of 0 with an entry found says that it was filled in.
                let entry = unsafe { entry.assume_init_ref() };
                return Ok(Some((entry.pw_uid, entry.pw_gid)));
            }
            libc::ERANGE if length < 1 << 20 => buffer.resize(length * 4, 0),
            libc::EINTR => {}
            // getpwnam_r(3): what some C libraries answer for a name that does not exist.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            other => return Err(failed("getpwnam_r", name.to_string_lossy().into_owned(), other)),
        }
    }
}

/// All groups of a user, `gid` among them, from getgrouplist(3).
pub(crate) fn groups_of(name: &CStr, gid: u32) -> Vec<u32> {
    let mut groups = vec![0; 32];
    loop {
        let mut count = groups.len() as libc::c_int;
        // SAFETY: `name` ends with NUL; there is room for `count` groups.
        let result = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if result != -1 || groups.len() >= MOST_GROUPS {
            groups.truncate(count);
            return groups;
        }
        groups.resize(count.max(groups.len() * 2), 0);
    }
}

/// Replaces the supplementary groups.
pub(crate) fn set_groups(groups: &[u32]) -> Result<(), OsError> {
    // SAFETY: the address and the length of a slice of group ids.
    let result = unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) };
    check("setgroups", result, || format!("{groups:?}")).map(drop)
}

/// Real, effective and saved group id, for who may set them.
pub(crate) fn set_group(gid: u32) -> Result<(), OsError> {
    // SAFETY: an integer.
    let result = unsafe { libc::setgid(gid) };
    check("setgid", result, || gid.to_string()).map(drop)
}

/// Real, effective and saved user id, for who may set them.
pub(crate) fn set_user(uid: u32) -> Result<(), OsError> {
    // SAFETY: an integer.
    let result = unsafe { libc::setuid(uid) };
    check("setuid", result, || uid.to_string()).map(drop)
}

/// Real, effective and saved user id.
pub(crate) fn user_ids() -> [u32; 3] {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: three places for an id each; getresuid cannot fail then.
    unsafe { libc::getresuid(&mut real, &mut effective, &mut saved) };
    [real, effective, saved]
}

/// Real, effective and saved group id.
pub(crate) fn group_ids() -> [u32; 3] {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: three places for an id each; getresgid cannot fail then.
    unsafe { libc::getresgid(&mut real, &mut effective, &mut saved) };
    [real, effective, saved]
}

/// The supplementary groups.
pub(crate) fn groups() -> Result<Vec<u32>, OsError> {
    let mut groups = vec![0; MOST_GROUPS];
    // SAFETY: there is room for as many groups as are said.
    let result = unsafe { libc::getgroups(groups.len() as libc::c_int, groups.as_mut_ptr()) };
    let count = check("getgroups", result, String::new)?;
    groups.truncate(usize::try_from(count).unwrap_or(0));
    Ok(groups)
}

/// A name as C wants it; `None` if it holds a NUL, which no name does.
pub(crate) fn c_name(name: &str) -> Option<CString> {
    CString::new(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_nobody_knows_a_stranger() {
        let root = c_name("root").expect("a name");
        assert_eq!(find(&root), Ok(Some((0, 0))));
        assert!(groups_of(&root, 0).contains(&0));
        assert_eq!(find(&c_name("no such user, surely").expect("a name")), Ok(None));
        assert_eq!(c_name("ro\0ot"), None);
    }
}
