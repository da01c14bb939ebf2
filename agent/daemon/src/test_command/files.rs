//! Which files are tests.

use std::path::{Path, PathBuf};

use documents::Problem;

/// Files and directories that are looked at below one directory; what is beyond it is told.
const MAX_ENTRIES: usize = 100_000;

/// The test files that are meant, in the order of the arguments and of their names; a directory stands for itself, with
/// the reason, if none is found in it.
pub(super) fn find(arguments: &[PathBuf]) -> Vec<(PathBuf, Option<Problem>)> {
    let mut found = Vec::new();
    for argument in arguments {
        if !argument.is_dir() {
            found.push((argument.clone(), None));
            continue;
        }
        match below(argument) {
            Ok(files) if files.is_empty() => {
                let message = "there is no test in it; tests are called *.test, *.test.yaml, *_test.yaml or *.cases.yaml";
                found.push((argument.clone(), Some(Problem::about(argument, message))));
            }
            Ok(files) => found.extend(files.into_iter().map(|file| (file, None))),
            Err(message) => found.push((argument.clone(), Some(Problem::about(argument, message)))),
        }
    }
    found
}

/// All test files below a directory, sorted. Hidden ones and linked directories are left out.
fn below(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    let mut seen = 0;
    while let Some(directory) = directories.pop() {
        let unreadable = |error: std::io::Error| format!("cannot list {}: {error}", directory.display());
        for entry in std::fs::read_dir(&directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(format!(
                    "there are more than {MAX_ENTRIES} files below it; name a smaller directory"
                ));
            }
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(entry.path());
            } else if is_test(&name) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_test(name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((_, "test")) => true,
        Some((name, "yaml" | "yml")) => {
            [".test", "_test", "-test", ".cases"].iter().any(|end| name.ends_with(end))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_known_by_their_names() {
        for name in ["a.test", "disk.test.yaml", "disk_test.yml", "at-modifier-test.yml", "disk.cases.yaml"] {
            assert!(is_test(name), "{name}");
        }
        for name in ["rules.yaml", "latest.yaml", "test", "contest.yml", "a.test.txt"] {
            assert!(!is_test(name), "{name}");
        }
    }
}
