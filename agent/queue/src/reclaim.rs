//! Saves positions, frees segments that every cursor has passed, and applies the limits.
//!
//! Order matters: a segment goes only after the positions behind it, and the losses they count, are on disk. Where even
//! that fails, on a full disk, the segment goes all the same, and a restart finds the gap and counts it as damaged.

use std::io::{self, IoSlice};

use crate::fs::FileSystem;
use crate::options::Options;
use crate::position::{self, Saved};
use crate::reserve;
use crate::segment::Name;
use crate::shared::Segment;
use crate::totals::LossReason;
use crate::writer::{Writer, moment};

/// How many segments that could not be removed are remembered. The next opening finds the rest.
const LEFTOVERS: usize = 1000;

impl Writer {
    /// Writes the positions that have moved. One that cannot be written stays due for the next time.
    pub(crate) fn save_positions(&mut self) {
        let id = self.shared.id;
        let due: Vec<(String, Saved)> = {
            let state = self.shared.lock();
            let unsaved = state.cursors.iter().filter(|(_, progress)| progress.is_unsaved());
            unsaved.map(|(name, progress)| (name.clone(), progress.to_save(id))).collect()
        };
        for (name, saved) in due {
            let outcome = write_position(&*self.shared.fs, &name, &saved);
            let mut state = self.shared.lock();
            match outcome {
                Ok(()) => {
                    if let Some(progress) = state.cursors.get_mut(&name) {
                        progress.saved = Some(saved.mark);
                    }
                }
                Err(_) => state.counters.position_failures += 1,
            }
        }
    }

    /// Removes the segments that every cursor has passed.
    pub(crate) fn reclaim(&mut self) {
        if !self.shared.lock().front_is_passed() {
            return;
        }
        // The renamed positions must survive a crash before what they have passed is gone.
        if self.shared.fs.sync_directory().is_err() {
            return;
        }
        while let Some(segment) = self.take_passed() {
            self.remove(segment.name);
        }
    }

    fn take_passed(&self) -> Option<Segment> {
        self.shared.lock().take_passed()
    }

    /// Drops the oldest segments until the rest is within the limit of bytes.
    pub(crate) fn enforce_bytes(&mut self) {
        while self.shared.lock().disk_bytes() > self.shared.options.max_bytes {
            if !self.drop_oldest(LossReason::Bytes) {
                return;
            }
        }
    }

    /// Applies the limits of age and of free disk, and fills the reserve again if there is room.
    pub(crate) fn apply_limits(&mut self, now: i64) {
        for segment in std::mem::take(&mut self.leftovers) {
            self.remove(segment);
        }
        self.reclaim();
        self.enforce_age(now);
        self.enforce_free_disk();
        self.fill_reserve();
        self.enforce_bytes();
    }

    fn enforce_age(&mut self, now: i64) {
        let Some(max_age) = self.shared.options.max_age else { return };
        let now = self.age.judge(now, moment(), max_age);
        let oldest_kept = now.saturating_sub(i64::try_from(max_age.as_nanos()).unwrap_or(i64::MAX));
        let is_aged =
            |writer: &Self| writer.shared.lock().segments.front().is_some_and(|s| s.newest < oldest_kept);
        while is_aged(self) {
            if self.front_is_active() {
                self.seal();
            }
            if !self.drop_oldest(LossReason::Age) {
                return;
            }
        }
    }

    fn enforce_free_disk(&mut self) {
        let Options { min_free_bytes, .. } = self.shared.options;
        let Ok(free) = self.shared.fs.free_bytes() else { return };
        let mut missing = min_free_bytes.saturating_sub(free);
        while missing > 0 {
            let bytes = self.shared.lock().segments.front().map_or(0, |segment| segment.disk_bytes);
            if !self.drop_oldest(LossReason::Disk) {
                return;
            }
            missing = missing.saturating_sub(bytes);
        }
    }

    pub(crate) fn fill_reserve(&mut self) {
        let Options { reserve: wanted, segment_bytes, min_free_bytes, .. } = self.shared.options;
        if !wanted || self.shared.lock().reserve_bytes > 0 {
            return;
        }
        if reserve::fill(&*self.shared.fs, segment_bytes, min_free_bytes).is_ok() {
            let mut state = self.shared.lock();
            state.reserve_bytes = segment_bytes;
            state.counters.reserve_filled += 1;
        }
    }

    /// Drops the oldest segment, unless it is the one that is appended to. Says whether it did.
    pub(crate) fn drop_oldest(&mut self, reason: LossReason) -> bool {
        if self.front_is_active() {
            return false;
        }
        let Some(segment) = self.shared.lock().drop_oldest(reason) else { return false };
        self.save_positions();
        let _ = self.shared.fs.sync_directory();
        self.remove(segment.name);
        true
    }

    /// Removes a segment that holds nothing any more; what cannot be removed is tried again with the next limits.
    fn remove(&mut self, segment: Name) {
        if self.shared.fs.remove(&segment.file()).is_err() && self.leftovers.len() < LEFTOVERS {
            self.leftovers.push(segment);
        }
    }

    fn front_is_active(&self) -> bool {
        let front = self.shared.lock().segments.front().map(|segment| segment.name);
        front.is_some() && front == self.active.as_ref().map(|active| active.name)
    }

    /// Removes the files of cursors that are no more.
    pub(crate) fn remove_positions(&mut self, names: &[String]) {
        for name in names {
            // The name may have been taken again since.
            if !self.shared.lock().cursors.contains_key(name) {
                let _ = self.shared.fs.remove(&position::file_of(name));
            }
        }
        if !names.is_empty() {
            // Or a crash might bring back the place of a cursor that has begun anew since.
            let _ = self.shared.fs.sync_directory();
            self.reclaim();
        }
    }
}

/// Puts a position in place of the one before it, whole or not at all.
fn write_position(fs: &dyn FileSystem, name: &str, saved: &Saved) -> io::Result<()> {
    let temporary = position::temporary_of(name);
    let file = match fs.create(&temporary) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs.remove(&temporary)?;
            fs.create(&temporary)?
        }
        file => file?,
    };
    file.write_at(&mut [IoSlice::new(&saved.encode())], 0)?;
    file.sync_data()?;
    fs.rename(&temporary, &position::file_of(name))
}
