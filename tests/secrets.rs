//! What must not linger: consumed messages of a channel that scrubs, and anything at all in a core dump.

mod common;

use common::{KINDS, Name, child, small};
use semring::segment::Segment;
use semring::{Batch, Channel, Error, Options};

const SECRET: &[u8] = b"a secret of 33 bytes, which is odd";

#[test]
fn child_entry() {
    child::entry(&[]);
}

fn memory(channel: &Channel) -> Vec<u8> {
    let mapping = Segment::from_id(channel.id()).and_then(|s| s.attach_read_only()).expect("attach");
    let mut bytes = vec![0; mapping.len()];
    mapping.read(0, &mut bytes).expect("read");
    bytes
}

/// How often a part of it is in the segment.
fn traces(channel: &Channel) -> usize {
    memory(channel).windows(5).filter(|window| SECRET.windows(5).any(|part| part == *window)).count()
}

/// However a message is received, nothing of it stays; and without the option it does.
#[test]
fn consumed_slots_are_scrubbed() {
    for kind in KINDS {
        for scrub in [true, false] {
            let name = Name::new("scrub");
            let channel = small(kind, 4).scrub(scrub).create(&name).expect("create");
            let mut producer = channel.producer().expect("producer");
            let mut consumer = channel.consumer().expect("consumer");
            for how in 0..6 {
                producer.send_tagged(0x5ec2e7, SECRET).expect("send");
                assert!(traces(&channel) > 0, "not in the segment at all");
                let got = match how {
                    0 => consumer.recv().expect("recv").data,
                    1 => {
                        let mut buffer = [0; 64];
                        let received = consumer.recv_into(&mut buffer).expect("recv_into");
                        buffer[..received.len].to_vec()
                    }
                    2 => {
                        let mut batch = Batch::new();
                        assert_eq!(consumer.recv_batch(&mut batch, 9), Ok(1));
                        batch.iter().next().expect("one").data.to_vec()
                    }
                    3 => consumer.lease().expect("lease").to_vec(),
                    4 => {
                        consumer.lease().expect("lease").retry();
                        assert!(traces(&channel) > 0, "a message that was given back is needed");
                        consumer.recv().expect("again").data
                    }
                    _ => {
                        std::mem::forget(consumer.lease().expect("lease"));
                        consumer.recv().expect("again").data
                    }
                };
                assert_eq!(got, SECRET);
                assert_eq!(traces(&channel) == 0, scrub, "{kind}, way {how}");
            }
            // An aborted grant: in an MPMC channel it leaves a slot that the consumer passes.
            let mut grant = producer.reserve(60).expect("reserve");
            grant.write(20, SECRET).expect("write");
            drop(grant);
            producer.send(b"").expect("send");
            producer.send(b"").expect("send");
            assert!(
                consumer.recv().is_ok_and(|m| m.is_empty()) && consumer.recv().is_ok_and(|m| m.is_empty())
            );
            if kind == KINDS[1] {
                assert_eq!(traces(&channel) == 0, scrub, "{kind}, aborted");
            }
            let other = Options::new().scrub(!scrub).open(&name);
            assert!(matches!(other, Err(Error::Mismatch { what: "scrubbing", .. })));
            assert!(Options::new().scrub(scrub).open(&name).is_ok());
        }
    }
}

/// The flag `dd` of a mapping: not in a core dump. Participants and observers alike.
#[test]
fn segments_are_not_dumped() {
    for kind in KINDS {
        let name = Name::new("dump");
        let channel = small(kind, 4).create(&name).expect("create");
        let _others = (
            Options::new().open(&name).expect("open"),
            Options::new().prefault(false).open(&name).expect("open"),
            Options::new().observe(&name).expect("observe"),
        );
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let segment = format!("/SYSV{:08x} ", channel.status().expect("status").segment_key);
        let mut ours = false;
        let mut flags = Vec::new();
        for line in smaps.lines() {
            match line.strip_prefix("VmFlags:") {
                Some(all) if ours => flags.push(all.split_whitespace().any(|flag| flag == "dd")),
                Some(_) => {}
                // A mapping's first line begins with its addresses.
                None if !line.split(' ').next().unwrap_or("").ends_with(':') => {
                    ours = line.contains(&segment)
                }
                None => {}
            }
        }
        assert_eq!(flags, [true; 4], "{smaps}");
    }
}
