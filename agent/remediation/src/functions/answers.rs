//! What functions answer with, where more than one answers alike or the fields are many.

use super::shape::Shape;

pub(super) const PROCESS: Shape = Shape::Map(&[
    ("pid", Shape::Int),
    ("start_ticks", Shape::Int),
    ("ppid", Shape::Int),
    ("state", Shape::Text),
    ("command", Shape::Text),
    ("unit", Shape::Text),
    ("age_seconds", Shape::Int),
    ("rss_bytes", Shape::Int),
]);
pub(super) const TOP_PROCESS: Shape = Shape::Map(&[
    ("pid", Shape::Int),
    ("start_ticks", Shape::Int),
    ("command", Shape::Text),
    ("unit", Shape::Text),
    ("cpu_percent", Shape::Float),
    ("rss_bytes", Shape::Int),
    ("io_bytes_per_second", Shape::Float),
]);
pub(super) const UNIT_STATE: Shape =
    Shape::Map(&[("active", Shape::Text), ("sub", Shape::Text), ("main_pid", Shape::Maybe(&Shape::Int))]);
pub(super) const UNIT_STATUS: Shape = Shape::Map(&[
    ("load", Shape::Text),
    ("active", Shape::Text),
    ("sub", Shape::Text),
    ("result", Shape::Text),
    ("enabled", Shape::Text),
    ("main_pid", Shape::Maybe(&Shape::Int)),
    ("restarts", Shape::Int),
    ("active_seconds", Shape::Maybe(&Shape::Int)),
    ("exit_status", Shape::Int),
    ("cgroup", Shape::Text),
    ("freezer", Shape::Text),
]);
pub(super) const UNIT_CHANGED: Shape =
    Shape::Map(&[("unit", Shape::Text), ("before", UNIT_STATE), ("after", UNIT_STATE)]);
pub(super) const SET: Shape = Shape::Map(&[
    ("what", Shape::Text),
    ("before", Shape::Text),
    ("after", Shape::Text),
    ("change", Shape::Maybe(&Shape::Text)),
]);
pub(super) const LIMITS_IN_FORCE: Shape = Shape::Map(&[
    ("memory_current", Shape::Int),
    ("memory_high", Shape::Maybe(&Shape::Int)),
    ("memory_max", Shape::Maybe(&Shape::Int)),
    ("cpu_percent", Shape::Maybe(&Shape::Int)),
    ("tasks_current", Shape::Int),
    ("tasks_max", Shape::Maybe(&Shape::Int)),
    ("open_files", Shape::Maybe(&Shape::Int)),
    ("frozen", Shape::Bool),
]);
pub(super) const REMOVED: Shape = Shape::Map(&[
    ("quarantined", Shape::Bool),
    ("change", Shape::Maybe(&Shape::Text)),
    ("files", Shape::Int),
    ("bytes", Shape::Int),
    ("too_large", Shape::Int),
    ("failed", Shape::Int),
    ("first_failure", Shape::Maybe(&Shape::Text)),
    ("incomplete", Shape::Bool),
]);
pub(super) const FILE: Shape = Shape::Map(&[
    ("path", Shape::Text),
    ("name", Shape::Text),
    ("bytes", Shape::Int),
    ("age_seconds", Shape::Int),
]);
