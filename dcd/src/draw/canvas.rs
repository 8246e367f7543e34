//! What pictures are drawn on: how wide it is, and with which characters. Boxes in boxes, and entries in columns.

use std::ffi::OsStr;

/// The widest picture: longer lines are hard to follow.
const WIDTH_MAX: usize = 160;
/// The narrowest: in less nothing can be told.
const WIDTH_MIN: usize = 40;

/// A page to draw on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// Whether there are characters for boxes, or ASCII alone.
    pub has_boxes: bool,
}

impl Canvas {
    /// As wide as the terminal of standard output, 80 columns where that is none; with the characters of the locale.
    #[must_use]
    pub fn of<'a>(var: impl Fn(&str) -> Option<&'a OsStr>) -> Self {
        let terminal = terminal_size::terminal_size_of(std::io::stdout());
        let width = terminal.map_or(80, |(width, _)| usize::from(width.0)).clamp(WIDTH_MIN, WIDTH_MAX);
        Self { width, has_boxes: is_utf8(var) }
    }

    /// A box around lines: all of them, and its title, are cut to the width.
    #[must_use]
    pub fn boxed(self, title: &str, lines: Vec<String>, width: usize) -> Vec<String> {
        let (down, corners) =
            if self.has_boxes { ("│", ["┌", "┐", "└", "┘"]) } else { ("|", ["+"; 4]) };
        let inner = width.saturating_sub(4);
        let mut out = vec![self.rule(corners[0], title, corners[1], width)];
        for line in lines {
            let line = self.cut(&line, inner);
            out.push(format!(
                "{down} {line}{} {down}",
                " ".repeat(inner.saturating_sub(line.chars().count()))
            ));
        }
        out.push(self.rule(corners[2], "", corners[3], width));
        out
    }

    /// A line across with a title in it.
    #[must_use]
    pub fn rule(self, left: &str, title: &str, right: &str, width: usize) -> String {
        let across = if self.has_boxes { "─" } else { "-" };
        let title = match title {
            "" => String::new(),
            title => format!("{across} {} ", self.cut(title, width.saturating_sub(6))),
        };
        let ends = left.chars().count() + right.chars().count();
        let rest = width.saturating_sub(title.chars().count() + ends);
        format!("{left}{title}{}{right}", across.repeat(rest))
    }

    /// Entries in columns, filled downwards; one that is wider than most has a line of its own.
    #[must_use]
    pub fn columns(self, entries: &[String], column: usize, width: usize) -> Vec<String> {
        let count = (width + 3) / (column + 3).max(1);
        let mut out = Vec::new();
        let mut at = 0;
        while at < entries.len() {
            let is_wide = |entry: &String| entry.chars().count() > column || count < 2;
            let narrow = entries[at..].iter().take_while(|entry| !is_wide(entry)).count();
            if narrow == 0 {
                out.push(entries[at].clone());
                at += 1;
                continue;
            }
            let rows = narrow.div_ceil(count);
            let part = &entries[at..at + narrow];
            for row in 0..rows {
                let line: Vec<String> =
                    part.iter().skip(row).step_by(rows).map(|e| format!("{e:<column$}")).collect();
                out.push(line.join("   ").trim_end().to_owned());
            }
            at += narrow;
        }
        out
    }

    fn cut(self, line: &str, width: usize) -> String {
        if line.chars().count() <= width {
            return line.to_owned();
        }
        let dots = if self.has_boxes { "…" } else { "..." };
        let kept: String = line.chars().take(width.saturating_sub(dots.chars().count())).collect();
        kept + dots
    }
}

/// Whether the locale's characters are UTF-8: the first of its variables that is set decides.
fn is_utf8<'a>(var: impl Fn(&str) -> Option<&'a OsStr>) -> bool {
    let mut set =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| var(name).filter(|v| !v.is_empty()));
    let locale = set.next().map(|locale| locale.to_string_lossy().to_lowercase()).unwrap_or_default();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASCII: Canvas = Canvas { width: 40, has_boxes: false };

    #[test]
    fn a_box_cuts_what_is_too_long() {
        let lines =
            ASCII.boxed("a title", vec!["one".to_owned(), "longer than there is room".to_owned()], 20);
        let expected =
            ["+- a title --------+", "| one              |", "| longer than t... |", "+------------------+"];
        assert_eq!(lines, expected);
        let boxes = Canvas { has_boxes: true, ..ASCII }.boxed("", vec!["x".to_owned()], 6);
        assert_eq!(boxes, ["┌────┐", "│ x  │", "└────┘"]);
        assert_eq!(ASCII.boxed("a very long title", Vec::new(), 14)[0], "+- a ver... -+");
    }

    #[test]
    fn columns_are_filled_downwards() {
        let entries = ["a", "b", "c", "d", "e", "a wide one", "f"].map(str::to_owned);
        assert_eq!(ASCII.columns(&entries, 3, 9), ["a     d", "b     e", "c", "a wide one", "f"]);
        assert_eq!(ASCII.columns(&entries[..2], 3, 4), ["a", "b"], "too narrow for two");
    }

    #[test]
    fn locales() {
        let of = |set: &'static [(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| OsStr::new(*value)))
        };
        assert!(of(&[("LANG", "de_DE.UTF-8")]) && of(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!of(&[]) && !of(&[("LANG", "C")]) && !of(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]));
    }
}
