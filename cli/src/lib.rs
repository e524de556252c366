//! What others use of the tool: how a byte stream is cut into messages, for the fuzzer and the tests; what the kernel
//! has to carry messages and where measurements run, for the package of benchmarks. The commands are in the binary.

pub mod framing;
pub mod processors;
pub mod rivals;
