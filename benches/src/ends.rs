//! What every rival offers: two ends, for messages of `N` bytes.

use crate::spec::Spec;

/// The sending end.
pub trait Tx<const N: usize> {
    /// Sends, waiting for room.
    fn send(&mut self, message: &[u8; N]);

    /// Sends all of them, in the cheapest way there is.
    fn send_batch(&mut self, messages: &[[u8; N]]) {
        messages.iter().for_each(|message| self.send(message));
    }
}

/// The receiving end.
pub trait Rx<const N: usize> {
    /// Receives, waiting for a message.
    fn recv(&mut self, message: &mut [u8; N]);

    /// Receives up to `most` messages in the cheapest way there is, waiting for one.
    fn recv_batch(&mut self, _most: usize, mut each: impl FnMut(&[u8])) {
        let mut message = [0; N];
        self.recv(&mut message);
        each(&message);
    }
}

/// Fills messages where they lie.
pub trait InPlaceTx {
    fn send_in_place(&mut self, fill: impl FnOnce(&mut [u8]));
}

/// Reads messages where they lie.
pub trait InPlaceRx {
    fn recv_in_place<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> T;
}

/// A rival between processes. Ends are opened by name, each in its process, in any order.
pub trait Between {
    type Tx<const N: usize>: Tx<N>;
    type Rx<const N: usize>: Rx<N>;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Self::Tx<N>;
    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Self::Rx<N>;
}

/// A rival between threads of one process: an end for each of them.
pub trait Within {
    type Tx<const N: usize>: Tx<N> + Send + 'static;
    type Rx<const N: usize>: Rx<N> + Send + 'static;

    /// One lane, with so many ends as there are producers and consumers.
    fn lane<const N: usize>(spec: &Spec) -> (Vec<Self::Tx<N>>, Vec<Self::Rx<N>>);
}
