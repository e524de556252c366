//! scratch
use crate::search::explore;
use crate::wait::{BASE, Config, Mutant, Wait};
#[test]
fn wait_scratch() {
    use Mutant::*;
    let a = Config { cycles: true, ..BASE };
    let b = Config { producers: 1, consumers: 2, items: 2, slots: 2, ..BASE };
    let c = Config { producers: 2, consumers: 1, items: 2, slots: 1, ..BASE };
    let d = Config { producers: 2, consumers: 2, items: 2, slots: 2, ..BASE };
    for (n, c) in [
        ("253084/20680/0", Config { items: 2, kills: 2, stops: 1, timeouts: 2, outsider: true, ..a }),
        ("454363/5947", Config { kills: 1, stops: 1, cycles: true, ..b }),
        ("1156364/869", Config { kills: 1, timeouts: 1, outsider: true, cycles: true, ..b }),
        ("364343/9705", Config { kills: 1, stops: 1, cycles: true, ..c }),
        ("1241746/2364", Config { kills: 1, timeouts: 1, outsider: true, cycles: true, ..c }),
        ("3710434/1980", Config { stops: 1, ..d }),
        ("2461515/327", Config { kills: 1, ..d }),
        ("434048/6033/33", Config { kills: 1, stops: 1, wake: 1, ..b }),
        ("413355/5070", Config { kills: 1, stops: 1, bit_first: true, ..b }),
        ("469308/5818", Config { kills: 1, stops: 1, clear_bit_first: true, ..b }),
        ("878251/11742", Config { kills: 1, stops: 1, lowest_first: true, ..b }),
        ("716009/18939", Config { kills: 1, stops: 1, lowest_first: true, ..c }),
        ("2802902/79", Config { lowest_first: true, ..d }),
    ] {
        let t = std::time::Instant::now();
        let r = explore(&Wait::new(c));
        println!("{n} {}/{}/{} {:?} {:?}", r.states, r.quiescent, r.noted, r.failure.as_ref().map(|f| f.why), t.elapsed());
        if let Some(f) = r.failure { for l in f.path { println!("   {l}"); } }
    }
    let _ = NoChaining;
}
