//! What an operator says about a source of files.

use std::path::Path;
use std::sync::Arc;

use regex::Regex;
use telemetry::{AttributeValue, Attributes};

use crate::{RecordOptions, StartAt};

/// Which files are followed, and what becomes of their lines.
#[derive(Clone, Debug)]
pub struct FilesOptions {
    /// The name of the source in the configuration.
    pub name: Arc<str>,
    /// Globs of absolute paths; `**` is any number of directories.
    pub include: Vec<String>,
    /// Globs of what is left out: of paths where there is a slash in them, else of names.
    pub exclude: Vec<String>,
    /// Where files that are there at the very first start are begun. Files that come later are read whole.
    pub start: StartAt,
    /// A longer line is cut, flagged, and its rest passed over.
    pub max_line_bytes: usize,
    /// What is made of the lines.
    pub record: Arc<RecordOptions>,
    /// Attributes of the resource.
    pub resource: ResourceTemplate,
    /// Whether records bear `log.file.path` besides `log.file.name`.
    pub file_path_attribute: bool,
    /// How many files are open at most. More are followed in turns.
    pub max_open_files: usize,
}

/// Attributes of the resource, partly made from the path of the file.
#[derive(Clone, Debug, Default)]
pub struct ResourceTemplate {
    /// What the path is held against; its groups can be named in the values. Where it does not match, they are empty.
    pub path: Option<Regex>,
    /// Keys and values; `${path.1}` and `${path.name}` in a value stand for a group of `path`.
    pub attributes: Vec<(String, String)>,
}

impl ResourceTemplate {
    /// The attributes for the file at `path`, without those that come out empty.
    pub fn attributes(&self, path: &Path) -> Attributes {
        let path = path.to_string_lossy();
        let groups = self.path.as_ref().and_then(|pattern| pattern.captures(&path));
        let group = |name: &str| {
            let groups = groups.as_ref()?;
            let found =
                name.parse().map_or_else(|_| groups.name(name), |number: usize| groups.get(number))?;
            Some(found.as_str())
        };
        let filled = |(key, value): &(String, String)| (key.clone(), fill(value, group));
        let filled = self.attributes.iter().map(filled).filter(|(_, value)| !value.is_empty());
        filled.map(|(key, value)| (key, AttributeValue::Text(value))).collect()
    }

    /// The groups that values name and `path` does not have.
    pub fn unknown_groups(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        for (_, value) in &self.attributes {
            fill(value, |name| {
                let known = self.path.as_ref().is_some_and(|pattern| match name.parse::<usize>() {
                    Ok(number) => number < pattern.captures_len(),
                    Err(_) => pattern.capture_names().flatten().any(|known| known == name),
                });
                if !known {
                    unknown.push(name.to_owned());
                }
                None
            });
        }
        unknown
    }
}

/// Puts groups where `${path.…}` stands. What does not end is left as it is.
fn fill<'a>(template: &str, mut group: impl FnMut(&str) -> Option<&'a str>) -> String {
    const BEGIN: &str = "${path.";
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            filled.push_str(BEGIN);
            rest = after;
            continue;
        };
        filled.push_str(group(name).unwrap_or_default());
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(pattern: &str, value: &str) -> ResourceTemplate {
        let path = (!pattern.is_empty()).then(|| Regex::new(pattern).unwrap());
        ResourceTemplate { path, attributes: vec![("k".to_owned(), value.to_owned())] }
    }

    #[test]
    fn values_are_made_from_the_path() {
        let rows = [
            ("/apps/([^/]+)/", "${path.1}", Some("shop")),
            ("/apps/(?<app>[^/]+)/", "app-${path.app}-x", Some("app-shop-x")),
            ("/other/([^/]+)/", "${path.1}", None),
            ("/other/([^/]+)/", "fixed", Some("fixed")),
            ("", "fixed", Some("fixed")),
            ("/apps/([^/]+)/", "${path.1", Some("${path.1")),
        ];
        for (pattern, value, expected) in rows {
            let attributes = template(pattern, value).attributes(Path::new("/srv/apps/shop/a.log"));
            let found = attributes.first().and_then(|(_, value)| value.as_text());
            assert_eq!(found, expected, "{pattern} {value}");
        }
    }

    #[test]
    fn groups_that_the_pattern_lacks_are_named() {
        assert_eq!(template("a(b)(?<c>d)", "${path.1} ${path.c}").unknown_groups(), [""; 0]);
        assert_eq!(template("a(b)", "${path.2} ${path.c}").unknown_groups(), ["2", "c"]);
        assert_eq!(template("", "${path.1}").unknown_groups(), ["1"]);
    }
}
