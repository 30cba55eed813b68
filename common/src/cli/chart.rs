//! Charts drawn with block characters: enough to see a shape in a terminal, and plain text in a pipe.
//!
//! A table shows that a p99 is high; a picture shows that it is a hockey stick (DDIA ch. 1, "Describing Performance", draws
//! response times the same way).

use textwrap::core::display_width;

use super::printable;

/// Turns an axis' number into its label: one of [`human`](super::human)'s functions, as a rule.
pub type Format = fn(f64) -> String;

/// A bar's last cell, in eighths of its width.
const EIGHTHS_WIDE: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A column's top cell, in eighths of its height.
const EIGHTHS_HIGH: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The marks of the series of one chart, told apart without colour.
const MARKS: [char; 6] = ['■', '□', '▲', '△', '●', '○'];

/// How an axis maps values to places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Equal steps are equal distances.
    #[default]
    Linear,
    /// Equal factors are equal distances; what is not positive is left out.
    Log,
}

/// A named line of a [`Lines`] chart.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// Its points; in any order, those that are not finite are left out.
    pub points: &'a [(f64, f64)],
}

/// A chart of one or several lines. One alone is drawn as filled columns, several as marks.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    /// The lines, at most six.
    pub series: &'a [Series<'a>],
    /// Columns in all, labels included.
    pub width: usize,
    /// Rows of the plot, axis not included.
    pub height: usize,
    /// The horizontal axis.
    pub x: Axis<'a>,
    /// The vertical axis. A linear one begins at zero unless a value lies below.
    pub y: Axis<'a>,
}

/// An axis of a chart.
#[derive(Debug, Clone, Copy)]
pub struct Axis<'a> {
    /// What it measures.
    pub label: &'a str,
    /// How values map to places.
    pub scale: Scale,
    /// How its numbers are written.
    pub format: Format,
}

/// Horizontal bars from zero, one a line: label, bar, value. A value that is negative or not finite has no bar.
pub fn bars<S: AsRef<str>>(items: &[(S, f64)], width: usize, format: Format) -> String {
    let labels: Vec<String> = items.iter().map(|(label, _)| shorten(label.as_ref(), width / 3)).collect();
    let values: Vec<String> = items.iter().map(|&(_, value)| format(value)).collect();
    let label_width = labels.iter().map(|label| display_width(label)).max().unwrap_or(0);
    let value_width = values.iter().map(|value| display_width(value)).max().unwrap_or(0);
    let room = width.saturating_sub(label_width + value_width + 3).max(8);
    let most = items.iter().map(|item| item.1).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let lines = labels.iter().zip(&values).zip(items).map(|((label, text), (_, value))| {
        let share = if most > 0.0 && value.is_finite() { value.max(0.0) / most } else { 0.0 };
        let eighths = (share * room as f64 * 8.0).round() as usize;
        // What is more than nothing shows.
        let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
        let bar = format!("{}{}", "█".repeat(eighths / 8), EIGHTHS_WIDE[eighths % 8]);
        let pad = label_width - display_width(label);
        format!("{label}{:pad$} {bar} {text}", "")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One value a column, in one line: `▁▂▅█`. Values that are not finite are gaps.
pub fn sparkline(values: &[f64]) -> String {
    let most = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let glyph = |&value: &f64| match value {
        value if !value.is_finite() => ' ',
        value if value <= 0.0 => EIGHTHS_HIGH[1],
        value => EIGHTHS_HIGH[((value / most * 8.0).ceil() as usize).clamp(1, 8)],
    };
    values.iter().map(glyph).collect()
}

/// The chart as text, without a line break at the end.
///
/// # Panics
///
/// With more series than there are marks.
pub fn lines(chart: &Lines<'_>) -> String {
    assert!(chart.series.len() <= MARKS.len(), "a chart of more than {} lines cannot be read", MARKS.len());
    let series: Vec<Vec<(f64, f64)>> = chart.series.iter().map(|series| placed(chart, series.points)).collect();
    let all = || series.iter().flatten();
    let (Some((x_low, x_high)), Some((y_low, y_high))) = (range(all().map(|p| p.0)), range(all().map(|p| p.1))) else {
        return "(nothing to draw)".to_owned();
    };
    let y_low = if chart.y.scale == Scale::Linear { y_low.min(0.0) } else { y_low };
    let height = chart.height.max(2);
    let tick = |row: usize| {
        let share = 1.0 - row as f64 / (height - 1) as f64;
        (chart.y.format)(unplace(chart.y.scale, y_low + share * (y_high - y_low)))
    };
    let ticks: Vec<String> =
        (0..height).map(|row| if row % 4 == 0 || row + 1 == height { tick(row) } else { String::new() }).collect();
    let margin = ticks.iter().map(|tick| display_width(tick)).max().unwrap_or(0);
    let columns = chart.width.saturating_sub(margin + 2).max(10);

    let mut cells = vec![vec![' '; columns]; height];
    for (index, points) in series.iter().enumerate() {
        for (column, y) in resampled(points, x_low, x_high, columns) {
            let share = if y_high > y_low { (y - y_low) / (y_high - y_low) } else { 0.5 };
            if series.len() == 1 {
                fill(&mut cells, column, share);
            } else {
                let row = ((1.0 - share) * (height - 1) as f64).round() as usize;
                cells[row.min(height - 1)][column] = MARKS[index];
            }
        }
    }

    let mut text = format!("{}\n", chart.y.label);
    for (tick, row) in ticks.iter().zip(&cells) {
        let row: String = row.iter().collect();
        let pad = margin - display_width(tick);
        text.push_str(format!("{:pad$}{tick} │{row}", "").trim_end());
        text.push('\n');
    }
    text.push_str(&format!("{:margin$} └{}\n", "", "─".repeat(columns)));
    let left = (chart.x.format)(unplace(chart.x.scale, x_low));
    let right = format!("{} {}", (chart.x.format)(unplace(chart.x.scale, x_high)), chart.x.label);
    let gap = columns.saturating_sub(display_width(&left) + display_width(&right)).max(1);
    text.push_str(format!("{:margin$}  {left}{:gap$}{right}", "", "").trim_end());
    if series.len() > 1 {
        let legend = chart.series.iter().zip(MARKS).map(|(series, mark)| format!("{mark} {}", printable(series.name)));
        text.push_str(&format!("\n{:margin$}  {}", "", legend.collect::<Vec<_>>().join("   ")));
    }
    text
}

/// Draws one column from the ground up to `share` of the height.
fn fill(cells: &mut [Vec<char>], column: usize, share: f64) {
    let height = cells.len();
    let eighths = ((share * (height * 8) as f64).round() as usize).clamp(1, height * 8);
    for (row, cell) in cells.iter_mut().rev().map(|row| &mut row[column]).enumerate() {
        *cell = EIGHTHS_HIGH[eighths.saturating_sub(row * 8).min(8)];
    }
}

/// The points as places on the axes, from left to right.
fn placed(chart: &Lines<'_>, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut placed: Vec<(f64, f64)> =
        points.iter().filter_map(|&(x, y)| Some((place(chart.x.scale, x)?, place(chart.y.scale, y)?))).collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    placed
}

fn place(scale: Scale, value: f64) -> Option<f64> {
    let place = match scale {
        Scale::Linear => value,
        Scale::Log if value > 0.0 => value.ln(),
        Scale::Log => return None,
    };
    place.is_finite().then_some(place)
}

fn unplace(scale: Scale, place: f64) -> f64 {
    match scale {
        Scale::Linear => place,
        Scale::Log => place.exp(),
    }
}

/// The least and the greatest.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// The line's height at each column between its first and its last point, by linear interpolation.
fn resampled(points: &[(f64, f64)], low: f64, high: f64, columns: usize) -> Vec<(usize, f64)> {
    let column_of = |x: f64| {
        if high > low { ((x - low) / (high - low) * (columns - 1) as f64).round() as usize } else { columns / 2 }
    };
    let mut heights: Vec<(usize, f64)> = Vec::new();
    for &(x, y) in points {
        let column = column_of(x);
        if let Some(&(from, y_from)) = heights.last() {
            for between in from + 1..column {
                let share = (between - from) as f64 / (column - from) as f64;
                heights.push((between, y_from + share * (y - y_from)));
            }
        }
        match heights.last_mut() {
            // Of several points in one column the highest is drawn: a spike is what one looks for.
            Some((last, height)) if *last == column => *height = height.max(y),
            _ => heights.push((column, y)),
        }
    }
    heights
}

/// The text, cut to `width` columns.
fn shorten(text: &str, width: usize) -> String {
    let text = printable(text).replace('\n', " ");
    if display_width(&text) <= width {
        return text;
    }
    let mut short = String::new();
    for c in text.chars() {
        if display_width(&short) + 2 > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}
