//! The terminal: its size, keys as they are struck, and that it is as before when the view ends, however it ends.

use std::io::{self, Write, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::cli::TopOrder;
use crate::clock;

/// Another screen, no cursor, long lines cut.
const BEGIN: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const END: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How soon a signal or another size of the window is noticed.
const ATTENTION: Duration = Duration::from_millis(200);

/// What the terminal was set to.
static BEFORE: OnceLock<Termios> = OnceLock::new();

/// What happened while waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The user or a signal ends it.
    Quit,
    Order(TopOrder),
    /// The time is over, the window has another size, or the user does not want to wait.
    Redraw,
}

/// The terminal, as the view needs it; as before when the value is dropped.
pub(super) struct Terminal {
    ended: Arc<AtomicBool>,
}

impl Terminal {
    pub(super) fn take() -> io::Result<Self> {
        let found = tcgetattr(stdin())?;
        let before = BEFORE.get_or_init(|| found);
        let ended = Arc::<AtomicBool>::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&ended))?;
        }
        let mut wanted = before.clone();
        // Keys come at once and unseen; Ctrl-C is a key, so that nothing ends with the terminal as it is.
        wanted.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        wanted.special_codes[SpecialCodeIndex::VMIN] = 0;
        wanted.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &wanted)?;
        write(BEGIN)?;
        let before_us = std::panic::take_hook();
        // Where the view is, nobody would read why.
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before_us(panic);
        }));
        Ok(Self { ended })
    }

    /// Columns and lines.
    pub(super) fn size() -> (usize, usize) {
        let size = tcgetwinsize(stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// Waits for so long at most, for a key, a signal, or a window that no longer has the size `drawn`.
    pub(super) fn wait(&self, within: Duration, drawn: (usize, usize)) -> io::Result<Key> {
        let (keyboard, deadline) = (stdin(), clock::monotonic() + within);
        loop {
            if self.ended.load(Ordering::Relaxed) {
                return Ok(Key::Quit);
            }
            if Self::size() != drawn || clock::left(deadline).is_zero() {
                return Ok(Key::Redraw);
            }
            let wait = Timespec::try_from(clock::left(deadline).min(ATTENTION)).map_err(io::Error::other)?;
            let mut keys = [PollFd::new(&keyboard, PollFlags::IN)];
            match poll(&mut keys, Some(&wait)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let mut struck = [0; 16];
            match rustix::io::read(&keyboard, &mut struck) {
                // The terminal is gone.
                Ok(0) => return Ok(Key::Quit),
                Ok(count) => {
                    if let Some(key) = struck.iter().take(count).find_map(|byte| key(*byte)) {
                        return Ok(key);
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // Nothing is left to do when the terminal is gone.
    let _ = write(END);
    if let Some(before) = BEFORE.get() {
        let _ = tcsetattr(stdin(), OptionalActions::Now, before);
    }
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut stdout = stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}

fn key(byte: u8) -> Option<Key> {
    match byte {
        // Ctrl-C, Ctrl-D.
        b'q' | 3 | 4 => Some(Key::Quit),
        b'c' => Some(Key::Order(TopOrder::Cpu)),
        b'm' => Some(Key::Order(TopOrder::Memory)),
        b'i' => Some(Key::Order(TopOrder::Io)),
        _ => None,
    }
}
