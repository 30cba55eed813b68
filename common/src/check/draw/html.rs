//! The picture as an HTML page with an SVG timeline. It stands alone: no script, no font, no style from elsewhere; whatever
//! came from a history is escaped. It is well-formed XML too.

use std::fmt::Write;

use super::text::times;
use super::{Effect, Picture};

/// Pixels: of a row, of its bars, of the labels at the left, of the timeline at least, and of one character in a bar.
const ROW: usize = 40;
const BAR: usize = 24;
const LABEL: usize = 110;
const TIMELINE: usize = 850;
const CHARACTER: usize = 7;

/// Pixels of one unit of the picture's width at the least.
const STEP: usize = 5;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #ffffff; --bar: #d7e3f4; --edge: #5b7ea8; --bad: #f6c9c4;
  --bad-edge: #b3261e; --open: #ececec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e4e8; --paper: #17171a; --bar: #24405f; --edge: #8fb4dd;
  --bad: #5c1a16; --bad-edge: #f2877f; --open: #333338; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2em; }
.timeline { overflow-x: auto; } svg text { font: 12px ui-monospace, monospace; fill: var(--ink); }
rect { fill: var(--bar); stroke: var(--edge); } rect.open { fill: var(--open); stroke-dasharray: 4 3; }
rect.bad { fill: var(--bad); stroke: var(--bad-edge); stroke-width: 2; } circle { fill: var(--edge); }
polyline { fill: none; stroke: var(--edge); stroke-dasharray: 2 3; }
table { border-collapse: collapse; margin-top: 1.5em; } td, th { text-align: left; padding: .2em 1em .2em 0; }
tr.bad td { color: var(--bad-edge); font-weight: bold; }
";

impl Picture {
    /// The picture as an HTML page.
    pub fn html(&self) -> String {
        let mut page = String::new();
        let title = escape(&self.title);
        let _ = write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>Not linearizable: {title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>Not linearizable</h1>\n<p>{title}</p>\n"
        );
        for note in &self.notes {
            let _ = writeln!(page, "<p>{}</p>", escape(note));
        }
        let _ =
            write!(page, "<div class=\"timeline\">\n{}</div>\n{}</body>\n</html>\n", self.svg(), self.rows_of_table());
        page
    }

    fn svg(&self) -> String {
        let step = (TIMELINE / self.width.max(1)).max(STEP);
        let right = LABEL + (self.width + 1) * step;
        let height = self.rows.len() * ROW + 20;
        let x = |place: usize| LABEL + place * step + step / 2;
        let mut svg =
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{right}\" height=\"{height}\" role=\"img\">\n");
        let mut points = vec![(0, 0); self.bars.len()];
        for (row, y) in self.rows.iter().zip((10..).step_by(ROW)) {
            let _ = writeln!(svg, "<text x=\"0\" y=\"{}\">{}</text>", y + BAR / 2 + 4, escape(&row.client.to_string()));
            for &index in &row.bars {
                let bar = &self.bars[index];
                let from = x(bar.from);
                let to = bar.to.map_or(right, x).max(from + 4);
                let class = match bar.effect {
                    Effect::Impossible => "bad",
                    _ if bar.to.is_none() => "open",
                    _ => "placed",
                };
                let label = format!("{} {}", index + 1, bar.description);
                let shown: String = label.chars().take((to - from).saturating_sub(16) / CHARACTER).collect();
                let _ = writeln!(
                    svg,
                    "<g><title>{} ({}, {})</title><rect class=\"{class}\" x=\"{from}\" y=\"{y}\" width=\"{}\" \
                     height=\"{BAR}\" rx=\"4\"/><text x=\"{}\" y=\"{}\">{}</text></g>",
                    escape(&label),
                    escape(&bar.client.to_string()),
                    times(bar),
                    to - from,
                    from + 12,
                    y + BAR / 2 + 4,
                    escape(&shown),
                );
                if let Effect::At(place) = bar.effect {
                    points[index] = (x(place), y + BAR);
                }
            }
        }
        let is_placed = |index: &usize| matches!(self.bars[*index].effect, Effect::At(_));
        let path: Vec<(usize, usize)> =
            self.order.iter().map(|(index, _)| *index).filter(is_placed).map(|index| points[index]).collect();
        let line: Vec<String> = path.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\"/>", line.join(" "));
        for (x, y) in path {
            let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\"/>");
        }
        svg + "</svg>\n"
    }

    fn rows_of_table(&self) -> String {
        let mut table =
            "<table>\n<tr><th></th><th>client</th><th>operation</th><th>from – to</th><th></th></tr>\n".to_owned();
        let mut row = |index: usize, class: &str, result: &str| {
            let bar = &self.bars[index];
            let _ = writeln!(
                table,
                "<tr class=\"{class}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                index + 1,
                bar.client.0,
                escape(&bar.description),
                times(bar),
                escape(result),
            );
        };
        for (index, state) in &self.order {
            match self.bars[*index].effect {
                Effect::Impossible => row(*index, "bad", &format!("then {state}, against its answer")),
                _ => row(*index, "placed", &format!("then {state}")),
            }
        }
        for (index, bar) in self.bars.iter().enumerate() {
            if !self.is_in_order(index) {
                row(index, if bar.effect == Effect::Impossible { "bad" } else { "open" }, bar.without_place());
            }
        }
        table + "</table>\n"
    }
}

/// The text with what HTML would read as its own made harmless.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
