//! The users of this host, as `/etc/passwd` has them.
//!
//! No other source is asked: its library would run in here, as root.

use std::path::Path;

use crate::ActionError;

pub(crate) const USERS: &str = "/etc/passwd";

/// A user's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Account {
    /// The user of this name.
    pub(crate) fn named(name: &str, users: &Path) -> Result<Self, ActionError> {
        let reading = || format!("looking for user {name} in {}", users.display());
        let text = std::fs::read_to_string(users).map_err(|error| ActionError::failed(reading(), error))?;
        Self::find(name, &text).ok_or_else(|| ActionError::failed(reading(), "there is none of that name"))
    }

    /// `passwd(5)`: name, password, user, group, and more that is not needed.
    fn find(name: &str, users: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            Some(Self { user: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\n\nweb:x:987:985::/:/usr/sbin/nologin\nodd:x:many:1::/:\n";
        for (name, found) in [
            ("web", Some(Account { user: 987, group: 985 })),
            ("root", Some(Account { user: 0, group: 0 })),
            ("we", None),
            ("odd", None),
            ("", None),
        ] {
            assert_eq!(Account::find(name, users), found, "{name}");
        }
    }
}
