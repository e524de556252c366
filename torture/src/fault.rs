//! What can go wrong, and the counts of it.

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A message whose send returned was never delivered, or a claimed one never again.
    Lost,
    /// A message with a wrong checksum.
    Torn,
    /// A survivor that made no progress within the hang limit.
    Stuck,
    /// Something of the dead was left: an index, a lease, a count, LOCK, a segment, a set.
    Leaked,
    /// A message was delivered again with an attempt not higher than before.
    Unflagged,
    /// A message was delivered again although its acknowledgement had returned.
    Repeated,
    /// A message that was never sent was seen.
    Ghost,
    /// First deliveries of one producer's messages to one consumer in another order than sent.
    Disordered,
    /// A living process was taken for dead.
    FalseDeath,
    /// An operation ended with an error that its case does not explain, or a process panicked.
    Failed,
}

/// How many there are.
pub const FAULTS: usize = 10;

impl Fault {
    /// All of them.
    pub const ALL: [Fault; FAULTS] = [
        Fault::Lost,
        Fault::Torn,
        Fault::Stuck,
        Fault::Leaked,
        Fault::Unflagged,
        Fault::Repeated,
        Fault::Ghost,
        Fault::Disordered,
        Fault::FalseDeath,
        Fault::Failed,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Lost => "lost",
            Fault::Torn => "torn",
            Fault::Stuck => "stuck",
            Fault::Leaked => "leaked",
            Fault::Unflagged => "unflagged",
            Fault::Repeated => "repeated",
            Fault::Ghost => "ghosts",
            Fault::Disordered => "disordered",
            Fault::FalseDeath => "false deaths",
            Fault::Failed => "failed",
        }
    }
}
