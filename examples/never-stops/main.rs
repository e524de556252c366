//! A producer, two workers and a writer, each a service of `semring supervise`, joined by two channels. Any of them, and the
//! supervisor, may be killed at any moment: every message arrives, and one that may have arrived before says so.
//! `examples/never-stops/run` does the killing.
//!
//! A message is a number. It is flagged if it may be a repetition: because a consumer died with it in hand, or because
//! the producer cannot know whether it had sent it when it died.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use semring::heartbeat::Heart;
use semring::{Consumer, Options, Producer, RecvTimeoutError, WhenNoConsumer};

/// Who waits for a message looks up so often, to beat.
const LOOK_UP: Duration = Duration::from_millis(200);
const FLAGGED: u32 = 1;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("produce") => produce(),
        Some("work") => work(),
        Some("write") => write(),
        Some("check") => check(),
        _ => Err("say what to do: produce, work, write or check".into()),
    }
}

/// A channel in which senders wait when all receivers are dead.
fn options() -> Options {
    Options::new().capacity(256).message_size(16).when_no_consumer(WhenNoConsumer::Wait)
}

/// The receiving side of a channel, and a sender that sends nothing: while we live the stream does not end.
fn receive(name: &str) -> Result<(Consumer, Producer)> {
    Ok((options().consumer(name)?, options().producer(name)?))
}

fn produce() -> Result<()> {
    let heart = Heart::of_service()?;
    let mut jobs = options().producer("never-stops-jobs")?;
    let progress = OpenOptions::new().read(true).write(true).create(true).truncate(false).open("progress")?;
    let mut next = sent(&progress)?;
    // The one that was next when we died may have been sent.
    let mut tag = FLAGGED;
    loop {
        jobs.send_tagged(tag, &next.to_le_bytes())?;
        next += 1;
        progress.write_all_at(&next.to_le_bytes(), 0)?;
        tag = 0;
        heart.beat();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many were sent, at least.
fn sent(progress: &File) -> Result<u64> {
    let mut bytes = [0; 8];
    Ok(if progress.read_exact_at(&mut bytes, 0).is_ok() { u64::from_le_bytes(bytes) } else { 0 })
}

/// Takes messages, one at a time, and beats while there are none. A message is acknowledged when `handle` has returned.
fn serve(consumer: &mut Consumer, mut handle: impl FnMut(&[u8], u32) -> Result<()>) -> Result<()> {
    let heart = Heart::of_service()?;
    loop {
        heart.beat();
        match consumer.lease_timeout(LOOK_UP) {
            Ok(lease) => {
                let again = lease.redelivered() || lease.tag() & FLAGGED != 0;
                handle(&lease.to_vec(), if again { FLAGGED } else { 0 })?;
                lease.ack();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn work() -> Result<()> {
    let (mut jobs, _stay) = receive("never-stops-jobs")?;
    let mut results = options().producer("never-stops-results")?;
    serve(&mut jobs, |message, tag| {
        let number = u64::from_le_bytes(message.try_into()?);
        std::thread::sleep(Duration::from_millis(1)); // hard work, in the middle of which we may be killed
        let answer = number.wrapping_mul(number);
        Ok(results.send_tagged(tag, &[number.to_le_bytes(), answer.to_le_bytes()].concat())?)
    })
}

fn write() -> Result<()> {
    let (mut results, _stay) = receive("never-stops-results")?;
    let mut file = OpenOptions::new().append(true).create(true).open("written")?;
    serve(&mut results, |message, tag| {
        let (number, answer) = message.split_at(8);
        let (number, answer) =
            (u64::from_le_bytes(number.try_into()?), u64::from_le_bytes(answer.try_into()?));
        let flag = if tag == FLAGGED { " again" } else { "" };
        // One call: a line is there or not.
        Ok(file.write_all(format!("{number} {answer}{flag}\n").as_bytes())?)
    })
}

/// Is every message there, once without a flag at most?
fn check() -> Result<()> {
    let sent = usize::try_from(sent(&File::open("progress")?)?)?;
    let (mut plain, mut flagged) = (vec![0_u32; sent + 1], vec![0_u32; sent + 1]);
    for line in fs::read_to_string("written")?.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (number, answer): (usize, u64) = (words[0].parse()?, words[1].parse()?);
        if number > sent || answer != (number as u64).wrapping_mul(number as u64) {
            return Err(format!("nobody sent this: {line}").into());
        }
        if words.get(2) == Some(&"again") { flagged[number] += 1 } else { plain[number] += 1 }
    }
    let missing = (0..sent).filter(|&i| plain[i] + flagged[i] == 0).count();
    let unflagged = (0..sent).filter(|&i| plain[i] > 1).count();
    let repeated: u32 = (0..sent).map(|i| (plain[i] + flagged[i]).saturating_sub(1)).sum();
    let again: u32 = flagged.iter().sum();
    println!("{sent} messages sent, {missing} missing; {again} flagged as delivered again");
    println!("{repeated} repeated in the file, {unflagged} of these without a flag");
    if missing + unflagged > 0 { Err("not all is well".into()) } else { Ok(()) }
}
