//! Data sets with pixels: nothing panics, and what is drawn fits its box, whatever the bytes.
//! The first byte chooses the transfer syntax.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use xiangyi::app::imaging::render::{PixelSource, RenderRequest, Viewport};
use xiangyi::render::{frame_bytes, render};

const SYNTAXES: [&str; 10] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.8.1",
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let syntax = SYNTAXES[usize::from(*choice) % SYNTAXES.len()];
    let source =
        PixelSource { transfer_syntax: syntax.to_owned(), data_set: Bytes::copy_from_slice(data) };
    let _ = frame_bytes(&source, 2);
    let request = RenderRequest {
        overlays: true,
        viewport: Some(Viewport { width: 100, height: 50 }),
        ..RenderRequest::default()
    };
    if let Ok(image) = render(&source, &request) {
        assert!(image.width <= 100 && image.height <= 50);
    }
});
