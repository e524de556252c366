//! One point: a system call of the victim fails instead of being made. The operation returns an error that says so, or
//! tries again; then the victim ends, and everything is checked as after a death.

use std::io;

use semring::segment::SegmentOptions;
use semring::sem::{Set, SetOptions};

use crate::calls::Call;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::point::{Aim, Label, Scenery};
use crate::random::Random;
use crate::subject::Subject;
use crate::suite::{self, Point};
use crate::sys::Pid;
use crate::tracer::Victim;

/// Semaphores of a set (docs/design.md, section 3).
const IDENT: usize = 0;
const LOCK: usize = 1;

/// Which call, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Injection {
    /// Counted from 0, between the marks.
    nth: usize,
    call: &'static str,
    pub(crate) errno: i32,
}

impl std::fmt::Display for Injection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let error = io::Error::from_raw_os_error(self.errno);
        write!(f, "system call {} ({}) fails: {error}", self.nth, self.call)
    }
}

/// Errors that are over by the next call: they may not keep others out.
fn passes(errno: i32) -> bool {
    matches!(errno, libc::E2BIG | libc::EINTR | libc::EAGAIN | libc::ENOMEM | libc::ENOSPC | libc::ERANGE)
}

/// Says that the object is gone, which is not true: whoever believes it has reason to leave things as they are.
fn misleads(errno: i32) -> bool {
    matches!(errno, libc::EIDRM | libc::EINVAL)
}

/// Leads the victim to its end, and has a call fail on the way; false if it made another call there.
pub(crate) fn run<'a>(
    scene: &mut impl Scenery<'a>,
    victim: &mut Victim,
    injection: Injection,
) -> io::Result<bool> {
    let (ledger, Label { name, case, creates }) = (scene.ledger(), scene.label());
    let mut hit = false;
    scene.call_by_call(victim, |nth, call| {
        hit |= nth == injection.nth && call.name == injection.call;
        let fails = hit && nth == injection.nth;
        fails.then(|| {
            ledger.excuse(injection.errno);
            injection.errno
        })
    })?;
    let holder = lock_holder(&name);
    if holder == Some(victim.pid()) && passes(injection.errno) {
        eprintln!("{case}: {injection}: LOCK stays with the victim");
        ledger.fault(Fault::Stuck, 1);
    }
    // What is made is finished before LOCK is given back: if that fails, it stands.
    let undone = creates && holder.is_none();
    scene.let_end(victim)?;
    if undone && ledger.was_excused() && !misleads(injection.errno) {
        left_nothing(&name, &case, ledger, injection);
    }
    Ok(hit)
}

fn semaphores(name: &str) -> Option<Set> {
    SetOptions::new(0).open(name).ok()
}

/// The process that holds LOCK, if it is held.
fn lock_holder(name: &str) -> Option<Pid> {
    let set = semaphores(name)?;
    let held = set.value(LOCK).is_ok_and(|value| value != 0);
    held.then(|| set.last_pid(LOCK).ok().flatten()).flatten()
}

/// Creating has failed, and nothing is there. A new set may stay, which the next creator uses: nobody may remove it
/// without having LOCK and knowing that it is new, and it is these calls that failed.
fn left_nothing(name: &str, case: &str, ledger: &Ledger, injection: Injection) {
    let segment = SegmentOptions::new().open(name).is_ok();
    let set = semaphores(name);
    let excused = injection.call.starts_with("sem") && !segment;
    let new = excused && set.as_ref().is_some_and(|set| set.value(IDENT) == Ok(0));
    if segment || set.is_some() && !new {
        eprintln!("{case}: {injection}: left behind: segment {segment}, set {}", set.is_some());
        ledger.fault(Fault::Leaked, 1);
    }
}

/// About `count` failures, evenly over every call of every case of a name that has `only` in it, and over the ways in
/// which it can fail; in random order. Positions that wrap make no other calls.
pub(crate) fn points(
    only: &str,
    count: u64,
    random: &mut Random,
    watch: &mut dyn FnMut(u64) -> bool,
) -> io::Result<(Vec<Subject>, Vec<Point>)> {
    let ledger = Ledger::new(suite::WINDOW).map_err(io::Error::other)?;
    let wanted = |case: &Subject| !case.wraps() && case.name().contains(only);
    let cases: Vec<Subject> = Subject::all().into_iter().filter(wanted).collect();
    let mut points = Vec::new();
    for (case, number) in (0..cases.len()).zip(0..) {
        if !watch(number) {
            break;
        }
        let calls = cases[case].calls(&ledger, suite::name(&suite::prefix(0), number))?;
        for (nth, Call { name: call, errnos }) in calls.into_iter().enumerate() {
            points.extend(errnos.into_iter().map(|errno| {
                let injection = Injection { nth, call, errno };
                Point { case, aim: Aim::Fail(injection) }
            }));
        }
    }
    random.shuffle(&mut points);
    points.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok((cases, points))
}
