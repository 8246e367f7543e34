//! A font of 3 x 5 pixels for numbers.

/// Columns of a letter, with the gap after it.
pub const ADVANCE: usize = 4;
/// Rows of a letter.
pub const HEIGHT: usize = 5;

/// Rows of a letter, three bits each, the left pixel in the highest.
fn rows(letter: char) -> [u8; HEIGHT] {
    match letter {
        '0' => [0b111, 0b101, 0b101, 0b101, 0b111],
        '1' => [0b010, 0b110, 0b010, 0b010, 0b111],
        '2' => [0b111, 0b001, 0b111, 0b100, 0b111],
        '3' => [0b111, 0b001, 0b111, 0b001, 0b111],
        '4' => [0b101, 0b101, 0b111, 0b001, 0b001],
        '5' => [0b111, 0b100, 0b111, 0b001, 0b111],
        '6' => [0b111, 0b100, 0b111, 0b101, 0b111],
        '7' => [0b111, 0b001, 0b010, 0b010, 0b010],
        '8' => [0b111, 0b101, 0b111, 0b101, 0b111],
        '9' => [0b111, 0b101, 0b111, 0b001, 0b111],
        '-' => [0b000, 0b000, 0b111, 0b000, 0b000],
        '.' => [0b000, 0b000, 0b000, 0b000, 0b010],
        'e' => [0b000, 0b111, 0b111, 0b100, 0b111],
        _ => [0; HEIGHT],
    }
}

/// Pixels of a text in the font's own units: (column, row).
pub fn pixels(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    text.chars().enumerate().flat_map(|(i, letter)| {
        rows(letter).into_iter().enumerate().flat_map(move |(y, bits)| {
            (0..3).filter(move |x| bits >> (2 - x) & 1 == 1).map(move |x| (i * ADVANCE + x, y))
        })
    })
}

/// Columns of a text, without the gap at its end.
pub fn width(text: &str) -> usize {
    (text.chars().count() * ADVANCE).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_a_number_is_there() {
        for letter in "0123456789-.e".chars() {
            assert!(pixels(&letter.to_string()).count() > 0, "{letter}");
        }
        assert_eq!(width("-1.8"), 15);
        assert!(pixels("-1.8").all(|(x, y)| x < 15 && y < HEIGHT));
    }
}
