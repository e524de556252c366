//! The terminal of `semring top`: raw, on its alternate screen, and as it was in the end.

use std::io::{self, Write, stdout};
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::Print;
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};

use super::view::{Line, render};

/// How late a signal may be noticed.
const LOOK: Duration = Duration::from_millis(100);

/// What comes after a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Picture,
    End,
}

/// The terminal, ours until this is dropped.
pub(super) struct Screen(());

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        // From here on it is restored, whatever fails.
        let screen = Screen(());
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    pub(super) fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        let mut out = stdout().lock();
        for (y, line) in (0..).zip(render(lines, width.into(), height.into())) {
            queue!(out, MoveTo(0, y), Print(line), Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        out.flush()
    }

    /// Waits for the time of the next picture, or the end of it all; draws anew what was resized.
    pub(super) fn wait(
        &mut self,
        until: Instant,
        lines: &[Line],
        ended: impl Fn() -> bool,
    ) -> io::Result<Next> {
        while !ended() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Next::Picture);
            }
            if event::poll(left.min(LOOK))? {
                match event::read()? {
                    Event::Key(key) if quits(key) => return Ok(Next::End),
                    Event::Resize(..) => self.show(lines)?,
                    _ => {}
                }
            }
        }
        Ok(Next::End)
    }
}

fn quits(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
            KeyCode::Char('c') => control,
            _ => false,
        }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to restore.
        let _ = execute!(stdout(), Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
