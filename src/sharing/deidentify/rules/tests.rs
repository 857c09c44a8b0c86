//! The tables load, and say what the standard says.

use super::*;

fn rules() -> Rules {
    Rules::load(&crate::embedded::files()).unwrap()
}

#[test]
fn the_table_is_read_whole_and_as_the_standard_has_it() {
    let rules = rules();
    assert!(rules.rows.len() > 640, "{}", rules.rows.len());
    let action = |tag: (u16, u16), choices: &[Choice]| {
        let choices = Choices::of(choices.iter().copied()).unwrap();
        rules.row(Tag(tag.0, tag.1)).map(|row| row.action(&choices))
    };
    for (tag, choices, expected) in [
        ((0x0010, 0x0010), &[][..], Action::Empty),
        ((0x0010, 0x0020), &[], Action::Dummy),
        ((0x0008, 0x0018), &[], Action::Uid),
        ((0x0008, 0x0018), &[Choice::Uids], Action::Keep),
        ((0x0008, 0x0021), &[], Action::Dummy),
        ((0x0008, 0x0021), &[Choice::FullDates], Action::Keep),
        ((0x0008, 0x0021), &[Choice::ModifiedDates], Action::Clean),
        ((0x0008, 0x103E), &[], Action::Remove),
        ((0x0008, 0x103E), &[Choice::Descriptors], Action::Clean),
        ((0x0008, 0x0080), &[Choice::Institution], Action::Keep),
        ((0x0018, 0x1000), &[Choice::Device], Action::Keep),
        ((0x0010, 0x1010), &[Choice::Patient], Action::Keep),
        ((0x0040, 0xA730), &[Choice::Structured], Action::Clean),
        ((0x0008, 0x1140), &[], Action::References),
        ((0x6002, 0x3000), &[], Action::Remove),
        ((0x6002, 0x3000), &[Choice::Graphics], Action::Clean),
        ((0x5004, 0x0022), &[], Action::Remove),
        ((0x0029, 0x1010), &[], Action::Remove),
    ] {
        assert_eq!(action(tag, choices), Some(expected), "{tag:04X?}");
    }
    assert_eq!(action((0x0028, 0x0010), &[]), None);
    assert_eq!(action((0x6002, 0x0010), &[]), None);
}

#[test]
fn options_have_the_codes_of_cid_7050_and_dates_are_not_kept_and_modified() {
    let rules = rules();
    let all =
        Choices::of(Choice::ALL.map(|(c, _)| c).into_iter().filter(|c| *c != Choice::FullDates))
            .unwrap();
    let codes: Vec<_> = rules.codes(&all).iter().map(|coded| coded.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "113100", "113103", "113104", "113105", "113107", "113108", "113109", "113110",
            "113111", "113112"
        ]
    );
    assert!(Choices::of([Choice::FullDates, Choice::ModifiedDates]).is_err());
}

#[test]
fn a_row_without_a_known_source_or_with_a_wrong_cell_does_not_load() {
    for (file, from, to, expected) in [
        ("profile.csv", "ps3.15-2026c|ps3.15-2024d", "hearsay", "unknown source"),
        ("profile.csv", "Accession Number,Z", "Accession Number,Q", "no action code"),
        ("kept.csv", "\"0008,0070\"", "\"0008;0070\"", "GGGG,EEEE"),
        ("safe_private.csv", "0019,0C,IS", "0018,0C,IS", "odd group"),
        ("parameters.csv", "shift_days_min,30", "shift_days_min,0", "shift_days_min"),
        ("word_files.csv", "words.csv,word", "words.csv,wort", "no such column"),
    ] {
        let mut files = crate::embedded::files();
        let path = format!("policy/deidentification/{file}");
        let text = files.text(&path).unwrap().to_owned();
        assert!(text.contains(from), "{file}");
        files.insert(path, text.replacen(from, to, 1).into_bytes());
        let error = Rules::load(&files).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
