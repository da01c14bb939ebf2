//! Lines that bear a number and a time, and what is known of those that arrived.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use memchr::memmem;

/// What lines look like: about 200 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// By turns an access log's and JSON.
    Both,
    Json,
}

impl Mix {
    /// Appends the line of this number, written at `nanos` of the epoch.
    pub(crate) fn line(self, out: &mut String, number: u64, nanos: u128) {
        let second = number / 1000 % 60;
        let written = if self == Self::Json || number % 4 > 1 {
            writeln!(
                out,
                "{{\"time\":\"2026-11-22T10:15:{second:02}.123Z\",\"level\":\"info\",\"logger\":\"com.example.shop.OrderService\",\
                 \"msg\":\"order id={number} at={nanos} shipped\",\"duration_ms\":{},\"customer\":\"c-{}\",\"region\":\"eu\"}}",
                number * 7 % 500,
                number % 10_000,
            )
        } else {
            writeln!(
                out,
                "192.0.2.{} - - [22/Nov/2026:10:15:{second:02} +0000] \"GET /api/v1/orders?id={number}&at={nanos} HTTP/1.1\" \
                 200 {} \"https://shop.example.com/orders\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101\"",
                number % 250,
                number * 37 % 9_000,
            )
        };
        written.expect("a text takes what is written");
    }
}

pub(crate) fn now_nanos() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

/// What arrived.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    /// How often each line arrived, by its number.
    times: Vec<u8>,
    different: u64,
    repeated: u64,
    /// From the writing of a line to its arrival, in milliseconds.
    delays: Vec<f64>,
}

impl Watched {
    /// Finds the lines in a request, whatever form they have there.
    pub(crate) fn take(&self, request: &[u8]) {
        let now = now_nanos();
        let mut lines = self.lock();
        for at in memmem::find_iter(request, b"id=") {
            let (number, rest) = number(request.get(at + 3..).unwrap_or_default());
            // In JSON within a text, and in a query, they stand one byte apart.
            let Some(rest) = rest.get(1..).and_then(|rest| rest.strip_prefix(b"at=")) else { continue };
            lines.note(number as usize);
            let (nanos, _) = self::number(rest);
            if nanos > 0 {
                lines.delays.push(now.saturating_sub(nanos) as f64 / 1e6);
            }
        }
    }

    pub(crate) fn different(&self) -> u64 {
        self.lock().different
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.lock().repeated
    }

    pub(crate) fn forget_delays(&self) {
        self.lock().delays.clear();
    }

    /// How long so great a part of the lines took at most, in milliseconds.
    pub(crate) fn delay(&self, part: f64) -> f64 {
        let mut lines = self.lock();
        lines.delays.sort_unstable_by(f64::total_cmp);
        let at = (lines.delays.len() as f64 * part) as usize;
        lines.delays.get(at).copied().unwrap_or(f64::NAN)
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn note(&mut self, number: usize) {
        if self.times.len() <= number {
            self.times.resize(number + 1, 0);
        }
        let Some(times) = self.times.get_mut(number) else { return };
        *times = times.saturating_add(1);
        if *times == 1 {
            self.different += 1;
        } else {
            self.repeated += 1;
        }
    }
}

/// The number at the beginning of a text, and what is behind it.
fn number(text: &[u8]) -> (u128, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits).unwrap_or_default();
    (digits.iter().fold(0, |number, digit| number * 10 + u128::from(digit - b'0')), rest)
}
