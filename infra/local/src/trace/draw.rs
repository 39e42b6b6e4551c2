//! A timeline as a waterfall, as wide as the terminal.

use super::timeline::{Row, Timeline};
use std::fmt::Write as _;

/// Columns of a row before its bar, the gaps between them included.
const LEFT: usize = 4 + 11 + 15 + 11;
/// The narrowest and the widest bar.
const BAR: std::ops::RangeInclusive<usize> = 12..=120;
/// A part of the axis in which nothing runs takes no more of it than this share.
const IDLE_SHARE: f64 = 0.1;

/// Milliseconds to columns. Time in which no stage runs is squeezed, so that an offer that lay for a day leaves room for
/// the rest.
struct Axis {
    /// From, to, and the length that is drawn for it.
    parts: Vec<(f64, f64, f64)>,
    drawn: f64,
    width: usize,
}

impl Axis {
    fn of(timeline: &Timeline, width: usize) -> Self {
        let mut ends: Vec<f64> = timeline.rows.iter().map(|row| row.after_ms).collect();
        ends.extend(timeline.rows.iter().filter_map(|row| Some(row.stage.as_ref()?.from_ms)));
        ends.push(0.0);
        ends.sort_by(f64::total_cmp);
        let runs = |at: f64| {
            let mut stages = timeline.rows.iter().filter_map(|row| row.stage.as_ref());
            stages.any(|stage| stage.from_ms < at && at < stage.from_ms + stage.took_ms)
        };
        let parts: Vec<(f64, f64, bool)> =
            ends.windows(2).map(|ends| (ends[0], ends[1], runs(f64::midpoint(ends[0], ends[1])))).collect();
        let busy: f64 = parts.iter().filter(|(_, _, runs)| *runs).map(|(from, to, _)| to - from).sum();
        let most = if busy > 0.0 { busy * IDLE_SHARE } else { f64::INFINITY };
        let parts: Vec<(f64, f64, f64)> = parts
            .into_iter()
            .map(|(from, to, runs)| (from, to, if runs { to - from } else { (to - from).min(most) }))
            .collect();
        let drawn = parts.iter().map(|(_, _, drawn)| drawn).sum();
        Self { parts, drawn, width }
    }

    /// Whether any time is squeezed.
    fn is_squeezed(&self) -> bool {
        self.parts.iter().any(|(from, to, drawn)| to - from > *drawn)
    }

    fn column(&self, ms: f64) -> usize {
        let mut passed = 0.0;
        for (from, to, drawn) in &self.parts {
            if ms >= *to {
                passed += drawn;
            } else if ms > *from {
                passed += drawn * (ms - from) / (to - from);
            }
        }
        let last = self.width - 1;
        if self.drawn > 0.0 { ((passed / self.drawn * last as f64).round() as usize).min(last) } else { 0 }
    }
}

/// The waterfall in lines of at most `width` columns, though never of fewer than 53.
pub fn waterfall(timeline: &Timeline, width: usize) -> String {
    let bar = width.saturating_sub(LEFT).clamp(*BAR.start(), *BAR.end());
    let axis = Axis::of(timeline, bar);
    let mut text = String::new();
    let _ = writeln!(text, "Application {}", timeline.application_id);
    let _ = writeln!(text, "Trace       {}", timeline.trace_id);
    let _ = writeln!(text, "Product     {} of {}", timeline.product, timeline.bank);
    let _ = writeln!(text, "Received    {:.3}", timeline.received_at);
    let _ = writeln!(text, "Status      {} after {}\n", timeline.status, duration(timeline.took_ms));
    let _ = writeln!(text, "  # {:>10} {:<14} {:>10}", "after", "by", "took");
    for row in &timeline.rows {
        write_row(&mut text, row, &axis, width.max(LEFT + bar));
    }
    if axis.is_squeezed() {
        let _ = writeln!(text, "\nTime in which no stage ran is drawn shorter than it was.");
    }
    if !timeline.waits.is_empty() {
        let _ = writeln!(text, "\nWaits");
        for wait in &timeline.waits {
            let _ = writeln!(text, "  {} waited {} for {}", wait.what, duration(wait.ms), wait.waited_for);
        }
    }
    text
}

fn write_row(text: &mut String, row: &Row, axis: &Axis, width: usize) {
    let number = row.entry.map_or_else(String::new, |number| number.to_string());
    let by = row.by.split('/').next().unwrap_or_default();
    let took = row.stage.as_ref().map_or_else(String::new, |stage| duration(stage.took_ms));
    let end = axis.column(row.after_ms);
    let mark = match &row.stage {
        Some(stage) => {
            let from = axis.column(stage.from_ms).min(end);
            format!("{}{}", " ".repeat(from), "█".repeat(end - from + 1))
        }
        None if row.entry.is_some() => format!("{}│", " ".repeat(end)),
        None => format!("{}·", " ".repeat(end)),
    };
    let _ = writeln!(text, "{number:>3} {:>10} {by:<14} {took:>10} {mark}", duration(row.after_ms));
    let mut told = row.what.join(", ");
    if !row.sent.is_empty() {
        let _ = write!(told, " → {}", row.sent.join(", "));
    }
    let stage = row.stage.as_ref().filter(|stage| stage.cause > 1);
    if let Some(stage) = stage {
        let _ = write!(told, " ({} asked for by {})", stage.name, stage.cause);
    }
    for line in wrapped(&told, width.saturating_sub(INDENT)) {
        let _ = writeln!(text, "{}{line}", " ".repeat(INDENT));
    }
}

/// Where the second line of a row begins.
const INDENT: usize = 15;

/// Lines of at most `width` columns, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A length of time in the unit that reads best.
fn duration(ms: f64) -> String {
    match ms {
        _ if ms < 10_000.0 => format!("{ms:.1} ms"),
        _ if ms < 600_000.0 => format!("{:.1} s", ms / 1e3),
        _ if ms < 36_000_000.0 => format!("{:.1} min", ms / 6e4),
        _ => format!("{:.1} h", ms / 3.6e6),
    }
}
