//! The ledger as it outlives the agent: JSON, with a version before all else.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemetry::Labels;

use super::held::Released;
use super::{Entry, Ledger, MAX_ALERTS, Told};
use crate::notice::Notice;

const VERSION: u32 = 1;

/// Why a text is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It cannot be read.
    #[error("it is no ledger of notifications")]
    Malformed(#[source] serde_json::Error),
    /// Another version of the agent wrote it.
    #[error("it is of version {version}; this agent reads version {VERSION}")]
    Version {
        /// Its version.
        version: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Saved<E> {
    version: u32,
    alerts: Vec<E>,
}

#[derive(Deserialize)]
struct ReadEntry {
    notice: Notice,
    told: BTreeMap<String, Told>,
    #[serde(default)]
    released: Option<Released>,
    #[serde(default)]
    about: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct WrittenEntry<'a> {
    notice: &'a Notice,
    told: &'a BTreeMap<String, Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<&'a Released>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'a Labels>,
}

impl Ledger {
    /// As [`Ledger::restore`] reads it. What nobody was told of is left out, but for calls.
    pub fn save(&self) -> Vec<u8> {
        let told = self.entries.values().filter(|entry| entry.is_call() || !entry.told.is_empty());
        let alerts = told
            .map(|entry| WrittenEntry {
                notice: &entry.notice,
                told: &entry.told,
                released: entry.released.as_ref(),
                about: entry.about.as_ref(),
            })
            .collect();
        serde_json::to_vec(&Saved { version: VERSION, alerts }).expect("its keys are texts")
    }

    /// A ledger that goes on where the one that was saved ended.
    ///
    /// # Errors
    ///
    /// The text is none that [`Ledger::save`] of this version wrote.
    pub fn restore(text: &[u8]) -> Result<Self, SavedError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_slice(text).map_err(SavedError::Malformed)?;
        if version != VERSION {
            return Err(SavedError::Version { version });
        }
        let saved: Saved<ReadEntry> = serde_json::from_slice(text).map_err(SavedError::Malformed)?;
        let calls = saved.alerts.iter().filter(|entry| entry.about.is_some()).count();
        let entries = saved.alerts.into_iter().take(MAX_ALERTS + calls).map(|read| {
            let ReadEntry { notice, told, released, about } = read;
            let unsettled = notice.fires() && about.is_none();
            let about = about.map(|labels| labels.into_iter().collect());
            let labels = notice.labels.clone();
            (labels, Entry { notice: Arc::new(notice), told, unsettled, released, about })
        });
        Ok(Self { entries: entries.collect(), ..Self::default() })
    }
}
