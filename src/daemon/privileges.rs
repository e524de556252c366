//! Giving up root, and making sure that it is gone.

use super::DaemonError;
use crate::os::user;

/// Who a daemon becomes.
///
/// # Examples
/// ```
/// use semring::daemon::{DaemonError, User};
///
/// let nobody = User::new(65_534, 65_534); // by number, in no other group
/// assert_eq!(nobody.uid(), 65_534);
/// assert!(matches!(User::named("no such user"), Err(DaemonError::NoSuchUser { .. })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl User {
    /// A user and a group by number, without supplementary groups.
    pub fn new(uid: u32, gid: u32) -> Self {
        Self { uid, gid, groups: Vec::new() }
    }

    /// A user by name, with all its groups.
    ///
    /// # Errors
    /// [`NoSuchUser`](DaemonError::NoSuchUser); [`Os`](DaemonError::Os) if the user data base cannot be read.
    pub fn named(name: &str) -> Result<Self, DaemonError> {
        let absent = || DaemonError::NoSuchUser { name: name.into() };
        let c_name = user::c_name(name).ok_or_else(absent)?;
        let (uid, gid) = user::find(&c_name)?.ok_or_else(absent)?;
        Ok(Self { uid, gid, groups: user::groups_of(&c_name, gid) })
    }

    /// Its id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The id of its group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Whether becoming this user gives anything up.
    pub(super) fn check(&self) -> Result<(), DaemonError> {
        match self.uid {
            0 => Err(DaemonError::Privileges { detail: "the user to become is root".into() }),
            _ => Ok(()),
        }
    }

    /// Becomes this user, for good. The order is the only one that works: who is no longer root may not change groups.
    pub(super) fn become_it(&self) -> Result<(), DaemonError> {
        user::set_groups(&self.groups)?;
        user::set_group(self.gid)?;
        user::set_user(self.uid)?;
        self.verify()
    }

    fn verify(&self) -> Result<(), DaemonError> {
        let left = |detail: String| Err(DaemonError::Privileges { detail });
        let (users, groups) = (user::user_ids(), user::group_ids());
        if users != [self.uid; 3] || groups != [self.gid; 3] {
            return left(format!("real, effective and saved user {users:?}, group {groups:?}"));
        }
        let allowed = |group: &u32| *group == self.gid || self.groups.contains(group);
        if let Some(group) = user::groups()?.iter().find(|group| !allowed(group)) {
            return left(format!("still in group {group}"));
        }
        if user::set_user(0).is_ok() {
            return left("root can be had again (CAP_SETUID was kept)".into());
        }
        if self.gid != 0 && user::set_group(0).is_ok() {
            return left("root's group can be had again (CAP_SETGID was kept)".into());
        }
        Ok(())
    }
}
