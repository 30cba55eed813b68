//! Tables that fit: the terminal's width or a pipe's hundred columns, with numbers at the right edge of their column.

use std::fmt;

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{Cell, CellAlignment, ContentArrangement};

use super::{Look, printable};

/// A table of texts.
///
/// Its `Display` fits standard output as it is then; [`render`](Self::render) fits any other look. In a pipe it is a
/// Markdown table: plain, and ready to paste.
///
/// **Invariant**: every row has as many cells as there are columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new<I, S>(header: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: ToString,
    {
        Self { header: cells(header), rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// When it has not as many cells as the table has columns.
    pub fn row<I, S>(&mut self, row: I) -> &mut Self
    where
        I: IntoIterator<Item = S>,
        S: ToString,
    {
        let row = cells(row);
        assert_eq!(row.len(), self.header.len(), "a row of {:?} has a cell for each column", self.header);
        self.rows.push(row);
        self
    }

    /// How many rows there are, the header not counted.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, without a line break at the end.
    pub fn render(&self, look: Look) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(if look.terminal { UTF8_FULL_CONDENSED } else { ASCII_MARKDOWN });
        table.set_content_arrangement(ContentArrangement::Dynamic);
        // Colour and width are the look's decision, whatever this process' own output happens to be.
        table.force_no_tty();
        table.set_width(u16::try_from(look.width).unwrap_or(u16::MAX));
        let align = |(column, text): (usize, &String)| {
            let side = if self.is_numeric(column) { CellAlignment::Right } else { CellAlignment::Left };
            let text = if look.terminal { text.clone() } else { text.replace('|', "\\|") };
            Cell::new(text).set_alignment(side)
        };
        table.set_header(self.header.iter().enumerate().map(align));
        for row in &self.rows {
            table.add_row(row.iter().enumerate().map(align));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    /// Whether a column holds numbers: at least one, and besides numbers only cells that stand for a missing one.
    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().map(|row| row[column].trim());
        cells.clone().any(is_number) && cells.all(|cell| is_number(cell) || matches!(cell, "" | "-" | "n/a"))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Look::stdout()))
    }
}

fn cells<I, S>(row: I) -> Vec<String>
where
    I: IntoIterator<Item = S>,
    S: ToString,
{
    row.into_iter().map(|cell| printable(&cell.to_string())).collect()
}

/// Whether the text is a number with at most a short unit and a range: `12`, `-3.5`, `1.2k`, `12.3 µs`, `< 1 ms`,
/// `0.98x (0.95 to 1.02)`. An address, a date or a version has more dots, dashes or colons than a number has.
fn is_number(text: &str) -> bool {
    let text = text.split_once(" (").filter(|_| text.ends_with(')')).map_or(text, |(number, _)| number);
    let text = text.trim_start_matches(['<', '>', '~', '+', '-', ' ']);
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ','));
    let number = &text[..text.len() - unit.len()];
    number.starts_with(|c: char| c.is_ascii_digit())
        && number.matches('.').count() <= 1
        && unit.chars().count() <= 8
        && unit.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '%' | '/'))
}
