//! What a webhook is told: Alertmanager's message, version 4, one for each name of alerts, and signed.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use sha2::{Digest, Sha256};
use telemetry::Timestamp;

use crate::externals::Externals;
use crate::notice::Notice;

/// Alerts in one message at most; the others are counted in it, and told in the next.
pub(crate) const LARGEST_MESSAGE: usize = 256;

/// The header with the signature: `t=SECONDS,v1=HEX`.
pub const SIGNATURE: HeaderName = HeaderName::from_static("x-hostmend-signature");

/// What Alertmanager gives as the end of an alert that has none.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// SHA-256 works on blocks of so many bytes.
const BLOCK: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: Vec<ToldAlert<'a>>,
    group_labels: BTreeMap<&'a str, &'a str>,
    common_labels: BTreeMap<&'a str, &'a str>,
    common_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldAlert<'a> {
    status: &'static str,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

/// The message that tells `receiver` of these alerts of one name, besides which there are `truncated` more.
pub(crate) fn body(
    receiver: &str,
    notices: &[Arc<Notice>],
    truncated: usize,
    externals: &Externals,
) -> Vec<u8> {
    let labels: Vec<_> = notices.iter().map(|notice| externals.labels_of(notice)).collect();
    let annotations = notices.iter().map(|notice| texts(&notice.annotations));
    let group_labels = group_labels(notices, externals);
    let message = Message {
        receiver,
        status: status(notices.iter().any(|notice| notice.fires())),
        alerts: notices.iter().map(|notice| told(notice, externals)).collect(),
        common_labels: common(labels.iter().cloned()),
        common_annotations: common(annotations),
        external_url: &externals.url,
        version: "4",
        group_key: format!("{{}}:{{{}}}", spelled(&group_labels)),
        group_labels,
        truncated_alerts: truncated,
    };
    serde_json::to_vec(&message).expect("its keys are texts")
}

/// The headers that prove that who knows `secret` sent `body` at `now`.
pub(crate) fn signed(secret: &str, body: &[u8], now: Timestamp) -> HeaderMap {
    let seconds = now.as_millis().div_euclid(1_000);
    let mac = hmac_sha256(secret.as_bytes(), &[format!("{seconds}.").as_bytes(), body]);
    let value = format!("t={seconds},v1={}", hex(&mac));
    let value = HeaderValue::try_from(value).expect("digits and letters");
    HeaderMap::from_iter([(SIGNATURE, value)])
}

const fn status(fires: bool) -> &'static str {
    if fires { "firing" } else { "resolved" }
}

fn told<'a>(notice: &'a Notice, externals: &'a Externals) -> ToldAlert<'a> {
    let labels = externals.labels_of(notice);
    ToldAlert {
        status: status(notice.fires()),
        fingerprint: fingerprint(&labels),
        labels,
        annotations: &notice.annotations,
        starts_at: notice.fired_at.to_string(),
        ends_at: notice.resolved_at.map_or_else(|| NO_END.to_owned(), |at| at.to_string()),
        generator_url: externals.link(notice).unwrap_or_default(),
    }
}

fn texts(map: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// The name of the alerts and, so that hosts are told apart, what all alerts of this host have.
fn group_labels<'a>(notices: &'a [Arc<Notice>], externals: &'a Externals) -> BTreeMap<&'a str, &'a str> {
    let name = notices.first().map_or("", |notice| notice.name());
    externals.labels.iter().chain([("alertname", name)]).collect()
}

/// As Go quotes them, and Alertmanager with it.
fn spelled(labels: &BTreeMap<&str, &str>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    pairs.join(", ")
}

/// What all have, with the same value.
fn common<'a>(mut maps: impl Iterator<Item = BTreeMap<&'a str, &'a str>>) -> BTreeMap<&'a str, &'a str> {
    let Some(mut common) = maps.next() else { return BTreeMap::new() };
    for map in maps {
        common.retain(|key, value| map.get(key) == Some(value));
    }
    common
}

/// By which Alertmanager knows an alert: FNV-1a of its labels, each name and value followed by a byte that is no text.
fn fingerprint(labels: &BTreeMap<&str, &str>) -> String {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x100_0000_01b3;
    let pairs = labels.iter().flat_map(|(name, value)| [name, value]);
    let bytes = pairs.flat_map(|text| text.bytes().chain([0xff]));
    let hash = bytes.fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}

/// RFC 2104.
fn hmac_sha256(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    let short: [u8; 32];
    let key = if key.len() > BLOCK {
        short = Sha256::digest(key).into();
        short.as_slice()
    } else {
        key
    };
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte = *key);
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = message.iter().fold(Sha256::new_with_prefix(padded(0x36)), Digest::chain_update);
    Sha256::new_with_prefix(padded(0x5c)).chain_update(inner.finalize()).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::tests::{externals, notice};

    #[test]
    fn a_message_is_told_as_alertmanager_does() {
        let resolved = Notice {
            labels: [("alertname", "DiskFull"), ("path", "/srv")].into_iter().collect(),
            resolved_at: Some(Timestamp::from_secs(1_700_000_060)),
            ..notice()
        };
        let told = body("chat", &[Arc::new(notice()), Arc::new(resolved)], 3, &externals());
        let link = "https://web-01.example/hostmend/graph?g0.expr=up%7Bjob%3D%22a+b%22%7D+%3D%3D+0&g0.tab=1";
        let expected = serde_json::json!({
            "version": "4",
            "groupKey": r#"{}:{alertname="DiskFull", host="web-01", region="eu"}"#,
            "truncatedAlerts": 3,
            "status": "firing",
            "receiver": "chat",
            "groupLabels": { "alertname": "DiskFull", "host": "web-01", "region": "eu" },
            "commonLabels": { "alertname": "DiskFull", "region": "eu" },
            "commonAnnotations": { "summary": "full" },
            "externalURL": "https://web-01.example/hostmend/",
            "alerts": [
                {
                    "status": "firing",
                    "labels": { "alertname": "DiskFull", "host": "own", "path": "/a \"b\"", "region": "eu" },
                    "annotations": { "summary": "full" },
                    "startsAt": "2023-11-14T22:13:20.000Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": link,
                    "fingerprint": fingerprint(&externals().labels_of(&notice())),
                },
                {
                    "status": "resolved",
                    "labels": { "alertname": "DiskFull", "host": "web-01", "path": "/srv", "region": "eu" },
                    "annotations": { "summary": "full" },
                    "startsAt": "2023-11-14T22:13:20.000Z",
                    "endsAt": "2023-11-14T22:14:20.000Z",
                    "generatorURL": link,
                    "fingerprint": "07da1d5128fa065d",
                },
            ],
        });
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told, expected, "{told:#}");
    }

    #[test]
    fn a_fingerprint_is_that_of_prometheus() {
        // prometheus/common/model, signature_test.go: labelSetToFingerprint of these.
        assert_eq!(fingerprint(&BTreeMap::new()), format!("{:016x}", 14_695_981_039_346_656_037_u64));
        let labels = BTreeMap::from([("name", "garland, briggs"), ("fear", "love is not enough")]);
        assert_eq!(fingerprint(&labels), format!("{:016x}", 5_799_056_148_416_392_346_u64));
    }

    #[test]
    fn the_signature_is_the_hmac_of_time_and_body() {
        // RFC 4231, cases 2 and 6.
        let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let mac = hmac_sha256(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        assert_eq!(hex(&mac), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        let headers = signed("secret", b"{}", Timestamp::from_secs(1_700_000_000));
        // As the snippet in docs/notifying.md computes it.
        let expected = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(headers[SIGNATURE], format!("t=1700000000,v1={expected}"));
    }
}
