//! Tests of the tables: what does not load, and what the shipped ones say.

use super::super::testing::{files, tables};
use super::*;

/// The error after `from` became `to` in a file.
fn refused(file: &str, from: &str, to: &str) -> String {
    let mut files = files();
    let path = format!("people/{file}");
    let text = files.text(&path).unwrap().to_owned();
    assert!(text.contains(from), "{file} lacks {from}");
    files.insert(path, text.replacen(from, to, 1).into_bytes());
    PeopleTables::load(&files).unwrap_err().to_string()
}

#[test]
fn rows_without_a_known_source_do_not_load() {
    for file in [
        "surnames.csv",
        "surname_readings.csv",
        "variants.csv",
        "private_use.csv",
        "words.csv",
        "id_regions.csv",
        "parameters.csv",
        "limits.csv",
    ] {
        let text = files().text(&format!("people/{file}")).unwrap().to_owned();
        let end = text.lines().last().unwrap();
        let (rest, _) = end.rsplit_once(",draft").unwrap();
        let (rest, _) = rest.rsplit_once(',').unwrap();
        for source in ["", "hearsay"] {
            let told = refused(file, end, &format!("{rest},{source},draft"));
            assert!(told.starts_with(&format!("people/{file}:")), "{told}");
            assert!(told.contains("source"), "{told}");
        }
    }
}

#[test]
fn tables_that_cannot_be_are_refused_with_the_reason() {
    for (file, from, to, words) in [
        ("parameters.csv", "name,姓名,sound,", "name,姓名,tone,", "levels of `name` must be exact"),
        ("parameters.csv", "sex,性别,same", "gender,性别,same", "fields must be resident_id"),
        ("parameters.csv", "相同,0.995,0.5", "相同,0.5,0.5", "add up to 1"),
        ("limits.csv", "link_bits,13", "link_bits,-13", "impossible"),
        ("limits.csv", "link_bits", "link_bytes", "`link_bits` is missing"),
        ("limits.csv", "population,6400000", "population,NaN", "no number"),
        ("surname_readings.csv", "尉迟,yu chi", "尉迟,yu", "one or more a character"),
        ("surname_readings.csv", "单,shan", "单,shàn", "one or more a character"),
        ("variants.csv", "喆,哲", "喆,羣", "is a variant of another"),
        ("private_use.csv", "E863,4DAE", "E863,E863", "private use area"),
        ("private_use.csv", "E863,4DAE", "E863,XYZ", "hexadecimal"),
        ("id_regions.csv", "36,江西", "361,江西", "prefix"),
        ("words.csv", "title,先生", "title,女士", "twice"),
    ] {
        let told = refused(file, from, to);
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn every_change_of_a_table_changes_the_version() {
    let mut files = files();
    let text = files.text("people/limits.csv").unwrap().replace("link_bits,13", "link_bits,14");
    files.insert("people/limits.csv", text.into_bytes());
    let changed = PeopleTables::load(&files).unwrap();
    assert_ne!(changed.version(), tables().version());
    assert_eq!(tables().version().len(), 12);
}

#[test]
fn the_shipped_weights_fall_from_level_to_level_where_they_must() {
    let model = &tables().model;
    for id in ["resident_id", "health_card", "name", "sex", "phone", "birth_year"] {
        let field = model.field(id).unwrap();
        let bits: Vec<f64> = model.fields()[field].levels.iter().map(Level::bits).collect();
        assert!(bits.first() > bits.last() && bits.last() < Some(&0.0), "{id} {bits:?}");
    }
    // Every single field that agrees is too little for a link.
    let limits = &tables().limits;
    for field in model.fields() {
        let best = field.levels.iter().map(Level::bits).fold(0.0, f64::max);
        assert!(best - limits.population.log2() < limits.link_bits, "{}", field.id);
    }
}

#[test]
fn the_private_use_area_of_gb18030_is_covered() {
    // The 80 places FE50 to FEA0 of GBK lie at U+E815 to U+E864 in one run.
    for point in 0xE815..=0xE864 {
        let c = char::from_u32(point).unwrap();
        assert_ne!(tables().names.meant(c), c, "U+{point:X}");
    }
    // The code chart that this program carries for documents agrees on the changes of 2022.
    for (bytes, expected) in [
        ([0xFE, 0x59], '\u{9fb4}'),
        ([0xFE, 0xA0], '\u{9fbb}'),
        ([0xA6, 0xD9], '\u{fe10}'),
        ([0xA8, 0xBC], '\u{1e3f}'),
        ([0xFE, 0x9F], '\u{4dae}'),
    ] {
        let (text, _, broken) = encoding_rs::GB18030.decode(&bytes);
        let c = text.chars().next().unwrap();
        assert!(!broken);
        assert_eq!(tables().names.meant(c), expected, "{bytes:X?} {c:?}");
    }
}
