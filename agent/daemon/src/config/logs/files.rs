//! Files that are followed: what the section means, and whether there are any that can be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use documents::{Review, Severity, Spanned};
use glob::Pattern;
use logs::{FilesOptions, ResourceTemplate, StartAt};
use regex::Regex;

use super::host::{Reader, is_open_to_all};
use super::sections::{FilesSection, StartName};
use super::{Base, lines};

/// Beyond it a line is cut: what no person reads, and what one batch takes whole.
pub(super) const DEFAULT_LINE_BYTES: usize = 1 << 20;

/// A shorter limit would cut lines that people write.
const LEAST_LINE_BYTES: usize = 256;

/// Each file whose end is not read yet may have as much in memory.
const MOST_LINE_BYTES: usize = 8 << 20;

/// Files that all sources together have open at most; more are read in turns. It is a quarter of the 4096 descriptors that
/// the unit allows, most of which are for those who send telemetry.
const OPEN_FILES: usize = 1024;

/// A source with less would open and close all the time.
const LEAST_OPEN_FILES: usize = 16;

/// Files that are looked at for warnings: enough to see what is wrong, and soon done.
const MOST_LOOKED_AT: usize = 100;

/// How many files each of so many sources may have open.
pub(super) fn open_files(sources: usize) -> usize {
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let quarter = allowed.map_or(OPEN_FILES, |allowed| (allowed / 4) as usize);
    (OPEN_FILES.min(quarter) / sources.max(1)).max(LEAST_OPEN_FILES)
}

pub(super) fn files(
    section: &FilesSection,
    name: Arc<str>,
    max_open_files: usize,
    base: &Base,
    review: &mut Review,
) -> FilesOptions {
    if section.include.is_empty() {
        review.error(&section.name, "these are no files; include names at least one glob");
    }
    let include: Vec<String> =
        section.include.iter().filter_map(|glob| included(glob, base, review)).collect();
    let exclude: Vec<String> = section.exclude.iter().filter_map(|glob| review.read(glob, checked)).collect();
    FilesOptions {
        name,
        include,
        exclude,
        start: section.start.map_or(StartAt::End, StartName::meaning),
        max_line_bytes: section
            .max_line_bytes
            .as_ref()
            .map_or(DEFAULT_LINE_BYTES, |value| line(value, review)),
        record: lines::record(section, review),
        resource: resource(section, review),
        file_path_attribute: section.file_path,
        max_open_files,
    }
}

/// A glob of absolute paths. Warns of what would keep its files from being read.
fn included(glob: &Spanned<String>, base: &Base, review: &mut Review) -> Option<String> {
    let pattern = review.read(glob, |text| checked(text).map(|text| base.path(&text)))?;
    let pattern = pattern.to_str().unwrap_or(&glob.value).to_owned();
    for warning in warnings(&pattern) {
        review.error(glob, warning).severity = Severity::Warning;
    }
    Some(pattern)
}

fn checked(text: &str) -> Result<String, String> {
    match Pattern::new(text) {
        Ok(_) if !text.is_empty() => Ok(text.to_owned()),
        Ok(_) => Err("write a path, such as /var/log/app/*.log".to_owned()),
        Err(error) => Err(format!("{text:?} is no glob: {}", error.msg)),
    }
}

fn warnings(pattern: &str) -> Vec<String> {
    let found = glob::glob(pattern).into_iter().flatten().take(MOST_LOOKED_AT).flatten();
    let files: Vec<PathBuf> = found.filter(|path| !path.is_dir()).collect();
    let mut warnings = Vec::new();
    if files.is_empty() {
        warnings.push(format!("no file matches {pattern} now; those that come are followed"));
    }
    let reader = Reader::of_the_agent();
    if let Some(path) = files.iter().find(|path| !reader.may_read(path)) {
        warnings.push(format!("{} may not read {}", reader.name(), path.display()));
    }
    let directory = files.iter().filter_map(|path| path.parent()).find(|directory| is_open_to_all(directory));
    if let Some(directory) =
        directory.or_else(|| fixed(pattern).filter(|directory| is_open_to_all(directory)))
    {
        let shown = directory.display();
        warnings
            .push(format!("everybody may write to {shown}, and so write lines that pass for this source's"));
    }
    warnings
}

/// The directory that the glob begins with.
fn fixed(pattern: &str) -> Option<&Path> {
    let end = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    pattern.get(..end).and_then(|fixed| fixed.rfind('/')).and_then(|at| pattern.get(..at)).map(Path::new)
}

fn line(value: &Spanned<usize>, review: &mut Review) -> usize {
    if !(LEAST_LINE_BYTES..=MOST_LINE_BYTES).contains(&value.value) {
        review.error(value, format!("a line has from {LEAST_LINE_BYTES} to {MOST_LINE_BYTES} bytes at most"));
    }
    value.value
}

fn resource(section: &FilesSection, review: &mut Review) -> ResourceTemplate {
    let path = section.path.as_ref().and_then(|value| {
        review.read(value, |text| {
            Regex::new(text).map_err(|error| {
                let drawn = error.to_string();
                // The lines before it draw an arrow.
                let reason = drawn.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("the pattern is no regular expression: {reason}")
            })
        })
    });
    let attributes = section.resource.iter().map(|(key, value)| (key.clone(), value.value.clone()));
    let template = ResourceTemplate { path, attributes: attributes.collect() };
    for unknown in template.unknown_groups() {
        let name = format!("${{path.{unknown}}}");
        let place = section.resource.values().find(|value| value.value.contains(&name));
        if let Some(value) = place.filter(|_| section.path.is_none() || template.path.is_some()) {
            review.error(value, format!("`path` has no group {unknown:?}")).hint =
                Some("path: '^/srv/(?<app>[^/]+)/' has the group app".to_owned());
        }
    }
    template
}
