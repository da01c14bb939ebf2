//! Scripts that try to get out, to stay for ever or to take everything, in the process that the program runs scripts in. The
//! test is the agent here: it answers whatever they ask and looks only at what they cost.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::instant;
use crate::program::binary;

/// What a hostile script may take.
const MAX_RESIDENT_KIB: u64 = 64 << 10;
/// Of processor time: how long that takes depends on who else uses the machine that tests.
const MAX_PROCESSOR_SECONDS: f64 = 2.0;
/// After which a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

struct Outcome {
    /// The last thing that it said, or how the kernel ended it.
    end: String,
    peak_kib: u64,
    /// Without what starting took, which in a build for tests is most.
    processor_seconds: f64,
    status: ExitStatus,
}

struct Runner {
    child: Child,
    socket: UnixStream,
    peak_kib: u64,
    processor_seconds: f64,
}

impl Runner {
    fn start(script: &str) -> Self {
        let (socket, theirs) = UnixStream::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        #[expect(clippy::disallowed_methods, reason = "tests start programs")]
        let child = Command::new(binary())
            .arg("script-runner")
            .env_clear()
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let runner = Self { child, socket, peak_kib: 0, processor_seconds: 0.0 };
        let functions = ["incident::note", "clock::sleep", "clock::now", "unit::restart", "proc::find"];
        let alert = json!({ "labels": { "unit": "a.service" }, "value": 1 });
        let context = json!({ "alert": alert, "params": {}, "run": { "attempt": 1 } });
        runner.say(&json!({ "script": script, "context": context, "functions": functions }));
        runner
    }

    /// A child that is gone hears nothing, which shows at the next reading.
    fn say(&self, message: &Value) {
        let _ = (&self.socket).write_all(format!("{message}\n").as_bytes());
    }

    /// What the kernel says of it; nothing any more once it has ended.
    fn measure(&mut self) {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id()));
        let status = read("status").unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        self.peak_kib = self.peak_kib.max(peak.unwrap_or(0));
        let stat = read("stat").unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        self.processor_seconds = self.processor_seconds.max(ticks as f64 / 100.0);
    }

    /// Answers it until it has ended. After its last word it is told to roll back once, then to finish.
    fn outlive(mut self) -> Outcome {
        let begun = instant();
        let mut reader = BufReader::new(self.socket.try_clone().unwrap());
        let (mut line, mut end, mut rolled_back, mut started) = (Vec::new(), String::new(), false, 0.0);
        loop {
            assert!(begun.elapsed() < PATIENCE, "it lives on");
            self.measure();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) if line.ends_with(b"\n") => {
                    let said: Value = serde_json::from_slice(&line).unwrap();
                    line.clear();
                    if said.get("with_landlock").is_some() {
                        self.measure();
                        started = self.processor_seconds;
                        continue;
                    }
                    let is_last = said.get("ended").is_some() || said.get("broke").is_some();
                    if is_last {
                        end = said.to_string();
                    }
                    self.say(&match () {
                        () if is_last && !rolled_back => {
                            rolled_back = true;
                            json!("rollback")
                        }
                        () if said.get("step_begin").is_some() => json!({ "step": "run" }),
                        () => json!({ "value": null }),
                    });
                }
                // What is not read yet is kept in the line.
                Ok(_) | Err(_) if self.child.try_wait().unwrap().is_some() && line.is_empty() => break,
                Ok(_) | Err(_) => {}
            }
        }
        let status = self.child.wait().unwrap();
        if let Some(signal) = status.signal() {
            end = format!("{end} signal {signal}");
        }
        let (peak_kib, processor_seconds) = (self.peak_kib, self.processor_seconds - started);
        Outcome { end, peak_kib, processor_seconds, status }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// Bodies of `remediate(ctx)`, with a part of how each ends; with none, any end will do.
const HOSTILE: &[(&str, &str)] = &[
    // Staying for ever.
    ("loop { }", ""),
    ("loop { try { loop { } } catch { } }", ""),
    ("for i in 0..9223372036854775807 { }", ""),
    ("let a = []; for i in 0..9999 { a.push(i % 97); } loop { a.sort(); a.reverse(); }", ""),
    ("let a = []; for i in 0..9999 { a.push(9999 - i); } loop { a.sort(|x, y| x - y); }", ""),
    (
        "retry(20, \"0s\", || retry(20, \"0s\", || retry(20, \"0s\", || retry(20, \"0s\", || { for i in 0..9999 { } false }))))",
        "",
    ),
    ("let s = \"\"; s.pad(60000, \"ab\"); loop { s.index_of(\"abc\"); }", ""),
    ("let s = \"\"; s.pad(60000, \"ab\"); loop { s.to_upper(); s.split(\"a\"); s.to_chars(); }", ""),
    ("sleep(100)", "use clock::sleep"),
    ("step(\"a\", || 1, || { loop { } }); fixed(\"x\")", ""),
    ("step(\"a\", || 1, || undo()); undo(); fixed(\"x\")", "fixed"),
    // Recursion.
    ("remediate(ctx)", "Stack overflow"),
    ("let f = |f, n| f.call(f, n + 1); f.call(f, 0)", "Stack overflow"),
    ("[1].map(|x| remediate(ctx))", ""),
    ("step(\"a\", || remediate(ctx))", "stands inside"),
    ("retry(20, \"0s\", || remediate(ctx))", "Stack overflow"),
    // Taking all memory.
    ("let s = \"x\"; loop { s += s; }", "too large"),
    ("let s = \"x\"; loop { try { s += s; } catch { s += s; } }", ""),
    ("let s = \"\"; s.pad(60000, \"x\"); let t = s; s.replace(\"x\", t)", "replace would make"),
    ("let s = \"\"; s.pad(60000, \"x\"); let t = s; s.replace('x', t)", "replace would make"),
    ("let s = \"\"; s.pad(60000, \"x\"); let t = s; s.replace(\"\", t)", "replace would make"),
    ("let s = \"\"; s.pad(1000000000000, \"x\")", ""),
    ("let a = []; a.pad(1000000000000, 1)", ""),
    ("let a = [1]; loop { a += a; }", ""),
    ("let a = []; loop { let b = []; b.push(a); a = b; }", ""),
    ("let a = [0]; for i in 0..60 { let b = []; b.push(a); b.push(a); a = b; }", ""),
    (
        "let m = #{}; for i in 0..900 { let s = \"\"; s.pad(60000, \"x\"); let a = []; for k in 0..20 { a.push(s + k); } m[`k${i}`] = a; }",
        "",
    ),
    ("let m = #{}; for i in 0..200 { let n = #{}; n.a = m; n.b = m; m = n; }", ""),
    ("let m = #{}; loop { try { for i in 0..999 { m[`${i}${m.len()}`] = `${m.len()}`; } } catch { } }", ""),
    (
        "let s = \"\"; s.pad(60000, \"a\"); let m = #{}; for i in 0..900 { m[`k${i}`] = s; } let n = m.to_json(); n.len()",
        "",
    ),
    (
        "let s = \"\"; s.pad(60000, \"a\"); let a = []; for i in 0..900 { a.push(s); } let t = \"\"; for i in 0..99 { t = `${a}${a}`; }",
        "",
    ),
    (
        "let s = \"\"; s.pad(60000, \"a \"); let a = []; loop { try { a.push(s.split(\" \")); } catch { a = [a]; } }",
        "",
    ),
    ("let a = []; for i in 0..250 { let s = \"\"; s.pad(65000, `${i}`); a.push(s.to_chars()); }", ""),
    ("let s = \"\"; s.pad(65000, \"[\"); parse_json(s)", ""),
    // Flooding the agent.
    (
        "let s = \"\"; s.pad(60000, \"a\"); let a = []; for i in 0..900 { a.push(s); } incident::note(a)",
        "too large",
    ),
    ("let a = [1]; for i in 0..40 { a = [a]; } incident::note(a)", "nests deeper"),
    ("let s = \"\"; s.pad(60000, \"a\"); step(s, || 1)", "1 to 100 printable bytes"),
    ("for i in 0..9999 { step(`s${i}`, || 1); }", "100 steps"),
    (
        "step(\"a\", || { let s = \"\"; s.pad(60000, \"a\"); let a = []; for i in 0..900 { a.push(s); } a })",
        "too large",
    ),
    // Getting out.
    ("eval(\"1\")", "eval"),
    ("Fn(\"eval\").call(\"1\")", "eval"),
    ("Fn(\"step\").call(\"x\", || 1); import \"/etc/passwd\" as p;", "import"),
    ("unit::stop(\"sshd.service\")", "stop"),
    ("file::remove_old(\"/\", \"0s\", \"1TiB\")", "file"),
    ("std::process::exit(1)", ""),
    ("exec::run(\"/bin/sh\", [\"-c\", \"id\"])", "exec"),
    ("let f = |x| x; f.name = \"eval\"; f.call(\"1\")", ""),
    ("ctx.params.__proto__.x = 1", "__proto__"),
    ("1 << 1000000; 9223372036854775807 + 1", ""),
    ("let x = 1 / 0;", ""),
    ("throw fixed(\"x\")", ""),
    ("exit(fixed(\"early\"))", "early"),
    ("let a = [1, 2]; for x in a { a.push(x); } a[-99999999]", ""),
    ("call_fn_that_is_not_there()", ""),
];

/// What is wrong with how a script ended, if anything is.
fn trouble(script: &str, expected: &str) -> Option<String> {
    let outcome = Runner::start(script).outlive();
    let soon = outcome.processor_seconds <= MAX_PROCESSOR_SECONDS;
    // Nothing that a script can write makes its process ask the kernel for what it may not.
    let asked_for_nothing = outcome.status.signal() != Some(31);
    let tame =
        soon && outcome.peak_kib < MAX_RESIDENT_KIB && asked_for_nothing && outcome.end.contains(expected);
    let shown: String = script.chars().take(150).collect();
    let Outcome { end, peak_kib, processor_seconds, .. } = outcome;
    (!tame).then(|| format!("{shown}: {end}, {peak_kib} KiB, {processor_seconds}s, wanted {expected:?}"))
}

#[test]
fn hostile_scripts_end_soon_and_take_little() {
    let bodies = HOSTILE.iter();
    let troubles: Vec<String> = bodies
        .filter_map(|(body, expected)| trouble(&format!("fn remediate(ctx) {{ {body} }}"), expected))
        .collect();
    assert!(troubles.is_empty(), "{troubles:#?}");
}

#[test]
fn a_script_can_be_hostile_before_it_runs_and_while_it_is_undone() {
    let texts = [
        "(".repeat(60_000),
        "[".repeat(60_000),
        "{".repeat(60_000),
        "-".repeat(60_000),
        "!".repeat(60_000),
        "/*".repeat(30_000),
        "`${".repeat(20_000),
        "fn f(a) { ".repeat(6_000),
        "|a| ".repeat(15_000),
        "if true { ".repeat(6_000),
        "1+".repeat(30_000),
        "a.".repeat(30_000),
        "const A = [1];".repeat(4_000),
        "switch 1 { 1 => ".repeat(4_000),
        "\u{0}\u{feff}\u{202e}".repeat(5_000),
        format!("const X = \"{}\";", "x".repeat(200_000)),
    ];
    let mut troubles: Vec<String> = texts.iter().filter_map(|text| trouble(text, "")).collect();
    for (script, expected) in [
        ("fn rollback(ctx) { loop { } } fn remediate(ctx) { fixed(\"x\") }", "fixed"),
        ("fn rollback(ctx) { undo(); rollback(ctx) } fn remediate(ctx) { undo(); fixed(\"x\") }", "fixed"),
        ("fn precheck(ctx) { loop { } } fn remediate(ctx) { fixed(\"x\") }", ""),
    ] {
        troubles.extend(trouble(script, expected));
    }
    assert!(troubles.is_empty(), "{troubles:#?}");
}

#[test]
fn a_script_s_process_has_given_everything_up_before_it_reads_the_script() {
    let mut runner = Runner::start("fn remediate(ctx) { clock::now(); fixed(\"x\") }");
    let mut reader = BufReader::new(runner.socket.try_clone().unwrap());
    reader.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = String::new();
    while !lines.contains("clock::now") {
        reader.read_line(&mut lines).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", runner.child.id())).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap();
    assert_eq!((field("Seccomp:"), field("NoNewPrivs:")), ("2", "1"));
    assert!(lines.contains("with_landlock"), "{lines}");
    runner.measure();
    assert!(runner.peak_kib > 0);
}
