//! Residences of addresses, and who gets a record.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

fn divisions() -> &'static Divisions {
    static SHIPPED: LazyLock<Divisions> =
        LazyLock::new(|| Divisions::load(&crate::embedded::files()).unwrap());
    &SHIPPED
}

fn text(text: &str) -> Address {
    Address { text: text.into(), ..Address::default() }
}

fn code(address: &Address) -> String {
    divisions().resolve(address).code
}

/// Names and codes of the shipped tables, as the file has them.
fn shipped() -> Vec<(String, String)> {
    let files = crate::embedded::files();
    let lines = files.text("regions/divisions.csv").unwrap().lines().skip(1);
    let row = |line: &str| {
        let mut cells = line.split(',');
        (cells.next().unwrap().to_owned(), cells.next().unwrap().to_owned())
    };
    lines.map(row).collect()
}

fn named(code: &str) -> String {
    shipped().into_iter().find(|(other, _)| other == code).unwrap().1
}

#[test]
fn an_address_names_its_village_however_it_is_written() {
    let village = "361123102201";
    let (county, township) = (named("361123"), named("361123102"));
    let name = named(village);
    let bare = name.strip_suffix("村委会").or(name.strip_suffix("村民委员会")).unwrap();
    for written in [
        format!("江西省上饶市{county}{township}{bare}村3组12号"),
        format!("{county}{township}{bare}村委会"),
        format!("{county}{township}{bare}村民委员会旁"),
        format!("{township}{bare}村"),
        format!("江西 上饶 {county} {township} {bare}"),
        format!("　{county}，{township}，{bare}村"),
    ] {
        assert_eq!(code(&text(&written)), village, "{written}");
    }
    let parts = Address {
        province: "江西省".into(),
        city: "上饶市".into(),
        county: county.clone(),
        township: township.trim_end_matches('镇').into(),
        village: bare.into(),
        house: "12号".into(),
        ..Address::default()
    };
    assert_eq!(code(&parts), village);
    // A name in the middle of a word is another name.
    let other = divisions().resolve(&text(&format!("{county}{township}新{bare}村")));
    assert_eq!((other.code.as_str(), other.precision), ("361123102", Precision::Township));
    assert_eq!(other.notes, [ResidenceNote::VillageUnknown]);
}

#[test]
fn every_village_of_the_tables_is_found_by_its_own_address() {
    let all = shipped();
    let name = |code: &str| all.iter().find(|(other, _)| other == code).unwrap().1.clone();
    let villages: Vec<_> = all.iter().filter(|(code, _)| code.len() == 12).collect();
    assert_eq!(villages.len(), 2883);
    let mut missed = Vec::new();
    for (code, village) in villages {
        let (county, township) = (name(&code[..6]), name(&code[..9]));
        let residence =
            divisions().resolve(&text(&format!("江西省上饶市{county}{township}{village}5号")));
        if &residence.code != code {
            missed.push(format!("{county}{township}{village} {residence:?}"));
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}

/// As people write it: 杨家村 for 杨家村民委员会. Another village is never found.
#[test]
fn a_village_is_found_by_its_common_name_or_not_at_all() {
    let all = shipped();
    let name = |code: &str| all.iter().find(|(other, _)| other == code).unwrap().1.clone();
    let mut found = 0;
    let mut asked = 0;
    for (code, village) in all.iter().filter(|(code, _)| code.len() == 12) {
        let ends = ["村民委员会", "村委会"];
        let Some(bare) = ends.iter().find_map(|end| village.strip_suffix(end)) else { continue };
        asked += 1;
        let (county, township) = (name(&code[..6]), name(&code[..9]));
        let residence = divisions().resolve(&text(&format!("{county}{township}{bare}村8号")));
        assert!(code.starts_with(&residence.code), "{county}{township}{bare} {residence:?}");
        found += usize::from(residence.code == *code);
    }
    assert_eq!((found, asked), (2214, 2214));
}

#[test]
fn what_does_not_name_one_place_is_not_guessed() {
    let resolve = |address: &Address| {
        let residence = divisions().resolve(address);
        (residence.code.clone(), residence.precision, residence.notes.clone())
    };
    let said = |note| vec![note];
    for (address, expected, precision, note) in [
        ("", "", Precision::Unknown, ResidenceNote::NoAddress),
        ("浙江省江山市城南街道", "", Precision::Unknown, ResidenceNote::Elsewhere),
        ("南昌市东湖区", "", Precision::Unknown, ResidenceNote::Elsewhere),
        ("江西省南昌市东湖区", "", Precision::Unknown, ResidenceNote::Elsewhere),
        ("广西壮族自治区", "", Precision::Unknown, ResidenceNote::Elsewhere),
        ("人民路12号", "", Precision::Unknown, ResidenceNote::PlaceUnknown),
        ("玉山县", "361123", Precision::County, ResidenceNote::TownshipUnknown),
        ("上饶县人民路", "361104", Precision::County, ResidenceNote::TownshipUnknown),
        ("上饶市广丰县不存在镇", "361103", Precision::County, ResidenceNote::TownshipUnknown),
        ("德兴市", "361181", Precision::County, ResidenceNote::TownshipUnknown),
    ] {
        let got = resolve(&text(address));
        assert_eq!(got, (expected.to_owned(), precision, said(note)), "{address}");
    }
    // 东门 is a village and a community of 361123002: the bare name is not enough.
    let (county, township) = (named("361123"), named("361123002"));
    let bare = divisions().resolve(&text(&format!("{county} {township} 东门")));
    assert_eq!((bare.code.as_str(), bare.candidates.len()), ("361123002", 2));
    assert_eq!(bare.notes, [ResidenceNote::SeveralFit]);
    assert_eq!(code(&text(&format!("{county}{township}东门村"))).len(), 12);
    assert_ne!(
        code(&text(&format!("{county}{township}东门村"))),
        code(&text(&format!("{county}{township}东门社区")))
    );
}

#[test]
fn code_and_words_must_agree() {
    let with = |division: &str, words: &str| {
        divisions().resolve(&Address {
            division: division.into(),
            text: words.into(),
            ..Address::default()
        })
    };
    let (county, township) = (named("361123"), named("361123102"));
    assert_eq!(with("361123102201", "").code, "361123102201");
    assert_eq!(with("361123102000", "").code, "361123102");
    assert_eq!(with("361123102201", &county).code, "361123102201");
    let bare = named("361123102201");
    let village = format!("{county}{township}{bare}");
    assert_eq!(with("361123", &village).code, "361123102201");
    assert_eq!(with("361123102", &village).precision, Precision::Village);
    for (division, words) in [("361102", county.as_str()), ("361123102202", village.as_str())] {
        let residence = with(division, words);
        assert_eq!((residence.code.as_str(), residence.precision), ("", Precision::Ambiguous));
        assert_eq!(residence.notes, [ResidenceNote::CodeDisagrees]);
        assert_eq!(residence.candidates.len(), 2);
    }
    assert_eq!(with("361123", "浙江省江山市").precision, Precision::Ambiguous);
    let unknown = with("330881001", &county);
    assert_eq!(unknown.code, "361123");
    assert_eq!(unknown.notes[0], ResidenceNote::CodeUnknown);
}

#[test]
fn rows_that_are_uncited_or_hang_in_the_air_do_not_load() {
    for (row, message) in [
        ("361199,某县,,draft", "row has no source"),
        ("36119,某县,memory,draft", "no division code"),
        ("361199000,某镇,memory,draft", "no division code"),
        ("361199001,某镇,memory,draft", "does not stand before it"),
        ("361102,信州区,memory,draft", "stands twice"),
    ] {
        let mut files = crate::embedded::files();
        let path = "regions/divisions.csv";
        let table = format!("{}{row}\n", files.text(path).unwrap());
        files.insert(path, table.into_bytes());
        let said = Divisions::load(&files).unwrap_err().to_string();
        assert!(said.contains(message) && said.contains("divisions.csv:"), "{said}");
    }
}

proptest! {
    #[test]
    fn any_address_is_read_without_harm_and_names_a_place_of_the_tables(
        words in "(江西省|上饶市|玉山县|冰溪街道|东门|村|社区| |，|.){0,8}",
        division in "(3611[0-9]{0,8})?",
        township in "(冰溪|冰溪镇|.){0,2}",
    ) {
        let address = Address { text: words, division, township, ..Address::default() };
        let residence = divisions().resolve(&address);
        prop_assert!(residence.code.is_empty() || divisions().contains(&residence.code));
        prop_assert!(residence.candidates.iter().all(|code| divisions().contains(code)));
        let expected = match residence.precision {
            Precision::Unknown | Precision::Ambiguous => 0,
            Precision::County => 6,
            Precision::Township => 9,
            Precision::Village => 12,
        };
        prop_assert_eq!(residence.code.len(), expected);
    }
}
