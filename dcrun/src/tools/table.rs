//! Rows as a table: as wide as the terminal, or as it comes where there is none. Text of others is escaped.

use super::columns::Column;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use dc_spool::files::shown;

/// The width of the terminal that standard output is, in characters.
fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0)
}

/// The table as lines, each with its end.
pub(super) fn draw<R>(columns: &[&Column<R>], rows: &[R], has_header: bool) -> String {
    draw_in(columns, rows, has_header, terminal_width())
}

fn draw_in<R>(columns: &[&Column<R>], rows: &[R], has_header: bool, width: Option<u16>) -> String {
    if rows.is_empty() && !has_header {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    match width {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    if has_header {
        table.set_header(columns.iter().map(|column| column.name.to_uppercase()).collect::<Vec<_>>());
    }
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(&(column.text)(row))).collect::<Vec<_>>());
    }
    for (column, drawn) in columns.iter().zip(table.column_iter_mut()) {
        drawn.set_padding((0, 2));
        if column.is_number {
            drawn.set_cell_alignment(CellAlignment::Right);
            drawn.set_constraint(ColumnConstraint::ContentWidth);
        } else if has_header {
            // A header is not broken.
            let least = u16::try_from(column.name.len() + 2).unwrap_or(u16::MAX);
            drawn.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// What is empty is a hyphen, so that words can be counted.
fn cell(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { shown(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column<(&str, u32)>; 2] =
        [Column::word("name", |row| row.0.to_owned()), Column::number("cores", |row| row.1.to_string())];

    fn drawn(rows: &[(&'static str, u32)], has_header: bool, width: Option<u16>) -> String {
        let columns: Vec<_> = COLUMNS.iter().collect();
        draw_in(&columns, rows, has_header, width)
    }

    #[test]
    fn numbers_stand_at_the_right_and_nothing_moves_a_terminal() {
        let rows = [("n1", 8), ("\u{1b}[2J", 128), ("", 1)];
        assert_eq!(
            drawn(&rows, true, None),
            "NAME       CORES\nn1             8\n\\u{1b}[2J    128\n-              1\n"
        );
        assert_eq!(drawn(&rows[..1], false, None), "n1  8\n");
        assert_eq!(drawn(&[], false, None), "");
        assert_eq!(drawn(&[], true, None), "NAME  CORES\n");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = [("a name that is much too long for this", 12_345)];
        let text = drawn(&long, true, Some(24));
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= 24), "{text}");
    }
}
