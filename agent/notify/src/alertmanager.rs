//! What an Alertmanager is told: the body of `POST /api/v2/alerts`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use telemetry::Timestamp;

use crate::externals::Externals;
use crate::notice::Notice;

/// Alerts in one request at most, as in Prometheus.
pub(crate) const BATCH: usize = 256;

/// Below the URL of an Alertmanager.
pub const PATH: &str = "/api/v2/alerts";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostableAlert<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

/// The body that tells these alerts at `now`. Times are in order, whatever the clock did.
pub(crate) fn body(notices: &[Arc<Notice>], externals: &Externals, now: Timestamp) -> Vec<u8> {
    let alerts: Vec<PostableAlert<'_>> = notices
        .iter()
        .map(|notice| {
            let starts = notice.fired_at.min(notice.resolved_at.unwrap_or(now)).min(now);
            PostableAlert {
                labels: externals.labels_of(notice),
                annotations: &notice.annotations,
                starts_at: starts.to_string(),
                ends_at: notice.resolved_at.unwrap_or(notice.valid_until).max(starts).to_string(),
                generator_url: externals.link(notice),
            }
        })
        .collect();
    serde_json::to_vec(&alerts).expect("its keys are texts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::tests::{externals, notice};

    fn told(notice: Notice, now: i64) -> String {
        let body = body(&[Arc::new(notice)], &externals(), Timestamp::from_secs(now));
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_firing_alert_is_told_as_the_api_has_it() {
        let expected = r#"[{"labels":{"alertname":"DiskFull","host":"own","path":"/a \"b\"","region":"eu"},"#
            .to_owned()
            + r#""annotations":{"summary":"full"},"startsAt":"2023-11-14T22:13:20.000Z","#
            + r#""endsAt":"2023-11-14T22:17:30.000Z","#
            + r#""generatorURL":"https://web-01.example/hostmend/graph?g0.expr=up%7Bjob%3D%22a+b%22%7D+%3D%3D+0&g0.tab=1"}]"#;
        assert_eq!(told(notice(), 1_700_000_010), expected);
    }

    #[test]
    fn a_resolved_alert_is_told_with_its_end() {
        let resolved = Notice { resolved_at: Some(Timestamp::from_secs(1_700_000_060)), ..notice() };
        let body = told(resolved, 1_700_000_061);
        assert!(body.contains(r#""endsAt":"2023-11-14T22:14:20.000Z""#), "{body}");
    }

    #[test]
    fn no_alert_ends_before_it_starts_though_the_clock_was_set_back() {
        let resolved = Notice { resolved_at: Some(Timestamp::from_secs(1_600_000_000)), ..notice() };
        let body = told(resolved, 1_600_000_001);
        assert!(
            body.contains(r#""startsAt":"2020-09-13T12:26:40.000Z","endsAt":"2020-09-13T12:26:40.000Z""#),
            "{body}"
        );
    }
}
