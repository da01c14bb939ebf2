//! Which units and containers have a cgroup, found by walking through the slices and what else holds them.
//!
//! Nothing below a unit or a container is looked at: what they lay out there is their own affair, but for a user's own
//! systemd, whose units are told of apart.

use std::collections::HashSet;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{container_at, holds_units, is_slice, is_unit};
use crate::error::CollectError;
use crate::host::display;

/// Directories that are looked into at most. A host has some dozens of slices.
const MOST_DIRECTORIES: usize = 2_000;

/// As many of all users' own systemds together: there users make what directories they like, and take no room of others'.
const MOST_DIRECTORIES_OF_USERS: usize = 1_000;

/// How deep they may lie.
const DEEPEST: usize = 16;

/// A longer file of a limit is none of the kernel's.
const LIMIT_BYTES: usize = 32;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Units,
    Containers,
}

impl Kind {
    /// In the words of an error.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Containers => "containers",
        }
    }
}

/// Whose a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A unit, of the system or of a user's own systemd.
    Unit { name: String, user: Option<String> },
    /// A container.
    Container { id: String, runtime: Option<&'static str> },
}

/// A cgroup that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Below the mount point, without a slash before it.
    pub(super) path: String,
    /// Tells it from a later one of the same name.
    pub(super) inode: u64,
    pub(super) owner: Owner,
    /// The lowest limit of memory of what it lies in, in bytes.
    pub(super) inherited_memory_limit: Option<u64>,
}

/// What was found below a mount point.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// In the order of their paths.
    pub(super) found: Vec<Found>,
    /// How many directories were looked into, if there were more.
    pub(super) cut_at: Option<usize>,
}

/// The cgroups of this kind below a mount point of the host.
///
/// # Errors
///
/// The mount point cannot be read.
pub(super) fn list(mount_point: &Path, kind: Kind) -> Result<Listing, CollectError> {
    let mut walk = Walk { kind, listing: Listing::default(), looked_at: 0, looked_at_of_users: 0 };
    walk.look_into(&Place {
        directory: mount_point.to_owned(),
        path: String::new(),
        name: String::new(),
        user: None,
        memory_limit: None,
        depth: 0,
    })
    .map_err(|source| CollectError::Read { path: display(mount_point), source })?;
    let mut listing = walk.listing;
    listing.found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let mut seen = HashSet::new();
    listing.found.retain(|found| seen.insert(found.owner.clone()));
    Ok(listing)
}

struct Walk {
    kind: Kind,
    listing: Listing,
    looked_at: usize,
    looked_at_of_users: usize,
}

/// A directory that is looked into.
struct Place {
    directory: PathBuf,
    path: String,
    name: String,
    user: Option<String>,
    memory_limit: Option<u64>,
    depth: usize,
}

impl Walk {
    fn look_into(&mut self, place: &Place) -> Result<(), Errno> {
        let (looked_at, most) = match place.user {
            Some(_) => (&mut self.looked_at_of_users, MOST_DIRECTORIES_OF_USERS),
            None => (&mut self.looked_at, MOST_DIRECTORIES),
        };
        if *looked_at >= most {
            self.listing.cut_at = Some(most);
            return Ok(());
        }
        *looked_at += 1;
        if place.depth > DEEPEST {
            return Ok(());
        }
        let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        let memory_limit = lower(place.memory_limit, limit_of(&place.directory));
        for entry in std::fs::read_dir(&place.directory).map_err(errno)? {
            let entry = entry.map_err(errno)?;
            // What is not UTF-8 neither systemd nor a runtime has named.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.see(place, &name, entry.ino(), memory_limit);
            }
        }
        Ok(())
    }

    fn see(&mut self, place: &Place, name: &str, inode: u64, memory_limit: Option<u64>) {
        let path = if place.path.is_empty() { name.to_owned() } else { format!("{}/{name}", place.path) };
        let owner = owner(place, name);
        let wanted = match owner {
            Some(Owner::Unit { .. }) => self.kind == Kind::Units,
            Some(Owner::Container { .. }) => self.kind == Kind::Containers,
            None => false,
        };
        let goes_on = owner.is_none() || holds_units(name);
        if let (true, Some(owner)) = (wanted, owner) {
            let found = Found { path: path.clone(), inode, owner, inherited_memory_limit: memory_limit };
            self.listing.found.push(found);
        }
        if goes_on && !is_leaf(name) {
            let user = name.strip_prefix("user@").and_then(|rest| rest.strip_suffix(".service"));
            let inner = Place {
                directory: place.directory.join(name),
                path,
                name: name.to_owned(),
                // What a user calls as another's systemd stays the user's.
                user: place.user.clone().or_else(|| user.map(str::to_owned)),
                memory_limit,
                depth: place.depth + 1,
            };
            // It may have gone since it was listed.
            let _ = self.look_into(&inner);
        }
    }
}

fn owner(place: &Place, name: &str) -> Option<Owner> {
    if let Some(container) = container_at(&place.name, name) {
        return Some(Owner::Container { id: container.id.to_owned(), runtime: container.runtime });
    }
    // Below a user's systemd only slices and units are its own.
    let is_own = place.path.is_empty() || is_slice(&place.name) || holds_units(&place.name);
    (is_own && is_unit(name)).then(|| Owner::Unit {
        name: name.strip_prefix('_').unwrap_or(name).to_owned(),
        user: place.user.clone(),
    })
}

/// Whether this is the cgroup of a unit that is no service and no scope, and holds no others.
fn is_leaf(name: &str) -> bool {
    [".mount", ".socket", ".swap"].iter().any(|suffix| name.ends_with(suffix))
}

fn limit_of(directory: &Path) -> Option<u64> {
    let text = std::fs::read(directory.join("memory.max")).ok()?;
    let text = std::str::from_utf8(text.get(..text.len().min(LIMIT_BYTES))?).ok()?;
    text.trim_ascii().parse().ok()
}

/// The lower of two limits.
pub(super) fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}
