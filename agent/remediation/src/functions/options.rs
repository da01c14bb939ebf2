//! The maps that functions take, and how they are read.

use executor::{Limits, Selection};

use super::arguments::{Arguments, Options};
use super::shape::{Kind, Parameter, parameter as p};
use crate::fact::ProcessFilter;

pub(super) const LIMIT_OPTIONS: &[Parameter] = &[
    p("memory_high", Kind::Bytes),
    p("memory_max", Kind::Bytes),
    p("cpu_percent", Kind::Int),
    p("tasks_max", Kind::Int),
    p("open_files", Kind::Int),
];
pub(super) const CGROUP_LIMIT_OPTIONS: &[Parameter] = &[
    p("memory_high", Kind::Bytes),
    p("memory_max", Kind::Bytes),
    p("cpu_percent", Kind::Int),
    p("tasks_max", Kind::Int),
];
pub(super) const REMOVE_OPTIONS: &[Parameter] =
    &[p("matching", Kind::Text), p("at_most_files", Kind::Int), p("until_used_percent", Kind::Int)];
pub(super) const LIST_OPTIONS: &[Parameter] = &[
    p("matching", Kind::Text),
    p("older_than", Kind::Duration),
    p("order", Kind::OneOf(&["oldest", "newest", "largest"])),
    p("at_most", Kind::Int),
];
pub(super) const FIND_OPTIONS: &[Parameter] = &[
    p("name", Kind::Text),
    p("pid", Kind::Int),
    p("ppid", Kind::Int),
    p("unit", Kind::Unit),
    p("state", Kind::Text),
];

pub(super) fn limits(options: &Options<'_>) -> Result<Limits, String> {
    let limits = Limits {
        memory_high: options.limit("memory_high")?,
        memory_max: options.limit("memory_max")?,
        cpu_percent: options.limit("cpu_percent")?,
        tasks_max: options.limit("tasks_max")?,
        open_files: options.limit("open_files")?,
    };
    if limits == Limits::default() { Err("no limit is given".to_owned()) } else { Ok(limits) }
}

pub(super) fn selection(a: &Arguments<'_>) -> Result<Selection, String> {
    let options = a.options(3)?;
    let percent = options.number("until_used_percent")?;
    let percent = percent.map(u8::try_from).transpose().ok().flatten().filter(|percent| *percent <= 100);
    if options.number("until_used_percent")?.is_some() && percent.is_none() {
        return Err("`until_used_percent` is a number from 1 to 100".to_owned());
    }
    Ok(Selection {
        matching: options.text("matching")?,
        at_most_files: options.number("at_most_files")?,
        until_used_percent: percent,
        ..Selection::old_files(a.path(0)?, a.duration(1)?, a.bytes(2)?)
    })
}

pub(super) fn process_filter(a: &Arguments<'_>) -> Result<ProcessFilter, String> {
    if let Ok(name) = a.text(0) {
        return Ok(ProcessFilter { name: Some(name), ..ProcessFilter::default() });
    }
    let options = a.options(0)?;
    let number = |name| -> Result<Option<u32>, String> {
        Ok(options.number(name)?.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    };
    let state = options.text("state")?;
    let filter = ProcessFilter {
        name: options.text("name")?,
        pid: number("pid")?,
        ppid: number("ppid")?,
        unit: options.text("unit")?,
        state: state.as_deref().and_then(|state| state.chars().next()),
    };
    if filter == ProcessFilter::default() {
        return Err("say which processes: by name, pid, ppid, unit or state".to_owned());
    }
    Ok(filter)
}
