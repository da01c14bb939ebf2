//! A lock kept in a directory that all hosts of a group share, by a file system on which a name can be created once only.
//!
//! A place is taken by creating the next of its numbered files; the highest number says who holds it, until when, or that it
//! is free. A number that is the highest is never removed, so whoever has read an older one cannot take the place once more.
//! Clocks of the hosts must agree far better than the time for which a place is kept.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use telemetry::{RunId, Timestamp, format_duration};

use super::{FleetLock, FleetLockError, Place};
use crate::runbook::FleetLockTerms;

/// What one file of the directory may hold; more was written by somebody else.
const MAX_FILE_BYTES: u64 = 4096;

/// How often taking a place is tried again when others take theirs at the same moment.
const MAX_TRIES: usize = 10;

/// What a file of the directory says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holding {
    holder: String,
    run: RunId,
    until: Timestamp,
}

impl Holding {
    fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now
    }
}

/// How a place stands: its highest number, and what that file says. None if it was never taken.
type Standing = Option<(u64, Holding)>;

/// A lock kept in a directory that all hosts share.
#[derive(Debug)]
pub struct FileFleetLock {
    directory: PathBuf,
    holder: String,
}

impl FileFleetLock {
    /// `holder` names this host, differently from every other, by what a file name can hold.
    pub fn new(directory: PathBuf, holder: String) -> Self {
        Self { directory, holder }
    }

    fn group(&self, group: &str) -> PathBuf {
        self.directory.join(group)
    }

    fn file(&self, group: &str, number: u32, generation: u64) -> PathBuf {
        self.group(group).join(format!("{number}.{generation}"))
    }

    /// The files of a group: of which place each is, and its generation.
    fn files(&self, group: &str) -> Result<Vec<(u32, u64)>, FleetLockError> {
        let path = self.group(group);
        let listed = || -> std::io::Result<Vec<(u32, u64)>> {
            let mut files = Vec::new();
            for entry in std::fs::read_dir(&path)? {
                let name = entry?.file_name();
                let parts = name.to_str().and_then(|name| name.split_once('.'));
                let Some((number, generation)) = parts else { continue };
                files.extend(number.parse().ok().zip(generation.parse().ok()));
            }
            Ok(files)
        };
        match listed() {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            listed => listed.map_err(|source| io("listing", &path, source)),
        }
    }

    /// The generations of a place that are there, the highest first.
    fn generations(&self, group: &str, number: u32) -> Result<Vec<u64>, FleetLockError> {
        let files = self.files(group)?.into_iter().filter(|(of, _)| *of == number);
        let mut generations: Vec<u64> = files.map(|(_, generation)| generation).collect();
        generations.sort_unstable_by(|a, b| b.cmp(a));
        Ok(generations)
    }

    fn standing(&self, group: &str, number: u32) -> Result<Standing, FleetLockError> {
        let mut tries = 0;
        loop {
            let Some(generation) = self.generations(group, number)?.first().copied() else { return Ok(None) };
            let path = self.file(group, number, generation);
            match read(&path) {
                // Whoever took the place since it was listed has removed it.
                Err(error) if error.kind() == ErrorKind::NotFound && tries < MAX_TRIES => tries += 1,
                read => {
                    let holding = read.map_err(|source| io("reading", &path, source))?;
                    return Ok(Some((generation, holding)));
                }
            }
        }
    }

    /// Writes a holding under a name of its own, then gives it the name `to`: all of it is there, or nothing.
    fn write(
        &self,
        group: &str,
        holding: &Holding,
        to: &Path,
        give: fn(&Path, &Path) -> std::io::Result<()>,
    ) -> Result<(), FleetLockError> {
        let beside = self.group(group).join(format!("new-{}-{}", self.holder, holding.run));
        let write = || -> std::io::Result<()> {
            let _ = std::fs::remove_file(&beside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
            file.write_all(&serde_json::to_vec(holding)?)?;
            file.sync_all()?;
            give(&beside, to)
        };
        let written = write();
        let _ = std::fs::remove_file(&beside);
        written.map_err(|source| io("writing", to, source))
    }

    /// Tries to take one place. False if somebody else was faster.
    fn take(&self, place: &Place, holding: &Holding) -> Result<bool, FleetLockError> {
        let Place { terms, number, generation, .. } = place;
        let path = self.file(&terms.group, *number, *generation);
        match self.write(&terms.group, holding, &path, |from, to| std::fs::hard_link(from, to)) {
            Err(FleetLockError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                return Ok(false);
            }
            written => written?,
        }
        // Others may have gone on while this host was slow, and removed what it had read.
        let generations = self.generations(&terms.group, *number)?;
        let highest = generations.first() == Some(generation);
        for older in generations.iter().filter(|older| *older < generation) {
            let _ = std::fs::remove_file(self.file(&terms.group, *number, *older));
        }
        if !highest {
            let _ = std::fs::remove_file(&path);
        }
        Ok(highest)
    }

    /// The place that a run of this host has.
    fn place_of(
        &self,
        terms: &FleetLockTerms,
        run: &RunId,
        now: Timestamp,
    ) -> Result<Option<Place>, FleetLockError> {
        for number in 0..terms.max {
            let Some((generation, holding)) = self.standing(&terms.group, number)? else { continue };
            if holding.holder == self.holder && holding.run == *run && !holding.is_over(now) {
                return Ok(Some(Place { terms: terms.clone(), run: run.clone(), number, generation }));
            }
        }
        Ok(None)
    }

    /// Gives one place of a group back if it is this host's, for a run that is none of these.
    fn release_other(
        &self,
        group: &str,
        number: u32,
        but: &[RunId],
        now: Timestamp,
    ) -> Result<(), FleetLockError> {
        let Some((generation, holding)) = self.standing(group, number)? else { return Ok(()) };
        if holding.holder != self.holder || holding.is_over(now) || but.contains(&holding.run) {
            return Ok(());
        }
        let over = Holding { until: now, ..holding };
        self.write(group, &over, &self.file(group, number, generation), |from, to| std::fs::rename(from, to))
    }

    /// What is this host's still, by this run.
    fn held(&self, place: &Place, now: Timestamp) -> Result<Holding, FleetLockError> {
        let lost = || FleetLockError::Lost { group: place.terms.group.clone(), run: place.run.clone() };
        let (generation, holding) = self.standing(&place.terms.group, place.number)?.ok_or_else(lost)?;
        let ours = generation == place.generation && holding.run == place.run;
        if ours && holding.holder == self.holder && !holding.is_over(now) { Ok(holding) } else { Err(lost()) }
    }
}

impl FleetLock for FileFleetLock {
    fn look(&self, terms: &FleetLockTerms, now: Timestamp) -> Result<(), FleetLockError> {
        let mut holders = Vec::new();
        for number in 0..terms.max {
            match self.standing(&terms.group, number)? {
                Some((_, holding)) if !holding.is_over(now) => {
                    let left = format_duration(holding.until.since(now));
                    holders.push(format!(
                        "{} holds one for {left} more, for run {}",
                        holding.holder, holding.run
                    ));
                }
                _ => return Ok(()),
            }
        }
        Err(FleetLockError::Taken { holders })
    }

    fn acquire(&self, terms: &FleetLockTerms, run: &RunId, now: Timestamp) -> Result<Place, FleetLockError> {
        let group = self.group(&terms.group);
        std::fs::create_dir_all(&group).map_err(|source| io("creating", &group, source))?;
        let holding = Holding { holder: self.holder.clone(), run: run.clone(), until: now.plus(terms.ttl) };
        if let Some(place) = self.place_of(terms, run, now)? {
            self.renew(&place, now)?;
            return Ok(place);
        }
        for _ in 0..MAX_TRIES {
            self.look(terms, now)?;
            for number in 0..terms.max {
                let generation = match self.standing(&terms.group, number)? {
                    None => 1,
                    Some((generation, holding)) if holding.is_over(now) => generation + 1,
                    Some(_) => continue,
                };
                let place = Place { terms: terms.clone(), run: run.clone(), number, generation };
                if self.take(&place, &holding)? {
                    return Ok(place);
                }
            }
        }
        Err(FleetLockError::Taken {
            holders: vec!["other hosts are taking theirs at this moment".to_owned()],
        })
    }

    fn renew(&self, place: &Place, now: Timestamp) -> Result<(), FleetLockError> {
        let holding = Holding { until: now.plus(place.terms.ttl), ..self.held(place, now)? };
        let path = self.file(&place.terms.group, place.number, place.generation);
        self.write(&place.terms.group, &holding, &path, |from, to| std::fs::rename(from, to))
    }

    fn release_others(&self, but: &[RunId], now: Timestamp) -> Result<(), FleetLockError> {
        let failed = |source| io("listing", &self.directory, source);
        let groups = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            groups => groups.map_err(failed)?,
        };
        let mut result = Ok(());
        for group in groups {
            // What is no directory of a group has no places.
            let Ok(group) = group.map_err(failed)?.file_name().into_string() else { continue };
            let numbers: BTreeSet<u32> = self.files(&group)?.into_iter().map(|(number, _)| number).collect();
            for number in numbers {
                result = result.and(self.release_other(&group, number, but, now));
            }
        }
        result
    }

    fn release(&self, place: &Place, now: Timestamp) -> Result<(), FleetLockError> {
        let Ok(held) = self.held(place, now) else { return Ok(()) };
        let path = self.file(&place.terms.group, place.number, place.generation);
        let over = Holding { until: now, ..held };
        self.write(&place.terms.group, &over, &path, |from, to| std::fs::rename(from, to))
    }
}

fn read(path: &Path) -> std::io::Result<Holding> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> FleetLockError {
    FleetLockError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
