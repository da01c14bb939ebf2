//! Our end of the channel to the agent in an emulated machine; `tests/machine/guest-agent.pl` describes what is said.
//!
//! After an answer that did not come in time the channel is closed: what would come next could be the late answer.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};

use super::Ran;

/// What an answer may take beyond what was asked for: the emulator may have to wait for the processor.
const GRACE: Duration = Duration::from_secs(20);

/// How long a file may take to be copied.
const COPIED_WITHIN: Duration = Duration::from_mins(1);

/// The agent keeps a frame in memory; so do we.
const MAX_FRAME: usize = 64 << 20;

/// Content is cut into frames of this size.
const CHUNK: usize = 256 << 10;

pub(super) struct Channel {
    stream: UnixStream,
}

impl Channel {
    /// A channel that leads nowhere, for a machine without power.
    pub(super) fn closed() -> anyhow::Result<Self> {
        let (stream, _) = UnixStream::pair()?;
        Ok(Self { stream })
    }

    /// Connects as soon as qemu listens.
    pub(super) fn connect(socket: &Path, deadline: Instant) -> anyhow::Result<Self> {
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => return Ok(Self { stream }),
                Err(error) if Instant::now() > deadline => return Err(error).context("connecting to qemu"),
                Err(_) => std::thread::park_timeout(Duration::from_millis(5)),
            }
        }
    }

    pub(super) fn set_clock(&mut self, deadline: Instant) -> anyhow::Result<()> {
        let mut content = [0; 8 + 4 + 32];
        let (seconds, rest) = content.split_at_mut(8);
        let (nanoseconds, random) = rest.split_at_mut(4);
        std::fs::File::open("/dev/urandom")?.read_exact(random)?;
        // Asked twice: when the machine has only just begun to answer, the time of the first question is past.
        for _ in 0..2 {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
            seconds.copy_from_slice(&now.as_secs().to_be_bytes());
            nanoseconds.copy_from_slice(&now.subsec_nanos().to_be_bytes());
            let content = [&*seconds, &*nanoseconds, &*random].concat();
            self.exchange(&[(b'c', &content)], deadline)?;
        }
        Ok(())
    }

    pub(super) fn run(&mut self, what: &[&str], input: &[u8], within: Duration) -> anyhow::Result<Ran> {
        let mut content = Vec::new();
        content.extend_from_slice(&(within.as_millis() as u32).to_be_bytes());
        content.extend_from_slice(&(what.len() as u32).to_be_bytes());
        for argument in what {
            content.extend_from_slice(&(argument.len() as u32).to_be_bytes());
            content.extend_from_slice(argument.as_bytes());
        }
        content.extend_from_slice(input);
        let answer = self.exchange(&[(b'r', &content)], Instant::now() + within + GRACE)?;
        let status = u32::from_be_bytes(answer.end.as_slice().try_into().context("an end without a status")?);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { status: status as i32, stdout: text(&answer.output), stderr: text(&answer.errors) })
    }

    pub(super) fn push(&mut self, content: &[u8], to: &str, mode: u32) -> anyhow::Result<()> {
        let opening = [&mode.to_be_bytes(), to.as_bytes()].concat();
        let mut frames = vec![(b'p', opening.as_slice())];
        frames.extend(content.chunks(CHUNK).map(|chunk| (b'd', chunk)));
        frames.push((b'e', b""));
        self.exchange(&frames, Instant::now() + COPIED_WITHIN)?;
        Ok(())
    }

    pub(super) fn get(&mut self, from: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.exchange(&[(b'g', from.as_bytes())], Instant::now() + COPIED_WITHIN)?;
        Ok(answer.content)
    }

    fn exchange(&mut self, request: &[(u8, &[u8])], deadline: Instant) -> anyhow::Result<Answer> {
        let answered = self.ask(request, deadline);
        if answered.is_err() {
            // It may be closed already.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        match answered?.into_result() {
            Ok(answer) => Ok(answer),
            Err(refused) => bail!(refused),
        }
    }

    fn ask(&mut self, request: &[(u8, &[u8])], deadline: Instant) -> anyhow::Result<Answer> {
        self.stream.set_write_timeout(Some(COPIED_WITHIN))?;
        for (kind, content) in request {
            ensure!(content.len() <= MAX_FRAME, "{} bytes are too many for a frame", content.len());
            let length = content.len() as u32;
            self.stream.write_all(&[&[*kind], length.to_be_bytes().as_slice()].concat())?;
            self.stream.write_all(content)?;
        }
        let mut answer = Answer::default();
        while !answer.ended {
            let mut head = [0; 5];
            self.read_exact(&mut head, deadline)?;
            let [kind, length @ ..] = head;
            let length = u32::from_be_bytes(length) as usize;
            ensure!(length <= MAX_FRAME, "the agent announced a frame of {length} bytes");
            let mut content = vec![0; length];
            self.read_exact(&mut content, deadline)?;
            answer.take(kind, content)?;
        }
        Ok(answer)
    }

    fn read_exact(&mut self, mut buffer: &mut [u8], deadline: Instant) -> anyhow::Result<()> {
        while !buffer.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "the machine did not answer in time");
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(buffer) {
                Ok(0) => bail!("the machine is gone"),
                Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error).context("reading from the machine"),
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Answer {
    content: Vec<u8>,
    output: Vec<u8>,
    errors: Vec<u8>,
    end: Vec<u8>,
    refused: Option<String>,
    ended: bool,
}

impl Answer {
    fn take(&mut self, kind: u8, mut content: Vec<u8>) -> anyhow::Result<()> {
        match kind {
            b'd' => self.content.append(&mut content),
            b'o' => self.output.append(&mut content),
            b'f' => self.errors.append(&mut content),
            b'e' => self.end = content,
            b'x' => self.refused = Some(String::from_utf8_lossy(&content).into_owned()),
            _ => bail!("the agent sent a frame of the unknown kind {kind}"),
        }
        self.ended = matches!(kind, b'e' | b'x');
        Ok(())
    }

    fn into_result(mut self) -> Result<Self, String> {
        self.refused.take().map_or(Ok(self), Err)
    }
}
