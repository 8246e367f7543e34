//! The palette: a map from cold to warm whose lightness rises evenly, and a few colours beside it.
//! Made in OKLab, where equal distances look equal, from a handful of control points.

/// Colours of the map; value 0 is the coldest.
pub const MAP_COLOURS: u8 = 251;
/// No value here: land.
pub const LAND: u8 = 251;
/// Behind the legend.
pub const PAPER: u8 = 252;
/// Letters and ticks.
pub const INK: u8 = 253;

/// Lightness of the coldest and of the warmest colour; between them it rises in a straight line.
const LIGHTNESS: (f64, f64) = (0.25, 0.94);

/// Chroma and hue (degrees) along the map, at equal distances: night blue, violet, magenta, orange, pale yellow.
const CONTROL: [(f64, f64); 5] =
    [(0.115, 268.0), (0.165, 300.0), (0.170, 350.0), (0.155, 410.0), (0.110, 462.0)];

/// The palette as PNG has it: red, green, blue of each index.
pub fn palette() -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in 0..MAP_COLOURS {
        bytes.extend(map_colour(f64::from(i) / f64::from(MAP_COLOURS - 1)));
    }
    for grey in [0x8c, 0xff, 0x20] {
        bytes.extend([grey; 3]);
    }
    bytes
}

/// Index of a value in the map from `min` to `max`; land where it is no number.
pub fn index(value: f64, min: f64, max: f64) -> u8 {
    if value.is_nan() {
        return LAND;
    }
    let at = if max > min { (value - min) / (max - min) } else { 0.5 };
    (at.clamp(0.0, 1.0) * f64::from(MAP_COLOURS - 1)).round() as u8
}

fn map_colour(at: f64) -> [u8; 3] {
    let lightness = LIGHTNESS.0 + (LIGHTNESS.1 - LIGHTNESS.0) * at;
    let place = at * (CONTROL.len() - 1) as f64;
    let left = (place as usize).min(CONTROL.len() - 2);
    let part = place - left as f64;
    let mix = |a: f64, b: f64| a + (b - a) * part;
    let chroma = mix(CONTROL[left].0, CONTROL[left + 1].0);
    let hue = mix(CONTROL[left].1, CONTROL[left + 1].1).to_radians();
    // Less colourful where the screen cannot show it; the lightness is kept.
    let mut shown = [0.0; 3];
    for less in 0..20 {
        let c = chroma * (1.0 - f64::from(less) / 20.0);
        shown = linear_rgb(lightness, c * hue.cos(), c * hue.sin());
        if shown.iter().all(|v| (-1e-4..=1.0 + 1e-4).contains(v)) {
            break;
        }
    }
    shown.map(|v| (srgb(v.clamp(0.0, 1.0)) * 255.0).round() as u8)
}

/// OKLab to linear sRGB (Björn Ottosson, "A perceptual color space for image processing", 2020).
fn linear_rgb(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

fn srgb(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(rgb: &[u8]) -> f64 {
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2])
    }

    #[test]
    fn lightness_rises_without_steps() {
        let palette = palette();
        assert_eq!(palette.len(), 3 * (usize::from(INK) + 1));
        let light: Vec<f64> =
            palette.chunks(3).take(usize::from(MAP_COLOURS)).map(|c| luminance(c).cbrt()).collect();
        let span = light.last().unwrap() - light[0];
        assert!(span > 0.6, "{span}");
        for (i, pair) in light.windows(2).enumerate() {
            let step = (pair[1] - pair[0]) / span * f64::from(MAP_COLOURS);
            assert!((-0.6..3.5).contains(&step), "step {step} of the mean at {i}");
        }
    }

    #[test]
    fn white_is_white() {
        assert!(linear_rgb(1.0, 0.0, 0.0).iter().all(|v| (v - 1.0).abs() < 1e-6));
    }

    #[test]
    fn values_take_their_place() {
        assert_eq!(index(0.0, 0.0, 10.0), 0);
        assert_eq!(index(10.0, 0.0, 10.0), MAP_COLOURS - 1);
        assert_eq!(index(5.0, 0.0, 10.0), 125);
        assert_eq!(index(f64::INFINITY, 0.0, 10.0), MAP_COLOURS - 1);
        assert_eq!(index(f64::NAN, 0.0, 10.0), LAND);
        assert_eq!(index(3.0, 3.0, 3.0), 125);
    }
}
