//! What a channel and a table have alike: a segment and a semaphore set, with an owner.

use std::fmt::{Display, Write as _};
use std::time::SystemTime;

use semring::{Status, TableStatus};
use serde_json::{Value, json};

use crate::listing;
use crate::text;

/// The fields that both statuses have, which are types of their own.
macro_rules! pair {
    ($($field:ident: $type:ty,)*) => {
        pub(super) struct Pair {
            $($field: $type,)*
        }

        impl From<&Status> for Pair {
            fn from(status: &Status) -> Self {
                Pair { $($field: status.$field,)* }
            }
        }

        impl From<&TableStatus> for Pair {
            fn from(status: &TableStatus) -> Self {
                Pair { $($field: status.$field,)* }
            }
        }
    };
}

pair! {
    mode: u32,
    owner_uid: u32,
    creator_uid: u32,
    created: SystemTime,
    segment_id: i32,
    segment_key: i32,
    semaphore_id: i32,
    semaphore_key: i32,
    size_bytes: usize,
    attached: u64,
    lock_holder: Option<i32>,
}

impl Pair {
    /// Adds what is known of both objects to a report.
    pub(super) fn report(&self, report: &mut Value) {
        let pair = json!({
            "mode": format!("{:04o}", self.mode),
            "owner_uid": self.owner_uid,
            "creator_uid": self.creator_uid,
            "created": listing::seconds(self.created),
            "segment_id": self.segment_id,
            "segment_key": format!("{:#010x}", self.segment_key),
            "semaphore_id": self.semaphore_id,
            "semaphore_key": format!("{:#010x}", self.semaphore_key),
            "size_bytes": self.size_bytes,
            "attached": self.attached,
            "lock_holder": self.lock_holder,
        });
        if let (Value::Object(report), Value::Object(pair)) = (report, pair) {
            report.extend(pair);
        }
    }

    /// Who made it and when, whose it is, and what it is for ipcs; `maker`: what else is known of the creator.
    pub(super) fn describe(&self, lines: &mut Lines, maker: &str, now: SystemTime) {
        let creator = text::user(self.creator_uid);
        lines.add("created", format_args!("{} ago by {creator}{maker}", text::age(self.created, now)));
        lines.add("owner", format_args!("{}, mode {:04o}", text::user(self.owner_uid), self.mode));
        let (key, id) = (self.segment_key, self.segment_id);
        let (size, attached) = (self.size_bytes, self.attached);
        lines.add("segment", format_args!("key {key:#010x}, id {id}, {size} bytes, {attached} mappings"));
        let (key, id) = (self.semaphore_key, self.semaphore_id);
        lines.add("semaphores", format_args!("key {key:#010x}, id {id}"));
    }
}

/// Properties, one a line.
#[derive(Default)]
pub(super) struct Lines(pub(super) String);

impl Lines {
    pub(super) fn add(&mut self, what: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{what:<14}{value}");
    }
}
