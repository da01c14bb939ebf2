//! What the records of a file have in common.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use telemetry::{AttributeValue, Attributes, LogGroup};

use super::Follower;
use crate::files::disk::Disk;

impl<D: Disk> Follower<D> {
    /// What the records of the file begun at `home` have in common.
    pub(super) fn group_of(&mut self, home: &Path) -> LogGroup {
        let text = |text: &OsStr| AttributeValue::Text(text.to_string_lossy().into_owned());
        let mut shared = Attributes::new();
        shared.push(("log.file.name".to_owned(), text(home.file_name().unwrap_or_default())));
        if self.options.file_path_attribute {
            shared.push(("log.file.path".to_owned(), text(home.as_os_str())));
        }
        let attributes = self.options.resource.attributes(home);
        LogGroup {
            source: self.options.name.clone(),
            resource: self.shared_resource(attributes),
            shared: Arc::new(shared),
        }
    }

    /// Files with the same resource share it, so that it is sent once for all that is read from them in a row.
    pub(super) fn shared_resource(&mut self, attributes: Attributes) -> Arc<Attributes> {
        /// How many resources are remembered; beyond, the oldest are made anew.
        const RESOURCES: usize = 64;
        if let Some(known) = self.resources.iter().find(|known| ***known == attributes) {
            return known.clone();
        }
        if self.resources.len() >= RESOURCES {
            self.resources.remove(0);
        }
        let new = Arc::new(attributes);
        self.resources.push(new.clone());
        new
    }
}
