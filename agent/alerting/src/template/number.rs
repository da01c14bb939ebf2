//! Numbers as Go prints them, and Prometheus' functions that print them for people.

use crate::brief::brief;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn special(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

/// Go's `%.Nf`.
pub(super) fn fixed(number: f64, precision: usize) -> String {
    special(number).map_or_else(|| format!("{number:.precision$}"), str::to_owned)
}

/// Go's `%.Ne`.
pub(super) fn scientific(number: f64, precision: usize) -> String {
    if let Some(text) = special(number) {
        return text.to_owned();
    }
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').expect("Rust's `e` format writes an exponent");
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Go's `%.Ng`, and without a precision `%g` and `%v`: the fewest digits that read back as the same number.
pub(super) fn general(number: f64, precision: Option<usize>) -> String {
    if let Some(text) = special(number) {
        return text.to_owned();
    }
    let scientific = match precision {
        Some(digits) => format!("{number:.*e}", digits.max(1) - 1),
        None => format!("{number:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').expect("Rust's `e` format writes an exponent");
    let exponent: i32 = exponent.parse().expect("Rust's `e` format writes the exponent as an integer");
    // strconv/ftoa.go: without a precision the exponent is compared with 6.
    let limit = precision.map_or(6, |digits| digits.max(1) as i32);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.abs());
    }
    match precision {
        Some(digits) => {
            let decimals = usize::try_from(digits.max(1) as i32 - 1 - exponent).unwrap_or(0);
            trim_zeros(&format!("{number:.decimals$}")).to_owned()
        }
        None => number.to_string(),
    }
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Reads a number as Prometheus' functions do, with Go's words for what is none.
pub(super) fn parse_float(text: &str) -> Result<f64, String> {
    let failed =
        |why: &str| format!("strconv.ParseFloat: parsing {}: {why}", super::print::quote(&brief(text)));
    let signed_nan = text.starts_with(['+', '-']) && text.to_ascii_lowercase().ends_with("nan");
    let digits = if is_separated(text) { text.replace('_', "") } else { text.to_owned() };
    match digits.parse::<f64>() {
        Ok(_) if signed_nan => Err(failed("invalid syntax")),
        Ok(number) if number.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
            Err(failed("value out of range"))
        }
        Ok(number) => Ok(number),
        Err(_) => Err(failed("invalid syntax")),
    }
}

/// Whether every `_` stands between two digits.
fn is_separated(text: &str) -> bool {
    let between = |(at, _): (usize, &str)| {
        let bytes = text.as_bytes();
        let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        digit(at.checked_sub(1)) && digit(at.checked_add(1))
    };
    text.match_indices('_').all(between)
}

/// `%.4g`, as all of Prometheus' functions print.
pub(super) fn short(number: f64) -> String {
    general(number, Some(4))
}

pub(super) fn humanize(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        short(number)
    } else if number.abs() >= 1.0 {
        divided(number, 1000.0, &LARGE)
    } else {
        multiplied(number)
    }
}

pub(super) fn humanize1024(number: f64) -> String {
    if number.abs() <= 1.0 || !number.is_finite() { short(number) } else { divided(number, 1024.0, &BINARY) }
}

pub(super) fn humanize_percentage(number: f64) -> String {
    format!("{}%", short(number * 100.0))
}

pub(super) fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return short(seconds);
    }
    if seconds == 0.0 {
        return "0s".to_owned();
    }
    if seconds.abs() < 1.0 {
        return format!("{}s", multiplied(seconds));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs() as u64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {rest}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {rest}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {rest}s")
    } else {
        format!("{sign}{}s", short(seconds.abs()))
    }
}

fn divided(mut number: f64, step: f64, prefixes: &[&str]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if number.abs() < step {
            break;
        }
        prefix = next;
        number /= step;
    }
    format!("{}{prefix}", short(number))
}

fn multiplied(mut number: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if number.abs() >= 1.0 {
            break;
        }
        prefix = next;
        number *= 1000.0;
    }
    format!("{}{prefix}", short(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected texts are what Go 1.26 printed.
    #[test]
    fn numbers_print_as_in_go() {
        for (number, any, short, fixed_2) in [
            (0.0, "0", "0", "0.00"),
            (1.0, "1", "1", "1.00"),
            (1e6, "1e+06", "1e+06", "1000000.00"),
            (1_234_567.0, "1.234567e+06", "1.235e+06", "1234567.00"),
            (123_456.0, "123456", "1.235e+05", "123456.00"),
            (100_000.0, "100000", "1e+05", "100000.00"),
            (0.0001, "0.0001", "0.0001", "0.00"),
            (1e-5, "1e-05", "1e-05", "0.00"),
            (1e21, "1e+21", "1e+21", "1000000000000000000000.00"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN", "NaN"),
            (f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf"),
            (-2.5, "-2.5", "-2.5", "-2.50"),
            (12_345.0, "12345", "1.234e+04", "12345.00"),
            (99_995.0, "99995", "1e+05", "99995.00"),
            (0.000_123_45, "0.00012345", "0.0001234", "0.00"),
            (999.95, "999.95", "1000", "999.95"),
            (-0.0, "-0", "-0", "-0.00"),
        ] {
            let printed = (general(number, None), general(number, Some(4)), fixed(number, 2));
            assert_eq!(printed, (any.to_owned(), short.to_owned(), fixed_2.to_owned()));
        }
        assert_eq!(
            (general(123.0, Some(0)), fixed(2.5, 0), fixed(0.25, 1)),
            ("1e+02".into(), "2".into(), "0.2".into())
        );
    }

    #[test]
    fn numbers_are_humanized_as_in_prometheus() {
        for (function, number, expected) in [
            (humanize as fn(f64) -> String, 1_048_576.0, "1.049M"),
            (humanize as fn(f64) -> String, 0.00042, "420u"),
            (humanize as fn(f64) -> String, 0.0, "0"),
            (humanize as fn(f64) -> String, -1500.0, "-1.5k"),
            (humanize as fn(f64) -> String, 1e30, "1e+06Y"),
            (humanize as fn(f64) -> String, f64::INFINITY, "+Inf"),
            (humanize1024, 1_048_576.0, "1Mi"),
            (humanize1024, 0.5, "0.5"),
            (humanize_duration, 0.0, "0s"),
            (humanize_duration, 135.3563, "2m 15s"),
            (humanize_duration, 59.99999, "60s"),
            (humanize_duration, -3661.0, "-1h 1m 1s"),
            (humanize_duration, 90_061.0, "1d 1h 1m 1s"),
            (humanize_duration, 0.0425, "42.5ms"),
            (humanize_duration, f64::NAN, "NaN"),
            (humanize_percentage, 0.959, "95.9%"),
            (humanize_percentage, 0.123_456, "12.35%"),
        ] {
            assert_eq!(function(number), expected, "{number}");
        }
    }
}
