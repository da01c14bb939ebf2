//! The parameters of a question: after `?`, or as a form in the body, where they come first.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use telemetry::{Timestamp, parse_duration};

use super::Question;
use super::failure::Failure;
use crate::moment::rfc_3339;

/// Parameters of one question. A dashboard sends about five, and a few selectors.
const MAX_PARAMETERS: usize = 100;

const FORM: &str = "application/x-www-form-urlencoded";

/// The earliest and the latest time, as clients of Prometheus spell them.
const EARLIEST: &str = "-292273086-05-16T16:47:06Z";
const LATEST: &str = "292277025-08-18T07:12:54.999999999Z";

/// Names and values in the order in which they count.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// # Errors
    ///
    /// The body is no form, or one of the texts is not encoded as it should be, or there are too many.
    pub(super) fn read(question: &Question) -> Result<Self, Failure> {
        let media = question.content_type.split(';').next().unwrap_or_default().trim();
        let body = if question.body.is_empty() {
            ""
        } else if media.eq_ignore_ascii_case(FORM) {
            str::from_utf8(&question.body)
                .map_err(|_| Failure::bad("error parsing form values: not UTF-8"))?
        } else {
            return Err(Failure::bad(format!(
                "error parsing form values: the body is {media:?}, not {FORM}"
            )));
        };
        let mut pairs = Vec::new();
        for text in [body, &question.query] {
            for pair in text.split('&').filter(|pair| !pair.is_empty()) {
                if pairs.len() >= MAX_PARAMETERS {
                    return Err(Failure::bad(format!("there are more than {MAX_PARAMETERS} parameters")));
                }
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                pairs.push((decode(name)?, decode(value)?));
            }
        }
        Ok(Self(pairs))
    }

    /// The first value of a name; nothing if there is none.
    pub(super) fn first(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// All values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A time, in seconds since the epoch or as RFC 3339, to the millisecond; `otherwise` if there is none.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub(super) fn time(&self, name: &str, otherwise: Timestamp) -> Result<Timestamp, Failure> {
        match self.first(name) {
            "" => Ok(Timestamp::from_millis(otherwise.as_millis())),
            text => time(text).ok_or_else(|| {
                Failure::parameter(name, &format!("cannot parse {text:?} to a valid timestamp"))
            }),
        }
    }

    /// A time that must be there.
    ///
    /// # Errors
    ///
    /// It is not, or is none.
    pub(super) fn needed_time(&self, name: &str) -> Result<Timestamp, Failure> {
        time(self.first(name)).ok_or_else(|| {
            Failure::parameter(name, &format!("cannot parse {:?} to a valid timestamp", self.first(name)))
        })
    }

    /// A duration, in seconds or as in `5m`, in whole milliseconds.
    ///
    /// # Errors
    ///
    /// It is neither, or is not there.
    pub(super) fn duration(&self, name: &str) -> Result<i64, Failure> {
        let text = self.first(name);
        duration(text)
            .ok_or_else(|| Failure::parameter(name, &format!("cannot parse {text:?} to a valid duration")))
    }

    /// How long the answer may take: as long as the parameter says, and at most `most`.
    ///
    /// # Errors
    ///
    /// It is no duration.
    pub(super) fn timeout(&self, name: &str, most: Duration) -> Result<Duration, Failure> {
        if self.first(name).is_empty() {
            return Ok(most);
        }
        let millis = u64::try_from(self.duration(name)?).unwrap_or(0);
        Ok(Duration::from_millis(millis).min(most))
    }

    /// How many at most; as many as there are if there is none or it is 0.
    ///
    /// # Errors
    ///
    /// It is no whole number.
    pub(super) fn limit(&self, name: &str) -> Result<Option<usize>, Failure> {
        let text = self.first(name);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<i64>() {
            Ok(limit) if limit >= 0 => Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0)),
            Ok(_) => Err(Failure::parameter(name, "limit must be non-negative")),
            Err(_) => Err(Failure::parameter(name, &format!("cannot parse {text:?} to a valid limit"))),
        }
    }
}

fn decode(text: &str) -> Result<String, Failure> {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let bad = bytes.iter().enumerate().find(|(at, byte)| **byte == b'%' && !(hex(at + 1) && hex(at + 2)));
    if let Some((at, _)) = bad {
        let found: String = text.get(at..).unwrap_or_default().chars().take(3).collect();
        return Err(Failure::bad(format!("error parsing form values: invalid URL escape {found:?}")));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    Ok(decoded.map_err(|_| Failure::bad("error parsing form values: not UTF-8"))?.into_owned())
}

fn time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        return millis(seconds).map(Timestamp::from_millis);
    }
    match text {
        EARLIEST => Some(Timestamp::from_millis(i64::MIN)),
        LATEST => Some(Timestamp::from_millis(i64::MAX)),
        _ => rfc_3339(text).map(|at| Timestamp::from_millis(at.as_millis())),
    }
}

/// Negative ones are durations too; what asks for them says what it makes of them.
fn duration(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) => millis(seconds),
        Err(_) => i64::try_from(parse_duration(text).ok()?.as_millis()).ok(),
    }
}

/// Seconds that 64 bits of nanoseconds hold, in milliseconds.
fn millis(seconds: f64) -> Option<i64> {
    let most = i64::MAX as f64 / 1e9;
    (seconds.abs() < most).then(|| (seconds * 1_000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str, body: &str) -> Result<Parameters, String> {
        let (query, body) = (query.to_owned(), body.to_owned().into());
        let question =
            Question { query, body, content_type: format!("{FORM}; charset=UTF-8"), ..Question::default() };
        Parameters::read(&question).map_err(|failure| failure.text)
    }

    #[test]
    fn what_stands_in_the_body_comes_first() {
        let parameters =
            read("query=up&match[]=a&empty", "query=1%20%2B+1&match%5B%5D=%7Bb%3D%22c%22%7D").unwrap();
        assert_eq!(parameters.first("query"), "1 + 1");
        assert_eq!(parameters.all("match[]").collect::<Vec<_>>(), ["{b=\"c\"}", "a"]);
        assert_eq!((parameters.first("empty"), parameters.first("none")), ("", ""));
    }

    #[test]
    fn what_is_no_form_is_refused_with_the_reason() {
        for (query, expected) in [
            ("a=%zz", "invalid URL escape \"%zz\""),
            ("a=%4", "invalid URL escape \"%4\""),
            ("a=%é", "invalid URL escape \"%é\""),
            ("a=%ff", "not UTF-8"),
            (&"a=1&".repeat(MAX_PARAMETERS + 1), "more than 100 parameters"),
        ] {
            let error = read(query, "").unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let question =
            Question { body: "{}".into(), content_type: "application/json".into(), ..Question::default() };
        assert!(Parameters::read(&question).unwrap_err().text.contains("application/json"));
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, millis) in [
            ("12.3456", Some(12_346)),
            ("1795296430.547", Some(1_795_296_430_547)),
            ("-5.25", Some(-5_250)),
            ("1e3", Some(1_000_000)),
            ("1970-01-01T00:00:05.5Z", Some(5_500)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            (EARLIEST, Some(Timestamp::from_millis(i64::MIN).as_millis())),
            (LATEST, Some(Timestamp::from_millis(i64::MAX).as_millis())),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("yesterday", None),
            ("1970-01-01", None),
        ] {
            assert_eq!(time(text).map(Timestamp::as_millis), millis, "{text}");
        }
        let error = read("time=abc", "").unwrap().time("time", Timestamp::EPOCH).unwrap_err();
        assert_eq!(error.text, r#"invalid parameter "time": cannot parse "abc" to a valid timestamp"#);
    }

    #[test]
    fn durations_are_seconds_or_spelled_with_units() {
        for (text, millis) in [
            ("15", Some(15_000)),
            ("0.25", Some(250)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("-1", Some(-1_000)),
            ("0", Some(0)),
            ("", None),
            ("5 min", None),
            ("1ns", None),
            ("1e300", None),
        ] {
            assert_eq!(duration(text), millis, "{text}");
        }
        let parameters = read("timeout=2s&long=3h&past=-4", "").unwrap();
        let most = Duration::from_secs(30);
        let [given, long, none, past] =
            ["timeout", "long", "none", "past"].map(|name| parameters.timeout(name, most).unwrap());
        assert_eq!([given, long, none, past], [Duration::from_secs(2), most, most, Duration::ZERO]);
    }

    #[test]
    fn a_limit_of_0_is_none() {
        let parameters = read("a=7&b=0&c=-1&d=x", "").unwrap();
        let limit = |name| parameters.limit(name).map_err(|failure| failure.text);
        assert_eq!((limit("a"), limit("b"), limit("none")), (Ok(Some(7)), Ok(None), Ok(None)));
        assert!(limit("c").unwrap_err().contains("non-negative") && limit("d").is_err());
    }

    proptest! {
        #[test]
        fn no_question_makes_reading_panic(query in "(%[0-9a-zA-Z]{0,2}|[a-z\\[\\]=&+.;-]|\\PC){0,60}", body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let question = Question { query, body: body.into(), content_type: FORM.into(), ..Question::default() };
            if let Ok(parameters) = Parameters::read(&question) {
                for (name, _) in &parameters.0 {
                    let _ = (parameters.time(name, Timestamp::EPOCH), parameters.duration(name), parameters.limit(name));
                    let _ = parameters.timeout(name, Duration::from_secs(1));
                }
            }
        }

        #[test]
        fn what_a_client_encodes_is_what_is_read(name in "\\PC{1,20}", value in "\\PC{0,40}") {
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            let query = format!("{}={}", encode(&name), encode(&value));
            let parameters = read(&query, "").unwrap();
            prop_assert_eq!(parameters.first(&name), value);
        }

        #[test]
        fn a_time_that_was_answered_can_be_asked_for(millis in -1_i64 << 43..1 << 43) {
            let text = format!("{}", millis as f64 / 1_000.0);
            prop_assert_eq!(time(&text).map(Timestamp::as_millis), Some(millis));
        }
    }
}
