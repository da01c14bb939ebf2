//! What of the host matters to its logs: the zone of its times, and what the agent's user may read.

use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::tz::TimeZone;
use nix::unistd::{Gid, Uid, User, getgrouplist};

/// The user of the packaged unit.
const USER: &str = "hostmend";

/// Others may write.
const WRITE_OTHERS: u32 = 0o002;

/// The host's time zone, if it has one.
pub(super) fn zone() -> Option<TimeZone> {
    let link = std::fs::read_link("/etc/localtime").ok()?;
    let (_, name) = link.to_str()?.split_once("/zoneinfo/")?;
    TimeZone::get(name).ok()
}

/// Who the agent runs as, seen from whoever asks.
pub(super) enum Reader {
    /// As the one who asks.
    Asking,
    /// As the user of the packaged unit, whom root asks for.
    Packaged(Uid, Vec<Gid>),
    /// As root.
    Anyone,
}

impl Reader {
    pub(super) fn of_the_agent() -> Self {
        if !nix::unistd::geteuid().is_root() {
            return Self::Asking;
        }
        let known = User::from_name(USER).ok().flatten().zip(CString::new(USER).ok());
        let groups = known.and_then(|(user, name)| Some((user.uid, getgrouplist(&name, user.gid).ok()?)));
        groups.map_or(Self::Anyone, |(user, groups)| Self::Packaged(user, groups))
    }

    /// Whether it may read the file, as far as its permissions tell.
    pub(super) fn may_read(&self, path: &Path) -> bool {
        match self {
            Self::Anyone => true,
            Self::Asking => rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok(),
            Self::Packaged(user, groups) => {
                let may = |path: &Path, what: u32| {
                    path.metadata().map_or(true, |found| allows(&found, *user, groups, what))
                };
                may(path, 4) && path.ancestors().skip(1).all(|above| may(above, 1))
            }
        }
    }

    /// How messages call it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Asking => "this user",
            Self::Packaged(..) | Self::Anyone => "the user hostmend",
        }
    }
}

/// Whether permissions allow `what`: 4 to read, 1 to pass. Lists of access may allow more or less.
fn allows(found: &Metadata, user: Uid, groups: &[Gid], what: u32) -> bool {
    let shift = if found.uid() == user.as_raw() {
        6
    } else if groups.iter().any(|group| group.as_raw() == found.gid()) {
        3
    } else {
        0
    };
    (found.mode() >> shift) & what == what
}

/// Whether everybody may lay files into the directory.
pub(super) fn is_open_to_all(directory: &Path) -> bool {
    directory.metadata().is_ok_and(|found| found.is_dir() && found.mode() & WRITE_OTHERS != 0)
}
