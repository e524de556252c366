//! Tests of `segment` against the kernel.

use super::*;
use crate::os::process;
use crate::os::testing;
use std::thread;

/// A name nobody else has; its segment is removed at the end of the test.
struct Name(String);

impl Name {
    fn new(test: &str) -> Self {
        Self(format!("semring-test-{test}-{}", process::pid()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Ok(segment) = SegmentOptions::new().open(&self.0) {
            let _ = segment.remove();
        }
    }
}

#[test]
fn create_open_remove() {
    let name = Name::new("create");
    let options = SegmentOptions::new().size(10_000);
    assert_eq!(options.open(&name.0).err(), Some(Error::NotFound { name: name.0.clone() }));
    let segment = options.create(&name.0).expect("create");
    assert_eq!(options.create(&name.0).err(), Some(Error::AlreadyExists { name: name.0.clone() }));
    assert_eq!(options.open(&name.0).expect("open").id(), segment.id());
    assert_eq!(options.open_or_create(&name.0).expect("open").id(), segment.id());
    assert_eq!(segment.key(), &Key::Name(name.0.clone()));
    let larger = options.clone().size(10_001);
    assert!(matches!(larger.open(&name.0), Err(Error::Mismatch { what: "size", .. })));
    assert!(matches!(larger.open_or_create(&name.0), Err(Error::Mismatch { what: "size", .. })));
    let by_id = Segment::from_id(segment.id()).expect("by id");
    assert_eq!(by_id.key().segment_key(), Key::from(&name.0).segment_key());
    assert!(list().expect("list").iter().any(|s| s.id == segment.id() && s.size == 10_000));
    segment.clone().remove().expect("remove");
    assert_eq!(segment.clone().remove(), Err(Error::Removed));
    assert_eq!(segment.status(), Err(Error::Removed));
    assert_eq!(segment.attach().err(), Some(Error::Removed));
    assert!(matches!(Segment::from_id(segment.id()), Err(Error::NotFound { .. })));
    assert_ne!(options.open_or_create(&name.0).expect("create").id(), segment.id());
}

#[test]
fn bad_parameters() {
    let options = SegmentOptions::new().size(1);
    let invalid = |r: Result<Segment>| matches!(r, Err(Error::Invalid { .. }));
    assert!(invalid(SegmentOptions::new().create(Key::Private)), "no size");
    assert!(invalid(options.clone().size(usize::MAX).create(Key::Private)));
    assert!(invalid(options.clone().mode(0o1000).create(Key::Private)), "IPC_CREAT is not a permission");
    assert!(invalid(options.create(0)));
    assert!(invalid(options.create("")));
    assert!(invalid(options.open(Key::Private)));
    let huge = options.size(isize::MAX as usize).create(Key::Private);
    assert!(matches!(huge.err(), Some(Error::Os(e)) if e.call == "shmget" && !e.remedy.is_empty()));
}

#[test]
fn owner_and_mode() {
    let name = Name::new("owner");
    let segment = SegmentOptions::new().size(1).create(&name.0).expect("create");
    segment.set_mode(0o644).expect("mode");
    assert_eq!(segment.status().expect("status").mode, 0o644);
    assert!(matches!(segment.set_mode(0o1644), Err(Error::Invalid { .. })));
    assert!(matches!(segment.set_owner(u32::MAX, 0), Err(Error::Invalid { what: "owner", .. })));
    if process::euid() == 0 {
        segment.set_owner(12, 34).expect("owner");
        let status = segment.status().expect("status");
        assert_eq!((status.uid, status.gid, status.creator_uid, status.mode), (12, 34, 0, 0o644));
    }
}

#[test]
fn others_need_permission() {
    if process::euid() != 0 {
        return; // only root can become somebody else
    }
    let name = Name::new("permission");
    let segment = SegmentOptions::new().size(1).mode(0o604).create(&name.0).expect("create");
    let child = testing::fork(|| {
        if !testing::become_nobody() {
            return 1;
        }
        let denied = |r: Result<()>| matches!(r, Err(Error::PermissionDenied { .. }));
        let read_only = segment.attach_read_only().is_ok() && segment.status().is_ok();
        let refused = denied(segment.attach().map(drop))
            && denied(segment.set_mode(0o666))
            && denied(segment.clone().remove());
        if read_only && refused { 0 } else { 2 }
    });
    assert_eq!(child.wait(), 0);
    segment.set_mode(0o600).expect("mode");
    let child = testing::fork(|| {
        let denied = testing::become_nobody()
            && matches!(SegmentOptions::new().open(&name.0), Err(Error::PermissionDenied { .. }));
        i32::from(!(denied && list().is_ok_and(|all| all.iter().any(|s| s.id == segment.id()))))
    });
    assert_eq!(child.wait(), 0);
}

#[test]
fn options_of_the_memory() {
    let segment =
        SegmentOptions::new().size(1 << 20).lock_memory(true).create(Key::Private).expect("create locked");
    let guard = testing::Segment(segment.id());
    assert!(segment.status().expect("status").locked);
    let mapping = segment.attach().expect("attach");
    // smaps of the mapping shows resident pages and the flag "dd".
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
    let start = format!("{:08x}-", mapping.as_ptr().addr());
    let entry = smaps.split_once(&start).expect("our mapping").1;
    let line = |field: &str| entry.lines().find(|l| l.starts_with(field)).expect("field").to_string();
    assert!(line("VmFlags:").contains(" dd"), "{}", line("VmFlags:"));
    assert!(line("Rss:").contains(" 1024 kB"), "{}", line("Rss:"));
    drop(guard);
}

/// Huge pages are usually not reserved: then the error says how to.
#[test]
fn huge_pages_work_or_say_why_not() {
    for pages in [HugePages::Default, HugePages::Size2M, HugePages::Size1G] {
        let options = SegmentOptions::new().size(1 << 21).prefault(false).huge_pages(Some(pages));
        match options.create(Key::Private) {
            Ok(segment) => {
                let guard = testing::Segment(segment.id());
                let mapping = segment.attach().expect("attach");
                mapping.write(0, b"huge").expect("write");
                drop(guard);
            }
            Err(Error::Os(e)) => assert!(!e.remedy.is_empty(), "{e}"),
            Err(Error::PermissionDenied { detail, .. }) => assert!(detail.contains("CAP_IPC_LOCK")),
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn racing_creators_meet_in_one_segment() {
    for round in 0..20 {
        let name = Name::new(&format!("race-{round}"));
        let ids: Vec<i32> = thread::scope(|scope| {
            let open = || SegmentOptions::new().size(64).open_or_create(&name.0).expect("open").id();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|t| t.join().expect("thread")).collect()
        });
        assert!(ids.iter().all(|&id| id == ids[0]));
    }
}
