//! A script that is swapped again and again between its check and its run: what was checked and hashed is what runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use documents::{Document, Trust};
use remediation::{Runbook, load_scripts};
use sha2::{Digest, Sha256};

const ROUNDS: usize = 1000;

const HEADER: &str = "//! summary: Restarts it\n//! params: { process: { type: string } }\n\
                      //! needs: { process.restart: [\"${process}\"] }\n//! risk: low\n//! timeout: 10s\n";

const RUNBOOK: &str = "runbooks:\n- name: x\n  matchers: ['alertname=\"A\"']\n  script: s.rhai\n  params: { process: web }\n  \
                       grants: { process.restart: [web] }\n  verify: { expr: up, within: 1s, settle: 0s }\n";

fn hash(text: &str) -> String {
    let bytes: Vec<String> =
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

/// Two scripts take turns under one name, by rename and by writing in place, while the agent loads what is there a
/// thousand times: it gets one of the two, whole, with that one's hash, or an error; never a mixture.
#[test]
fn a_script_that_is_swapped_a_thousand_times_is_loaded_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let good =
        format!("{HEADER}fn remediate(ctx) {{ proc::restart(ctx.params.process); fixed(\"good\") }}\n");
    let evil = format!("{HEADER}fn remediate(ctx) {{ unit::stop(\"sshd.service\"); fixed(\"evil\") }}\n");
    let hashes = BTreeMap::from([(hash(&good), "good"), (hash(&evil), "evil")]);
    let mut runbooks = Runbook::read(&Document::from_text(Path::new("r.yaml"), RUNBOOK)).unwrap();
    std::fs::write(at("s.rhai"), &good).unwrap();
    let ended = AtomicBool::new(false);
    let (mut loaded, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0_usize.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let text = if round.is_multiple_of(2) { &evil } else { &good };
                if round.is_multiple_of(3) {
                    std::fs::write(at("s.rhai"), text).unwrap();
                } else {
                    std::fs::write(at("new"), text).unwrap();
                    std::fs::rename(at("new"), at("s.rhai")).unwrap();
                }
            }
        });
        for _ in 0..ROUNDS {
            match load_scripts(&mut runbooks, directory.path(), Trust::invoking_user()) {
                Ok((scripts, _)) => {
                    let script = scripts.get("s.rhai").unwrap();
                    // The one that stops sshd does not pass the check, so it is never what was loaded.
                    assert_eq!(hashes.get(script.sha256()), Some(&"good"));
                    loaded += 1;
                }
                Err(_) => refused += 1,
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert!(loaded > ROUNDS / 10 && refused > ROUNDS / 10, "{loaded} loaded, {refused} refused");
}
