//! The pure part of the tool, apart so that the fuzzer and the tests reach it: how a byte stream is cut into messages.

pub mod framing;
