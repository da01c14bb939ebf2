//! The rows.

use std::time::Duration;

use executor::{Action, ByteCount, UnitVerb};

use super::FunctionKind::{Act, Read};
use super::answers::{FILE, LIMITS_IN_FORCE, PROCESS, REMOVED, SET, TOP_PROCESS, UNIT_CHANGED, UNIT_STATUS};
use super::arguments::Arguments;
use super::options::{
    CGROUP_LIMIT_OPTIONS, FIND_OPTIONS, LIMIT_OPTIONS, LIST_OPTIONS, REMOVE_OPTIONS, limits, process_filter,
    selection,
};
use super::shape::{Kind, Parameter, Shape, parameter as p};
use super::{Call, HostFunction, Target};
use crate::fact::{Fact, FileOrder, TopBy};
use crate::grants::Capability;

/// The longest note that is kept of what a script has to say.
const MAX_NOTE_BYTES: usize = 4096;
/// The most processes that one question finds; a script that repairs means a handful.
const MAX_TOP: usize = 100;
/// The most files that one question lists.
const MAX_FILES: usize = 1000;
/// The most lines of a log that one question reads.
const MAX_LINES: usize = 1000;
/// How long a service must have been active before it counts as such, unless the script says otherwise.
const SETTLE: Duration = Duration::from_secs(2);
/// How long an HTTP GET may take, unless the script says otherwise, and at most.
const HTTP_WITHIN: Duration = Duration::from_secs(5);
const MAX_HTTP_WITHIN: Duration = Duration::from_secs(30);

const UNIT: Parameter = p("unit", Kind::Unit);
const CGROUP: Parameter = p("cgroup", Kind::Path);

/// The part of a row that most share.
const fn read(
    (namespace, name): (&'static str, &'static str),
    parameters: &'static [Parameter],
    returns: Shape,
    summary: &'static str,
    read: fn(&Arguments<'_>) -> Result<Call, String>,
) -> HostFunction {
    HostFunction { namespace, name, parameters, optional: 0, returns, summary, kind: Read, needs: None, read }
}

const fn act(
    path: (&'static str, &'static str),
    needs: Capability,
    parameters: &'static [Parameter],
    returns: Shape,
    summary: &'static str,
    understand: fn(&Arguments<'_>) -> Result<Call, String>,
) -> HostFunction {
    HostFunction { kind: Act, needs: Some(needs), ..read(path, parameters, returns, summary, understand) }
}

const fn with_optional(function: HostFunction, optional: usize) -> HostFunction {
    HostFunction { optional, ..function }
}

#[expect(clippy::unnecessary_wraps, reason = "this is what a row's `read` returns")]
fn ask(fact: Fact) -> Result<Call, String> {
    Ok(Call::Ask { fact, on: None })
}

#[expect(clippy::unnecessary_wraps, reason = "this is what a row's `read` returns")]
fn perform(action: Action, on: impl Into<String>) -> Result<Call, String> {
    Ok(Call::Act { action, on: Target::Named(on.into()) })
}

fn unit(arguments: &Arguments<'_>, verb: UnitVerb) -> Result<Call, String> {
    let unit = arguments.unit(0)?;
    let on = unit.to_string();
    perform(Action::Unit { verb, unit }, on)
}

/// Every function that a script can call, apart from the language's own.
pub const HOST_FUNCTIONS: &[HostFunction] = &[
    read(("unit", "status"), &[UNIT], UNIT_STATUS, "How systemd holds a service to be.", |a| {
        ask(Fact::UnitStatus { unit: a.unit(0)? })
    }),
    read(
        ("unit", "limits"),
        &[UNIT],
        LIMITS_IN_FORCE,
        "The limits of a service, and what it uses of them; () is no limit.",
        |a| ask(Fact::UnitLimits { unit: a.unit(0)? }),
    ),
    with_optional(
        read(
            ("unit", "wait_active"),
            &[UNIT, p("within", Kind::Duration), p("settle", Kind::Duration)],
            Shape::Bool,
            "Waits until a service has been active for a while without a break (2s unless said), and says whether it came to that.",
            |a| {
                Ok(Call::WaitActive {
                    unit: a.unit(0)?,
                    within: a.duration(1)?,
                    settle: a.duration_or(2, SETTLE)?,
                })
            },
        ),
        1,
    ),
    act(
        ("unit", "restart"),
        Capability::UnitRestart,
        &[UNIT],
        UNIT_CHANGED,
        "Lets systemd restart a service, as in \"nginx.service\", and waits until that is done.",
        |a| unit(a, UnitVerb::Restart),
    ),
    act(
        ("unit", "reload"),
        Capability::UnitRestart,
        &[UNIT],
        UNIT_CHANGED,
        "Lets systemd have a service read its configuration anew.",
        |a| unit(a, UnitVerb::Reload),
    ),
    act(
        ("unit", "start"),
        Capability::UnitRestart,
        &[UNIT],
        UNIT_CHANGED,
        "Lets systemd start a service.",
        |a| unit(a, UnitVerb::Start),
    ),
    act(
        ("unit", "reset_failed"),
        Capability::UnitRestart,
        &[UNIT],
        UNIT_CHANGED,
        "Lets systemd forget that a service has failed, and how often it was started.",
        |a| unit(a, UnitVerb::ResetFailed),
    ),
    act(("unit", "stop"), Capability::UnitStop, &[UNIT], UNIT_CHANGED, "Lets systemd stop a service.", |a| {
        unit(a, UnitVerb::Stop)
    }),
    act(
        ("unit", "freeze"),
        Capability::UnitFreeze,
        &[UNIT],
        UNIT_CHANGED,
        "Lets the processes of a service stand still.",
        |a| unit(a, UnitVerb::Freeze),
    ),
    act(
        ("unit", "thaw"),
        Capability::UnitFreeze,
        &[UNIT],
        UNIT_CHANGED,
        "Lets the processes of a frozen service go on.",
        |a| unit(a, UnitVerb::Thaw),
    ),
    act(
        ("unit", "limit"),
        Capability::UnitLimit,
        &[UNIT, p("limits", Kind::Options(LIMIT_OPTIONS))],
        SET,
        "Sets limits of a service until it is started anew; \"infinity\" is no limit.",
        |a| {
            let unit = a.unit(0)?;
            let on = unit.to_string();
            perform(Action::LimitUnit { unit, limits: limits(&a.options(1)?)? }, on)
        },
    ),
    read(
        ("proc", "find"),
        &[p("which", Kind::Options(FIND_OPTIONS))],
        Shape::List(&PROCESS),
        "The live processes of a name, or of which all that is given holds; a name may be one of the policy's.",
        |a| Ok(Call::FindProcesses { filter: process_filter(a)? }),
    ),
    with_optional(
        read(
            ("proc", "top"),
            &[p("count", Kind::Int), p("by", Kind::OneOf(&["cpu", "memory", "io"]))],
            Shape::List(&TOP_PROCESS),
            "The processes that use the most: of the processor, unless said.",
            |a| {
                let by = if a.has(1) { a.word(1)? } else { TopBy::Cpu };
                ask(Fact::TopProcesses { by, count: a.count(0, MAX_TOP)? })
            },
        ),
        1,
    ),
    read(
        ("proc", "stack"),
        &[p("process", Kind::Process)],
        Shape::Text,
        "Where the threads of a process are in the kernel.",
        |a| ask(Fact::ProcessStack { process: a.process(0)? }),
    ),
    read(
        ("proc", "maps"),
        &[p("process", Kind::Process)],
        Shape::Text,
        "What the memory of a process is made of: the sums, and the largest mappings.",
        |a| ask(Fact::ProcessMaps { process: a.process(0)? }),
    ),
    act(
        ("proc", "signal"),
        Capability::ProcessSignal,
        &[p("process", Kind::Process), p("signal", Kind::Signal)],
        Shape::Map(&[("command", Shape::Text), ("signal", Shape::Text)]),
        "Sends a signal, as in \"KILL\", to one process that proc::find has returned in this run.",
        |a| {
            let process = a.process(0)?;
            let action = Action::SignalProcess { process, signal: a.signal(1)? };
            Ok(Call::Act { action, on: Target::Found(process) })
        },
    ),
    act(
        ("proc", "restart"),
        Capability::ProcessRestart,
        &[p("name", Kind::Text)],
        Shape::Map(&[
            ("process", Shape::Text),
            ("ended", Shape::Maybe(&Shape::Int)),
            ("killed", Shape::Bool),
            ("pid", Shape::Int),
        ]),
        "Ends the process that the policy defines under this name, if it runs, and starts it again.",
        |a| {
            let name = a.text(0)?;
            perform(Action::RestartProcess { process: name.as_str().into() }, name)
        },
    ),
    read(
        ("disk", "usage"),
        &[p("path", Kind::Path)],
        Shape::Map(&[
            ("mount", Shape::Text),
            ("size_bytes", Shape::Int),
            ("available_bytes", Shape::Int),
            ("used_percent", Shape::Float),
            ("inodes_used_percent", Shape::Float),
            ("read_only", Shape::Bool),
        ]),
        "How full the file system is that a path lies on.",
        |a| ask(Fact::DiskUsage { path: a.path(0)? }),
    ),
    read(
        ("disk", "directory_usage"),
        &[p("path", Kind::Path)],
        Shape::Int,
        "The bytes of disk space that the files below a directory take.",
        |a| ask(Fact::DirectoryUsage { path: a.path(0)? }),
    ),
    with_optional(
        read(
            ("file", "list"),
            &[p("directory", Kind::Path), p("which", Kind::Options(LIST_OPTIONS))],
            Shape::List(&FILE),
            "Regular files below a directory, the oldest first unless said.",
            |a| {
                let options = a.options(1)?;
                let at_most = options.number("at_most")?.map_or(MAX_FILES, |most| most as usize);
                ask(Fact::Files {
                    under: a.path(0)?,
                    matching: options.text("matching")?,
                    older_than: options.duration("older_than")?.unwrap_or_default(),
                    order: options.word::<FileOrder>("order")?.unwrap_or_default(),
                    at_most: at_most.min(MAX_FILES),
                })
            },
        ),
        1,
    ),
    with_optional(
        act(
            ("file", "remove_old"),
            Capability::FileRemove,
            &[
                p("directory", Kind::Path),
                p("older_than", Kind::Duration),
                p("at_most", Kind::Bytes),
                p("which", Kind::Options(REMOVE_OPTIONS)),
            ],
            REMOVED,
            "Removes files below a directory, the oldest first, never more than so many bytes: into quarantine where the policy says so.",
            |a| {
                let selection = selection(a)?;
                let on = selection.under.display().to_string();
                perform(Action::RemoveFiles { selection }, on)
            },
        ),
        1,
    ),
    with_optional(
        act(
            ("file", "truncate"),
            Capability::FileTruncate,
            &[p("path", Kind::Path), p("keep", Kind::Bytes)],
            Shape::Map(&[("bytes", Shape::Int)]),
            "Empties a file that its writer keeps open, but for its end.",
            |a| {
                let path = a.path(0)?;
                let keep = if a.has(1) { a.bytes(1)? } else { ByteCount(0) };
                let on = path.display().to_string();
                perform(Action::TruncateFile { path, keep }, on)
            },
        ),
        1,
    ),
    read(
        ("file", "releases"),
        &[p("link", Kind::Path)],
        Shape::List(&Shape::Map(&[
            ("path", Shape::Text),
            ("age_seconds", Shape::Int),
            ("current", Shape::Bool),
        ])),
        "The directories beside the one that a link points to, the newest first; current is that one.",
        |a| ask(Fact::Releases { link: a.path(0)? }),
    ),
    act(
        ("file", "switch_link"),
        Capability::FileLink,
        &[p("link", Kind::Path), p("to", Kind::Path)],
        SET,
        "Lets a link point to another release, in one step.",
        |a| {
            let link = a.path(0)?;
            let on = link.display().to_string();
            perform(Action::SwitchLink { link, to: a.path(1)? }, on)
        },
    ),
    read(
        ("journal", "tail"),
        &[UNIT, p("lines", Kind::Int)],
        Shape::List(&Shape::Text),
        "The last lines that a service has logged, the newest last.",
        |a| ask(Fact::JournalTail { unit: a.unit(0)?, lines: a.count(1, MAX_LINES)? }),
    ),
    act(
        ("journal", "rotate"),
        Capability::JournalVacuum,
        &[],
        Shape::Nothing,
        "Lets the journal begin new files, so that the old ones can be deleted.",
        |_| perform(Action::RotateJournal, "*"),
    ),
    act(
        ("journal", "vacuum"),
        Capability::JournalVacuum,
        &[p("keep", Kind::Bytes)],
        Shape::Map(&[("files", Shape::Int), ("bytes", Shape::Int)]),
        "Deletes archived files of the journal, the oldest first, until no more than so much of them is left.",
        |a| perform(Action::VacuumJournal { keep: a.bytes(0)? }, "*"),
    ),
    read(
        ("cgroup", "limits"),
        &[CGROUP],
        LIMITS_IN_FORCE,
        "The limits of a control group, as in \"/system.slice/web.service\", and what it uses of them.",
        |a| ask(Fact::CgroupLimits { cgroup: a.path(0)?.display().to_string() }),
    ),
    act(
        ("cgroup", "limit"),
        Capability::CgroupLimit,
        &[CGROUP, p("limits", Kind::Options(CGROUP_LIMIT_OPTIONS))],
        SET,
        "Sets limits of a control group; \"infinity\" is no limit.",
        |a| {
            let cgroup = a.path(0)?.display().to_string();
            let limits = limits(&a.options(1)?)?;
            perform(Action::LimitCgroup { cgroup: cgroup.clone(), limits }, cgroup)
        },
    ),
    act(
        ("cgroup", "reclaim"),
        Capability::CgroupLimit,
        &[CGROUP, p("bytes", Kind::Bytes)],
        Shape::Map(&[("bytes", Shape::Int)]),
        "Lets the kernel take memory back from a control group.",
        |a| {
            let cgroup = a.path(0)?.display().to_string();
            perform(Action::ReclaimCgroup { cgroup: cgroup.clone(), bytes: a.bytes(1)? }, cgroup)
        },
    ),
    act(
        ("cgroup", "freeze"),
        Capability::CgroupLimit,
        &[CGROUP],
        SET,
        "Lets all processes of a control group stand still.",
        |a| {
            let cgroup = a.path(0)?.display().to_string();
            perform(Action::FreezeCgroup { cgroup: cgroup.clone(), frozen: true }, cgroup)
        },
    ),
    act(
        ("cgroup", "thaw"),
        Capability::CgroupLimit,
        &[CGROUP],
        SET,
        "Lets the processes of a frozen control group go on.",
        |a| {
            let cgroup = a.path(0)?.display().to_string();
            perform(Action::FreezeCgroup { cgroup: cgroup.clone(), frozen: false }, cgroup)
        },
    ),
    read(
        ("net", "conntrack"),
        &[],
        Shape::Map(&[("count", Shape::Int), ("max", Shape::Int)]),
        "How many connections the kernel tracks, and how many it can.",
        |_| ask(Fact::Conntrack),
    ),
    read(
        ("net", "sockets"),
        &[],
        Shape::Map(&[
            ("established", Shape::Int),
            ("time_wait", Shape::Int),
            ("close_wait", Shape::Int),
            (
                "listening",
                Shape::List(&Shape::Map(&[
                    ("address", Shape::Text),
                    ("port", Shape::Int),
                    ("queued", Shape::Int),
                ])),
            ),
        ]),
        "How many TCP sockets there are by state, and where somebody listens.",
        |_| ask(Fact::Sockets),
    ),
    with_optional(
        HostFunction {
            needs: Some(Capability::HttpGet),
            ..read(
                ("http", "get"),
                &[p("url", Kind::Text), p("within", Kind::Duration)],
                Shape::Map(&[("status", Shape::Int), ("body", Shape::Text), ("took_seconds", Shape::Float)]),
                "The answer to an HTTP GET, which may take 5s unless said; a failure to connect is status 0.",
                |a| {
                    let (url, within) = (a.text(0)?, a.duration_or(1, HTTP_WITHIN)?.min(MAX_HTTP_WITHIN));
                    let on = Some(Target::Named(url.clone()));
                    Ok(Call::Ask { fact: Fact::HttpGet { url, within }, on })
                },
            )
        },
        1,
    ),
    read(
        ("sysctl", "get"),
        &[p("name", Kind::Text)],
        Shape::Int,
        "The value of a parameter of the kernel that is a number.",
        |a| ask(Fact::Sysctl { name: a.text(0)? }),
    ),
    act(
        ("sysctl", "set"),
        Capability::SysctlSet,
        &[p("name", Kind::Text), p("value", Kind::Int)],
        SET,
        "Sets a parameter of the kernel that is a number.",
        |a| {
            let name = a.text(0)?;
            perform(Action::SetSysctl { name: name.clone(), value: a.int(1)? }, name)
        },
    ),
    read(
        ("flag", "get"),
        &[p("flag", Kind::Text)],
        Shape::Map(&[
            ("variant", Shape::Maybe(&Shape::Text)),
            ("variants", Shape::List(&Shape::Text)),
            ("targeted", Shape::Bool),
        ]),
        "The variant of a feature flag that everybody gets, and those that there are.",
        |a| ask(Fact::Flag { flag: a.text(0)? }),
    ),
    act(
        ("flag", "set"),
        Capability::FlagSet,
        &[p("flag", Kind::Text), p("variant", Kind::Text)],
        SET,
        "Chooses the variant of a feature flag for everybody.",
        |a| {
            let flag = a.text(0)?;
            perform(Action::SetFlag { flag: flag.clone(), variant: a.text(1)? }, flag)
        },
    ),
    with_optional(
        act(
            ("exec", "run"),
            Capability::ExecRun,
            &[p("command", Kind::Text), p("arguments", Kind::Texts)],
            Shape::Map(&[("status", Shape::Maybe(&Shape::Int)), ("output", Shape::Text)]),
            "Runs a command that the policy defines under this name.",
            |a| {
                let command = a.text(0)?;
                let arguments = if a.has(1) { a.texts(1)? } else { Vec::new() };
                perform(Action::RunCommand { command: command.clone(), arguments }, command)
            },
        ),
        1,
    ),
    read(
        ("metric", "query"),
        &[p("expr", Kind::Text)],
        Shape::Maybe(&Shape::Float),
        "The value that a PromQL expression has now; of several series, the first; () without a finite one.",
        |a| Ok(Call::Query { expr: a.text(0)? }),
    ),
    read(
        ("incident", "note"),
        &[p("text", Kind::Text)],
        Shape::Nothing,
        "Leaves a note for whoever reads the incident.",
        |a| {
            let mut text = a.text(0)?;
            text.truncate(text.floor_char_boundary(MAX_NOTE_BYTES));
            Ok(Call::Note { text })
        },
    ),
    read(
        ("incident", "attach"),
        &[p("name", Kind::Text), p("text", Kind::Text)],
        Shape::Nothing,
        "Keeps a text beside the incident, in a file of this name.",
        |a| Ok(Call::Attach { name: a.text(0)?, text: a.text(1)? }),
    ),
    read(("clock", "now"), &[], Shape::Float, "The time, in seconds since 1970.", |_| Ok(Call::Now)),
    read(
        ("clock", "sleep"),
        &[p("duration", Kind::Duration)],
        Shape::Nothing,
        "Waits, as in \"500ms\" or \"5s\"; the run's timeout goes on.",
        |a| Ok(Call::Sleep { duration: a.duration(0)? }),
    ),
];
