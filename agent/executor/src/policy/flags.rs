//! `flags` of the policy: which feature flags may be set, and in which file each is.

use std::path::PathBuf;

use documents::{Review, Spanned};
use serde::Deserialize;

use super::absolute;
use crate::Budget;

/// A feature flag that may be set, if it says so itself too.
#[derive(Clone, Debug)]
pub struct FlagRule {
    /// Its key in the file.
    pub name: String,
    /// A file in the format of flagd, as JSON.
    pub file: PathBuf,
    /// How often.
    pub at_most: Budget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlagEntry {
    pub(super) name: Spanned<String>,
    file: Spanned<String>,
    at_most: Spanned<String>,
}

impl FlagEntry {
    pub(super) fn read(&self, review: &mut Review) -> Option<FlagRule> {
        if self.name.value.is_empty() {
            review.error(&self.name, "a flag needs a name");
        }
        let file = absolute(&self.file, review);
        if file.as_ref().is_some_and(|file| file.extension() != Some("json".as_ref())) {
            review.error(
                &self.file,
                "only a file in JSON, called *.json, can be changed and stay as it is otherwise",
            );
        }
        let at_most = review.read(&self.at_most, str::parse);
        Some(FlagRule { name: self.name.value.clone(), file: file?, at_most: at_most? })
    }
}
