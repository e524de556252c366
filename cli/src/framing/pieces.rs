//! A stream that comes in pieces: what the tests and the fuzz target do with a [`Splitter`].

use super::{Defect, Framing, Splitter};

/// Feeds `stream` in pieces of the lengths of `pieces`, over and over, and returns the messages and the verdict.
pub fn split(
    framing: Framing,
    max: usize,
    stream: &[u8],
    pieces: &[usize],
) -> (Vec<Vec<u8>>, Result<(), Defect>) {
    let mut splitter = Splitter::new(framing, max);
    let (mut messages, mut found, mut rest) = (Vec::new(), Vec::new(), stream);
    for piece in pieces.iter().cycle() {
        let space = splitter.space();
        assert!(!space.is_empty(), "no space to read to");
        let n = rest.len().min(*piece).min(space.len());
        space[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        splitter.filled(n);
        let verdict = splitter.messages(&mut found);
        messages.extend(found.iter().map(|m| splitter.get(m).to_vec()));
        if verdict.is_err() || n == 0 {
            return (messages, verdict);
        }
    }
    unreachable!("there is at least one piece")
}
