//! Crash tests.
#![allow(missing_docs)]
mod cases;
mod checker;
mod fault;
mod ledger;
mod message;
mod operations;
mod point;
mod random;
mod route;
mod scene;
mod suite;
mod sys;
mod tracer;

pub use fault::{FAULTS, Fault};
pub use suite::Tally;

pub fn try_it(only: &str, stride: u64, mode: &str) {
    tracer::check_allowed().unwrap();
    let t = std::time::Instant::now();
    let survey = suite::Survey::new(only, false, &mut |_| true).unwrap();
    println!("total {} points {} in {:?}", survey.total(), 0, t.elapsed());
    let points = survey.points(stride, |r| match mode { "kill" => point::Aim::Kill(r), _ => point::Aim::Stop(r) });
    let points = if mode == "twice" { survey.pairs(stride, &mut random::Random::new(1), &mut |_| true).unwrap() } else { points };
    let t = std::time::Instant::now();
    let n = points.len();
    let r = suite::run(&survey.cases, &points, 2, 1, &mut |_| true).unwrap();
    for (c, t) in survey.cases.iter().zip(&r.tallies) {
        if t.survived != t.points { println!("{:60} {:?}", c.name(), t); }
    }
    for f in r.failures { println!("{f}"); }
    let mut sum = Tally::default();
    r.tallies.iter().for_each(|t| sum.add(t));
    println!("{sum:?}");
    println!("{n} in {:?}: {:.2} ms each", t.elapsed(), t.elapsed().as_secs_f64() * 1e3 / n as f64);
}
