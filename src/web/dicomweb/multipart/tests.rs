//! Parts come out whole however the bytes are cut.

use proptest::prelude::*;

use super::*;

type Read = Result<Vec<(Vec<u8>, Vec<u8>)>, MultipartError>;

/// All parts of `body`, which comes in pieces of `piece` bytes.
fn read(boundary: &str, body: &[u8], piece: usize) -> Read {
    let mut reader = Reader::new(boundary)?;
    let mut chunks = body.chunks(piece);
    let mut parts: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut open = false;
    loop {
        match reader.next()? {
            Event::More => match chunks.next() {
                Some(chunk) => reader.push(chunk),
                None => break,
            },
            Event::Part(headers) => {
                assert!(!open);
                open = true;
                parts.push((headers.to_vec(), Vec::new()));
            }
            Event::Data(data) => {
                assert!(open && !data.is_empty());
                parts.last_mut().unwrap().1.extend_from_slice(&data);
            }
            Event::PartEnd => {
                assert!(open);
                open = false;
            }
            Event::End => break,
        }
    }
    reader.finish()?;
    Ok(parts)
}

fn written(boundary: &str, parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (headers, data) in parts {
        body.extend_from_slice(format!("--{boundary}\r\n{headers}\r\n").as_bytes());
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--").as_bytes());
    body
}

#[test]
fn parts_are_read_with_preamble_padding_and_epilogue() {
    let body =
        b"before\r\n--b  \r\nA: 1\r\n\r\none\r\n--bb\r\n--b\r\n\r\n\r\n--b--after\r\n--b\r\n";
    for piece in 1..=body.len() {
        let parts = read("b", body, piece).unwrap();
        assert_eq!(parts, [(b"A: 1\r\n".to_vec(), b"one\r\n--bb".to_vec()), (vec![], vec![])]);
    }
    assert_eq!(read("b", b"--b--", 1).unwrap(), []);
}

#[test]
fn what_does_not_end_is_told() {
    let whole = written("b", &[("A: 1\r\n", b"data")]);
    for cut in 0..whole.len() {
        assert_eq!(read("b", &whole[..cut], 7), Err(MultipartError::Truncated), "{cut}");
    }
    assert_eq!(read("", &whole, 7), Err(MultipartError::Boundary));
    assert_eq!(read(&"b".repeat(71), &whole, 7), Err(MultipartError::Boundary));
    let junk = vec![b'x'; PREAMBLE_BYTES_MAX + 100];
    assert_eq!(read("b", &junk, 1000), Err(MultipartError::Preamble));
    let headers = [b"--b\r\n".to_vec(), vec![b'x'; HEADERS_BYTES_MAX + 100]].concat();
    assert_eq!(read("b", &headers, 1000), Err(MultipartError::Headers));
}

#[test]
fn a_body_without_a_boundary_is_never_held() {
    let mut reader = Reader::new("boundary").unwrap();
    reader.push(b"--boundary\r\n\r\n");
    for _ in 0..1000 {
        while reader.next().unwrap() != Event::More {}
        reader.push(&[b'\r'; 1000]);
        assert!(reader.buffer.len() < 1100);
    }
}

#[test]
fn headers_are_found_by_name() {
    let headers = b"content-TYPE:  application/dicom \r\nX: y\r\n";
    assert_eq!(header(headers, "Content-Type"), Some("application/dicom"));
    assert_eq!(header(headers, "Content-Location"), None);
    assert_eq!(header(b"\xFF: a\r\n", "a"), None);
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        parts in prop::collection::vec(prop::collection::vec("[\r\n\\-b x]{0,3}", 0..20), 0..5),
        piece in 1_usize..40,
    ) {
        let boundary = "bxb";
        let data: Vec<Vec<u8>> = parts.iter().map(|p| p.concat().into_bytes()).collect();
        // What holds the boundary itself cannot be written with it.
        prop_assume!(data.iter().all(|d| find(d, b"--bxb").is_none()));
        let given: Vec<(&str, &[u8])> = data.iter().map(|d| ("H: v\r\n", d.as_slice())).collect();
        let body = written(boundary, &given);
        let read = read(boundary, &body, piece).unwrap();
        prop_assert_eq!(read.len(), data.len());
        for ((headers, got), put) in read.iter().zip(&data) {
            prop_assert_eq!(headers.as_slice(), b"H: v\r\n");
            prop_assert_eq!(got, put);
        }
    }

    #[test]
    fn how_bytes_are_cut_changes_nothing(
        body in prop::collection::vec(prop::sample::select(b"\r\n-b: x".to_vec()), 0..200),
        piece in 1_usize..20,
    ) {
        let body = [b"--b\r\n\r\n".to_vec(), body].concat();
        prop_assert_eq!(read("b", &body, piece), read("b", &body, body.len()));
    }
}
