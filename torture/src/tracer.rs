//! A child process that is single-stepped with ptrace(2).
//!
//! It marks the begin and the end of what is looked at by sending itself SIGUSR1, which stops a traced process before
//! the signal is delivered; it never is. A system call is one step.

use std::io;

use crate::sys::{self, End, Pid};

/// What the child did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// One instruction.
    Step,
    /// It came to a mark.
    Mark,
    /// A system call begins, or ends.
    Call,
    /// It ended.
    Ended(End),
}

/// A system call that begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) number: libc::c_long,
    pub(crate) arguments: [u64; 4],
}

/// A traced child; killed when dropped.
pub(crate) struct Victim {
    pid: Pid,
    ended: bool,
    /// Where a breakpoint stands, and the code that it covers.
    breakpoint: Option<(u64, u64)>,
}

fn ptrace(request: libc::c_uint, pid: Pid, data: usize) -> io::Result<()> {
    ptrace_at(request, pid, 0, data)
}

fn ptrace_at(request: libc::c_uint, pid: Pid, address: u64, data: usize) -> io::Result<()> {
    // SAFETY: of the requests that this file makes only PTRACE_GETREGS has an address of ours, and as much room as it
    // writes; the others are the child's.
    let result = unsafe { libc::ptrace(request, pid, address as *mut libc::c_void, data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The machine's part of breakpoints and system calls.
#[cfg(target_arch = "x86_64")]
mod machine {
    use super::{Entry, Pid, io, ptrace_at};

    /// Where `struct user` has the instruction pointer, the number of a system call, and its result.
    const POINTER: u64 = std::mem::offset_of!(libc::user_regs_struct, rip) as u64;
    const NUMBER: u64 = std::mem::offset_of!(libc::user_regs_struct, orig_rax) as u64;
    const RESULT: u64 = std::mem::offset_of!(libc::user_regs_struct, rax) as u64;

    /// Where a stopped child stands.
    pub(super) fn pointer(pid: Pid) -> Option<u64> {
        // SAFETY: reads a word of the child's registers.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, pid, POINTER, 0) };
        (word != -1).then_some(word as u64)
    }

    pub(super) fn set_pointer(pid: Pid, address: u64) -> io::Result<()> {
        ptrace_at(libc::PTRACE_POKEUSER, pid, POINTER, address as usize)
    }

    pub(super) const CALLS: bool = true;

    /// The system call that a child is about to make.
    pub(super) fn entry(pid: Pid) -> io::Result<Entry> {
        let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
        ptrace_at(libc::PTRACE_GETREGS, pid, 0, registers.as_mut_ptr() as usize)?;
        // SAFETY: it consists of integers, so the zeroes it began with are valid too.
        let registers = unsafe { registers.assume_init() };
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
        Ok(Entry { number: registers.orig_rax as libc::c_long, arguments })
    }

    /// Has the kernel make none instead.
    pub(super) fn skip(pid: Pid) -> io::Result<()> {
        ptrace_at(libc::PTRACE_POKEUSER, pid, NUMBER, usize::MAX)
    }

    /// What the call that ends returns.
    pub(super) fn fail(pid: Pid, errno: i32) -> io::Result<()> {
        ptrace_at(libc::PTRACE_POKEUSER, pid, RESULT, -(errno as isize) as usize)
    }

    /// The word with a breakpoint (INT3) as its first instruction.
    pub(super) fn covered(code: u64) -> u64 {
        code & !0xff | 0xcc
    }

    /// How far behind it the child stands when it has met one.
    pub(super) const BEHIND: u64 = 1;
}

/// Elsewhere there are none: every point is reached by steps, and no system call fails.
#[cfg(not(target_arch = "x86_64"))]
mod machine {
    use super::{Entry, Pid, io};

    pub(super) const CALLS: bool = false;

    pub(super) fn entry(_: Pid) -> io::Result<Entry> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn skip(_: Pid) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn fail(_: Pid, _: i32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn pointer(_: Pid) -> Option<u64> {
        None
    }

    pub(super) fn set_pointer(_: Pid, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn covered(code: u64) -> u64 {
        code
    }

    pub(super) const BEHIND: u64 = 0;
}

impl Victim {
    /// Starts a child and lets it go on to its first mark. It ends after `run`.
    pub(crate) fn start(run: impl FnOnce()) -> io::Result<Self> {
        let pid = sys::fork(|| match ptrace(libc::PTRACE_TRACEME, 0, 0) {
            Ok(()) => {
                run();
                0
            }
            Err(_) => FORBIDDEN,
        })?;
        let mut victim = Victim { pid, ended: false, breakpoint: None };
        match victim.event()? {
            Event::Mark => {
                let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
                ptrace(libc::PTRACE_SETOPTIONS, pid, options as usize)?;
                Ok(victim)
            }
            Event::Ended(End::Exit(FORBIDDEN)) => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
            event => Err(io::Error::other(format!("the victim did not come to its mark: {event:?}"))),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// What comes of what was begun, once it has.
    pub(crate) fn event(&mut self) -> io::Result<Event> {
        let Some(status) = sys::wait_status(self.pid, 0)? else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.judge(status)
    }

    fn judge(&mut self, status: i32) -> io::Result<Event> {
        if libc::WIFSTOPPED(status) {
            return match libc::WSTOPSIG(status) {
                libc::SIGTRAP => Ok(Event::Step),
                libc::SIGUSR1 => Ok(Event::Mark),
                CALL => Ok(Event::Call),
                signal => Err(io::Error::other(format!("the victim was stopped by signal {signal}"))),
            };
        }
        self.ended = true;
        let end = if libc::WIFEXITED(status) {
            End::Exit(libc::WEXITSTATUS(status))
        } else {
            End::Signal(libc::WTERMSIG(status))
        };
        Ok(Event::Ended(end))
    }

    /// One instruction.
    pub(crate) fn step(&mut self) -> io::Result<Event> {
        self.begin_step()?;
        self.event()
    }

    /// Begins one instruction, which may block.
    pub(crate) fn begin_step(&mut self) -> io::Result<()> {
        ptrace(libc::PTRACE_SINGLESTEP, self.pid, 0)
    }

    /// Begins to run until the next mark or the end.
    pub(crate) fn begin_run(&mut self) -> io::Result<()> {
        ptrace(libc::PTRACE_CONT, self.pid, 0)
    }

    /// Begins to run until a system call begins or ends, or to the next mark, or the end.
    pub(crate) fn begin_call(&mut self) -> io::Result<()> {
        ptrace(libc::PTRACE_SYSCALL, self.pid, 0)
    }

    /// The system call that has just begun.
    pub(crate) fn entry(&self) -> io::Result<Entry> {
        machine::entry(self.pid)
    }

    /// The system call that has just begun is not made.
    pub(crate) fn skip_call(&mut self) -> io::Result<()> {
        machine::skip(self.pid)
    }

    /// The system call that has just ended has failed.
    pub(crate) fn fail_call(&mut self, errno: i32) -> io::Result<()> {
        machine::fail(self.pid, errno)
    }

    /// The address of the next instruction; 0 where that is not known.
    pub(crate) fn address(&self) -> u64 {
        machine::pointer(self.pid).unwrap_or(0)
    }

    /// Puts a breakpoint at an address.
    pub(crate) fn break_at(&mut self, address: u64) -> io::Result<()> {
        let code = sys::peek(self.pid, address, 8).and_then(|bytes| bytes.try_into().ok());
        let code = u64::from_ne_bytes(code.ok_or(io::ErrorKind::InvalidInput)?);
        ptrace_at(libc::PTRACE_POKETEXT, self.pid, address, machine::covered(code) as usize)?;
        self.breakpoint = Some((address, code));
        Ok(())
    }

    /// Takes the breakpoint away that the child has just met, and puts the child in front of it.
    pub(crate) fn clear_breakpoint(&mut self) -> io::Result<()> {
        let Some((address, code)) = self.breakpoint.take() else { return Ok(()) };
        ptrace_at(libc::PTRACE_POKETEXT, self.pid, address, code as usize)?;
        if self.address() == address + machine::BEHIND {
            machine::set_pointer(self.pid, address)?;
        }
        Ok(())
    }

    /// What has come of what was begun, if anything yet.
    pub(crate) fn poll(&mut self) -> io::Result<Option<Event>> {
        match sys::wait_status(self.pid, libc::WNOHANG)? {
            Some(status) => self.judge(status).map(Some),
            None => Ok(None),
        }
    }

    /// SIGKILL, and until the kernel has finished with it.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            sys::kill_and_reap(self.pid);
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.end();
    }
}

const FORBIDDEN: i32 = 77;
/// How a stop at a system call is told from others (PTRACE_O_TRACESYSGOOD).
const CALL: i32 = libc::SIGTRAP | 0x80;
/// Can system calls be made to fail on this machine?
pub(crate) const CALLS_CAN_FAIL: bool = machine::CALLS;

/// May a process trace its own children here?
///
/// # Errors
/// In words, why not.
pub(crate) fn check_allowed() -> Result<(), String> {
    let attempt = || -> io::Result<()> {
        let mut victim = Victim::start(|| {
            sys::mark();
            sys::mark();
        })?;
        loop {
            match victim.step()? {
                Event::Step => {}
                Event::Mark => return Ok(()),
                event => return Err(io::Error::other(format!("it ended: {event:?}"))),
            }
        }
    };
    attempt().map_err(|e| {
        format!(
            "ptrace(2) of our own children is forbidden here, and it is what stops a process after every single \
             instruction ({e}): allow it (a container: --cap-add SYS_PTRACE or its seccomp profile; \
             sysctl kernel.yama.ptrace_scope below 3), or leave out what needs it (--kill-points 0 --stop-points 0 \
             --double-kills 0 --failing-calls 0)"
        )
    })
}
