//! Values over time: a line of blocks for each series, scaled to its own least and most.

use std::fmt::Write as _;

use telemetry::{Timestamp, format_duration};

use super::Size;
use super::answer::{Series, figure};

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Beside the blocks: least, most and last value.
const FIGURES: usize = 30;

/// Lines around the charts: what is shown, what is not, and the prompt.
const AROUND: usize = 4;

/// How many blocks fit into so many columns.
pub(super) fn columns(columns: usize) -> usize {
    columns.saturating_sub(FIGURES)
}

/// As many charts as fit, and how many do not.
pub(super) fn page(series: &[Series], size: Size) -> String {
    let times = series.iter().flat_map(|series| &series.values).map(|point| point.0);
    let Some((from, to)) = extent(times) else { return "nothing: no series has a value\n".to_owned() };
    let mut text = format!("{} to {}, {}\n", clock(from), clock(to), span(to - from));
    let fitting = (size.lines.saturating_sub(AROUND) / 2).max(1);
    for one in series.iter().take(fitting) {
        chart(&mut text, one, from, to, size.columns);
    }
    let rest = series.len().saturating_sub(fitting);
    if rest > 0 {
        let _ = writeln!(text, "and {rest} more series; a pipe has them all, as in | less");
    }
    text
}

fn chart(text: &mut String, series: &Series, from: f64, to: f64, width: usize) {
    let labels: String = series.labels().to_string().chars().take(width).collect();
    let values = || series.values.iter().map(|point| point.1.parse().unwrap_or(f64::NAN));
    let (least, most) = extent(values()).unwrap_or((f64::NAN, f64::NAN));
    let newest = values().next_back().unwrap_or(f64::NAN);
    let line: String = levels(series, from, to, columns(width))
        .into_iter()
        .map(|highest| highest.map_or(' ', |value| block(value, least, most)))
        .collect();
    let [least, most, newest] = [least, most, newest].map(figure);
    let _ = writeln!(text, "{labels}\n{line} {least} to {most}, {newest}");
}

/// The highest value in each column; none where there is no point.
fn levels(series: &Series, from: f64, to: f64, columns: usize) -> Vec<Option<f64>> {
    let mut levels: Vec<Option<f64>> = vec![None; columns];
    let scale = if to > from { (columns.saturating_sub(1)) as f64 / (to - from) } else { 0.0 };
    for point in &series.values {
        let column = ((point.0 - from) * scale).round() as usize;
        if let Some(level) = levels.get_mut(column) {
            let value = point.value();
            *level = Some(level.map_or(value, |before| before.max(value)));
        }
    }
    levels
}

fn block(value: f64, least: f64, most: f64) -> char {
    if value.is_nan() {
        return '·';
    }
    let share = if most > least { (value - least) / (most - least) } else { 0.0 };
    // Infinite values have no share of anything.
    let share = if share.is_nan() { f64::from(u8::from(value > 0.0)) } else { share };
    let at = (share * (BLOCKS.len() - 1) as f64).round() as usize;
    BLOCKS.get(at).copied().unwrap_or('█')
}

/// The least and the most of those that are numbers.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| !value.is_nan()).fold(None, |extent, value| {
        Some(extent.map_or((value, value), |(least, most): (f64, f64)| (least.min(value), most.max(value))))
    })
}

fn clock(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1_000.0).round() as i64)
}

fn span(seconds: f64) -> String {
    format_duration(std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, &str)]) -> Series {
        let values: Vec<_> = points.iter().map(|(at, value)| serde_json::json!([at, value])).collect();
        serde_json::from_value(serde_json::json!({ "metric": { "__name__": "x" }, "values": values }))
            .unwrap()
    }

    const PIPE: Size = Size { columns: FIGURES + 8, lines: usize::MAX };

    fn blocks(points: &[(f64, &str)]) -> String {
        let page = page(&[series(points)], PIPE);
        page.lines().nth(2).unwrap().chars().take(8).collect()
    }

    #[test]
    fn each_series_is_scaled_to_itself_and_gaps_stay_gaps() {
        for (points, expected) in [
            (
                &[
                    (0.0, "0"),
                    (1.0, "1"),
                    (2.0, "2"),
                    (3.0, "3"),
                    (4.0, "4"),
                    (5.0, "5"),
                    (6.0, "6"),
                    (7.0, "7"),
                ][..],
                "▁▂▃▄▅▆▇█",
            ),
            (&[(0.0, "5"), (7.0, "5")], "▁      ▁"),
            (&[(0.0, "0"), (1.0, "NaN"), (2.0, "+Inf"), (7.0, "1")], "▁·█    ▁"),
            (&[(0.0, "1")], "▁       "),
        ] {
            assert_eq!(blocks(points), expected);
        }
    }

    #[test]
    fn a_spike_between_columns_is_seen() {
        let points: Vec<(f64, &str)> =
            (0..800).map(|at| (f64::from(at), if at == 250 { "9" } else { "0" })).collect();
        assert_eq!(blocks(&points).matches('█').count(), 1);
    }

    #[test]
    fn what_does_not_fit_the_terminal_is_counted() {
        let many: Vec<Series> = (0..9).map(|_| series(&[(60.0, "1"), (120.0, "3")])).collect();
        let text = page(&many, Size { columns: 60, lines: 10 });
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(text.starts_with("1970-01-01T00:01:00.000Z to 1970-01-01T00:02:00.000Z, 1m\n"), "{text}");
        assert!(text.ends_with("and 6 more series; a pipe has them all, as in | less\n"), "{text}");
        assert!(
            text.contains(" 1 to 3, 3\n") && text.lines().all(|line| line.chars().count() <= 60),
            "{text}"
        );
        assert_eq!(page(&[], PIPE), "nothing: no series has a value\n");
    }
}
