//! Headers that lie: each field and each pair of fields to every value worth trying, and random bytes. What is right
//! comes from the bytes again, by rules of our own: it must be one of the fields that are wrong which is named, with its
//! value, and a header in which nothing is wrong must be taken as it is.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use super::*;
use crate::error::Error;
use crate::layout::shared;
use crate::os::{shm, testing::Segment};
use crate::pair::header::{Verdict, judge, write};
use crate::sync::Ordering;

const NAME: &str = "corrupt";
const SET: i32 = 0x1234_5678;
/// Words before the counters: what a header is.
const WORDS: usize = shared::JOINS / 8;

/// Every word of the header that means something, but for the names' letters.
const FIELDS: [usize; 19] = [
    at::MAGIC,
    at::VERSION,
    at::SIZE,
    at::SEMID,
    at::STATE,
    at::KIND,
    at::CAPACITY,
    at::MESSAGE_SIZE,
    at::PARTICIPANTS,
    at::POLICY,
    at::WAKE,
    at::TYPE_SIZE,
    at::TYPE_ALIGN,
    at::CREATED,
    at::CREATOR,
    at::ORIGIN,
    at::SCRUB,
    at::NAME,
    at::TYPE_NAME,
];

type Image = [u64; WORDS];

/// What a header's bytes deserve.
#[derive(Debug, PartialEq, Eq)]
enum Deserved {
    Blank,
    Foreign,
    Version(u64),
    Orphan,
    Dying,
    Live,
    /// Any of these fields.
    Corrupt(Vec<(&'static str, u64)>),
}

fn name_at(image: &Image, offset: usize) -> Option<Vec<u8>> {
    let len = image[offset / 8];
    let bytes: Vec<u8> = image[offset / 8 + 1..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    (len <= 248).then(|| bytes[..len as usize].to_vec()).filter(|name| std::str::from_utf8(name).is_ok())
}

fn deserved(image: &Image, bytes: usize) -> Deserved {
    let word = |offset: usize| image[offset / 8];
    if word(at::MAGIC) != layout::MAGIC {
        return if word(at::MAGIC) == 0 { Deserved::Blank } else { Deserved::Foreign };
    }
    if word(at::VERSION) != 1 {
        return Deserved::Version(word(at::VERSION));
    }
    if name_at(image, at::NAME).as_deref() != Some(NAME.as_bytes()) {
        return Deserved::Foreign;
    }
    if word(at::SEMID) != SET as u64 {
        return Deserved::Orphan;
    }
    match word(at::STATE) {
        1 => {}
        2 => return Deserved::Dying,
        state => return Deserved::Corrupt(vec![("state", state)]),
    }
    let mut wrong = Vec::new();
    let mut rule = |what, offset, holds: &dyn Fn(u64) -> bool| {
        if !holds(word(offset)) {
            wrong.push((what, word(offset)));
        }
        holds(word(offset))
    };
    rule("kind", at::KIND, &|kind| kind == 1 || kind == 2);
    rule("scrubbing", at::SCRUB, &|scrub| scrub < 2);
    rule("policy", at::POLICY, &|policy| policy == 1 || policy == 2);
    rule("wake mode", at::WAKE, &|wake| wake == 1 || wake == 2);
    let sizes = rule("capacity", at::CAPACITY, &|c| c.count_ones() == 1 && c <= 1 << 40)
        & rule("message size", at::MESSAGE_SIZE, &|m| m < 1 << 32)
        & rule("number of participants", at::PARTICIPANTS, &|p| (2..65).contains(&p));
    if sizes {
        let slot = 16 + u128::from(word(at::MESSAGE_SIZE));
        let stride = if slot > 64 { slot.div_ceil(64) * 64 } else { slot.next_power_of_two() };
        let right = 2048 + 256 * u128::from(word(at::PARTICIPANTS)) + u128::from(word(at::CAPACITY)) * stride;
        rule("size", at::SIZE, &|size| u128::from(size) == right && size == bytes as u64);
    }
    let typed = rule("type name's length", at::TYPE_NAME, &|_| name_at(image, at::TYPE_NAME).is_some())
        && word(at::TYPE_NAME) != 0;
    let align = rule("type's alignment", at::TYPE_ALIGN, &|align| {
        if typed { align.count_ones() == 1 } else { align == 0 }
    });
    if align {
        rule("type's size", at::TYPE_SIZE, &|size| match word(at::TYPE_ALIGN) {
            0 => size == 0,
            align => size % align == 0 && size < 1 << 63,
        });
    } else {
        rule("type's size", at::TYPE_SIZE, &|size| typed && size < 1 << 63);
    }
    if wrong.is_empty() { Deserved::Live } else { Deserved::Corrupt(wrong) }
}

struct Bench {
    _segment: Segment,
    mapping: Mapping,
    image: Image,
    judged: u32,
    corrupt: u32,
    /// How many were what.
    tally: BTreeMap<String, u32>,
}

impl Bench {
    fn new(kind: Kind, message_type: Option<TypeInfo>) -> Self {
        let geometry = Geometry::new(4, 24, 3).expect("small");
        let segment =
            Segment(shm::get(libc::IPC_PRIVATE, geometry.size(), shm::CREATE | 0o600).expect("shmget"));
        let mapping = Mapping::attach(segment.0, false).expect("shmat");
        let header = Header {
            kind,
            geometry,
            when_no_consumer: WhenNoConsumer::Wait,
            wake: WakeMode::Fence,
            message_type,
            origin: 77,
            scrub: false,
            created: UNIX_EPOCH,
            creator: 1,
        };
        write(&mapping, &header, NAME, SET).expect("write");
        let image = std::array::from_fn(|i| mapping.load(8 * i).expect("within"));
        Self { _segment: segment, mapping, image, judged: 0, corrupt: 0, tally: BTreeMap::new() }
    }

    /// Judges the header with these words changed, and puts them back.
    fn judge(&mut self, changes: &[(usize, u64)]) {
        let mut image = self.image;
        for &(offset, value) in changes {
            image[offset / 8] = value;
            self.mapping.word(offset).expect("within").store(value, Ordering::Relaxed);
        }
        let found = judge::<Header>(&self.mapping, NAME, SET);
        let deserved = deserved(&image, self.mapping.len());
        let right = match (&found, &deserved) {
            (Ok(Verdict::Blank), Deserved::Blank)
            | (Ok(Verdict::Foreign(_)), Deserved::Foreign)
            | (Ok(Verdict::Orphan), Deserved::Orphan)
            | (Ok(Verdict::Dying), Deserved::Dying) => true,
            (Err(Error::Version { found, expected: 1 }), Deserved::Version(version)) => found == version,
            (Err(Error::Corrupt { what, found, expected }), Deserved::Corrupt(wrong)) => {
                self.corrupt += 1;
                wrong.contains(&(*what, *found)) && !expected.is_empty()
            }
            (Ok(Verdict::Live(header)), Deserved::Live) => {
                let word = |offset: usize| image[offset / 8];
                (header.kind as u64, header.geometry.capacity(), header.origin)
                    == (word(at::KIND), word(at::CAPACITY), word(at::ORIGIN))
                    && header.geometry.size() == self.mapping.len()
            }
            _ => false,
        };
        assert!(right, "{changes:x?}: {found:?} instead of {deserved:?}");
        self.judged += 1;
        let name = format!("{deserved:?}");
        *self.tally.entry(name.split('(').next().unwrap_or_default().to_string()).or_default() += 1;
        for &(offset, _) in changes {
            self.mapping.word(offset).expect("within").store(self.image[offset / 8], Ordering::Relaxed);
        }
    }

    fn values(&self, offset: usize) -> Vec<u64> {
        let right = self.image[offset / 8];
        let mut values = vec![0, 1, 2, 3, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1 << 31, 1 << 32];
        values.extend([
            u64::from(u32::MAX),
            1 << 40,
            (1 << 40) + 1,
            right.rotate_left(1),
            right.swap_bytes(),
            !right,
        ]);
        values.extend([right.wrapping_sub(1), right.wrapping_add(1), right ^ 1 << 63]);
        values
    }
}

/// A row of SECURITY.md.
fn report(what: &str, benches: &[Bench]) {
    let mut tally = BTreeMap::new();
    for (name, count) in benches.iter().flat_map(|bench| &bench.tally) {
        *tally.entry(name).or_insert(0) += count;
    }
    let outcomes: Vec<_> = tally.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("\n| {what} | {} | {} |", benches.iter().map(|b| b.judged).sum::<u32>(), outcomes.join(", "));
}

fn benches() -> [Bench; 2] {
    let of = TypeInfo { name: "three words".into(), size: 24, align: 8 };
    [Bench::new(Kind::Spsc, None), Bench::new(Kind::Mpmc, Some(of))]
}

#[test]
fn every_field_and_every_pair_of_fields() {
    let mut benches = benches();
    for bench in &mut benches {
        bench.judge(&[]);
        for (i, &one) in FIELDS.iter().enumerate() {
            for first in bench.values(one) {
                bench.judge(&[(one, first)]);
                for &other in &FIELDS[i + 1..] {
                    bench
                        .values(other)
                        .into_iter()
                        .for_each(|second| bench.judge(&[(one, first), (other, second)]));
                }
            }
        }
        assert!(bench.corrupt > bench.judged / 4, "{} of {}", bench.corrupt, bench.judged);
    }
    assert!(benches.iter().map(|bench| bench.judged).sum::<u32>() > 100_000);
    report("headers: each field and each pair of fields to 19 values", &benches);
}

/// Another segment's size is the kernel's word against the header's, whatever else fits.
#[test]
fn the_kernel_knows_the_size() {
    let mut bench = Bench::new(Kind::Mpmc, None);
    for (capacity, message_size, participants) in
        [(2, 24, 3), (8, 24, 3), (4, 8, 3), (4, 56, 3), (4, 24, 2), (4, 24, 64)]
    {
        let size = Geometry::new(capacity, message_size, participants).expect("small").size() as u64;
        bench.judge(&[
            (at::CAPACITY, capacity),
            (at::MESSAGE_SIZE, message_size),
            (at::PARTICIPANTS, participants as u64),
            (at::SIZE, size),
        ]);
    }
    assert_eq!(bench.corrupt, 6);
}

#[test]
fn random_bytes() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut benches = benches();
    for bench in &mut benches {
        for _ in 0..20_000 {
            // Anywhere, letters of the names included; mostly beyond the words that would end it at once.
            let changes: Vec<_> = (0..1 + random() % 5)
                .map(|_| match random() % 3 {
                    0 => (8 * (random() as usize % WORDS), random()),
                    1 => (at::STATE + 8 * (random() as usize % 12), random() % 70),
                    _ => (FIELDS[random() as usize % FIELDS.len()], 1 << (random() % 64)),
                })
                .collect();
            bench.judge(&changes);
        }
        for _ in 0..2_000 {
            let mut all: Vec<_> = (0..WORDS).map(|i| (8 * i, random())).collect();
            if random() % 2 == 0 {
                all.drain(..at::KIND / 8); // the rest of a header of ours
                all.retain(|&(offset, _)| !(at::NAME..at::TYPE_NAME).contains(&offset));
            }
            bench.judge(&all);
        }
    }
    report("headers: random words and random bytes", &benches);
}
