use super::*;

/// The shipped script, run under the runbook with these parameters, and what it did in its own words.
fn shipped(name: &str, parameters: &str, prepare: impl FnOnce(&mut Paper)) -> (Vec<Action>, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../remediation-scripts").join(name);
    let runbook = RUNBOOK.replace("{ process: web }", parameters).replace("${process}", "it");
    let mut bench = Bench::new(&runbook, &std::fs::read_to_string(path).unwrap());
    prepare(&mut bench.world);
    bench.respond();
    let ended = bench.steps().into_iter().find(|step| step.starts_with("ended: "));
    (bench.world.performed, ended.unwrap())
}

const RESTART_WEB: &str = "restart process web";

fn printed(actions: &[Action]) -> Vec<String> {
    actions.iter().map(ToString::to_string).collect()
}

#[test]
fn restart_process_restarts_and_looks_whether_it_lives() {
    let web = "{ process: web }";
    for gone in [vec![], vec![process(42, 'T')], vec![process(42, 'Z')]] {
        let (actions, ended) = shipped("restart-process.rhai", web, |world| world.processes = gone);
        assert_eq!(
            (printed(&actions), ended.as_str()),
            (vec![RESTART_WEB.to_owned()], "ended: fixed: web runs as process 77")
        );
    }
    let (_, ended) = shipped("restart-process.rhai", web, |world| {
        (world.processes, world.restarts_as) = (vec![], 'Z');
    });
    assert_eq!(ended, "ended: failed: process 77 ended within a moment of its start");
}

#[test]
fn restart_process_does_nothing_when_somebody_was_faster() {
    let (actions, ended) = shipped("restart-process.rhai", "{ process: web }", |_| ());
    assert_eq!((actions.len(), ended.as_str()), (0, "ended: skip: runs already, as process 42"));
    let probed = "{ process: web, probe: up }";
    let (actions, ended) = shipped("restart-process.rhai", probed, |world| world.up_at_once = true);
    assert_eq!(
        (actions.len(), ended.as_str()),
        (0, "ended: skip: runs already, as process 42, and the probe succeeds")
    );
    let (actions, _) = shipped("restart-process.rhai", probed, |_| ());
    assert_eq!(actions.len(), 1, "it runs and does not answer");
    let (actions, _) = shipped("restart-process.rhai", probed, |world| {
        (world.up_at_once, world.processes) = (true, vec![]);
    });
    assert_eq!(actions.len(), 1, "what answered is gone");
}

#[test]
fn restart_hung_process_leaves_evidence_and_restarts() {
    let web = "{ process: web }";
    let hung = |world: &mut Paper| world.processes = vec![process(42, 'T'), process(43, 'S')];
    let (actions, ended) = shipped("restart-hung-process.rhai", web, hung);
    assert_eq!(
        printed(&actions),
        [
            "send ABRT to process 42 (started at tick 7)",
            "send ABRT to process 43 (started at tick 7)",
            RESTART_WEB
        ]
    );
    assert_eq!(ended, "ended: fixed: web runs as process 77");
}

#[test]
fn restart_hung_process_restarts_even_if_the_signal_is_refused_and_leaves_a_process_in_d_alone() {
    let web = "{ process: web, signal: KILL }";
    let (actions, _) = shipped("restart-hung-process.rhai", web, |world| {
        world.failures.push_back(Some(ActionError::Refused { reason: "no".to_owned() }));
    });
    assert_eq!(printed(&actions).last().unwrap(), RESTART_WEB);
    let (actions, ended) =
        shipped("restart-hung-process.rhai", web, |world| world.processes = vec![process(42, 'D')]);
    assert!(actions.is_empty() && ended.contains("waits for a device"), "{ended}");
}

#[test]
fn free_spool_deletes_down_to_nine_tenths_of_the_limit_and_no_further() {
    let parameters = "{ directory: /var/spool/web, limit_bytes: 1000000 }";
    let (actions, ended) = shipped("free-spool.rhai", parameters, |world| world.usage.set(1_500_000));
    assert_eq!(printed(&actions), ["remove files older than 1m under /var/spool/web, at most 585.9 KiB"]);
    assert_eq!(ended, "ended: fixed: 3 files deleted, 600000 bytes freed");
    for usage in [900_000, 1_000_000] {
        let (actions, ended) = shipped("free-spool.rhai", parameters, |world| world.usage.set(usage));
        let expected = format!("ended: skip: {usage} bytes, not above the limit");
        assert_eq!((actions.len(), ended), (0, expected));
    }
}

#[test]
fn free_spool_deletes_nothing_from_a_directory_that_has_shrunk_since_the_precheck() {
    let parameters = "{ directory: /var/spool/web, limit_bytes: 1000000 }";
    for shrunk in [0, 100, 1_000_000] {
        let (actions, ended) = shipped("free-spool.rhai", parameters, |world| {
            world.usage.set(1_500_000);
            world.shrinks_to.set(Some(shrunk));
        });
        let expected = format!("ended: skip: {shrunk} bytes, somebody else has made room");
        assert_eq!((actions.len(), ended), (0, expected));
    }
}
