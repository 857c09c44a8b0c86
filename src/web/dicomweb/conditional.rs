//! Conditional requests and byte ranges (RFC 9110, 13 and 14), over strong entity tags: what is
//! stored never changes, so a digest says all.

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};

use super::problem::Problem;
pub(super) use crate::web::etag::not_modified;

/// The bytes that are asked for of `length`; none for all. Several ranges at once are answered with
/// all, as is a range of something else than the caller has (`If-Range`).
pub(super) fn range(
    headers: &HeaderMap,
    etag: &str,
    length: u64,
) -> Result<Option<Range<u64>>, Problem> {
    let Some(value) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    if headers.get(IF_RANGE).is_some_and(|tag| tag.as_bytes() != etag.as_bytes()) {
        return Ok(None);
    }
    let Some(spec) = value.trim().strip_prefix("bytes=").map(str::trim) else { return Ok(None) };
    let Some((first, last)) = spec.split_once('-') else { return Ok(None) };
    let number = |text: &str| {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // What does not fit 64 bits lies beyond the end of everything.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let range = match (number(first), number(last)) {
        (Some(from), Some(to)) if from <= to => from..to.saturating_add(1).min(length),
        (Some(from), None) if last.trim().is_empty() => from..length,
        (None, Some(tail)) if first.trim().is_empty() => {
            if tail == 0 {
                return Err(Problem::range(length));
            }
            length.saturating_sub(tail)..length
        }
        _ => return Ok(None),
    };
    if range.start >= length {
        return Err(Problem::range(length));
    }
    Ok(Some(range))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(range: &'static str) -> HeaderMap {
        [(RANGE, HeaderValue::from_static(range))].into_iter().collect()
    }

    #[test]
    fn one_range_is_answered_and_what_is_none_is_not() {
        for (text, expected) in [
            ("bytes=0-9", Some(0..10)),
            ("bytes=5-", Some(5..100)),
            ("bytes=-10", Some(90..100)),
            ("bytes=-1000", Some(0..100)),
            ("bytes=90-1000", Some(90..100)),
            ("bytes=99999999999999999999999-", None),
            ("bytes=9-5", None),
            ("bytes=0-1,5-6", None),
            ("bytes=a-b", None),
            ("bytes=-", None),
            ("lines=0-9", None),
        ] {
            let got = range(&asked(text), "\"e\"", 100);
            if text.contains("9999") {
                assert!(got.is_err(), "{text}");
            } else {
                assert_eq!(got.unwrap(), expected, "{text}");
            }
        }
        assert!(range(&asked("bytes=100-"), "\"e\"", 100).is_err());
        assert!(range(&asked("bytes=-0"), "\"e\"", 100).is_err());
        assert!(range(&asked("bytes=0-"), "\"e\"", 0).is_err());
        let mut other = asked("bytes=0-9");
        other.insert(IF_RANGE, HeaderValue::from_static("\"old\""));
        assert_eq!(range(&other, "\"e\"", 100).unwrap(), None);
        other.insert(IF_RANGE, HeaderValue::from_static("\"e\""));
        assert_eq!(range(&other, "\"e\"", 100).unwrap(), Some(0..10));
    }
}
