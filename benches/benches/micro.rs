//! What single operations cost, in one thread: both ends of a channel in one process, nobody waits.
//!
//! `cargo bench` in `benches/`; compare two commits with `--save-baseline` and `--baseline`.

use std::hint::black_box;
use std::sync::Mutex;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use semring::segment::Key;
use semring::{Batch, BulkConsumer, BulkProducer, Channel, Consumer, Kind, Options, Producer};

const KINDS: [(Kind, &str); 2] = [(Kind::Spsc, "spsc"), (Kind::Mpmc, "mpmc")];
const SIZES: [usize; 3] = [8, 64, 1024];
const BATCH: usize = 32;

/// The channel of the benchmark that runs, for the handler of Ctrl-C.
static CHANNEL: Mutex<Option<Channel>> = Mutex::new(None);

fn remove() {
    let channel = CHANNEL.lock().unwrap_or_else(|e| e.into_inner()).take();
    if let Some(Err(e)) = channel.map(Channel::remove) {
        eprintln!("a channel is left behind: {e}");
    }
}

/// Runs `work` with both ends of a channel, and removes it.
fn with_channel(kind: Kind, size: usize, work: impl FnOnce(&mut Producer, &mut Consumer)) {
    let options = Options::new().kind(kind).capacity(1024).message_size(size as u64);
    let (mut producer, mut consumer) = {
        let mut channel = CHANNEL.lock().unwrap_or_else(|e| e.into_inner());
        let new = channel.insert(options.create(Key::Private).expect("a channel"));
        (new.producer().expect("a producer"), new.consumer().expect("a consumer"))
    };
    work(&mut producer, &mut consumer);
    remove();
}

/// The same with values of `N` bytes, many to a slot.
fn with_bulks<const N: usize>(
    kind: Kind,
    work: impl FnOnce(&mut BulkProducer<[u8; N]>, &mut BulkConsumer<[u8; N]>),
) {
    let options = Options::new().kind(kind).capacity((1024 / BATCH) as u64);
    let (mut producer, mut consumer) = {
        let mut channel = CHANNEL.lock().unwrap_or_else(|e| e.into_inner());
        let producer = options.bulk_producer(Key::Private, "value", BATCH).expect("a producer");
        let id = channel.insert(producer.inner().channel()).id();
        (producer, options.bulk_consumer(Key::Id(id), "value", BATCH).expect("a consumer"))
    };
    work(&mut producer, &mut consumer);
    remove();
}

fn by_kind_and_size(
    c: &mut Criterion,
    name: &str,
    messages: usize,
    mut bench: impl FnMut(&mut BenchmarkGroup<'_, WallTime>, BenchmarkId, usize, &mut Producer, &mut Consumer),
) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(messages as u64));
    for (kind, kind_name) in KINDS {
        for size in SIZES {
            with_channel(kind, size, |producer, consumer| {
                bench(&mut group, BenchmarkId::new(kind_name, size), size, producer, consumer);
            });
        }
    }
    group.finish();
}

fn send_recv(c: &mut Criterion) {
    by_kind_and_size(c, "send, recv_into", 1, |group, id, size, producer, consumer| {
        let (message, mut buffer) = (vec![7; size], vec![0; size]);
        group.bench_function(id, |b| {
            b.iter(|| {
                producer.send(black_box(&message)).expect("send");
                consumer.recv_into(&mut buffer).expect("recv_into")
            });
        });
    });
}

fn recv_allocating(c: &mut Criterion) {
    by_kind_and_size(c, "send, recv", 1, |group, id, size, producer, consumer| {
        let message = vec![7; size];
        group.bench_function(id, |b| {
            b.iter(|| {
                producer.send(black_box(&message)).expect("send");
                consumer.recv().expect("recv")
            });
        });
    });
}

fn in_place(c: &mut Criterion) {
    by_kind_and_size(c, "reserve, commit, lease, ack", 1, |group, id, size, producer, consumer| {
        let (message, mut buffer) = (vec![7; size], vec![0; size]);
        group.bench_function(id, |b| {
            b.iter(|| {
                let mut grant = producer.reserve(size).expect("reserve");
                grant.write(0, black_box(&message)).expect("write");
                grant.commit();
                let lease = consumer.lease().expect("lease");
                lease.read(0, &mut buffer).expect("read");
                lease.ack();
            });
        });
    });
}

fn batches(c: &mut Criterion) {
    by_kind_and_size(c, "send_batch, recv_batch of 32", BATCH, |group, id, size, producer, consumer| {
        let messages = vec![vec![7; size]; BATCH];
        let mut batch = Batch::new();
        group.bench_function(id, |b| {
            b.iter(|| {
                producer.send_batch(black_box(&messages)).expect("send_batch");
                consumer.recv_batch(&mut batch, BATCH).expect("recv_batch")
            });
        });
    });
}

fn bulks(c: &mut Criterion) {
    let mut group = c.benchmark_group("send, recv of a bulk of 32");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (kind, name) in KINDS {
        bulk::<8>(&mut group, kind, name);
        bulk::<64>(&mut group, kind, name);
        bulk::<1024>(&mut group, kind, name);
    }
    group.finish();
}

fn bulk<const N: usize>(group: &mut BenchmarkGroup<'_, WallTime>, kind: Kind, name: &str) {
    with_bulks::<N>(kind, |producer, consumer| {
        let values = [[7; N]; BATCH];
        group.bench_function(BenchmarkId::new(name, N), |b| {
            b.iter(|| {
                producer.send(black_box(&values)).expect("send");
                consumer.recv().expect("recv").len()
            });
        });
    });
}

fn nothing_there(c: &mut Criterion) {
    let mut group = c.benchmark_group("try_recv_into, empty");
    for (kind, name) in KINDS {
        with_channel(kind, 8, |_producer, consumer| {
            let mut buffer = [0; 8];
            group.bench_function(name, |b| b.iter(|| consumer.try_recv_into(&mut buffer).is_err()));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("try_send, full");
    for (kind, name) in KINDS {
        with_channel(kind, 8, |producer, _consumer| {
            while producer.try_send(&[0; 8]).is_ok() {}
            group.bench_function(name, |b| b.iter(|| producer.try_send(black_box(&[0; 8])).is_err()));
        });
    }
    group.finish();
}

fn status(c: &mut Criterion) {
    let mut group = c.benchmark_group("looking at a channel");
    for (kind, name) in KINDS {
        with_channel(kind, 8, |producer, _consumer| {
            group.bench_function(BenchmarkId::new("status", name), |b| b.iter(|| producer.status().is_ok()));
            group.bench_function(BenchmarkId::new("len", name), |b| b.iter(|| producer.len()));
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    ctrlc::set_handler(|| {
        remove();
        std::process::exit(130);
    })
    .expect("a handler of Ctrl-C");
    send_recv(c);
    recv_allocating(c);
    in_place(c);
    batches(c);
    bulks(c);
    nothing_there(c);
    status(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
