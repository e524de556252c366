//! Streams and their messages, whole and cut.

use super::pieces::split;
use super::*;
use proptest::prelude::*;

fn lines(max: usize, stream: &str) -> (Vec<Vec<u8>>, Result<(), Defect>) {
    split(Framing::Lines, max, stream.as_bytes(), &[3])
}

#[test]
fn lines_keep_their_newline_and_the_last_may_lack_it() {
    let (messages, verdict) = lines(10, "one\n\ntwo\nthree");
    assert_eq!(messages, [&b"one\n"[..], b"\n", b"two\n", b"three"]);
    assert_eq!(verdict, Ok(()));
    assert_eq!(lines(10, ""), (vec![], Ok(())));
}

#[test]
fn an_overlong_line_is_named_with_its_true_length_after_the_lines_before_it() {
    for tail in ["\n", "\nmore\n", ""] {
        let text = format!("ab\n{}{tail}", "x".repeat(50));
        let len = if tail.is_empty() { 50 } else { 51 };
        let (messages, verdict) = lines(10, &text);
        assert_eq!(messages, [b"ab\n"]);
        assert_eq!(verdict, Err(Defect::TooLong { noun: "line", number: 2, len, more: false, max: 10 }));
    }
    // Exactly as long as possible, newline included.
    assert_eq!(lines(4, "abc\n").1, Ok(()));
    assert!(lines(3, "abc\n").1.is_err());
}

#[test]
fn a_frame_that_ends_early_says_what_is_missing() {
    let truncated = |bytes: &[u8]| split(Framing::Frames, 100, bytes, &[1]).1.unwrap_err();
    assert_eq!(truncated(b"\x05\0\0"), Defect::Truncated { number: 1, have: 3, need: 4, prefix: true });
    assert_eq!(
        truncated(b"\0\0\0\0\x05\0\0\0ab"),
        Defect::Truncated { number: 2, have: 2, need: 5, prefix: false }
    );
    let long = split(Framing::Frames, 100, &200u32.to_le_bytes(), &[64]).1.unwrap_err();
    assert_eq!(long.to_string(), "frame 1 has 200 bytes, a message can have at most 100");
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![
        Just(Framing::Lines),
        Just(Framing::Frames),
        (1usize..20).prop_map(|n| Framing::Chunks(NonZeroUsize::new(n).unwrap())),
    ]
}

proptest! {
    /// Any bytes, cut anywhere: what was handed out is the beginning of the stream, and all of it without a defect.
    #[test]
    fn nothing_changes_on_the_way(
        framing in framing(),
        stream in prop::collection::vec(prop_oneof![3 => 0u8..4, 1 => Just(b'\n'), 1 => any::<u8>()], 0..300),
        pieces in prop::collection::vec(1usize..40, 1..8),
        max in 0usize..40,
    ) {
        let (messages, verdict) = split(framing, max, &stream, &pieces);
        let mut joined = Vec::new();
        for message in &messages {
            prop_assert!(message.len() <= max);
            framing.join(message, &mut joined);
        }
        prop_assert!(stream.starts_with(&joined));
        prop_assert!(verdict.is_err() || joined == stream);
        // The same whatever the pieces.
        prop_assert_eq!((messages, verdict), split(framing, max, &stream, &[stream.len() + 1]));
    }
}
