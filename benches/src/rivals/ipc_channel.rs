//! ipc-channel: the channel of Servo, over Unix sockets; its channel for bytes, without serialization.

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender};

use super::{lane_name, patiently};
use crate::ends::{self, Between};
use crate::spec::Spec;

pub struct IpcChannel;

pub struct Tx(IpcBytesSender);
pub struct Rx(IpcBytesReceiver);

/// Where the receiver says under which name it waits for the sender.
fn meeting(spec: &Spec, lane: usize) -> String {
    format!("{}/{}", spec.dir, lane_name(spec, lane))
}

impl Between for IpcChannel {
    type Tx<const N: usize> = Tx;
    type Rx<const N: usize> = Rx;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx {
        let server = patiently("the receiver's name", || std::fs::read_to_string(meeting(spec, lane)));
        let (sender, receiver) = ipc::bytes_channel().expect("a channel");
        let bootstrap = IpcSender::<IpcBytesReceiver>::connect(server).expect("connect");
        bootstrap.send(receiver).expect("the receiver's way to its process");
        Tx(sender)
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx {
        let (server, name) = IpcOneShotServer::<IpcBytesReceiver>::new().expect("a server");
        let (meeting, draft) = (meeting(spec, lane), meeting(spec, lane) + ".new");
        std::fs::write(&draft, name).expect("the name");
        std::fs::rename(draft, meeting).expect("the name");
        Rx(server.accept().expect("the receiver").1)
    }
}

impl<const N: usize> ends::Tx<N> for Tx {
    fn send(&mut self, message: &[u8; N]) {
        self.0.send(message).expect("send");
    }
}

impl<const N: usize> ends::Rx<N> for Rx {
    fn recv(&mut self, message: &mut [u8; N]) {
        message.copy_from_slice(&self.0.recv().expect("recv"));
    }
}
