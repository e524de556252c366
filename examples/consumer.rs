//! Prints what `cargo run --example producer` sends, one process or several, until the last of them is gone. Start
//! two of these, and each message goes to one of them.

use semring::Options;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut consumer = Options::new().capacity(64).message_size(80).consumer("semring-example")?;
    for message in consumer.iter() {
        println!("{}", String::from_utf8_lossy(&message?));
    }
    consumer.leave_and_remove_if_unused()?;
    Ok(())
}
