//! rtrb: the SPSC ring that Rust programs use between threads.

use std::hint::spin_loop;

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::ends::{self, Within};
use crate::spec::Spec;

pub struct Rtrb;

pub struct Tx<const N: usize>(Producer<[u8; N]>);

pub struct Rx<const N: usize> {
    consumer: Consumer<[u8; N]>,
}

impl Within for Rtrb {
    type Tx<const N: usize> = Tx<N>;
    type Rx<const N: usize> = Rx<N>;

    fn lane<const N: usize>(spec: &Spec) -> (Vec<Tx<N>>, Vec<Rx<N>>) {
        let (producer, consumer) = RingBuffer::new(spec.capacity);
        (vec![Tx(producer)], vec![Rx { consumer }])
    }
}

impl<const N: usize> ends::Tx<N> for Tx<N> {
    #[inline]
    fn send(&mut self, message: &[u8; N]) {
        let mut message = *message;
        while let Err(PushError::Full(back)) = self.0.push(message) {
            message = back;
            spin_loop();
        }
    }

    #[inline]
    fn send_batch(&mut self, messages: &[[u8; N]]) {
        while self.0.push_entire_slice(messages).is_err() {
            spin_loop();
        }
    }
}

impl<const N: usize> ends::Rx<N> for Rx<N> {
    #[inline]
    fn recv(&mut self, message: &mut [u8; N]) {
        loop {
            if let Ok(received) = self.consumer.pop() {
                *message = received;
                return;
            }
            spin_loop();
        }
    }

    #[inline]
    fn recv_batch(&mut self, most: usize, mut each: impl FnMut(&[u8])) {
        loop {
            let there = self.consumer.slots().min(most);
            if let (1.., Ok(chunk)) = (there, self.consumer.read_chunk(there)) {
                let (first, second) = chunk.as_slices();
                first.iter().chain(second).for_each(|message| each(message));
                chunk.commit_all();
                return;
            }
            spin_loop();
        }
    }
}
