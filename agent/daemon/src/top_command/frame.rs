//! One view: a pure function of what the agent said, an order, and the size of the window. Texts of others never hold a
//! control character here.

use telemetry::{OneLine, format_duration};

use super::called;
use crate::cli::TopOrder;
use crate::top::{Interface, Task, Top};

/// From so many columns on groups and processes stand beside each other.
const TWO_COLUMNS: usize = 110;

/// Of disks, interfaces, file systems and alerts, so many are shown.
const WORST: usize = 3;

/// The width of a bar, without its brackets.
const BAR: usize = 20;

/// A view.
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) lines: Vec<Line>,
}

/// One line of it.
pub(super) struct Line {
    pub(super) text: String,
    /// Whether it is a heading or bad news.
    pub(super) strong: bool,
}

impl Frame {
    /// Without any emphasis.
    pub(super) fn to_text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.text.trim_end(), "\n"]).collect()
    }

    fn line(&mut self, text: impl AsRef<str>) {
        self.push(text.as_ref(), false);
    }

    fn strong(&mut self, text: impl AsRef<str>) {
        self.push(text.as_ref(), true);
    }

    fn push(&mut self, text: &str, strong: bool) {
        let text = OneLine(text).to_string().chars().take(self.width).collect();
        self.lines.push(Line { text, strong });
    }
}

/// The view in so many columns and lines.
pub(super) fn frame(top: &Top, order: TopOrder, (width, height): (usize, usize)) -> Frame {
    let mut frame = Frame { width, lines: Vec::new() };
    head(&mut frame, top);
    pressure(&mut frame, top);
    resources(&mut frame, top);
    queues(&mut frame, top);
    frame.line("");
    tasks(&mut frame, top, order, height);
    frame.lines.truncate(height.max(1));
    frame
}

fn head(frame: &mut Frame, top: &Top) {
    let load: Vec<String> = top.load.iter().flatten().map(|load| format!("{load:.2}")).collect();
    let cpus = top.cpus.map(|cpus| format!(" on {cpus} CPUs")).unwrap_or_default();
    let up = top.uptime_seconds.map(|seconds| {
        let minutes = (seconds / 60.0) as u64;
        format!("  up {}", format_duration(std::time::Duration::from_secs(minutes * 60)))
    });
    let stretch = top.stretch.filter(|stretch| *stretch > 1.0);
    let stretch = stretch.map(|stretch| format!("  collects {stretch} times as seldom, to stay in budget"));
    let time = top.at.get(11..19).unwrap_or("");
    let (up, stretch) = (up.unwrap_or_default(), stretch.unwrap_or_default());
    frame.strong(format!("{}{up}  load {}{cpus}  {time} UTC{stretch}", top.host, load.join(" ")));
    for reason in &top.unwell {
        frame.strong(format!("! the agent is not well: {reason}"));
    }
    let alerts = top.firing.iter().take(WORST).map(|alert| {
        let name = alert.labels.get("alertname").map_or("", String::as_str);
        let labels: Vec<String> = alert
            .labels
            .iter()
            .filter(|(key, _)| *key != "alertname")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let since = format_duration(std::time::Duration::from_secs(alert.for_seconds));
        format!("! {name} for {since} {}", labels.join(" "))
    });
    for alert in alerts {
        frame.strong(alert);
    }
    if top.firing.len() > WORST {
        frame.strong(format!("! and {} more alerts; hostmend status has them", top.firing.len() - WORST));
    }
}

fn pressure(frame: &mut Frame, top: &Top) {
    frame.line("");
    frame.strong(format!("{:8}{:>7} {:<23}{:>7}", "waits", "some", "", "all"));
    if top.pressure.is_empty() {
        frame.line("  not known before two collections, nor where the kernel does not tell it");
    }
    for pressure in &top.pressure {
        let share = |share: Option<f64>| {
            share.map_or_else(|| format!("{:>7}", "-"), |share| format!("{:>7}", fine(share)))
        };
        let bars = [pressure.some, pressure.full].map(|share| share.map_or_else(|| " ".repeat(BAR + 2), bar));
        let [some, full] = [pressure.some, pressure.full].map(share);
        let [some_bar, full_bar] = bars;
        frame.line(format!("{:8}{some} {some_bar} {full} {full_bar}", pressure.of));
    }
}

fn resources(frame: &mut Frame, top: &Top) {
    let (cpu, memory) = (&top.cpu, &top.memory);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    let shares = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    frame.line("");
    frame.line(format!(
        "cpu     busy {}, waiting for I/O {}, stolen {}; run queue {}, blocked {}",
        shares(cpu.busy),
        shares(cpu.iowait),
        shares(cpu.steal),
        number(cpu.run_queue),
        number(cpu.blocked)
    ));
    frame.line(format!(
        "memory  used {} of {}; swap used {}, pages in {}/s, out {}/s; killed for want of it {}",
        shares(memory.used_share),
        memory.limit_bytes.map_or_else(|| "-".to_owned(), bytes),
        shares(memory.swap_used_share),
        number(memory.swap_in),
        number(memory.swap_out),
        number(memory.oom_kills)
    ));
    for (at, disk) in top.disks.iter().take(WORST).enumerate() {
        let [read, written] = [disk.read_bytes_per_second, disk.written_bytes_per_second].map(bytes);
        frame.line(format!(
            "{:8}{} busy {}, queue {:.1}, read {read}/s, written {written}/s",
            if at == 0 { "disk" } else { "" },
            disk.device,
            percent(disk.busy),
            disk.queue
        ));
    }
    let is_used = |interface: &&Interface| {
        interface.received_bytes_per_second + interface.sent_bytes_per_second > 0.0
            || interface.drops_per_second + interface.errors_per_second > 0.0
    };
    for (at, interface) in top.interfaces.iter().filter(is_used).take(WORST).enumerate() {
        let [received, sent] =
            [interface.received_bytes_per_second, interface.sent_bytes_per_second].map(bytes);
        let sent_again = top.tcp_retransmits_per_second.filter(|_| at == 0);
        let sent_again = sent_again.map(|rate| format!("; TCP sent again {rate:.1}/s")).unwrap_or_default();
        frame.line(format!(
            "{:8}{} in {received}/s, out {sent}/s, dropped {:.1}/s, errors {:.1}/s{sent_again}",
            if at == 0 { "network" } else { "" },
            interface.name,
            interface.drops_per_second,
            interface.errors_per_second
        ));
    }
    let fullest: Vec<String> = top
        .filesystems
        .iter()
        .take(WORST)
        .map(|filesystem| format!("{} {}", filesystem.mountpoint, percent(filesystem.used_share)))
        .collect();
    if !fullest.is_empty() {
        frame.line(format!("space   used: {}", fullest.join(", ")));
    }
}

fn queues(frame: &mut Frame, top: &Top) {
    for (at, destination) in top.destinations.iter().enumerate() {
        let waiting = bytes(destination.queued_bytes as f64);
        let failing = destination.failing_since.as_ref().map(|since| format!(", FAILS since {since}"));
        let title = if at == 0 { "owed" } else { "" };
        let text =
            format!("{title:8}{}: {waiting} wait{}", destination.name, failing.clone().unwrap_or_default());
        if failing.is_some() { frame.strong(text) } else { frame.line(text) }
    }
}

/// Groups and processes, in what is left of the height.
fn tasks(frame: &mut Frame, top: &Top, order: TopOrder, height: usize) {
    let left = height.saturating_sub(frame.lines.len());
    if frame.width >= TWO_COLUMNS {
        let width = (frame.width - 2) / 2;
        let groups = column("group", &top.groups, order, width, left);
        let processes = column("process", &top.processes, order, width, left);
        for at in 0..groups.len().max(processes.len()) {
            let cell = |column: &[String]| column.get(at).cloned().unwrap_or_default();
            let text = format!("{:width$}  {}", cell(&groups), cell(&processes));
            frame.push(&text, at == 0);
        }
        return;
    }
    let half = left.saturating_sub(1) / 2;
    for (title, tasks) in [("group", &top.groups), ("process", &top.processes)] {
        for (at, line) in column(title, tasks, order, frame.width, half.max(2)).into_iter().enumerate() {
            frame.push(&line, at == 0);
        }
    }
}

fn column(title: &str, tasks: &[Task], order: TopOrder, width: usize, lines: usize) -> Vec<String> {
    let by = |task: &Task| match order {
        TopOrder::Cpu => task.cpu,
        TopOrder::Memory => task.memory_bytes,
        TopOrder::Io => task.io_bytes_per_second,
    };
    let mut sorted: Vec<&Task> = tasks.iter().collect();
    sorted.sort_by(|one, other| by(other).total_cmp(&by(one)));
    // Three columns of figures with two spaces before each.
    let name_width = width.saturating_sub(8 + 12 + 12).max(8);
    let row = |name: &str, cpu: &str, memory: &str, io: &str| {
        let name: String = OneLine(name).to_string().chars().take(name_width).collect();
        format!("{name:name_width$}{cpu:>8}{memory:>12}{io:>12}")
    };
    let heading = row(&format!("{title} by {}", called(order)), "CPU", "memory", "I/O");
    let rows = sorted.into_iter().map(|task| {
        let pid = task.pid.map(|pid| format!("{pid} ")).unwrap_or_default();
        let io = format!("{}/s", bytes(task.io_bytes_per_second));
        row(&format!("{pid}{}", task.name), &fine(task.cpu), &bytes(task.memory_bytes), &io)
    });
    std::iter::once(heading).chain(rows).take(lines).collect()
}

fn bar(share: f64) -> String {
    let full = (share.clamp(0.0, 1.0) * BAR as f64).ceil() as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn fine(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn bytes(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1_024.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_024.0;
    }
    format!("{value:.1} GiB")
}

#[cfg(test)]
mod tests;
