//! The legend below the map: the colours from least to greatest, with round numbers under them.

use crate::colours::{INK, MAP_COLOURS, PAPER};
use crate::font;

/// Rows of the legend for letters `size` times their own size.
pub fn height(size: usize) -> usize {
    (BAR_AT + BAR_ROWS + TICK_ROWS + 1 + font::HEIGHT + 3) * size
}

const BAR_AT: usize = 4;
const BAR_ROWS: usize = 6;
const TICK_ROWS: usize = 2;

/// Draws it, row-major: `width` columns of palette indices.
pub fn draw(width: usize, size: usize, min: f64, max: f64) -> Vec<u8> {
    let mut pixels = vec![PAPER; width * height(size)];
    let mut set = |x: usize, y: usize, colour: u8| {
        if let Some(pixel) = pixels.get_mut(y * width + x).filter(|_| x < width) {
            *pixel = colour;
        }
    };
    let (left, right) = (width / 8, width - width / 8);
    let bar = right - left;
    for x in 0..bar {
        let at = x * usize::from(MAP_COLOURS - 1) / (bar - 1).max(1);
        for y in BAR_AT * size..(BAR_AT + BAR_ROWS) * size {
            set(left + x, y, at.min(usize::from(MAP_COLOURS - 1)) as u8);
        }
    }
    let room = bar / (font::ADVANCE * 8 * size).max(1);
    for (value, text) in ticks(min, max, room) {
        let x = left + ((value - min) / (max - min) * (bar - 1) as f64).round() as usize;
        let tick_at = (BAR_AT + BAR_ROWS) * size;
        for y in tick_at..tick_at + TICK_ROWS * size {
            (0..size).for_each(|i| set(x + i, y, INK));
        }
        let start = x.saturating_sub(font::width(&text) * size / 2);
        let text_at = tick_at + (TICK_ROWS + 1) * size;
        for (column, row) in font::pixels(&text) {
            for i in 0..size * size {
                set(start + column * size + i % size, text_at + row * size + i / size, INK);
            }
        }
    }
    pixels
}

/// Round values between `min` and `max`, some `room` of them at most, and how they are written.
fn ticks(min: f64, max: f64, room: usize) -> Vec<(f64, String)> {
    let span = max - min;
    if !(span.is_finite() && span > 0.0) {
        return Vec::new();
    }
    let rough = span / room.clamp(1, 12) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    let (first, last) = ((min / step).ceil(), (max / step).floor());
    if (last - first).is_nan() || last - first > 100.0 {
        return Vec::new();
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    (0..=(last - first) as i64)
        .map(|i| (first + i as f64) * step)
        .map(|v| {
            let long = v.abs() >= 1e6 || (step < 1e-6);
            // Adding 0 turns -0 into 0.
            (v, if long { format!("{:.1e}", v + 0.0) } else { format!("{:.decimals$}", v + 0.0) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(min: f64, max: f64, room: usize) -> Vec<String> {
        ticks(min, max, room).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(-13.7, 28.9, 5), ["-10", "0", "10", "20"]);
        assert_eq!(texts(0.0, 1.0, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(0.0, 1_036_799.0, 3), ["0", "500000", "1.0e6"]);
        assert_eq!(texts(3.0, 3.0, 5), Vec::<String>::new());
        assert_eq!(texts(f64::NEG_INFINITY, 3.0, 5), Vec::<String>::new());
        assert!(texts(1e300, 1e300 * (1.0 + 1e-15), 5).len() < 100);
    }

    #[test]
    fn no_width_is_too_small() {
        for width in 1..200 {
            for size in [1, 2, 5] {
                assert_eq!(draw(width, size, -1.8, 30.0).len(), width * height(size));
            }
        }
    }
}
