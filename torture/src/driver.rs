//! How a victim is led through its operation: to an instruction, from one to the next, from one system call to the next.

use std::io;

use crate::calls::{self, Call};
use crate::route::{Route, Trace};
use crate::tracer::{Event, Victim};

/// Who leads a victim, and knows what to do if it sleeps.
pub(crate) trait Driver {
    /// What the victim does next of what was begun; it is helped on if it sleeps, which is noted.
    fn next(&mut self, victim: &mut Victim, slept: &mut bool) -> io::Result<Event>;

    /// One instruction, through a sleep if need be.
    fn step(&mut self, victim: &mut Victim, slept: &mut bool) -> io::Result<Event>;

    /// Brings the victim to a point; false if it came to its end before.
    fn approach(&mut self, victim: &mut Victim, route: Route) -> io::Result<bool> {
        let mut steps = 0;
        if let Some((address, before)) = route.shortcut {
            if victim.break_at(address).is_ok() {
                victim.begin_run()?;
                let event = self.next(victim, &mut false)?;
                // Also one that was missed: the victim may go on, and come by later.
                victim.clear_breakpoint()?;
                if event != Event::Step {
                    return Ok(false);
                }
                steps = before;
            }
        }
        while steps < route.steps {
            match self.step(victim, &mut false)? {
                Event::Step => steps += 1,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Steps the victim to its end, and notes the way.
    fn trace(&mut self, victim: &mut Victim) -> io::Result<(Trace, bool)> {
        let mut addresses = Vec::new();
        let mut slept = false;
        loop {
            addresses.push(victim.address());
            match self.step(victim, &mut slept)? {
                Event::Step => {}
                Event::Mark => return Ok((Trace::new(addresses), slept)),
                event => return Err(io::Error::other(format!("a victim ended: {event:?}"))),
            }
        }
    }

    /// The victim goes on to its next mark. `fails` hears of each call that it makes, and may give an errno.
    fn call_by_call(
        &mut self,
        victim: &mut Victim,
        mut fails: impl FnMut(usize, &Call) -> Option<i32>,
    ) -> io::Result<()> {
        let (mut nth, mut inside, mut errno) = (0, false, None);
        loop {
            victim.begin_call()?;
            match self.next(victim, &mut false)? {
                Event::Call if inside => {
                    if let Some(errno) = errno.take() {
                        victim.fail_call(errno)?;
                    }
                    inside = false;
                }
                Event::Call => {
                    if let Some(call) = calls::of(victim.pid(), &victim.entry()?) {
                        errno = fails(nth, &call);
                        nth += 1;
                    }
                    if errno.is_some() {
                        victim.skip_call()?;
                    }
                    inside = true;
                }
                Event::Mark => return Ok(()),
                event => return Err(io::Error::other(format!("a victim ended: {event:?}"))),
            }
        }
    }
}
