//! Parameters: what of them comes from the alert's labels, and what of that the grants let through.
//!
//! Whoever can raise an alert chooses its labels, so a parameter that a label has filled in counts only if it is a target
//! of a grant, or lies below one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Value;
use telemetry::Labels;

use super::Runbook;
use crate::grants::Capability;

/// The places of `${name}` in a text, with the name; or the place of one that is not closed, which is the last.
pub(super) fn placeholders_in(text: &str) -> impl Iterator<Item = Result<(Range<usize>, &str), usize>> {
    let mut from = Some(0);
    std::iter::from_fn(move || {
        let begin = from?;
        let start = begin + text.get(begin..)?.find("${")?;
        let inside = text.get(start + 2..)?;
        let Some(length) = inside.find('}') else {
            from = None;
            return Some(Err(start));
        };
        let end = start + 2 + length + 1;
        from = Some(end);
        Some(Ok((start..end, inside.get(..length)?)))
    })
}

/// The text with what `value` gives for each `${name}`; a name for which it gives nothing stays as it is.
pub(super) fn filled(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut from = 0;
    for (range, name) in placeholders_in(text).flatten() {
        let Some(value) = value(name) else { continue };
        out.push_str(text.get(from..range.start).unwrap_or_default());
        out.push_str(&value);
        from = range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// A value as it stands in a text: without the quotes of a string.
pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An expression with its parameters filled in. A text has no character that could end the quotes in which it stands,
/// whichever they are: those are written by their number.
pub(super) fn in_expression(text: &str, params: &BTreeMap<String, Value>) -> String {
    let quoted = |value: &Value| match value {
        Value::String(text) => text.chars().fold(String::new(), |mut quoted, c| {
            match c {
                '\\' | '"' | '\'' | '`' => drop(write!(quoted, "\\x{:02x}", u32::from(c))),
                c if c.is_control() => quoted.push(' '),
                c => quoted.push(c),
            }
            quoted
        }),
        other => other.to_string(),
    };
    filled(text, |name| params.get(name).map(quoted))
}

/// Where in a text stands what is at `meant` of it as [`in_expression`] gives it; within what was filled in, the whole
/// placeholder.
pub(super) fn unfilled(text: &str, params: &BTreeMap<String, Value>, meant: Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (None, None);
    // How much longer the meant text is up to here, and where a placeholder ends in both.
    let mut grown = 0_isize;
    let before = |at: usize, grown: isize| at.saturating_add_signed(-grown);
    for (range, _) in placeholders_in(text).flatten() {
        let placeholder = text.get(range.clone()).unwrap_or_default();
        let value = in_expression(placeholder, params).len();
        let begins = range.start.saturating_add_signed(grown);
        let ends = begins + value;
        if start.is_none() && meant.start < ends {
            start = Some(before(meant.start, grown).min(range.start));
        }
        if end.is_none() && meant.end <= ends {
            end = Some(if meant.end <= begins { before(meant.end, grown) } else { range.end });
        }
        grown += value as isize - range.len() as isize;
    }
    let start = start.unwrap_or_else(|| before(meant.start, grown));
    start..end.unwrap_or_else(|| before(meant.end, grown)).max(start)
}

impl Runbook {
    /// The runbook as it answers an alert with these labels: each `${labels.NAME}` of its parameters filled in, and each
    /// parameter in its expressions. What the labels say and no grant reaches stands in [`Runbook::unfit`], and a
    /// guard refuses it.
    #[must_use]
    pub fn filled_in(&self, labels: &Labels) -> Self {
        let of_label = |name: &str| name.strip_prefix("labels.").map(|label| labels.get(label).to_owned());
        let mut runbook = self.clone();
        for (name, value) in &mut runbook.params {
            let Some(text) = value.as_str() else { continue };
            let chosen = filled(text, of_label);
            if chosen == text {
                continue;
            }
            let reached = |capability: &Capability| self.grants.reach(*capability, &chosen);
            if !Capability::ALL.iter().any(reached) {
                let why = format!("the alert's labels make it {name}={chosen:?}, which no grant reaches");
                runbook.unfit.push(why);
            }
            *value = chosen.into();
        }
        if let Some(text) = &mut runbook.escalate.text {
            *text = filled(text, of_label);
        }
        if let Some(verify) = &mut runbook.verify {
            verify.expr = in_expression(&verify.expr, &runbook.params);
        }
        runbook.guards.only_if = runbook.guards.only_if.map(|text| in_expression(&text, &runbook.params));
        runbook
    }

    /// Its parameters as the journal shows them, and as budgets tell targets apart: `process="web"`.
    pub fn printed_params(&self) -> String {
        let printed: Vec<String> =
            self.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        printed.join(", ")
    }

    /// The escalation text with its parameters filled in.
    pub fn escalation(&self) -> Option<String> {
        Some(filled(self.escalate.text.as_ref()?, |name| self.params.get(name).map(text_of)))
    }

    /// Whether an alert's labels choose any parameter.
    pub fn is_chosen_by_labels(&self) -> bool {
        let texts = self.params.values().filter_map(Value::as_str);
        texts.flat_map(placeholders_in).flatten().any(|(_, name)| name.starts_with("labels."))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_filled_in_text_says_is_found_in_the_text_as_it_is_written(
            parts in proptest::collection::vec(("[a-zé ]{0,4}", "(short|long|other)"), 0..4),
            end in "[a-zé ]{0,4}",
        ) {
            let params = [("short", "1"), ("long", "ninety \" nine")];
            let params: BTreeMap<String, Value> =
                params.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
            let mut written: String =
                parts.iter().map(|(text, name)| [text.as_str(), "${", name, "}"].concat()).collect();
            written.push_str(&end);
            let meant = in_expression(&written, &params);
            prop_assert_eq!(unfilled(&written, &params, 0..meant.len()), 0..written.len());
            // What is not filled in stands there as it is.
            let mut at_meant = 0;
            for (text, name) in &parts {
                let found = unfilled(&written, &params, at_meant..at_meant + text.len());
                prop_assert_eq!(written.get(found), Some(text.as_str()));
                let placeholder = format!("${{{name}}}");
                let value = in_expression(&placeholder, &params);
                at_meant += text.len();
                if params.contains_key(name) {
                    let inside = unfilled(&written, &params, at_meant..at_meant + 1);
                    prop_assert_eq!(written.get(inside), Some(placeholder.as_str()));
                }
                at_meant += value.len();
            }
        }
    }
}
