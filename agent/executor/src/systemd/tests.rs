use std::sync::Arc;

use super::*;
use played::{Play, with_systemd};

mod played;

const WITHIN: Duration = Duration::from_secs(20);

/// Plays systemd, and returns what became of a restart that is permitted.
fn restart(play: &Play, within: Duration) -> Result<Outcome, ActionError> {
    restart_if(play, within, || Ok(()))
}

fn restart_if(
    play: &Play,
    within: Duration,
    permit: impl FnOnce() -> Result<(), ActionError>,
) -> Result<Outcome, ActionError> {
    let unit = "web.service".parse().unwrap();
    with_systemd(play, 1, |systemd| systemd.perform(UnitVerb::Restart, &unit, within, permit))
}

fn perform(play: &Play, verb: UnitVerb) -> Result<Outcome, ActionError> {
    let unit = "web.service".parse().unwrap();
    with_systemd(play, 1, |systemd| systemd.perform(verb, &unit, WITHIN, || Ok(())))
}

fn error(play: &Play, within: Duration) -> String {
    telemetry::with_causes(&restart(play, within).unwrap_err())
}

#[test]
fn a_restart_says_how_the_service_was_and_is() {
    let play = Play::default();
    let outcome = restart(&play, WITHIN).unwrap();
    assert_eq!(
        outcome.to_string(),
        "restarted web.service: it was failed (failed) and is active (running) as process 43"
    );
    assert_eq!(*play.asked.lock().unwrap(), [("web.service".to_owned(), "fail".to_owned())]);
}

#[test]
fn a_stop_that_a_person_has_asked_for_is_not_cancelled() {
    let play = Play { stopping: true, ..Play::default() };
    let said = error(&play, WITHIN);
    assert!(
        said.starts_with("refused: another job is under way that a restart of web.service would cancel"),
        "{said}"
    );
    assert!(play.asked.lock().unwrap().is_empty());
}

#[test]
fn nothing_is_spent_on_a_unit_that_systemd_would_not_restart_and_nothing_done_unspent() {
    let count = std::cell::Cell::new(0);
    let spend = || {
        count.set(count.get() + 1);
        Err(ActionError::refused("its budget is used up"))
    };
    for (load, expected) in [("not-found", 0), ("masked", 0), ("loaded", 1)] {
        let play = Play { load, ..Play::default() };
        assert!(matches!(restart_if(&play, WITHIN, spend), Err(ActionError::Refused { .. })));
        assert_eq!(count.get(), expected, "{load}");
        assert!(play.asked.lock().unwrap().is_empty());
    }
}

#[test]
fn a_systemd_that_hangs_after_the_restart_is_not_waited_for() {
    assert_eq!(
        error(&Play { result: "failed", hangs: true, ..Play::default() }, WITHIN),
        "looking at web.service, which systemd has restarted, failed: it has taken longer than 1s"
    );
}

#[test]
fn a_restart_that_fails_says_what_systemd_says() {
    assert_eq!(
        error(&Play { result: "failed", ..Play::default() }, WITHIN),
        "restarting web.service failed: systemd's job ended with `failed`, the service with `exit-code`; it is failed \
         (failed); see `journalctl -u web.service`"
    );
    let refusal = Some("Operation refused, unit web.service may be requested by dependency only.");
    let said = error(&Play { refusal, ..Play::default() }, WITHIN);
    assert!(
        said.starts_with("restarting web.service failed: ") && said.contains("by dependency only"),
        "{said}"
    );
    let said = error(&Play { load: "refused", ..Play::default() }, WITHIN);
    assert!(
        said.contains("asking systemd about web.service failed: ") && said.contains("none of yours"),
        "{said}"
    );
}

#[test]
fn what_must_not_be_restarted_is_not_asked_for() {
    let alias = vec!["web.service".to_owned(), "dbus-org.freedesktop.network1.service".to_owned()];
    for (play, expected) in [
        (
            Play { load: "not-found", ..Play::default() },
            "systemd knows no web.service; correct the name under `units`",
        ),
        (Play { load: "masked", ..Play::default() }, "`systemctl unmask web.service` allows it again"),
        (Play { names: alias, ..Play::default() }, "dbus-org.freedesktop.network1.service is never touched"),
    ] {
        let said = error(&play, WITHIN);
        assert!(said.starts_with("refused: ") && said.contains(expected), "{said}");
        assert!(play.asked.lock().unwrap().is_empty());
    }
}

#[test]
fn a_restart_that_does_not_end_is_waited_for_no_longer_than_its_time() {
    assert_eq!(
        error(&Play { result: "", ..Play::default() }, Duration::from_millis(200)),
        "restarting web.service (systemd goes on with it; `systemctl list-jobs` shows how far it is) failed: it has \
         taken longer than 200ms"
    );
}

#[test]
fn a_systemd_that_hangs_up_does_not_leave_anybody_waiting() {
    let said = error(&Play { result: "", hangs_up: true, ..Play::default() }, WITHIN);
    assert!(said.starts_with("restarting web.service failed: "), "{said}");
}

#[test]
fn each_verb_asks_for_what_it_is_called_and_says_how_the_service_was_and_is() {
    let up = Play { state: ("active", "running", 43), ..Play::default() };
    let reset = Play { result: "reset", ..Play::default() };
    for (verb, play, asked, said) in [
        (
            UnitVerb::Start,
            Play::default(),
            ("start", "web.service fail"),
            "started web.service: it was failed (failed) and is active (running) as process 44",
        ),
        (
            UnitVerb::Stop,
            up.clone(),
            ("stop", "web.service fail"),
            "stopped web.service: it was active (running) as process 43 and is inactive (dead)",
        ),
        (
            UnitVerb::Reload,
            up.clone(),
            ("reload", "web.service fail"),
            "reloaded web.service: it was active (running) as process 43 and is active (running) as process 43",
        ),
        (
            UnitVerb::ResetFailed,
            reset,
            ("reset", "web.service"),
            "forgot the failure of web.service: it was failed (failed) and is inactive (dead)",
        ),
        (
            UnitVerb::Freeze,
            up.clone(),
            ("freeze", "web.service "),
            "froze web.service: it was active (running) as process 43 and is active (frozen) as process 43",
        ),
        (
            UnitVerb::Thaw,
            Play { freezer: "frozen", ..up },
            ("thaw", "web.service "),
            "thawed web.service: it was active (frozen) as process 43 and is active (running) as process 43",
        ),
    ] {
        let play = Play { asked: Arc::default(), ..play };
        assert_eq!(perform(&play, verb).unwrap().to_string(), said);
        let (method, what) = asked;
        assert_eq!(*play.asked.lock().unwrap(), [(method.to_owned(), what.to_owned())]);
    }
}

#[test]
fn what_would_stop_a_protected_unit_too_is_refused() {
    let needed =
        Play { required_by: vec!["app.target".to_owned(), "ssh.service".to_owned()], ..Play::default() };
    let rival = Play { conflicts: vec!["dbus.socket".to_owned()], ..Play::default() };
    for (verb, play, expected) in [
        (UnitVerb::Stop, &needed, Some("a stop of web.service would stop ssh.service too")),
        (UnitVerb::Restart, &needed, Some("a restart of web.service would stop ssh.service too")),
        (UnitVerb::Start, &needed, None),
        (UnitVerb::Start, &rival, Some("a start of web.service would stop dbus.socket too")),
        (UnitVerb::Stop, &rival, None),
    ] {
        play.asked.lock().unwrap().clear();
        let result = perform(play, verb).map_err(|error| error.to_string());
        assert_eq!(result.is_ok(), expected.is_none(), "{verb:?}: {result:?}");
        if let Some(expected) = expected {
            assert!(result.unwrap_err().contains(expected));
            assert!(play.asked.lock().unwrap().is_empty());
        }
    }
}

#[test]
fn a_service_that_knows_no_reload_is_not_asked_for_one() {
    let said = perform(&Play::default(), UnitVerb::Reload).unwrap_err().to_string();
    assert!(said.starts_with("refused: systemd cannot reload web.service"), "{said}");
}

#[test]
fn limits_are_read_and_set_for_this_boot_only() {
    let play = Play::default();
    let unit = "web.service".parse().unwrap();
    let wanted = LimitProperties(vec![("MemoryMax".to_owned(), 1 << 30)]);
    let (before, after) = with_systemd(&play, 3, |systemd| {
        let before = systemd.limits(&unit, &wanted).unwrap();
        systemd.set_limits(&unit, &wanted).unwrap();
        (before, systemd.limits(&unit, &wanted).unwrap())
    });
    assert_eq!(before.0, LimitProperties(vec![("MemoryMax".to_owned(), u64::MAX)]));
    assert_eq!(before.1, "/system.slice/web.service");
    assert_eq!(after.0, wanted);
    assert_eq!(*play.asked.lock().unwrap(), [("MemoryMax true".to_owned(), "web.service".to_owned())]);
}

#[test]
fn without_systemd_the_error_says_where_it_was_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    let private = directory.path().join("private");
    let bus = Some("unix:path=/nowhere/at/all");
    let systemd = Systemd { private: private.clone(), bus, answer_within: WITHIN };
    let error =
        systemd.perform(UnitVerb::Restart, &"web.service".parse().unwrap(), WITHIN, || Ok(())).unwrap_err();
    let said = telemetry::with_causes(&error);
    let expected =
        format!("connecting to systemd at {} (is it this host's PID 1?) failed: ", private.display());
    assert!(said.starts_with(&expected) && said.contains("; and over the system bus: "), "{said}");
}
