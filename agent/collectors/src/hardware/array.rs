//! Arrays of disks that the kernel keeps (md).

use super::disk::{BLOCKS, BLOCKS_PER_BYTE};
use super::inventory::{Component, Inventory, Says, Source, State, entries_named, exists, state_of, text};
use crate::host::HostRoot;
use crate::names;

pub(super) fn look(host: &HostRoot, inventory: &mut Inventory) {
    for name in entries_named(host, BLOCKS, "md") {
        let at = |file: &str| format!("{BLOCKS}/{name}/{file}");
        if !exists(host, &at("md/array_state")) {
            continue;
        }
        let level = text(host, &at("md/level"));
        let component = Component {
            id: name.clone(),
            kind: "logical_disk",
            name: name.clone(),
            facts: level.map(|level| ("hw.logical_disk.raid_level", level)).into_iter().collect(),
            ..Component::default()
        };
        let array = inventory.add(component, "md");
        inventory.reads_file(host, &names::HW_LOGICAL_DISK_LIMIT, array, &[], (at("size"), BLOCKS_PER_BYTE));
        let mut parts = vec![(at("md/array_state"), state_of as Says)];
        // Levels without redundancy have no such file: a disk that fails breaks them.
        if exists(host, &at("md/degraded")) {
            parts.push((at("md/degraded"), degraded));
        }
        inventory.reads(&names::HW_STATUS, array, &[], Source::Status { parts, combined: State::worst });
    }
}

/// How many disks are missing.
pub(super) fn degraded(text: &str) -> Option<State> {
    let missing: u32 = text.parse().ok()?;
    Some(if missing == 0 { State::Ok } else { State::Degraded })
}
