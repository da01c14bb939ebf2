//! Reads the files that operators write: configuration, rules, runbooks, policy, scripts.
//!
//! A file is opened once, checked as sshd checks its keys, and its text kept, so that what was checked is what is
//! used. Every problem knows its place in that text. The YAML library is used here and nowhere else.

#![forbid(unsafe_code)]

mod document;
mod nearest;
mod problem;
mod render;
mod review;
pub mod yaml;

pub use document::{Document, MAX_DOCUMENT_BYTES, OpenError, Trust};
pub use nearest::nearest;
pub use problem::{Place, Problem, Severity};
pub use render::{Format, render};
pub use review::Review;
pub use yaml::Spanned;
