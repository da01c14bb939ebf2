//! `hostmend top`: a live view of where the host is short of something, from what the running agent sees anyway.
//!
//! Asks the agent, lets [`mod@frame`] draw and writes it; nothing is measured here. An agent that stops answering leaves the
//! last view, with the reason above it.

mod frame;
mod terminal;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use telemetry::OneLine;

use crate::cli::{TopArgs, TopOrder};
use crate::exit::Exit;
use crate::local_client::{Answered, Asked, ask};
use crate::top::Top;
use crate::{clock, print};
use frame::{Frame, frame};
use terminal::{Key, Terminal};

/// Asking more often would show the same: collections are 100 ms apart at least.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// What one view for a pipe is drawn for: wide enough for two columns, long enough for ten of each.
const PAGE: (usize, usize) = (120, 40);

pub(crate) fn run(args: &TopArgs) -> anyhow::Result<Exit> {
    let first = answer(args)?;
    if args.json {
        print::out(&first.body)?;
        return Ok(Exit::Done);
    }
    let top = parse(&first)?;
    if args.once {
        print::out(&frame(&top, args.sort, PAGE).to_text())?;
        return Ok(Exit::Done);
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!(
            "standard input or output is no terminal; --once prints one view, --json prints it for a program"
        );
    }
    watch(args, top)?;
    Ok(Exit::Done)
}

/// Draws until the user or a signal ends it.
fn watch(args: &TopArgs, mut top: Top) -> anyhow::Result<()> {
    let terminal = Terminal::take().context("preparing the terminal")?;
    let interval = args.interval.max(SHORTEST_INTERVAL);
    let (mut order, mut trouble) = (args.sort, None);
    let mut next = clock::monotonic() + interval;
    loop {
        let size = Terminal::size();
        draw(&frame(&top, order, size), trouble.as_deref()).context("writing to the terminal")?;
        match terminal.wait(clock::left(next), size)? {
            Key::Quit => return Ok(()),
            Key::Order(other) => order = other,
            Key::Redraw => {}
        }
        if clock::left(next).is_zero() {
            next = clock::monotonic() + interval;
            match answer(args).and_then(|answered| parse(&answered)) {
                Ok(newer) => (top, trouble) = (newer, None),
                Err(error) => trouble = Some(format!("{error:#}")),
            }
        }
    }
}

fn answer(args: &TopArgs) -> anyhow::Result<Answered> {
    ask(&args.agent, &Asked { method: "GET", path: "/v1/top".into() })
}

fn parse(answered: &Answered) -> anyhow::Result<Top> {
    serde_json::from_str(&answered.body)
        .context("reading the agent's answer; is it of another version? --json prints it as it is")
}

/// Writes the frame over the one before it, in one piece, so that nothing flickers.
fn draw(frame: &Frame, trouble: Option<&str>) -> std::io::Result<()> {
    let mut text = "\x1b[H".to_owned();
    for (at, line) in frame.lines.iter().enumerate() {
        let end = if at + 1 < frame.lines.len() { "\x1b[K\r\n" } else { "\x1b[K" };
        match trouble {
            Some(trouble) if at == 0 => {
                let said: String = OneLine(trouble).to_string().chars().take(frame.width).collect();
                let _ = write!(text, "\x1b[7m{said}\x1b[0m{end}");
            }
            _ => {
                let (begin, back) = if line.strong { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
                let _ = write!(text, "{begin}{}{back}{end}", line.text);
            }
        }
    }
    text += "\x1b[J";
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// How an order is called in a heading.
fn called(order: TopOrder) -> &'static str {
    match order {
        TopOrder::Cpu => "CPU",
        TopOrder::Memory => "memory",
        TopOrder::Io => "I/O",
    }
}
