//! Standard output and standard error, as commands use them.

use std::io::{ErrorKind, Write};

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub(crate) fn out(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints an error with its causes on one line of standard error.
pub(crate) fn error(error: &anyhow::Error) {
    // Nothing is left to do when standard error is gone.
    let _ = writeln!(std::io::stderr(), "hostmend: {error:#}");
}

/// Writes to standard error.
pub(crate) fn err(text: &str) -> std::io::Result<()> {
    std::io::stderr().write_all(text.as_bytes())
}
