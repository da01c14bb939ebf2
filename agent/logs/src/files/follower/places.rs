//! What of each file is saved, and what was.

use serde::{Deserialize, Serialize};
use telemetry::Timestamp;

use super::Follower;
use crate::Positions;
use crate::files::disk::{Disk, FileId};
use crate::files::file::File;
use crate::files::place::{self, Place};

/// Saved from the first start of a source on: what it finds from then on is read whole.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    /// When everything was swept last.
    #[serde(default)]
    swept: Option<Timestamp>,
    /// Copies that may hold what is cut later, of which there are few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<String>,
}

/// What a restart goes on from.
pub(super) struct Before {
    /// When everything was swept last.
    pub(super) swept: Timestamp,
    /// Copies that may hold what is cut later.
    pub(super) open: Vec<FileId>,
}

/// How many such copies are saved.
const MAX_OPEN: usize = 256;

impl<D: Disk> Follower<D> {
    /// Nothing if this is the first start.
    pub(super) fn restore(&mut self, positions: &Positions) -> Option<Before> {
        let prefix = format!("files/{}/", self.options.name);
        let keys: Vec<&str> = positions.keys(&prefix).collect();
        for key in keys {
            let id = key.strip_prefix(&prefix).and_then(place::id_of);
            if let (Some(id), Some(place)) = (id, positions.get::<Place>(key)) {
                let is_nameless = place.path.is_empty();
                let file = self.insert(File::at_place(id, place));
                self.enqueue(file);
                if is_nameless {
                    self.nameless.push(file);
                }
            }
        }
        let Some(saved) = positions.get::<Started>(&self.marker()) else {
            self.is_first_start = true;
            return None;
        };
        let open = saved.open.iter().filter_map(|key| place::id_of(key)).collect();
        Some(Before { swept: saved.swept.unwrap_or(self.now), open })
    }

    fn marker(&self) -> String {
        format!("files/{}", self.options.name)
    }

    /// All that was appended is durable.
    pub(crate) fn settle(&mut self, positions: &mut Positions) {
        let acts = !self.unsettled.is_empty() || !self.forgotten.is_empty();
        let name = self.options.name.clone();
        let key_of = |id: FileId| format!("files/{name}/{}", place::key(id));
        for id in std::mem::take(&mut self.forgotten) {
            if !self.by_id.contains_key(&id) {
                positions.remove(&key_of(id));
            }
        }
        let mut unsettled = std::mem::take(&mut self.unsettled);
        // A torn write must not lose that a file is to be read while it keeps that the one before has been.
        unsettled.sort_by_key(|key| self.files.get(key).is_some_and(|file| file.is_saved));
        for key in unsettled {
            let Some(file) = self.files.get_mut(&key) else { continue };
            file.is_unsettled = false;
            if file.copy_of.is_some() {
                // It is judged anew after a restart.
                positions.remove(&key_of(file.id));
                continue;
            }
            file.is_saved = true;
            if file.is_over && file.is_deleted {
                positions.remove(&key_of(file.id));
                self.remove(key);
                continue;
            }
            positions.set(&key_of(file.id), &file.place(self.now));
            if file.is_over && file.may_be_packed {
                self.close(key);
            }
        }
        self.has_acted |= acts;
        if std::mem::take(&mut self.must_save_sweep) || acts {
            self.save_sweep(positions);
        }
    }

    fn save_sweep(&self, positions: &mut Positions) {
        let open = self.directories.values().flat_map(|directory| directory.stock.open());
        let open = open.take(MAX_OPEN).map(place::key).collect();
        let started = Started { swept: Some(self.swept), open };
        positions.set(&self.marker(), &started);
    }
}
