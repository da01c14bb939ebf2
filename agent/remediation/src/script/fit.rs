//! Whether a script and a runbook that uses it are made for each other.
//!
//! A parameter that an alert's label fills in is not known before the alert; what it makes unknown is left to the run, which
//! looks again.

use documents::{Problem, nearest};

use super::Script;
use crate::header::{Header, ParamProblem, Params, covers, is_open};
use crate::runbook::{Escalation, Part, Runbook, Verify};

/// See [`Script::fit`].
pub(super) fn fit(header: &Header, runbook: &Runbook) -> Result<Runbook, String> {
    let params = header
        .bind(&runbook.params)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let grants = runbook.grants.narrowed(&header.needs(&params));
    let timeout = header.timeout.map_or(runbook.timeout, |most| most.min(runbook.timeout));
    if runbook.verify.is_none() {
        return Err("neither the runbook nor its script says how one knows that it helped".to_owned());
    }
    let text = runbook.escalation().or_else(|| header.escalation(&params));
    let escalate = Escalation { text, ..runbook.escalate.clone() };
    Ok(Runbook { params, grants, timeout, escalate, ..runbook.clone() })
}

/// Everything about a runbook that its script is not made for, and the other way round: at its place in the runbook, which
/// is what its author can change.
pub(super) fn misfits(script: &Script, runbook: &Runbook) -> Vec<Problem> {
    let mut misfits = Misfits { header: &script.header, runbook, problems: Vec::new() };
    match bind(&script.header, &runbook.params) {
        Ok(params) => {
            misfits.grants(&params);
            misfits.verify();
        }
        Err(problems) => {
            for ParamProblem { name, message } in &problems {
                let known = script.header.params.contains_key(name);
                misfits.add(if known { Part::Param(name) } else { Part::ParamName(name) }, message.clone());
            }
        }
    }
    misfits.problems
}

/// How one knows that a run of the runbook helped, as the script's header has it; what a label fills in stays open. None if
/// the header does not say, or the parameters are not those of the script.
pub(super) fn verify(header: &Header, runbook: &Runbook) -> Option<Result<Verify, String>> {
    let mut params = bind(header, &runbook.params).ok()?;
    for (name, value) in &mut params {
        if value.as_str().is_some_and(is_open) {
            *value = format!("${{{name}}}").into();
        }
    }
    header.verify(&params)
}

/// The parameters, with those that a label fills in as they are written.
fn bind(header: &Header, handed: &Params) -> Result<Params, Vec<ParamProblem>> {
    let open = |value: &serde_json::Value| value.as_str().is_some_and(is_open);
    let tried = handed.iter().map(|(name, value)| {
        let example = header.params.get(name).filter(|_| open(value)).map(|param| param.kind.example());
        (name.clone(), example.unwrap_or_else(|| value.clone()))
    });
    let mut params = header.bind(&tried.collect())?;
    params.extend(
        handed.iter().filter(|(_, value)| open(value)).map(|(name, value)| (name.clone(), value.clone())),
    );
    Ok(params)
}

struct Misfits<'a> {
    header: &'a Header,
    runbook: &'a Runbook,
    problems: Vec<Problem>,
}

impl Misfits<'_> {
    fn add(&mut self, part: Part<'_>, message: String) -> &mut Problem {
        self.problems.push(self.runbook.written.problem(part, message));
        self.problems.last_mut().expect("it was just pushed")
    }

    /// One of the two must say how one knows that it helped.
    fn verify(&mut self) {
        match (&self.runbook.verify, verify(self.header, self.runbook)) {
            (Some(_), _) | (None, Some(Ok(_))) => {}
            (None, Some(Err(error))) => {
                self.add(Part::Script, format!("its header's `verify` cannot be filled in: {error}"));
            }
            (None, None) => {
                let hint = "add `verify: { expr: .. }` to the runbook, or `//! verify: { promql: .. }` to the script";
                let message = "neither it nor its script says how one knows that it helped";
                self.add(Part::Name, message.to_owned()).hint = Some(hint.to_owned());
            }
        }
    }

    fn grants(&mut self, params: &Params) {
        let (needs, runbook) = (self.header.needs(params), self.runbook);
        for (capability, needed) in needs.iter() {
            let name = capability.name();
            if !runbook.grants.has(capability) {
                let message = format!("it does not grant `{name}`, which its script needs");
                let example = if is_open(needed) || needed == "*" { ".." } else { needed };
                self.add(Part::Name, message).hint = Some(format!("add grants: {{ {name}: [{example}] }}"));
            } else if !is_open(needed) && needed != "*" && !runbook.grants.reach(capability, needed) {
                let granted: Vec<&str> = runbook.grants.targets(capability).collect();
                let meant =
                    nearest(needed, granted).map(|meant| format!("did you mean it in place of {meant:?}?"));
                let message = format!("this does not reach {needed:?}, which its script needs");
                self.add(Part::Grant(capability), message).hint = meant;
            }
        }
        for (capability, granted) in runbook.grants.iter() {
            let (name, kind) = (capability.name(), capability.targets());
            let within = |needed: &str| {
                is_open(needed) || covers(kind, needed, granted) || covers(kind, granted, needed)
            };
            if !needs.targets(capability).any(within) {
                let message = format!("its script does not need `{name}` on {granted:?}");
                self.add(Part::Target(capability, granted), message);
            }
        }
    }
}
