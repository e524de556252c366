//! Sends ten numbered lines to whoever runs `cargo run --example consumer`; either may start first.

use semring::Options;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut producer = Options::new().capacity(64).message_size(80).producer("semring-example")?;
    for i in 1..=10 {
        producer.send(format!("message {i} of process {}", std::process::id()).as_bytes())?;
    }
    println!("sent 10 messages");
    Ok(())
}
