//! The starter's sockets: frames cut out of a stream, and the messages in them. What is decoded is encoded and decoded
//! as the same.

use dc_model::wire::{FRAME_BYTES_MAX, FrameBuffer, FromStarter, Output, ToStarter};

/// One of each message, as the wire's own tests keep them.
const GOLDEN: &str = include_str!("../../../../model/src/wire_golden.hex");

macro_rules! message {
    ($name:ident, $kind:ty) => {
        pub fn $name(data: &[u8]) {
            let Some((kind, body)) = data.split_first() else { return };
            let Ok(message) = <$kind>::decode(*kind, body) else { return };
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            let (kind, body) = only_frame(&bytes);
            assert_eq!(<$kind>::decode(kind, &body), Ok(message), "encoded and decoded again");
        }
    };
}

message!(to_starter, ToStarter);
message!(from_starter, FromStarter);
message!(output, Output);

fn only_frame(bytes: &[u8]) -> (u8, Vec<u8>) {
    let mut buffer = FrameBuffer::default();
    buffer.push(bytes);
    let (kind, body) = buffer.next_frame().expect("a frame of ours").expect("a whole one");
    let frame = (kind, body.to_vec());
    assert!(!buffer.is_partial(), "nothing behind it");
    frame
}

/// A stream that comes in pieces of the first byte's length: the frames are those of the stream in one piece, and
/// nothing but a wrong length ends it.
pub fn frames(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let whole = cut(stream.chunks(stream.len().max(1)));
    let pieces = cut(stream.chunks(usize::from(*piece).max(1)));
    assert_eq!(whole, pieces, "where a stream is cut changes nothing");
    let bytes: usize = whole.0.iter().map(|(_, body)| body.len() + 5).sum();
    assert!(bytes <= stream.len());
    for (kind, body) in &whole.0 {
        assert!(body.len() < FRAME_BYTES_MAX);
        let _ =
            (ToStarter::decode(*kind, body), FromStarter::decode(*kind, body), Output::decode(*kind, body));
    }
}

type Frames = (Vec<(u8, Vec<u8>)>, bool);

fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Frames {
    let (mut buffer, mut frames) = (FrameBuffer::default(), Vec::new());
    for piece in pieces {
        buffer.push(piece);
        loop {
            match buffer.next_frame() {
                Ok(Some((kind, body))) => frames.push((kind, body.to_vec())),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The golden messages, kind and body.
pub fn golden() -> Vec<Vec<u8>> {
    let stream = bytes_of(GOLDEN);
    let (frames, _) = cut(std::iter::once(&stream[..]));
    frames.into_iter().map(|(kind, body)| [&[kind], &body[..]].concat()).collect()
}

pub fn streams() -> Vec<Vec<u8>> {
    [1u8, 7, 255].map(|piece| [&[piece], &bytes_of(GOLDEN)[..]].concat()).to_vec()
}
