//! The operations of the consumer.

use std::time::{Duration, Instant};

use semring::{Batch, Consumer, Kind, TryRecvError};

use super::{End, MOST_ATTEMPTS, Model, Slot};

impl Model {
    /// Runs a receiving call; nothing only if the model agrees that there is nothing.
    fn receive<T>(&mut self, mut call: impl FnMut(&mut Consumer) -> Result<T, TryRecvError>) -> Option<T> {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let consumer = self.consumer.as_mut()?;
            match call(consumer) {
                Ok(got) => {
                    self.given = false;
                    return Some(got);
                }
                Err(TryRecvError::Empty) if self.given && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_micros(10));
                }
                Err(TryRecvError::Empty) => {
                    assert!(
                        self.front().is_none(),
                        "empty with a message in front (given back: {})",
                        self.given
                    );
                    return None;
                }
                Err(TryRecvError::Disconnected) => {
                    assert!(
                        self.producers.iter().all(Option::is_none),
                        "end of stream with a living producer"
                    );
                    assert!(!self.has_messages(), "end of stream with messages left");
                    self.front();
                    return None;
                }
                Err(e) => panic!("receiving failed: {e}"),
            }
        }
    }

    pub(super) fn recv(&mut self, into: bool) {
        let size = self.size;
        let got = self.receive(|consumer| {
            if into {
                let mut buffer = vec![0; size + 3];
                let r = consumer.try_recv_into(&mut buffer)?;
                buffer.truncate(r.len);
                Ok((buffer, r.tag, r.attempt))
            } else {
                consumer.try_recv().map(|m| (m.data, m.tag, m.attempt))
            }
        });
        if let Some(got) = got {
            assert_eq!(Some(got), self.front(), "received (data, tag, attempt)");
            self.queue.pop_front();
        }
    }

    pub(super) fn recv_batch(&mut self, max: u8) {
        let mut batch = Batch::new();
        let Some(n) = self.receive(|consumer| consumer.try_recv_batch(&mut batch, max.into()).map(|n| n))
        else {
            return;
        };
        assert_eq!(n, batch.len());
        assert!(n <= usize::from(max) && (n > 0 || max == 0));
        if n == 0 {
            return;
        }
        // A range taken back comes alone. Otherwise claims of up to `max` slots, until one has a message in it.
        let again = self.kind == Kind::Mpmc
            && matches!(self.queue.front(), Some(Slot::Message { attempts, .. }) if *attempts > 0);
        let mut expected = Vec::new();
        while expected.is_empty() {
            let want = if again { 1 } else { usize::from(max).min(self.capacity) };
            let ready =
                self.queue.iter().take_while(|slot| !matches!(slot, Slot::Open(_))).take(want).count();
            assert!(ready > 0, "received {n} messages where there are none");
            for slot in self.queue.drain(..ready) {
                if let Slot::Message { data, tag, attempts } = slot {
                    expected.push((data, tag, (attempts + 1).min(MOST_ATTEMPTS)));
                }
            }
        }
        let got: Vec<_> = batch.iter().map(|m| (m.data.to_vec(), m.tag, m.attempt)).collect();
        assert_eq!(got, expected, "received (data, tag, attempt)");
    }

    pub(super) fn lease(&mut self, end: End) {
        let got = self.receive(|consumer| {
            consumer.try_lease().map(|lease| {
                let got = (lease.to_vec(), lease.tag(), lease.attempt());
                assert_eq!(lease.redelivered(), got.2 > 1);
                match end {
                    End::Ack => lease.ack(),
                    End::Drop => drop(lease),
                    End::Retry => lease.retry(),
                    End::Forget => std::mem::forget(lease),
                }
                got
            })
        });
        if let Some(got) = got {
            assert_eq!(Some(got), self.front(), "leased (data, tag, attempt)");
            match end {
                End::Ack | End::Drop => drop(self.queue.pop_front()),
                End::Retry => self.given = self.kind == Kind::Mpmc,
                End::Forget => {}
            }
        }
    }
}
