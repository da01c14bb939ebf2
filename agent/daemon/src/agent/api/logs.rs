//! What log sources follow, how far behind they are, and how they fare.

use super::Facts;
use super::routes::Reply;
use crate::agent::logs::{Listing, LogsBoard, Report};
use crate::status::{FollowedFile, LogSource, Logs};

/// Files of one source that are told of at most; the rest is counted.
const MOST_FILES: usize = 10_000;

pub(super) fn reply(facts: &Facts, _query: &str) -> Reply {
    let Some(listings) = facts.shared.logs.listings() else {
        return Reply::error(503, "the thread logs does not answer; ask again");
    };
    let sources = listings.into_iter().map(listing).collect();
    Reply::json(200, &Logs { held: facts.shared.logs.held(), sources })
}

/// The same without the files.
pub(super) fn status(board: &LogsBoard) -> Logs {
    Logs { held: board.held(), sources: board.reports().into_iter().map(source).collect() }
}

fn source(report: Report) -> LogSource {
    let Report { name, kind, failures, trouble, figures } = report;
    LogSource {
        name: name.to_string(),
        kind: kind.to_owned(),
        trouble,
        failures,
        records: figures.records,
        bytes: figures.bytes,
        behind_bytes: figures.behind_bytes,
        followed: figures.files,
        truncated: figures.truncated,
        unparsed: figures.unparsed,
        left_out: figures.left_out,
        invalid_utf8: figures.invalid_utf8,
        lost: figures.lost.into_iter().map(|(reason, lost)| (reason.to_owned(), lost)).collect(),
        files: Vec::new(),
        files_left_out: 0,
    }
}

fn listing(listing: Listing) -> LogSource {
    let files = listing.files.iter().take(MOST_FILES).map(|file| FollowedFile {
        path: file.path.clone(),
        state: file.state.to_string(),
        offset: file.offset,
        size: file.size,
        behind_bytes: file.behind_bytes,
    });
    LogSource {
        files: files.collect(),
        files_left_out: listing.files.len().saturating_sub(MOST_FILES),
        ..source(listing.report)
    }
}
