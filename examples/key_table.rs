//! A table of secret keys, found by client and server: written by several processes, read by all, there again when they
//! are gone. What used to be an array in a segment, searched from its beginning and torn by its second writer.
//!
//! `cargo run --example key_table`

use std::process::Command;

use bytemuck::{Pod, Zeroable};
use semring::{Error, Table, TableOptions};

/// Who talks to whom.
#[derive(Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Parties {
    client: [u8; 12],
    server: [u8; 12],
}

/// What they agreed on.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Agreement {
    /// How often it was renewed.
    renewals: u32,
    /// The process that did so last.
    process: u32,
    key: [u8; 128],
}

const CLIENTS: u32 = 4;
const SERVERS: u32 = 8;

type Keys = Table<Parties, Agreement>;

fn open(name: &str) -> Result<Keys, Error> {
    TableOptions::new().capacity((CLIENTS * SERVERS).into()).open_or_create(name, "Parties, Agreement")
}

fn parties(client: u32, server: u32) -> Parties {
    let id = |kind: &str, number: u32| {
        let mut bytes = [0; 12];
        let text = format!("{kind}{number:04}");
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    };
    Parties { client: id("client", client), server: id("server", server) }
}

/// Any function that gives each agreement another key will do here.
fn agree(client: u32, server: u32, renewals: u32) -> Agreement {
    let seed = client * 31 + server * 7 + renewals;
    let key = std::array::from_fn(|i| (seed as usize * 17 + i) as u8);
    Agreement { renewals, process: std::process::id(), key }
}

/// One process: a client that agrees with each server, and renews what it has with each of them twice.
fn client(name: &str, client: u32) -> Result<(), Error> {
    let keys = open(name)?;
    for server in 0..SERVERS {
        keys.insert(&parties(client, server), &agree(client, server, 0))?;
    }
    for _ in 0..2 {
        for server in 0..SERVERS {
            keys.update(&parties(client, server), |agreement| {
                *agreement = agree(client, server, agreement.renewals + 1)
            })?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, number] = &arguments[..] {
        return Ok(client(name, number.parse()?)?);
    }

    let name = format!("semring-key-table-{}", std::process::id());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let command = std::env::current_exe()?;
        clients.push(Command::new(command).args([&name, &number.to_string()]).spawn()?);
    }
    for mut client in clients {
        if !client.wait()?.success() {
            return Err("a client failed".into());
        }
    }

    // All of them are gone; the table is not.
    let keys = open(&name)?;
    println!("{} of {} records, written by {CLIENTS} processes", keys.len()?, keys.capacity());
    let found = keys.get(&parties(2, 5))?.ok_or("no agreement of client 2 and server 5")?;
    assert!(found.renewals == 2 && found.key == agree(2, 5, 2).key);
    println!("client 2 and server 5: renewed {} times, last by process {}", found.renewals, found.process);

    // Full is an error, and what is there stays.
    match keys.insert(&parties(99, 99), &agree(99, 99, 0)) {
        Err(e @ Error::NoRoom { .. }) => println!("one more: {e}"),
        other => return Err(format!("expected no room: {:?}", other.map(|_| ())).into()),
    }
    keys.remove(&parties(0, 0))?;
    keys.insert(&parties(99, 99), &agree(99, 99, 0))?;
    println!("after a removal there is room: {} records", keys.len()?);
    keys.destroy()?;
    Ok(())
}
