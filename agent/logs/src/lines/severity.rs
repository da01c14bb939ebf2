//! Words and numbers for severities.
//!
//! `SeverityNumber` by OpenTelemetry's data model, appendix B. `crit` is syslog's (18), `critical` that of Python and .NET,
//! where nothing is above it (21).

use super::options::{RecordOptionsError, RecordSettings};

/// The `SeverityNumber` of an error; what is as grave is never left out.
pub(super) const ERROR: u8 = 17;

/// How long a word can be. What is longer is no severity.
const WORD_BYTES: usize = 32;

/// What the words of one source mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Severities {
    /// In lower case.
    own: Vec<(Box<[u8]>, u8)>,
    syslog: bool,
}

impl Severities {
    pub(super) fn new(settings: &RecordSettings) -> Result<Self, RecordOptionsError> {
        let mut own = Vec::new();
        for (word, number) in &settings.severities {
            if !(1..=24).contains(number) {
                return Err(RecordOptionsError::Severity { word: word.clone(), number: *number });
            }
            own.push((word.to_ascii_lowercase().into_bytes().into(), *number));
        }
        Ok(Self { own, syslog: settings.syslog_severities })
    }

    /// The number of a word, or of a number in decimal.
    pub(super) fn of(&self, word: &[u8]) -> Option<u8> {
        let mut lower = [0; WORD_BYTES];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        if let Some((_, number)) = self.own.iter().find(|(own, _)| **own == *lower) {
            return Some(*number);
        }
        match lower.first()? {
            b'0'..=b'9' => self.of_number(lower),
            _ => of_word(lower),
        }
    }

    fn of_number(&self, digits: &[u8]) -> Option<u8> {
        let number: u8 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        match number {
            0..=7 if self.syslog => of_syslog(number),
            // Pino, Bunyan and Python count in tens.
            10..=69 => Some((number / 10 - 1) * 4 + 1),
            _ => None,
        }
    }
}

/// The number of one of syslog's severities, 0 (emergency) to 7 (debug).
pub(super) const fn of_syslog(severity: u8) -> Option<u8> {
    Some(match severity {
        0 => 21,
        1 => 19,
        2 => 18,
        3 => 17,
        4 => 13,
        5 => 10,
        6 => 9,
        7 => 5,
        _ => return None,
    })
}

/// syslog's keyword of a severity.
pub(super) const fn syslog_word(severity: u8) -> &'static [u8] {
    match severity {
        0 => b"emerg",
        1 => b"alert",
        2 => b"crit",
        3 => b"err",
        4 => b"warning",
        5 => b"notice",
        6 => b"info",
        _ => b"debug",
    }
}

/// What usual words mean, in lower case.
fn of_word(word: &[u8]) -> Option<u8> {
    Some(match word {
        b"trace" | b"trc" | b"trce" | b"verbose" | b"vrb" | b"finest" | b"silly" | b"t" | b"v" => 1,
        b"debug" | b"dbg" | b"debg" | b"dbug" | b"finer" | b"d" => 5,
        b"fine" | b"debug1" => 6,
        b"config" => 7,
        b"info" | b"inf" | b"information" | b"informational" | b"i" | b"log" | b"success" | b"http" => 9,
        b"notice" | b"note" | b"n" => 10,
        b"warn" | b"warning" | b"wrn" | b"w" => 13,
        b"error" | b"err" | b"eror" | b"erro" | b"e" | b"severe" => 17,
        b"crit" | b"dpanic" => 18,
        b"alert" => 19,
        b"panic" => 20,
        b"fatal" | b"ftl" | b"f" | b"critical" | b"crt" | b"emerg" | b"emergency" => 21,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_their_libraries_mean() {
        let rows: &[(&str, u8)] = &[
            ("TRACE", 1),
            ("debug", 5),
            ("Information", 9),
            ("NOTICE", 10),
            ("WARN", 13),
            ("warning", 13),
            ("Error", 17),
            ("SEVERE", 17),
            ("crit", 18),
            ("dpanic", 18),
            ("alert", 19),
            ("panic", 20),
            ("CRITICAL", 21),
            ("fatal", 21),
            ("emerg", 21),
            ("10", 1),
            ("30", 9),
            ("35", 9),
            ("50", 17),
            ("60", 21),
        ];
        let severities = Severities::default();
        for (word, number) in rows {
            assert_eq!(severities.of(word.as_bytes()), Some(*number), "{word}");
        }
        for word in ["", "hello", "3", "70", "999", "a word that is longer than any severity can be"] {
            assert_eq!(severities.of(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn own_words_go_before_the_usual_ones() {
        let settings = RecordSettings {
            severities: vec![("E".to_owned(), 13), ("Schlimm".to_owned(), 17)],
            syslog_severities: true,
            ..RecordSettings::default()
        };
        let severities = Severities::new(&settings).unwrap();
        assert_eq!(severities.of(b"e"), Some(13));
        assert_eq!(severities.of(b"SCHLIMM"), Some(17));
        assert_eq!(severities.of(b"0"), Some(21));
        assert_eq!(severities.of(b"7"), Some(5));
    }
}
