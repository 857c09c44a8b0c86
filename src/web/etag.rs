//! Entity tags of what was asked for before (RFC 9110, 13.1.2).

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;

/// Whether the caller has what `etag` (with its quotes) names already.
pub(super) fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        list.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_tag_is_known_among_others_and_when_weak() {
        let said = |text: &'static str| -> HeaderMap {
            [(IF_NONE_MATCH, HeaderValue::from_static(text))].into_iter().collect()
        };
        for yes in ["\"e\"", "W/\"e\"", "\"a\", \"e\"", "*"] {
            assert!(not_modified(&said(yes), "\"e\""), "{yes}");
        }
        for no in ["\"a\"", "e", ""] {
            assert!(!not_modified(&said(no), "\"e\""), "{no}");
        }
    }
}
