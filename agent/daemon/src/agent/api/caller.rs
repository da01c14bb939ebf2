//! Who calls, as the kernel and the host's databases of users and groups have it, and what they may therefore do.
//!
//! Root and the agent's own user may do everything; others what their groups allow. A caller's primary group counts, also
//! the one that it took on with newgrp(1), and so do those that list it as a member.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use rustix::net::UCred;

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    Anyone,
    /// To look.
    Read,
    /// To let a run that waits go on.
    Approve,
    /// To stop all repairs.
    Freeze,
    /// To change what the agent does.
    Operate,
}

impl Role {
    /// The groups of which one is needed; the first is the one to ask for.
    pub(crate) const fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Anyone => &[],
            Self::Read => &["hostmend-read", "hostmend-approve", "hostmend-operate"],
            Self::Approve => &["hostmend-approve"],
            Self::Freeze => &["hostmend-operate", "hostmend-approve"],
            Self::Operate => &["hostmend-operate"],
        }
    }
}

/// Somebody at the socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    uid: u32,
    gid: u32,
}

impl From<UCred> for Caller {
    fn from(peer: UCred) -> Self {
        Self { uid: peer.uid.as_raw(), gid: peer.gid.as_raw() }
    }
}

impl Caller {
    /// The user's number.
    pub(super) fn uid(self) -> u32 {
        self.uid
    }

    /// The user's name and number, for the record.
    pub(super) fn name(self) -> String {
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        user.map_or_else(|| format!("user {}", self.uid), |user| format!("{} ({})", user.name, self.uid))
    }

    /// Whether the caller is root or the agent's own user, who may do everything.
    pub(super) fn may_everything(self) -> bool {
        self.uid == 0 || self.uid == rustix::process::geteuid().as_raw()
    }

    /// Whether the caller may do what needs `role`; if not, what would be needed. Asks the databases of the host, which may
    /// be far away.
    pub(super) fn may(self, role: Role, what: &str) -> Result<(), String> {
        if role == Role::Anyone || self.may_everything() {
            return Ok(());
        }
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        let name = user.as_ref().map(|user| user.name.as_str());
        judge(role, what, self.uid, name, &self.groups(user.as_ref()))
    }

    /// The names of the caller's groups.
    fn groups(self, user: Option<&User>) -> Vec<String> {
        let mut numbers = vec![Gid::from_raw(self.gid)];
        if let Some(user) = user
            && let Ok(name) = CString::new(user.name.as_str())
        {
            numbers.extend(getgrouplist(&name, user.gid).unwrap_or_default());
        }
        let named = numbers.into_iter().filter_map(|number| Group::from_gid(number).ok().flatten());
        named.map(|group| group.name).collect()
    }
}

fn judge(role: Role, what: &str, uid: u32, name: Option<&str>, groups: &[String]) -> Result<(), String> {
    let enough = role.groups();
    if groups.iter().any(|group| enough.contains(&group.as_str())) {
        return Ok(());
    }
    let group = enough.first().copied().unwrap_or_default();
    Err(match name {
        Some(name) => format!(
            "user {name} may not {what}: that needs the group {group}; root may, and can give it: \
             usermod --append --groups {group} {name}"
        ),
        None => format!("user {uid} may not {what}: that needs the group {group}; root may"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_gives_its_role_and_whoever_has_none_is_told_which_to_ask_for() {
        for (groups, allowed) in [
            (["users"].as_slice(), [false, false, false, false]),
            (&["users", "hostmend-read"], [true, false, false, false]),
            (&["hostmend-approve"], [true, true, true, false]),
            (&["hostmend-operate"], [true, false, true, true]),
            (&["hostmend", "operate"], [false, false, false, false]),
        ] {
            let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
            let may = |role| judge(role, "look", 1000, Some("alice"), &groups).is_ok();
            let roles = [Role::Read, Role::Approve, Role::Freeze, Role::Operate];
            assert_eq!(roles.map(may), allowed, "{groups:?}");
        }
        let refusal = judge(Role::Operate, "reload", 1000, Some("alice"), &[]).unwrap_err();
        assert!(refusal.contains("alice") && refusal.contains("group hostmend-operate"), "{refusal}");
    }

    #[test]
    fn root_and_the_agents_own_user_need_no_group() {
        let own = rustix::process::geteuid().as_raw();
        for uid in [0, own] {
            assert_eq!(Caller { uid, gid: 65_534 }.may(Role::Operate, "reload"), Ok(()));
        }
        assert!(Caller { uid: own + 4_000_000, gid: 4_000_000 }.may(Role::Read, "look").is_err());
    }

    #[test]
    fn the_package_makes_the_groups() {
        let made = include_str!("../../../../../packaging/sysusers.conf");
        for group in Role::Read.groups().iter().chain(Role::Operate.groups()) {
            assert!(made.lines().any(|line| line.starts_with(&format!("g {group} "))), "{group}");
        }
    }
}
