//! Which form is chosen.

use axum::http::HeaderValue;

use super::*;

const SYNTAX: &str = "1.2.840.10008.1.2.4.70";

fn accept(text: &str) -> Result<Accept, Problem> {
    let headers = [(ACCEPT, HeaderValue::from_str(text).unwrap())].into_iter().collect();
    Accept::of(&headers, &[])
}

fn offers() -> Vec<Offer> {
    vec![
        Offer::parts("application/dicom").in_syntax(SYNTAX),
        Offer::single("application/dicom").in_syntax(SYNTAX),
    ]
}

fn chosen(text: &str) -> Option<bool> {
    accept(text).unwrap().choose(&offers()).ok().map(|offer| offer.multipart)
}

#[test]
fn what_is_wanted_most_is_chosen_and_what_is_not_offered_is_not() {
    for (text, multipart) in [
        ("", Some(true)),
        ("*/*", Some(true)),
        ("application/dicom", Some(false)),
        ("application/*", Some(false)),
        ("APPLICATION/DICOM", Some(false)),
        ("multipart/related", Some(true)),
        ("multipart/*", Some(true)),
        ("multipart/related; type=application/dicom", Some(true)),
        ("multipart/related; type=\"application/dicom\"", Some(true)),
        ("multipart/related; type=\"application/dicom\"; transfer-syntax=*", Some(true)),
        ("multipart/related; type=\"application/*\"", Some(true)),
        ("multipart/related; type=\"image/jpeg\"", None),
        ("multipart/related; type=nonsense", None),
        ("image/png, application/dicom;q=0.1", Some(false)),
        ("application/dicom;q=0.5, multipart/related;q=0.4", Some(false)),
        ("application/dicom;q=0.5, */*;q=0.6", Some(true)),
        // The closer range says the weight, also when it says no.
        ("application/dicom;q=0, multipart/related;q=0", None),
        ("application/dicom;q=0, */*", Some(true)),
        ("application/dicom, */*", Some(false)),
        ("application/dicom+json", None),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.4.70", Some(false)),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", None),
        ("application/dicom; transfer-syntax=*", Some(false)),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1, */*;q=0.1", Some(true)),
    ] {
        assert_eq!(chosen(text), multipart, "{text}");
    }
}

#[test]
fn what_is_no_list_of_media_types_is_refused() {
    for bad in [
        "application",
        "application/",
        "/dicom",
        "application/dicom;q=2",
        "application/dicom;q=-1",
        "application/dicom;q=x",
        "application/dicom;q=0.x",
        "application/dicom; nothing",
        "a b/c",
    ] {
        assert!(accept(bad).is_err(), "{bad}");
    }
    assert!(accept(&vec!["a/b"; RANGES_MAX].join(",")).is_ok());
    assert!(accept(&vec!["a/b"; RANGES_MAX + 1].join(",")).is_err());
}

#[test]
fn the_parameter_stands_before_the_header() {
    let headers = [(ACCEPT, HeaderValue::from_static("multipart/related"))].into_iter().collect();
    let parameters = [("accept".to_owned(), "application/dicom".to_owned())];
    let accept = Accept::of(&headers, &parameters).unwrap();
    assert!(!accept.choose(&offers()).unwrap().multipart);
}

#[test]
fn quotes_and_escapes_are_read() {
    let media = Media::parse("multipart/related; boundary=\"a;\\\"b,\"; type=x/y").unwrap();
    assert_eq!(media.parameter("boundary"), Some("a;\"b,"));
    assert_eq!(media.parameter("type"), Some("x/y"));
    assert!(Media::parse("multipart/related; boundary").is_none());
}

#[test]
fn a_form_on_demand_is_given_only_to_who_asks_for_its_syntax_or_any() {
    let offers = [
        Offer::parts("image/jpeg").in_syntax(SYNTAX),
        Offer::parts("application/octet-stream").in_syntax(SYNTAX).on_demand(),
    ];
    let chosen = |text: &str| accept(text).unwrap().choose(&offers).ok().map(|o| o.media);
    let octets = "multipart/related; type=application/octet-stream";
    assert_eq!(chosen("*/*"), Some("image/jpeg"));
    assert_eq!(chosen(octets), None);
    assert_eq!(chosen(&format!("{octets}; transfer-syntax=*")), Some("application/octet-stream"));
    assert_eq!(
        chosen(&format!("{octets}; transfer-syntax={SYNTAX}")),
        Some("application/octet-stream")
    );
    assert_eq!(chosen(&format!("{octets}; transfer-syntax=1.2.840.10008.1.2.1")), None);
}

proptest::proptest! {
    #[test]
    fn no_header_breaks_the_choice(text in "[ -~]{0,80}") {
        if let Ok(accept) = accept(&text) {
            let _ = accept.choose(&offers());
        }
    }
}
