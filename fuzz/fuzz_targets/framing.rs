//! However a stream is cut into reads, its messages are the same, and joined they are the stream.
#![no_main]

use std::num::NonZeroUsize;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use semring_cli::framing::pieces::split;
use semring_cli::framing::{Defect, Framing};

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Cut {
    Lines,
    Chunks(u16),
    Frames,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    cut: Cut,
    max: u32,
    /// Lengths of the reads, over and over. Small ones and large ones.
    reads: Vec<u32>,
    /// Is the stream made of whole messages (the pieces below), or is it any bytes?
    whole: bool,
    /// The stream several times over, so that it exceeds the splitter's buffer now and then.
    repeat: u8,
    stream: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let framing = match input.cut {
        Cut::Lines => Framing::Lines,
        // A chunk of a few bytes of a long stream takes long and finds nothing that a short stream does not.
        Cut::Chunks(n) => {
            let least = if input.repeat > 250 { 500 } else { 1 };
            Framing::Chunks(NonZeroUsize::new(usize::from(n).max(least)).unwrap())
        }
        Cut::Frames => Framing::Frames,
    };
    let max = (input.max % 600_000) as usize;
    // Seldom, because a long stream takes a thousand times as long.
    let repeat = if input.repeat > 250 { 16 } else { 1 + usize::from(input.repeat % 3) };
    let mut stream = Vec::new();
    let mut sent = Vec::new();
    'full: for i in 0..repeat {
        if input.whole {
            // Messages as a channel would hold them, through `join`.
            for piece in input.stream.split_inclusive(|&b| b == b'\n') {
                if stream.len() > 700_000 {
                    break 'full;
                }
                let mut message = piece.to_vec();
                if i % 8 == 7 {
                    message.splice(0..0, std::iter::repeat_n(b'x', if repeat == 16 { 300_000 } else { 0 }));
                }
                framing.join(&message, &mut stream);
                sent.push(message);
            }
        } else {
            stream.extend_from_slice(input.stream);
        }
    }
    // A read of a few bytes of a long stream takes long and finds nothing that a short stream does not.
    let least = 1 + stream.len() / 2000;
    let mut reads: Vec<usize> = input
        .reads
        .iter()
        .map(|&r| if r & 1 == 0 { (r >> 1) % 64 } else { (r >> 1) % 400_000 } as usize)
        .collect();
    reads.iter_mut().for_each(|r| *r = (*r).max(least));
    if reads.is_empty() {
        reads.push(least);
    }

    let (messages, verdict) = split(framing, max, &stream, &reads);
    let mut joined = Vec::new();
    for message in &messages {
        assert!(message.len() <= max, "a message of {} bytes where {max} are possible", message.len());
        assert!(framing == Framing::Frames || !message.is_empty(), "an empty message");
        framing.join(message, &mut joined);
    }
    assert!(stream.starts_with(&joined), "the messages are not the beginning of the stream");
    assert!(verdict.is_err() || joined.len() == stream.len(), "bytes are missing");
    // Each message is what its framing says.
    let last = messages.len().saturating_sub(1);
    for (i, message) in messages.iter().enumerate() {
        match framing {
            Framing::Lines => {
                let newline = message.iter().position(|&b| b == b'\n');
                assert!(newline.map_or(i == last, |at| at + 1 == message.len()), "a line that is none");
            }
            Framing::Chunks(n) => assert!(message.len() == n.get() || i == last && message.len() < n.get()),
            Framing::Frames => {}
        }
    }
    if input.whole && framing == Framing::Frames {
        if sent.iter().all(|m| m.len() <= max) {
            assert_eq!(verdict, Ok(()));
            assert_eq!(messages, sent, "frames changed on the way");
        } else {
            assert!(matches!(verdict, Err(Defect::TooLong { .. })));
        }
    }
    if let Err(defect) = &verdict {
        assert!(!defect.to_string().is_empty());
    }
    let whole = split(framing, max, &stream, &[stream.len() + 1]);
    assert!((messages, verdict) == whole, "the messages depend on how the stream was read");
});
