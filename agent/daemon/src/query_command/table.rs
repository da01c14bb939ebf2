//! The value of an expression at one time, as a table.
//!
//! Labels that all samples share stand above it once; each of the others has a column.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use telemetry::{Labels, OneLine};

use super::answer::{Data, Sample, figure};

/// Between columns.
const GAP: &str = "  ";

pub(super) fn page(data: &Data, width: usize) -> String {
    match data {
        Data::Scalar(point) => format!("{}\n", figure(point.value())),
        Data::String(point) => format!("{}\n", OneLine(&point.1)),
        Data::Vector(samples) => vector(samples, width),
        Data::Matrix(_) => String::new(),
    }
}

fn vector(samples: &[Sample], width: usize) -> String {
    let labels: Vec<Labels> = samples.iter().map(Sample::labels).collect();
    let Some(first) = labels.first() else { return "nothing: no series has a value\n".to_owned() };
    let shared = first.iter().filter(|(name, value)| labels.iter().all(|labels| labels.get(name) == *value));
    let shared: BTreeMap<&str, &str> = shared.collect();
    let own: BTreeSet<&str> = labels.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    let own: Vec<&str> = own.into_iter().filter(|name| !shared.contains_key(name)).collect();
    let above: Labels = shared.into_iter().collect();
    if own.is_empty() {
        // Label sets are distinct, so this is the only sample.
        let value = samples.first().map(|sample| figure(sample.value.value())).unwrap_or_default();
        return format!(
            "{above}{GAP}{value}
"
        );
    }
    let mut rows = vec![own.iter().map(ToString::to_string).chain(["VALUE".to_owned()]).collect::<Vec<_>>()];
    for (sample, labels) in samples.iter().zip(&labels) {
        let cells = own.iter().map(|name| OneLine(labels.get(name)).to_string());
        rows.push(cells.chain([figure(sample.value.value())]).collect());
    }
    let above = if above.is_empty() { String::new() } else { format!("{above}\n") };
    format!("{above}{}", aligned(&rows, width))
}

/// The rows with their columns aligned, the last one at its right. Lines are as long as they need to be, except that a
/// column of labels never takes more than the whole width.
fn aligned(rows: &[Vec<String>], width: usize) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widest = |column: usize| {
        let widths = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        widths.max().unwrap_or(0).min(width)
    };
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let mut text = String::new();
    for row in rows {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if at + 1 == columns {
                let _ = writeln!(text, "{cell:>width$}");
            } else {
                let cell: String = cell.chars().take(*width).collect();
                let _ = write!(text, "{cell:<width$}{GAP}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &str) -> String {
        page(&serde_json::from_str(data).unwrap(), 100)
    }

    #[test]
    fn what_samples_share_stands_above_them_once() {
        let data = r#"{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"node","mode":"idle"},"value":[1,"1"]},
            {"metric":{"__name__":"up","job":"node","mode":"user","cpu":"10"},"value":[1,"123456"]}]}"#;
        assert_eq!(
            shown(data),
            "up{job=\"node\"}\ncpu  mode   VALUE\n     idle       1\n10   user  123.5k\n"
        );
    }

    #[test]
    fn one_sample_needs_no_table() {
        for (data, expected) in [
            (r#"{"resultType":"scalar","result":[1,"+Inf"]}"#, "+Inf\n"),
            (r#"{"resultType":"string","result":[1,"a\nb"]}"#, "a\\nb\n"),
            (r#"{"resultType":"vector","result":[]}"#, "nothing: no series has a value\n"),
            (r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2"]}]}"#, "{a=\"b\"}  2\n"),
        ] {
            assert_eq!(shown(data), expected);
        }
    }

    #[test]
    fn a_label_cannot_write_to_the_terminal() {
        let data = r#"{"resultType":"vector","result":[
            {"metric":{"x":"\u001b[2J","y":"\u001b"},"value":[1,"1"]},{"metric":{"x":"a","y":"\u001b"},"value":[1,"1"]}]}"#;
        assert!(!shown(data).contains('\u{1b}'), "{}", shown(data));
    }
}
