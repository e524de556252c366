//! A process of a sample: takes its place on its processor and does its part.

use std::thread;

use semring_cli::processors;

use crate::ends::{Between, Within};
use crate::rivals;
use crate::spec::{Outcome, Rival, Role, Spec, Work};
use crate::stage::Stage;
use crate::work;

/// Calls with the size as a constant: messages are arrays, as they would be in a program that has one type of them.
macro_rules! sized {
    ($size:expr, $N:ident => $call:expr) => {
        match $size {
            8 => {
                const $N: usize = 8;
                $call
            }
            48 => {
                const $N: usize = 48;
                $call
            }
            64 => {
                const $N: usize = 64;
                $call
            }
            1024 => {
                const $N: usize = 1024;
                $call
            }
            size => panic!("messages of {size} bytes are not compiled in"),
        }
    };
}

/// Runs one role; an outcome for each party.
pub fn run(spec: &Spec, role: Role) -> Vec<Outcome> {
    let stage = Stage::open(spec.stage);
    match spec.rival {
        Rival::OursSpsc | Rival::OursMpmc => ours(spec, stage, role),
        Rival::BulkSpsc | Rival::BulkMpmc => process::<rivals::bulk::Bulk>(spec, stage, role),
        Rival::UnsafeSpsc | Rival::UnsafeMpmc => process::<rivals::unannounced::Ours>(spec, stage, role),
        Rival::Bare => bare(spec, stage, role),
        Rival::Pipe | Rival::Fifo | Rival::Socket => process::<rivals::kernel::Streams>(spec, stage, role),
        Rival::PosixMq => process::<rivals::kernel::PosixQueue>(spec, stage, role),
        Rival::SysvMq => process::<rivals::kernel::SysvQueue>(spec, stage, role),
        Rival::Textbook => process::<rivals::textbook::Textbook>(spec, stage, role),
        #[cfg(feature = "rtrb")]
        Rival::Rtrb => threads::<rivals::rtrb::Rtrb>(spec, stage),
        #[cfg(feature = "crossbeam")]
        Rival::ArrayQueue => threads::<rivals::crossbeam::Queue>(spec, stage),
        #[cfg(feature = "crossbeam")]
        Rival::CrossbeamChannel => threads::<rivals::crossbeam::Channel>(spec, stage),
        #[cfg(feature = "ringfire")]
        Rival::Ringfire => process::<rivals::ringfire::Ringfire>(spec, stage, role),
        #[cfg(feature = "iceoryx2")]
        Rival::Iceoryx2 => process::<rivals::iceoryx2::Iceoryx2>(spec, stage, role),
        #[cfg(feature = "ipc-channel")]
        Rival::IpcChannel => process::<rivals::ipc_channel::IpcChannel>(spec, stage, role),
        #[cfg(feature = "boost")]
        Rival::Boost => process::<rivals::boost::Boost>(spec, stage, role),
        #[allow(unreachable_patterns)]
        missing => panic!("{missing:?} is not compiled in"),
    }
}

fn pin(cpu: usize) {
    processors::pin(cpu).expect("a place on the processor");
}

fn ours(spec: &Spec, stage: Stage, role: Role) -> Vec<Outcome> {
    match (role, spec.work) {
        (Role::Bystanders, _) => {
            pin(spec.cpus[0]);
            let _here = rivals::ours::bystanders(spec);
            stage.meet(spec.parties());
            while stage.finished() < spec.producers {
                thread::sleep(std::time::Duration::from_millis(5));
            }
            Vec::new()
        }
        (_, Work::InPlace) => in_place(spec, stage, role, rivals::ours::tx, rivals::ours::rx),
        _ => process::<rivals::ours::Ours>(spec, stage, role),
    }
}

fn bare(spec: &Spec, stage: Stage, role: Role) -> Vec<Outcome> {
    match spec.work {
        Work::InPlace => in_place(spec, stage, role, rivals::bare::Tx::open, rivals::bare::Rx::open),
        _ => process::<rivals::bare::Bare>(spec, stage, role),
    }
}

fn in_place<T: crate::ends::InPlaceTx, R: crate::ends::InPlaceRx>(
    spec: &Spec,
    stage: Stage,
    role: Role,
    tx: impl FnOnce(&Spec, usize) -> T,
    rx: impl FnOnce(&Spec, usize) -> R,
) -> Vec<Outcome> {
    match role {
        Role::Producer(_) => {
            pin(spec.cpus[0]);
            vec![work::produce_in_place(spec, stage, tx(spec, 0))]
        }
        _ => {
            pin(spec.cpus[1]);
            vec![work::consume_in_place(spec, stage, rx(spec, 0))]
        }
    }
}

fn process<R: Between>(spec: &Spec, stage: Stage, role: Role) -> Vec<Outcome> {
    sized!(spec.size, N => process_sized::<R, N>(spec, stage, role))
}

fn process_sized<R: Between, const N: usize>(spec: &Spec, stage: Stage, role: Role) -> Vec<Outcome> {
    let outcome = match (role, spec.work) {
        (Role::Producer(_), Work::RoundTrip(_)) => {
            pin(spec.cpus[0]);
            let tx = R::tx::<N>(spec, 0);
            work::ask(spec, stage, tx, R::rx::<N>(spec, 1))
        }
        (Role::Consumer(_), Work::RoundTrip(_)) => {
            pin(spec.cpus[1]);
            let rx = R::rx::<N>(spec, 0);
            work::answer(spec, stage, R::tx::<N>(spec, 1), rx)
        }
        (Role::Producer(id), _) => {
            pin(spec.cpus[0]);
            work::produce(spec, stage, id, R::tx::<N>(spec, 0))
        }
        _ => {
            pin(spec.cpus[1]);
            work::consume(spec, stage, R::rx::<N>(spec, 0))
        }
    };
    vec![outcome]
}

#[cfg_attr(not(any(feature = "rtrb", feature = "crossbeam")), allow(dead_code))]
fn threads<R: Within>(spec: &Spec, stage: Stage) -> Vec<Outcome> {
    sized!(spec.size, N => threads_sized::<R, N>(spec, stage))
}

fn threads_sized<R: Within, const N: usize>(spec: &Spec, stage: Stage) -> Vec<Outcome> {
    let (mut txs, mut rxs) = R::lane::<N>(spec);
    let mut running = Vec::new();
    let mut start = |cpu: usize, part: Box<dyn FnOnce(&Spec) -> Outcome + Send>| {
        let spec = spec.clone();
        running.push(thread::spawn(move || {
            pin(spec.cpus[cpu]);
            part(&spec)
        }));
    };
    if matches!(spec.work, Work::RoundTrip(_)) {
        let (mut back_txs, mut back_rxs) = R::lane::<N>(spec);
        let (tx, rx) = (txs.remove(0), back_rxs.remove(0));
        start(0, Box::new(move |spec| work::ask(spec, stage, tx, rx)));
        let (tx, rx) = (back_txs.remove(0), rxs.remove(0));
        start(1, Box::new(move |spec| work::answer(spec, stage, tx, rx)));
    } else {
        for (id, tx) in txs.into_iter().enumerate() {
            start(0, Box::new(move |spec| work::produce(spec, stage, id, tx)));
        }
        for rx in rxs {
            start(1, Box::new(move |spec| work::consume(spec, stage, rx)));
        }
    }
    running.into_iter().map(|thread| thread.join().expect("a thread of the sample")).collect()
}
