//! POSIX message queues: mq_overview(7). As many messages as an ordinary user may have in one.

use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send};
use nix::sys::stat::Mode;

use super::lane_name;
use crate::ends::{self, Between};
use crate::spec::Spec;

/// Where the kernel keeps that number, and what it is by default.
const LIMIT: &str = "/proc/sys/fs/mqueue/msg_max";
const DEFAULT_LIMIT: usize = 10;

pub struct PosixMq;

pub struct Tx(MqdT);

pub struct Rx(MqdT);

fn path(spec: &Spec, lane: usize) -> String {
    format!("/{}", lane_name(spec, lane))
}

/// Creates a lane's queue; its name.
pub fn create(spec: &Spec, lane: usize) -> nix::Result<String> {
    let limit = std::fs::read_to_string(LIMIT).ok().and_then(|text| text.trim().parse().ok());
    let messages = spec.capacity.min(limit.unwrap_or(DEFAULT_LIMIT));
    let attributes = MqAttr::new(0, messages as i64, spec.size as i64, 0);
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR | MQ_OFlag::O_CLOEXEC;
    let path = path(spec, lane);
    mq_open(path.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attributes))?;
    Ok(path)
}

fn open(spec: &Spec, lane: usize) -> MqdT {
    mq_open(path(spec, lane).as_str(), MQ_OFlag::O_RDWR, Mode::empty(), None).expect("mq_open")
}

impl Between for PosixMq {
    type Tx<const N: usize> = Tx;
    type Rx<const N: usize> = Rx;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx {
        Tx(open(spec, lane))
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx {
        Rx(open(spec, lane))
    }
}

impl<const N: usize> ends::Tx<N> for Tx {
    fn send(&mut self, message: &[u8; N]) {
        mq_send(&self.0, message, 0).expect("mq_send");
    }
}

impl<const N: usize> ends::Rx<N> for Rx {
    fn recv(&mut self, message: &mut [u8; N]) {
        let mut priority = 0;
        assert_eq!(mq_receive(&self.0, message, &mut priority), Ok(N));
    }
}
