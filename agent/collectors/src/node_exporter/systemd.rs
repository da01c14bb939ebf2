//! Services as `node_exporter`'s collector `systemd` names them: off by default there, in published rules all the same.
//!
//! The collector of the states of services tells them, which asks systemd; this knows only the names.

use telemetry::{MetricSpec, SampleBuffer, Timestamp, Value};

use super::rows::{counter, from, gauge};

/// States and restarts.
pub(crate) static SYSTEMD: [MetricSpec; 2] = from(
    "D-Bus: org.freedesktop.systemd1",
    [
        gauge(
            "node_systemd_unit_state",
            &["name", "state", "type"],
            "1 for the state in which a service is.",
        ),
        counter("node_systemd_service_restart_total", &["name"], "How often systemd restarted a service."),
    ],
);

const STATES: [&str; 5] = ["activating", "active", "deactivating", "failed", "inactive"];

/// Tells of services: name, state and restarts of each.
pub(crate) fn tell_services<'a>(
    services: impl Iterator<Item = (&'a str, &'a str, Option<u32>)>,
    measured: Timestamp,
    out: &mut SampleBuffer,
) {
    let [unit_state, restart] = &SYSTEMD;
    if !out.takes(unit_state) && !out.takes(restart) {
        return;
    }
    out.host();
    out.measured_at(measured);
    for (name, state, restarts) in services {
        for possible in STATES {
            let labels = [Value::Str(name), Value::Str(possible), Value::Absent];
            out.double(unit_state, &labels, f64::from(u8::from(possible == state)));
        }
        if let Some(restarts) = restarts {
            out.double(restart, &[Value::Str(name)], f64::from(restarts));
        }
    }
    out.host();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_in_one_state_at_the_time_for_which_systemd_was_asked() {
        let mut out = SampleBuffer::default();
        out.reset(Timestamp::from_secs(100), Timestamp::EPOCH);
        let services = [("web.service", "failed", Some(3))];
        tell_services(services.into_iter(), Timestamp::from_secs(90), &mut out);
        let text = out.to_text();
        let failed =
            "node_systemd_unit_state{name=\"web.service\",state=\"failed\"} 1 @ 1970-01-01T00:01:30.000Z\n";
        assert!(text.contains(failed) && text.matches(" 1 @").count() == 1, "{text}");
        assert!(text.contains("node_systemd_service_restart_total{name=\"web.service\"} 3 @"), "{text}");
    }
}
