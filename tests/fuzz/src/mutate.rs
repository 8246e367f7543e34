//! Makes another input of one: what a fuzzer without a view into the program can do.

use crate::random::Random;

/// Values at which counts and lengths go wrong.
const EDGES: [u64; 10] =
    [0, 1, 7, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// Changes `input` in one to eight places; `other` lends pieces. Never longer than `bytes_max`.
pub fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8], bytes_max: usize) {
    for _ in 0..1 << random.below(4) {
        once(random, input, other);
    }
    input.truncate(bytes_max);
}

fn once(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(input.len());
    let longest = 1 << random.below(8);
    let len = 1 + random.below((input.len() - at).min(longest));
    match random.below(9) {
        0 | 1 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        2 if !input.is_empty() => input[at] = random.next() as u8,
        3 => {
            let width = 1 << random.below(4);
            let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
            input.iter_mut().skip(at).zip(&edge[..width]).for_each(|(byte, edge)| *byte = *edge);
        }
        4 if !input.is_empty() => drop(input.drain(at..(at + len).min(input.len()))),
        5 => {
            let copy: Vec<u8> = input.iter().skip(at).take(len).copied().collect();
            let to = random.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        6 => {
            let from = random.below(other.len());
            let piece: Vec<u8> = other.iter().skip(from).take(len).copied().collect();
            let end = (at + len).min(input.len());
            input.splice(at..end, piece);
        }
        7 => {
            let bytes: Vec<u8> = (0..len.min(8)).map(|_| random.next() as u8).collect();
            input.splice(at..at, bytes);
        }
        _ => input.truncate(at),
    }
}
