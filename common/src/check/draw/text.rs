//! The picture as text of at most 100 columns.
//!
//! ```text
//! client 1  ├◆─ 1 write(1) ─┤
//! client 2                      ├◆─ 2 write(2) ─┤
//! client 3                                          ╞═ 3 read() → 1 ═╡     ◆ takes effect   ═ has no place
//! ```

use textwrap::core::display_width;

use super::{Bar, Effect, Picture};
use crate::check::history::Stamp;

/// The widest line, in columns.
const WIDTH: usize = 100;

/// How many columns a table gives to what an operation was.
const DESCRIPTION_WIDTH: usize = 40;

impl Picture {
    /// The picture as text, in lines of at most 100 columns; ends without a line break.
    pub fn text(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(textwrap::wrap(&self.title, WIDTH).into_iter().map(String::from));
        for note in &self.notes {
            lines.extend(textwrap::wrap(note, WIDTH).into_iter().map(String::from));
        }
        lines.push(String::new());
        lines.extend(self.timeline());
        lines.push(String::new());
        lines.extend(self.table());
        lines.iter().map(|line| clip(line, WIDTH)).collect::<Vec<_>>().join("\n")
    }

    fn timeline(&self) -> Vec<String> {
        let labels: Vec<String> = self.rows.iter().map(|row| clip(&row.client.to_string(), 20)).collect();
        let label_width = labels.iter().map(|label| display_width(label)).max().unwrap_or(0) + 2;
        let space = WIDTH - label_width;
        let scale = |place: usize| place * (space - 1) / self.width.max(1);
        let draw_row = |(row, label): (&super::Row, &String)| {
            let mut cells = vec![' '; space];
            for &index in &row.bars {
                self.draw_bar(&mut cells, index, scale);
            }
            let cells: String = cells.into_iter().collect();
            format!("{label:label_width$}{}", cells.trim_end())
        };
        self.rows.iter().zip(&labels).map(draw_row).collect()
    }

    fn draw_bar(&self, cells: &mut [char], index: usize, scale: impl Fn(usize) -> usize) {
        let bar = &self.bars[index];
        let is_impossible = bar.effect == Effect::Impossible;
        let (left, line, right) = if is_impossible { ('╞', '═', '╡') } else { ('├', '─', '┤') };
        // What has no return goes on to the edge, and one column is kept for the dots that say so.
        let from = scale(bar.from).min(cells.len() - 3);
        let to = bar.to.map_or(cells.len() - 2, &scale).max(from + 1);
        cells[from..=to].fill(line);
        cells[from] = left;
        cells[to] = if bar.to.is_some() { right } else { line };
        if bar.to.is_none() {
            cells[to + 1] = '⋯';
        }
        let mut words_from = from + 2;
        if let Effect::At(place) = bar.effect {
            let point = scale(place).clamp(from + usize::from(to > from + 1), to);
            cells[point] = '◆';
            words_from = point + 2;
        }
        let words = fit(index + 1, &bar.description, to.saturating_sub(words_from));
        for (cell, c) in cells.iter_mut().skip(words_from).zip(words.chars()) {
            *cell = if display_width(c.encode_utf8(&mut [0; 4])) == 1 { c } else { '·' };
        }
    }

    /// The operations in the order in which they could have happened, then the others.
    fn table(&self) -> Vec<String> {
        let line = |index: usize, place: &str, result: &str| {
            let bar = &self.bars[index];
            let number = index + 1;
            let description = clip(&bar.description, DESCRIPTION_WIDTH);
            let pad = " ".repeat(DESCRIPTION_WIDTH - display_width(&description));
            format!("{place:>3} {number:>3}  {:<10} {description}{pad}  {result}", bar.client.to_string())
        };
        let mut lines = vec!["in an order that is possible so far:".to_owned()];
        lines.extend(self.order.iter().map(|(index, state)| match self.bars[*index].effect {
            Effect::Impossible => line(*index, "✗", &format!("then {state}, against its answer")),
            _ => line(*index, "◆", &format!("then {state}")),
        }));
        if self.order.is_empty() {
            let is_alone = self.has_all_places();
            lines[0] = if is_alone { "nothing takes effect before it" } else { "no order is known" }.to_owned();
        }
        let others = |wanted: Effect| {
            let bars = self.bars.iter().enumerate();
            bars.filter(move |(_, bar)| bar.effect == wanted)
                .map(|(index, _)| index)
                .filter(|index| !self.is_in_order(*index))
        };
        lines.extend(others(Effect::None).map(|index| line(index, "", self.bars[index].without_place())));
        lines.extend(others(Effect::Impossible).map(|index| line(index, "✗", self.bars[index].without_place())));
        lines
    }
}

/// A bar's number and as much of its description as there is room for.
fn fit(number: usize, description: &str, room: usize) -> String {
    /// Less of a description than this says nothing.
    const FEWEST: usize = 6;
    let number = number.to_string();
    let spaced = format!(" {number} ");
    let full = format!("{spaced}{description} ");
    let cut = room.saturating_sub(2);
    if full.chars().count() <= room {
        full
    } else if spaced.chars().count() + FEWEST <= cut {
        full.chars().take(cut).collect::<String>() + "… "
    } else if spaced.len() <= room {
        spaced
    } else {
        number.chars().take(room).collect()
    }
}

/// The interval of a bar.
pub(super) fn times(bar: &Bar) -> String {
    let end = bar.returned.map_or("…".to_owned(), |at: Stamp| at.to_string());
    format!("{} – {end}", bar.called)
}

/// The text, cut to a width where it is wider.
fn clip(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.to_owned();
    }
    let mut clipped = String::new();
    for c in text.chars() {
        if display_width(&clipped) + display_width(c.encode_utf8(&mut [0; 4])) >= width {
            break;
        }
        clipped.push(c);
    }
    clipped + "…"
}
