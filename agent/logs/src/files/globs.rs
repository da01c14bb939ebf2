//! Which directories are looked through and which names in them are meant.

use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

/// How deep `**` goes: below that is a loop of mounts or no place for logs.
const MAX_DEPTH: usize = 24;

/// How globs match: `*` ends at a slash, and a name that begins with a dot is as good as any.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// One glob of an absolute path, taken apart.
#[derive(Clone, Debug)]
struct Glob {
    whole: Pattern,
    /// The directories before the first wildcard.
    base: PathBuf,
    /// The directories after it; `None` is any number of them.
    directories: Vec<Option<Pattern>>,
}

/// The globs of a source.
#[derive(Clone, Debug)]
pub(crate) struct Globs {
    include: Vec<Glob>,
    /// Of whole paths.
    exclude_paths: Vec<Pattern>,
    exclude_names: Vec<Pattern>,
}

/// A glob that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct GlobError {
    /// The glob.
    pub(crate) glob: String,
    /// What is wrong with it, and what would be right.
    pub(crate) reason: String,
}

impl Globs {
    /// Reads globs of absolute paths, and of what is left out.
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Self, GlobError> {
        let include = include.iter().map(|glob| Glob::new(glob)).collect::<Result<_, _>>()?;
        let (mut exclude_paths, mut exclude_names) = (Vec::new(), Vec::new());
        for glob in exclude {
            let kind = if glob.contains('/') { &mut exclude_paths } else { &mut exclude_names };
            kind.push(pattern(glob, glob)?);
        }
        Ok(Self { include, exclude_paths, exclude_names })
    }

    /// Whether the file at `path` is meant.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let hits = |patterns: &[Pattern], path: &Path| {
            patterns.iter().any(|pattern| pattern.matches_path_with(path, OPTIONS))
        };
        self.include.iter().any(|glob| glob.whole.matches_path_with(path, OPTIONS))
            && !hits(&self.exclude_paths, path)
            && !path.file_name().is_some_and(|name| hits(&self.exclude_names, Path::new(name)))
    }

    /// The directories before the first wildcard of each glob.
    pub(crate) fn bases(&self) -> Vec<PathBuf> {
        self.include.iter().map(|glob| glob.base.clone()).collect()
    }

    /// Gives each directory that is to be watched with whether files in it may be meant. `below` lists the directories in
    /// one. A directory may be given more than once.
    pub(crate) fn walk(
        &self,
        below: &mut dyn FnMut(&Path) -> Vec<PathBuf>,
        each: &mut dyn FnMut(&Path, bool),
    ) {
        for glob in &self.include {
            descend(&glob.base, &glob.directories, MAX_DEPTH, below, each);
        }
    }
}

fn descend(
    at: &Path,
    directories: &[Option<Pattern>],
    depth: usize,
    below: &mut dyn FnMut(&Path) -> Vec<PathBuf>,
    each: &mut dyn FnMut(&Path, bool),
) {
    let Some((first, rest)) = directories.split_first() else {
        each(at, true);
        return;
    };
    each(at, false);
    if first.is_none() {
        descend(at, rest, depth, below, each);
    }
    if depth == 0 {
        return;
    }
    for directory in below(at) {
        let name = directory.file_name().unwrap_or_default();
        match first {
            None => descend(&directory, directories, depth - 1, below, each),
            Some(pattern) if pattern.matches_path_with(Path::new(name), OPTIONS) => {
                descend(&directory, rest, depth - 1, below, each);
            }
            Some(_) => {}
        }
    }
}

impl Glob {
    fn new(glob: &str) -> Result<Self, GlobError> {
        let wrong = |reason: &str| GlobError { glob: glob.to_owned(), reason: reason.to_owned() };
        if !glob.starts_with('/') {
            return Err(wrong("a glob begins with a slash, as in /var/log/*.log"));
        }
        let text = if glob.ends_with("/**") { format!("{glob}/*") } else { glob.to_owned() };
        let path = Path::new(&text);
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(wrong("a glob has no `..`: write the directory that is meant"));
        }
        let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else {
            return Err(wrong("a glob names files in a directory, as in /var/log/*.log"));
        };
        let parts: Vec<&str> = parent.iter().filter_map(|part| part.to_str()).collect();
        let wild = |part: &&str| part.contains(['*', '?', '[']);
        let literal = parts.iter().position(wild).unwrap_or(parts.len());
        let (base, rest) = parts.split_at_checked(literal).unwrap_or_default();
        let part = |part: &&str| if *part == "**" { Ok(None) } else { pattern(part, glob).map(Some) };
        let directories = rest.iter().map(part).collect::<Result<_, _>>()?;
        Ok(Self { whole: pattern(&text, glob)?, base: base.iter().collect(), directories })
    }
}

fn pattern(text: &str, glob: &str) -> Result<Pattern, GlobError> {
    Pattern::new(text).map_err(|error| GlobError {
        glob: glob.to_owned(),
        reason: format!("{} at character {}", error.msg, error.pos + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(include: &str, exclude: &str) -> Globs {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Globs::new(&list(include), &list(exclude)).unwrap()
    }

    #[test]
    fn paths_are_meant_by_include_and_not_by_exclude() {
        let rows = [
            ("/var/log/*.log", "", "/var/log/a.log", true),
            ("/var/log/*.log", "", "/var/log/b/a.log", false),
            ("/var/log/**/*.log", "", "/var/log/a.log", true),
            ("/var/log/**/*.log", "", "/var/log/b/c/a.log", true),
            ("/var/log/**", "", "/var/log/b/c/a", true),
            ("/var/log/*", "*.gz", "/var/log/a.gz", false),
            ("/var/log/*", "/var/log/a*", "/var/log/a.log", false),
            ("/var/log/*", "/var/*.log", "/var/log/a.log", true),
            ("/var/log/app-[0-9].log", "", "/var/log/app-1.log", true),
            ("/a/x /b/*", "", "/b/y", true),
            ("/home/*/logs/*.log", "", "/home/me/logs/.hidden.log", true),
        ];
        for (include, exclude, path, expected) in rows {
            assert_eq!(globs(include, exclude).matches(Path::new(path)), expected, "{include} {path}");
        }
    }

    #[test]
    fn only_directories_that_can_hold_a_match_are_walked() {
        let tree = ["/l", "/l/a", "/l/a/x", "/l/a/x/y", "/l/b", "/l/b/x"];
        let rows = [
            ("/l/*.log", "/l"),
            ("/l/*/x/*.log", "/l/a/x /l/b/x"),
            ("/l/a/**/*.log", "/l/a /l/a/x /l/a/x/y"),
            ("/l/**", "/l /l/a /l/a/x /l/a/x/y /l/b /l/b/x"),
            ("/none/*", "/none"),
        ];
        for (include, expected) in rows {
            let mut below = |at: &Path| {
                let is_below = |path: &&&str| Path::new(path).parent() == Some(at);
                tree.iter().filter(is_below).map(PathBuf::from).collect()
            };
            let mut found = Vec::new();
            globs(include, "").walk(&mut below, &mut |path, has_files| {
                if has_files {
                    found.push(path.display().to_string());
                }
            });
            assert_eq!(found.join(" "), expected, "{include}");
        }
    }

    #[test]
    fn a_glob_that_is_none_is_refused_with_what_would_be_right() {
        let rows = ["var/*.log", "/", "/var/../etc/*", "/var/[a"];
        for glob in rows {
            let error = Globs::new(&[glob.to_owned()], &[]).unwrap_err();
            assert_eq!(error.glob, glob);
        }
        assert!(Globs::new(&[], &["[".to_owned()]).is_err());
    }
}
