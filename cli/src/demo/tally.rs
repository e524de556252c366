//! What became of every message, counted from the bits that the consumers noted. Nothing is assumed: a message
//! is lost if its producer noted it as sent and no consumer noted it as received.

use std::sync::atomic::Ordering::Relaxed;

use super::board::{Board, Note};
use super::plan::{Plan, Role};

/// All messages of a run, by what became of them: `sent` is the sum of `received`, `left`, `in_hand` and `lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Sends that returned, and messages that arrived although their producer was killed before it noted that.
    pub(super) sent: u64,
    /// Different messages that the consumers noted.
    pub(super) received: u64,
    /// Messages that were still in the channel when no consumer was left.
    pub(super) left: u64,
    /// Messages that consumers may have taken when they were killed, before they noted them: at most the batch of each.
    pub(super) in_hand: u64,
    pub(super) lost: u64,
    /// Received more than once, without a death that explains it.
    pub(super) duplicated: u64,
    /// Received flagged as delivered before to somebody who was killed.
    pub(super) redelivered: u64,
    pub(super) torn: u64,
    /// Received after a later message of the same producer by the same consumer, and not flagged as redelivered.
    pub(super) disordered: u64,
}

/// Counts a run that has ended; `killed` are the consumers that did not end by themselves.
pub(super) fn count(plan: &Plan, board: &Board, killed: &[usize]) -> Tally {
    let books = plan.consumers + 1;
    let noted = |note| (0..books).map(|consumer| board.read(Role::Consumer, consumer, note)).sum::<u64>();
    let mut tally = Tally {
        redelivered: noted(Note::Redelivered),
        torn: noted(Note::Torn),
        disordered: noted(Note::Disorder),
        duplicated: noted(Note::Again),
        ..Tally::default()
    };
    let mut arrived = vec![0u64; board.bitmap(0, false).len()];
    for (word, arrived) in arrived.iter_mut().enumerate() {
        let (mut unflagged, mut surviving, mut twice, mut received) = (0, 0, 0, 0);
        for consumer in 0..books {
            let first = board.bitmap(consumer, false)[word].load(Relaxed);
            // A bitmap that was never written to has no memory yet: do not give it any.
            let flagged = board.read(Role::Consumer, consumer, Note::Redelivered) > 0;
            let again = if flagged { board.bitmap(consumer, true)[word].load(Relaxed) } else { 0 };
            // Unflagged there may be only one delivery, and only one to somebody who lived to acknowledge it.
            twice |= unflagged & first;
            unflagged |= first;
            if !killed.contains(&consumer) {
                twice |= first & again | surviving & (first | again);
                surviving |= first | again;
            }
            *arrived |= first | again;
            if consumer < plan.consumers {
                received |= first | again;
            }
        }
        tally.duplicated += u64::from(twice.count_ones());
        tally.received += u64::from(received.count_ones());
        tally.left += u64::from((*arrived & !received).count_ones());
    }
    let mut missing = 0;
    for producer in 0..plan.producers {
        let noted = board.read(Role::Producer, producer, Note::Done);
        let (first, end) = (plan.first(producer), plan.first(producer + 1));
        tally.sent += noted + ones(&arrived, first + noted, end);
        missing += noted - ones(&arrived, first, first + noted);
    }
    // What a consumer leases is delivered again if it dies; what it copies is delivered.
    let hands = if plan.ack { 0 } else { killed.len() as u64 * plan.batch as u64 };
    tally.in_hand = missing.min(hands);
    tally.lost = missing - tally.in_hand;
    tally
}

/// Bits set from `from` up to and without `to`.
fn ones(words: &[u64], from: u64, to: u64) -> u64 {
    let mut count = 0;
    let mut at = from;
    while at < to {
        let end = to.min((at / 64 + 1) * 64);
        let mask = (u64::MAX >> (64 - (end - at))) << (at % 64);
        count += u64::from((words[(at / 64) as usize] & mask).count_ones());
        at = end;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Ledger;
    use super::super::message::{self, Stamp};
    use super::super::plan::Transport;
    use super::*;

    fn plan(ack: bool) -> Plan {
        let transport = Transport::Channel("tally".into());
        Plan { transport, producers: 2, consumers: 2, messages: 300, size: 32, batch: 1, ack, parent: 0 }
    }

    fn message(producer: usize, number: u64) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        message::write(&mut bytes, &Stamp { producer, number, sent_at: 1 });
        bytes
    }

    /// Runs a plan in which everything arrives, but for what `deliver` says: (consumer, attempt) of each message.
    fn run(ack: bool, killed: &[usize], deliver: impl Fn(usize, u64) -> Vec<(usize, u32)>) -> Tally {
        let plan = plan(ack);
        let (board, _memory) = Board::create(&plan).unwrap();
        let mut books: Vec<Ledger<'_>> =
            (0..3).map(|consumer| Ledger::open(&plan, &board, consumer)).collect();
        for producer in 0..2 {
            for number in 0..plan.quota(producer) {
                board.note(Role::Producer, producer, Note::Done, number + 1);
                for (consumer, attempt) in deliver(producer, number) {
                    books[consumer].record(&message(producer, number), attempt);
                }
            }
        }
        count(&plan, &board, killed)
    }

    #[test]
    fn ranges_of_bits() {
        let words = [u64::MAX, 0, 0b1010];
        let naive = |from: u64, to: u64| {
            (from..to).filter(|at| words[(at / 64) as usize] >> (at % 64) & 1 == 1).count()
        };
        for from in 0..=190 {
            for to in from..=190 {
                assert_eq!(ones(&words, from, to), naive(from, to) as u64);
            }
        }
    }

    #[test]
    fn all_well() {
        let tally = run(false, &[], |_, number| vec![(number as usize % 2, 1)]);
        assert_eq!(tally, Tally { sent: 300, received: 300, ..Tally::default() });
    }

    #[test]
    fn a_message_that_nobody_noted_is_lost_unless_it_died_with_its_consumer() {
        let hole = |_, number| if number == 70 { vec![] } else { vec![(0, 1)] };
        assert_eq!(run(false, &[], hole), Tally { sent: 300, received: 298, lost: 2, ..Tally::default() });
        assert_eq!(
            run(false, &[1], hole),
            Tally { sent: 300, received: 298, in_hand: 1, lost: 1, ..Tally::default() }
        );
        // With leases not even that is allowed.
        assert_eq!(run(true, &[1], hole), Tally { sent: 300, received: 298, lost: 2, ..Tally::default() });
        // The parent, as the third consumer, found them in the channel.
        let left = |_, number| if number == 70 { vec![(2, 1)] } else { vec![(0, 1)] };
        assert_eq!(run(true, &[1], left), Tally { sent: 300, received: 298, left: 2, ..Tally::default() });
    }

    #[test]
    fn a_second_delivery_is_a_duplicate_unless_it_is_flagged_and_the_first_consumer_died() {
        let again =
            |attempt| move |_, number| if number == 5 { vec![(0, 1), (1, attempt)] } else { vec![(0, 1)] };
        let all = Tally { sent: 300, received: 300, ..Tally::default() };
        assert_eq!(run(true, &[0], again(2)), Tally { redelivered: 2, ..all.clone() });
        assert_eq!(run(true, &[0], again(1)), Tally { duplicated: 2, ..all.clone() });
        assert_eq!(run(true, &[], again(2)), Tally { redelivered: 2, duplicated: 2, ..all.clone() });
        let same = |_, number| if number == 5 { vec![(0, 1), (0, 1)] } else { vec![(0, 1)] };
        assert_eq!(run(true, &[], same), Tally { duplicated: 2, disordered: 2, ..all });
    }

    #[test]
    fn what_arrives_of_a_killed_producer_counts_as_sent_even_if_it_could_not_note_it() {
        let plan = plan(false);
        let (board, _memory) = Board::create(&plan).unwrap();
        let mut book = Ledger::open(&plan, &board, 0);
        for number in 0..11 {
            book.record(&message(0, number), 1);
        }
        board.note(Role::Producer, 0, Note::Done, 10);
        assert_eq!(count(&plan, &board, &[]), Tally { sent: 11, received: 11, ..Tally::default() });
    }

    #[test]
    fn a_changed_or_impossible_message_is_torn() {
        let plan = plan(false);
        let (board, _memory) = Board::create(&plan).unwrap();
        let mut book = Ledger::open(&plan, &board, 0);
        let mut changed = message(0, 0);
        changed[30] ^= 1;
        book.record(&changed, 1);
        book.record(&message(0, 150), 1);
        book.record(&message(2, 0), 1);
        book.record(b"", 1);
        assert_eq!(count(&plan, &board, &[]).torn, 4);
    }
}
