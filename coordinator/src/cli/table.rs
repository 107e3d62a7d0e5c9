//! Aligned columns.

use super::{
    error::CliError,
    output::{Output, Tone},
};

/// One cell: its text, and the tone that colours may give it.
#[derive(Debug, Clone)]
pub(super) struct Cell(String, Option<Tone>);

impl Cell {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self(text.into(), Some(tone))
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(text.into(), None)
    }
}

/// Rows under headings.
pub(super) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it, each line behind `indent`.
    pub(super) fn write(&self, indent: &str, output: &mut Output) -> Result<(), CliError> {
        let shown = |text: &str| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                one_line(text)
            }
        };
        let rows: Vec<Vec<(String, Option<Tone>)>> = self
            .rows
            .iter()
            .map(|row| {
                row.iter()
                    .map(|Cell(text, tone)| (shown(text), *tone))
                    .collect()
            })
            .collect();
        let width = |n: usize| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(n))
                .map(|(text, _)| text.chars().count());
            cells.chain([self.headings[n].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let headings = self
            .headings
            .iter()
            .map(|text| ((*text).to_owned(), Some(Tone::Faint)))
            .collect();
        for row in std::iter::once(headings).chain(rows) {
            let row: Vec<(String, Option<Tone>)> = row;
            let mut line = String::from(indent);
            let last = row.len().saturating_sub(1);
            for (n, (text, tone)) in row.into_iter().enumerate() {
                // Spaces stand outside of the colour, and none at the end of a line.
                let padding = if n == last {
                    0
                } else {
                    widths[n] - text.chars().count() + 2
                };
                line.push_str(&tone.map_or_else(|| text.clone(), |tone| output.paint(tone, &text)));
                line.push_str(&" ".repeat(padding));
            }
            output.line(line)?;
        }
        Ok(())
    }
}

/// What comes from outside must not move the cursor.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
