//! A producer that was told `Disconnected` once went on sending into a channel without consumers: the look at the
//! leases had just been done, and the next one was a lap away.

use semring::{Kind, Options, TrySendError};

#[test]
fn disconnected_stays_until_somebody_joins() {
    for kind in [Kind::Spsc, Kind::Mpmc] {
        let name = format!("disconnected-{kind}-{}", std::process::id());
        let channel = Options::new().kind(kind).capacity(8).message_size(8).create(&name).expect("create");
        let mut producer = channel.producer().expect("producer");
        let consumer = channel.consumer().expect("consumer");
        producer.try_send(b"a").expect("room");
        drop(consumer);
        for _ in 0..12 {
            assert_eq!(producer.try_send(b"x"), Err(TrySendError::Disconnected(())));
        }
        let mut consumer = channel.consumer().expect("the next one");
        producer.try_send(b"b").expect("somebody is there again");
        let all: Vec<_> = consumer.try_iter().map(|m| m.expect("message").data).collect();
        assert_eq!(all, [b"a", b"b"]);
        drop((producer, consumer));
        channel.remove().expect("remove");
    }
}
