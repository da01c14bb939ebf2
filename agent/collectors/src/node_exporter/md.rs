//! `mdadm`: arrays of disks, from `/proc/mdstat`.
//!
//! The file is written for people: an array has a line with its members, one with its size and, while it is being
//! repaired or checked, one with how far that is. Of an array that a parser cannot follow, the rest is told.

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{from, gauge};
use crate::error::{CollectError, at_most};
use crate::host::{HostFile, HostRoot};

const DEVICE: &[&str] = &["device"];
const STATE: &[&str] = &["device", "state"];

pub(super) static MDADM: [MetricSpec; 5] = from(
    "/proc/mdstat",
    [
        gauge("node_md_disks_required", DEVICE, "Disks that an array should have."),
        gauge("node_md_disks", STATE, "Disks of an array by state."),
        gauge("node_md_state", STATE, "1 for the state in which an array is."),
        gauge("node_md_blocks", DEVICE, "Size of an array, in KiB."),
        gauge("node_md_blocks_synced", DEVICE, "How much of an array agrees, in KiB."),
    ],
);

/// Arrays that are told of.
const MOST_ARRAYS: usize = 1_000;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Array<'a> {
    name: &'a str,
    state: &'a str,
    required: u64,
    active: u64,
    failed: usize,
    spare: usize,
    blocks: u64,
    synced: u64,
}

const STATES: [(&str, &str); 5] = [
    ("active", "active"),
    ("inactive", "inactive"),
    ("recovering", "recovering"),
    ("resync", "resyncing"),
    ("check", "checking"),
];

pub(super) fn mdadm(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = super::present(host.read_optional("proc/mdstat")?, "/proc/mdstat")?;
    let arrays = parse(&file);
    for array in arrays.iter().take(MOST_ARRAYS) {
        let device = Value::Str(array.name);
        out.put("node_md_disks_required", &[device], array.required as f64);
        for (state, count) in
            [("active", array.active), ("failed", array.failed as u64), ("spare", array.spare as u64)]
        {
            out.put("node_md_disks", &[device, Value::Str(state)], count as f64);
        }
        for (label, state) in STATES {
            let is = f64::from(u8::from(array.state == state));
            out.put("node_md_state", &[device, Value::Str(label)], is);
        }
        out.put("node_md_blocks", &[device], array.blocks as f64);
        out.put("node_md_blocks_synced", &[device], array.synced as f64);
    }
    at_most(MOST_ARRAYS, arrays.len(), &file.path(), "arrays")
}

pub(super) fn parse<'a>(file: &'a HostFile<'_>) -> Vec<Array<'a>> {
    let mut arrays: Vec<Array<'a>> = Vec::new();
    let mut line_of_array = 0;
    for line in file.lines() {
        if let Some(array) = begin(line) {
            arrays.push(array);
            line_of_array = 0;
            continue;
        }
        line_of_array += 1;
        let Some(array) = arrays.last_mut().filter(|_| line.starts_with(' ')) else { continue };
        if line_of_array == 1 {
            size(array, line);
        } else if let Some(state) = activity(line) {
            array.state = state;
            let is_waiting = line.contains("PENDING") || line.contains("DELAYED");
            array.synced = if is_waiting { 0 } else { progress(line).unwrap_or(array.synced) };
        }
    }
    arrays
}

/// `md0 : active raid1 sdc1[0] sdb1[1](F)`
fn begin(line: &str) -> Option<Array<'_>> {
    let (name, rest) = line.split_once(" : ")?;
    if line.starts_with([' ', 'P']) || name.is_empty() {
        return None;
    }
    // Without redundancy there is no count of disks: the members are it.
    let striped = rest.contains("raid0") || rest.contains("linear");
    let members = if striped { rest.matches('[').count() as u64 } else { 0 };
    Some(Array {
        name: name.trim_end(),
        state: rest.split_ascii_whitespace().next()?,
        required: members,
        active: members,
        failed: rest.matches("(F)").count(),
        spare: rest.matches("(S)").count(),
        ..Array::default()
    })
}

/// `523968 blocks super 1.2 level 5, 64k chunk [4/3] [UU_U]`
fn size(array: &mut Array<'_>, line: &str) {
    let mut fields = line.split_ascii_whitespace();
    array.blocks = fields.next().and_then(|blocks| blocks.parse().ok()).unwrap_or(0);
    array.synced = array.blocks;
    let counts = fields.find_map(|field| {
        let (required, active) = field.strip_prefix('[')?.strip_suffix(']')?.split_once('/')?;
        Some((required.parse().ok()?, active.parse().ok()?))
    });
    if let Some((required, active)) = counts.filter(|_| array.required == 0 && array.state != "inactive") {
        (array.required, array.active) = (required, active);
    }
}

fn activity(line: &str) -> Option<&'static str> {
    let words = [
        ("recovery", "recovering"),
        ("reshape", "reshaping"),
        ("check", "checking"),
        ("resync", "resyncing"),
    ];
    words.into_iter().find(|(word, _)| line.contains(word)).map(|(_, state)| state)
}

/// `recovery =  8.5% (16775552/195310144) finish=17.0min`
fn progress(line: &str) -> Option<u64> {
    let (done, _) = line.split_once('(')?.1.split_once('/')?;
    done.parse().ok()
}
