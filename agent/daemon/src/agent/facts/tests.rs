use std::time::Duration;

use executor::{ProcessId, UnitName};
use remediation::{FileOrder, HOST_FUNCTIONS, ProcessFilter, Shape, TopBy};
use serde_json::json;
use series::Limits;

use super::*;

/// What is no question about the host, or is asked otherwise.
const NO_FACTS: [&str; 7] = [
    "unit::wait_active",
    "proc::find",
    "metric::query",
    "incident::note",
    "incident::attach",
    "clock::now",
    "clock::sleep",
];

fn own() -> ProcessId {
    let host = HostRoot::at("/");
    let sought = collectors::Sought { pid: Some(std::process::id()), ..Default::default() };
    let found = collectors::find_processes(&host, &sought).unwrap();
    ProcessId { pid: found[0].pid, start_ticks: found[0].start_ticks }
}

fn shape_of(path: &str) -> Shape {
    HOST_FUNCTIONS.iter().find(|function| function.path() == path).unwrap().returns
}

/// Says at what place a value is not as the shape says.
fn misfit(value: &Value, shape: &Shape, at: &str) -> Option<String> {
    let fits = match (shape, value) {
        (Shape::Bool, Value::Bool(_)) | (Shape::Text, Value::String(_)) | (Shape::Maybe(_), Value::Null) => {
            true
        }
        (Shape::Int, Value::Number(number)) => number.is_i64() || number.is_u64(),
        (Shape::Float, Value::Number(number)) => number.is_f64(),
        (Shape::Maybe(shape), value) => return misfit(value, shape, at),
        (Shape::List(shape), Value::Array(values)) => {
            return values.iter().find_map(|value| misfit(value, shape, &format!("{at}[]")));
        }
        (Shape::Map(fields), Value::Object(map)) => {
            let extra = map.keys().find(|key| !fields.iter().any(|(name, _)| name == key));
            if let Some(extra) = extra {
                return Some(format!("{at}.{extra} is not in the row"));
            }
            return fields.iter().find_map(|(name, shape)| {
                let at = format!("{at}.{name}");
                map.get(*name).map_or(Some(format!("{at} is missing")), |value| misfit(value, shape, &at))
            });
        }
        _ => false,
    };
    (!fits).then(|| format!("{at} is {value}, not {shape}"))
}

#[test]
fn every_question_has_an_answer_of_the_shape_that_its_row_says() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r1")).unwrap();
    std::fs::write(dir.path().join("a.log"), "text").unwrap();
    std::os::unix::fs::symlink(dir.path().join("r1"), dir.path().join("current")).unwrap();
    let flags = dir.path().join("flags.json");
    std::fs::write(&flags, r#"{"flags": {"new": {"variants": {"on": true}, "defaultVariant": "on"}}}"#)
        .unwrap();
    let unit: UnitName = "hostmend-never-was.service".parse().unwrap();
    let path = dir.path().to_owned();
    let everything = |under: &PathBuf| Fact::Files {
        under: under.clone(),
        matching: None,
        older_than: Duration::ZERO,
        order: FileOrder::Largest,
        at_most: 10,
    };
    // Whether this machine must have the answer.
    let asked: Vec<(&str, Fact, bool)> = vec![
        ("unit::status", Fact::UnitStatus { unit: unit.clone() }, false),
        ("unit::limits", Fact::UnitLimits { unit: unit.clone() }, false),
        ("proc::top", Fact::TopProcesses { by: TopBy::Cpu, count: 5 }, true),
        ("proc::top", Fact::TopProcesses { by: TopBy::Memory, count: 5 }, true),
        ("proc::top", Fact::TopProcesses { by: TopBy::Io, count: 5 }, true),
        ("proc::stack", Fact::ProcessStack { process: own() }, true),
        ("proc::maps", Fact::ProcessMaps { process: own() }, true),
        ("disk::usage", Fact::DiskUsage { path: path.clone() }, true),
        ("disk::directory_usage", Fact::DirectoryUsage { path: path.clone() }, true),
        ("file::list", everything(&path), true),
        ("file::releases", Fact::Releases { link: path.join("current") }, true),
        ("journal::tail", Fact::JournalTail { unit, lines: 3 }, false),
        ("cgroup::limits", Fact::CgroupLimits { cgroup: "/".to_owned() }, false),
        ("net::conntrack", Fact::Conntrack, false),
        ("net::sockets", Fact::Sockets, true),
        (
            "http::get",
            Fact::HttpGet { url: "http://127.0.0.1:1/".to_owned(), within: Duration::from_secs(1) },
            true,
        ),
        ("sysctl::get", Fact::Sysctl { name: "kernel.pid_max".to_owned() }, true),
        ("flag::get", Fact::Flag { flag: "new".to_owned() }, true),
    ];
    for function in HOST_FUNCTIONS.iter().filter(|it| it.kind == remediation::FunctionKind::Read) {
        let path = function.path();
        let known = asked.iter().any(|(asked, ..)| *asked == path) || NO_FACTS.contains(&path.as_str());
        assert!(known, "{path} is not tried here");
    }
    let (host, store, pid_files) =
        (HostRoot::at("/"), RwLock::new(Store::new(Limits::default())), HashMap::new());
    let flag_files = HashMap::from([("new".to_owned(), flags)]);
    let (work, now) = (WorkWatch::default(), crate::clock::now());
    let sources = Sources {
        host: &host,
        store: &store,
        work: &work,
        pid_files: &pid_files,
        flag_files: &flag_files,
        now,
    };
    let heaviest = sources.answer(&Fact::HeaviestProcesses { count: 5 }).unwrap();
    for by in ["cpu", "memory"] {
        let (shape, found) = (shape_of("proc::top"), heaviest[by].as_array().unwrap().len());
        assert_eq!((misfit(&heaviest[by], &shape, by), found), (None, 5));
    }
    for (path, fact, must) in asked {
        match sources.answer(&fact) {
            Ok(answer) => assert_eq!(misfit(&answer, &shape_of(path), path), None),
            Err(why) => assert!(!must && !why.is_empty(), "{path}: {why}"),
        }
    }
}

#[test]
fn what_does_not_answer_is_status_zero_with_the_reason() {
    let answer = http::get("http://127.0.0.1:1/", Duration::from_secs(1)).unwrap();
    assert_eq!((answer["status"].clone(), answer["body"].clone()), (json!(0), json!("connection refused")));
    assert!(http::get("https://web/", Duration::from_secs(1)).is_err());
}

#[test]
fn a_name_of_the_policy_means_the_process_of_its_pid_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), std::process::id().to_string()).unwrap();
    let pid_files = HashMap::from([("web".to_owned(), file.path().to_owned())]);
    let (host, store) = (HostRoot::at("/"), RwLock::new(Store::new(Limits::default())));
    let (flag_files, work, now) = (HashMap::new(), WorkWatch::default(), crate::clock::now());
    let sources = Sources {
        host: &host,
        store: &store,
        work: &work,
        pid_files: &pid_files,
        flag_files: &flag_files,
        now,
    };
    let find = |name: &str| {
        let found = sources.find(&ProcessFilter { name: Some(name.to_owned()), ..Default::default() });
        found.unwrap().into_iter().map(|process| process.id.pid).collect::<Vec<_>>()
    };
    assert_eq!(find("web"), [std::process::id()]);
    assert_eq!(find("hostmend-never-was"), [] as [u32; 0]);
}
