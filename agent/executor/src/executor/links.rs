//! Links: lets one point to another release, where the policy allows it.

use std::path::Path;

use telemetry::Timestamp;

use super::Executor;
use super::files::may_change;
use super::undo::no_longer;
use crate::beneath::open_directory;
use crate::changes::Change;
use crate::link::{Link, is_release};
use crate::policy::LinkRule;
use crate::{ActionError, Outcome};

impl Executor {
    pub(super) fn switch_link(
        &mut self,
        link: &Path,
        to: &Path,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        may_change(link)?;
        let found = self.policy.links.iter().position(|rule| rule.path == link);
        let index = found.ok_or_else(|| self.no_rule::<LinkRule>(&format!("- path: {}", link.display())))?;
        let rule = self.policy.links.get(index).cloned().expect("the position was just found");
        let is_below = crate::is_plain_path(to) && to.parent() == Some(&rule.releases);
        if !is_below || !is_release(open_directory(&rule.releases)?, to) {
            let (to, releases) = (to.display(), rule.releases.display());
            return Err(ActionError::refused(format!(
                "{to} is no release: no directory directly in {releases}"
            )));
        }
        let opened = Link::open(link)?;
        let now_at = opened.text()?;
        let target = opened.spelling(&now_at, to);
        let (what, before, after) = (link.display().to_string(), text(link, &now_at)?, text(link, &target)?);
        if before == after {
            return Ok(Outcome::Set { what, before, after, change: None });
        }
        self.spend(index, &rule, now)?;
        let change = Change::Link { link: link.to_owned(), before: before.clone(), after: after.clone() };
        let id = self.remember(change, now)?;
        if let Err(error) = opened.point_to(&target) {
            if opened.text().is_ok_and(|is| is == now_at) {
                self.forget(&id);
            }
            return Err(error);
        }
        Ok(Outcome::Set { what, before, after, change: Some(id) })
    }
}

/// Lets a link point to where it did, if it still points to where it was let.
pub(super) fn undo_link(link: &Path, before: &str, after: &str) -> Result<Outcome, ActionError> {
    let opened = Link::open(link)?;
    let current = text(link, &opened.text()?)?;
    let what = link.display().to_string();
    if current == after {
        opened.point_to(Path::new(before))?;
    } else if current != before {
        return Err(no_longer(&what, &current, after));
    }
    Ok(Outcome::Undone { what, value: before.to_owned() })
}

/// What a link holds; one that is no text could not be put back as it was.
fn text(link: &Path, holds: &Path) -> Result<String, ActionError> {
    holds.to_str().map(str::to_owned).ok_or_else(|| {
        ActionError::refused(format!("{} points to {}, which is no text", link.display(), holds.display()))
    })
}
