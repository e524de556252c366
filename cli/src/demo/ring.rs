//! The demo over a channel: the one under test.

use semring::{Batch, Consumer, Error, Options, Producer, RecvError, SendError};

use crate::signals::Signals;

use super::ledger::Ledger;
use super::plan::Plan;
use super::worker::{Inlet, Outlet, Stop};

/// A producer of the channel.
pub(super) struct Sender(Producer);

impl Sender {
    pub(super) fn open(name: &str, signals: &Signals) -> semring::Result<Self> {
        let producer = Options::new().existing().producer(name)?;
        signals.cancel(producer.canceller());
        Ok(Sender(producer))
    }
}

impl Outlet for Sender {
    fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), (usize, Stop)> {
        let (sent, error) = match messages {
            [message] => match self.0.send(message) {
                Ok(()) => return Ok(()),
                Err(error) => (0, error),
            },
            _ => match self.0.send_batch(messages) {
                Ok(()) => return Ok(()),
                Err(error) => (error.sent, error.error),
            },
        };
        Err((
            sent,
            match error {
                SendError::Disconnected(_) => Stop::Disconnected,
                SendError::Failed(_, error) => failed(error),
            },
        ))
    }
}

/// A consumer of the channel, and how it receives.
pub(super) struct Receiver {
    consumer: Consumer,
    way: Way,
    buffer: Vec<u8>,
}

enum Way {
    /// One at a time, delivered when it is copied.
    Copy,
    /// One at a time, delivered when it is noted: a death before that makes the channel deliver it again.
    Acknowledge,
    Batch(Batch, usize),
}

impl Receiver {
    pub(super) fn open(name: &str, plan: &Plan, signals: &Signals) -> semring::Result<Self> {
        let consumer = Options::new().existing().consumer(name)?;
        signals.cancel(consumer.canceller());
        let way = match plan.batch {
            _ if plan.ack => Way::Acknowledge,
            1 => Way::Copy,
            most => Way::Batch(Batch::new(), most),
        };
        let buffer = vec![0; consumer.message_size()];
        Ok(Receiver { consumer, way, buffer })
    }
}

impl Inlet for Receiver {
    fn receive(&mut self, ledger: &mut Ledger<'_>) -> Result<(), Stop> {
        match &mut self.way {
            Way::Copy => {
                let received = self.consumer.recv_into(&mut self.buffer).map_err(stop)?;
                ledger.record(&self.buffer[..received.len], received.attempt);
            }
            Way::Acknowledge => {
                let lease = self.consumer.lease().map_err(stop)?;
                let bytes = &mut self.buffer[..lease.len()];
                lease.read(0, bytes).map_err(failed)?;
                ledger.record(bytes, lease.attempt());
                lease.ack();
            }
            Way::Batch(batch, most) => {
                self.consumer.recv_batch(batch, *most).map_err(stop)?;
                for message in batch.iter() {
                    ledger.record(message.data, message.attempt);
                }
            }
        }
        Ok(())
    }
}

fn stop(error: RecvError) -> Stop {
    match error {
        RecvError::Disconnected => Stop::End,
        RecvError::Failed(error) => failed(error),
    }
}

fn failed(error: Error) -> Stop {
    match error {
        Error::Cancelled => Stop::Signalled,
        error => Stop::Failed(error.to_string()),
    }
}
