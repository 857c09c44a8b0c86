//! Any bytes as the body of a store: no panic, and how they are cut changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xiangyi::web::dicomweb::multipart::{Event, MultipartError, Reader};

type Parts = Vec<(Vec<u8>, Vec<u8>)>;

fn read(body: &[u8], piece: usize) -> Result<Parts, MultipartError> {
    let mut reader = Reader::new("b")?;
    let mut chunks = body.chunks(piece);
    let mut parts = Parts::new();
    loop {
        match reader.next()? {
            Event::More => match chunks.next() {
                Some(chunk) => reader.push(chunk),
                None => break,
            },
            Event::Part(headers) => parts.push((headers.to_vec(), Vec::new())),
            Event::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(&data),
            Event::PartEnd => {}
            Event::End => break,
        }
    }
    reader.finish()?;
    Ok(parts)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, usize::MAX);
    for piece in [1, 7, 100] {
        assert_eq!(read(bytes, piece).is_ok(), whole.is_ok());
        if let (Ok(cut), Ok(whole)) = (read(bytes, piece), &whole) {
            assert_eq!(cut, *whole);
        }
    }
});
