//! Every character set with real bytes, detection, and properties.

use proptest::prelude::*;

use super::{CharacterSets, Encoding, Kind};

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn decode(term: &str, bytes: &[u8], kind: Kind) -> String {
    CharacterSets::declared(term.as_bytes()).decode(bytes, kind)
}

fn gbk(text: &str) -> Vec<u8> {
    Encoding::Gb18030.encode(text, Kind::Names).unwrap()
}

/// Decodes one value as the only text of a data set.
fn alone(declared: Option<&str>, bytes: &[u8]) -> (String, bool) {
    let sets = CharacterSets::of_text(declared.map(str::as_bytes), std::iter::once(bytes));
    (sets.decode(bytes, Kind::Names), sets.guessed())
}

#[test]
fn single_byte_sets_decode_alone_and_after_their_escape_sequence() {
    for (number, last, bytes, text) in [
        ("100", "A", "E4 F6 FC DF E9", "äöüßé"),
        ("101", "B", "A3 F3 BC B3", "Łóźł"),
        ("109", "C", "A1 B1 F8", "Ħħĝ"),
        ("110", "D", "C0 E0 B9", "Āāš"),
        ("144", "L", "BB EE DA", "Люк"),
        ("127", "G", "E2 C8 C7", "قبا"),
        ("126", "F", "C4 E9 EF", "Διο"),
        ("138", "H", "F9 F8 E5", "שרו"),
        ("148", "M", "D0 FD FE", "Ğış"),
        ("203", "b", "A4 BD BE", "€œŸ"),
        ("166", "T", "B9 D2 C2", "นาย"),
    ] {
        let bytes = hex(bytes);
        assert_eq!(decode(&format!("ISO_IR {number}"), &bytes, Kind::Names), text, "{number}");
        assert_eq!(decode(&format!("ISO 2022 IR {number}"), &bytes, Kind::Names), text, "{number}");
        let escaped = [b"\x1B-", last.as_bytes(), &bytes].concat();
        let several = format!("\\ISO 2022 IR {number}");
        assert_eq!(decode(&several, &escaped, Kind::Names), text, "{number} escaped");
    }
}

#[test]
fn escape_sequences_hold_until_the_next_delimiter() {
    // PS3.5, annex H, I and K.
    let yamada = hex(
        "59 61 6D 61 64 61 5E 54 61 72 6F 75 3D 1B 24 42 3B 33 45 44 1B 28 42 5E 1B 24 42 42 40 4F
         3A 1B 28 42 3D 1B 24 42 24 64 24 5E 24 40 1B 28 42 5E 1B 24 42 24 3F 24 6D 24 26 1B 28 42",
    );
    assert_eq!(
        decode("\\ISO 2022 IR 87", &yamada, Kind::Names),
        "Yamada^Tarou=山田^太郎=やまだ^たろう"
    );
    let katakana = hex(
        "D4 CF C0 DE 5E C0 DB B3 3D 1B 24 42 3B 33 45 44 1B 28 4A 5E 1B 24 42 42 40 4F 3A 1B 28 4A",
    );
    assert_eq!(
        decode("ISO 2022 IR 13\\ISO 2022 IR 87", &katakana, Kind::Names),
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"
    );
    let hong = hex(
        "48 6F 6E 67 5E 47 69 6C 64 6F 6E 67 3D 1B 24 29 43 FB F3 5E 1B 24 29 43 D1 CE D4 D7 3D 1B
         24 29 43 C8 AB 5E 1B 24 29 43 B1 E6 B5 BF",
    );
    assert_eq!(decode("\\ISO 2022 IR 149", &hong, Kind::Names), "Hong^Gildong=洪^吉洞=홍^길동");
    let zhang =
        hex("5A 68 61 6E 67 5E 58 69 61 6F 44 6F 6E 67 3D 1B 24 29 41 D5 C5 5E 1B 24 29 41 D0
         A1 B6 AB 3D");
    assert_eq!(decode("\\ISO 2022 IR 58", &zhang, Kind::Names), "Zhang^XiaoDong=张^小东=");
    let text = hex("1B 24 29 41 B5 DA D2 BB D0 D0 0D 0A 1B 24 29 41 B5 DA B6 FE D0 D0");
    assert_eq!(decode("\\ISO 2022 IR 58", &text, Kind::Block), "第一行\r\n第二行");
    let rare = [b"\x1B$(D".as_slice(), &hex("30 21"), b"\x1B(B."].concat();
    assert_eq!(decode("\\ISO 2022 IR 159", &rare, Kind::Names), "丂.");
    // The set in force at the beginning returns after the delimiter.
    let mixed = [&hex("C4")[..], b"\x1B-F\xC4^\xC4"].concat();
    assert_eq!(decode("ISO 2022 IR 100\\ISO 2022 IR 126", &mixed, Kind::Names), "ÄΔ^Ä");
    assert_eq!(decode("ISO 2022 IR 100\\ISO 2022 IR 126", b"\x1B-F\xC4^\xC4", Kind::Values), "Δ^Δ");
}

#[test]
fn missing_escape_sequences_and_unknown_ones_are_tolerated() {
    let bytes = gbk("张^小东");
    assert_eq!(decode("\\ISO 2022 IR 58", &bytes, Kind::Names), "张^小东");
    assert_eq!(decode("ISO 2022 IR 58", &bytes, Kind::Names), "张^小东");
    assert_eq!(decode("\\ISO 2022 IR 149", &hex("C8 AB 5E B1 E6 B5 BF"), Kind::Names), "홍^길동");
    assert_eq!(decode("ISO_IR 100", b"\x1B%Gx\x1B", Kind::Names), "\u{FFFD}Gx\u{FFFD}");
    assert_eq!(decode("", b"a\xE4", Kind::Names), "a\u{FFFD}");
    assert_eq!(decode("ISO_IR 192", b"a\xE4", Kind::Names), "a\u{FFFD}");
    assert_eq!(decode("\\ISO 2022 IR 58", b"\x1B$)A\xD5\\\xC5", Kind::Names), "\u{FFFD}\\\u{FFFD}");
}

#[test]
fn second_bytes_that_look_like_a_delimiter_separate_nothing() {
    // 乗 is 81 5C in GBK; ソ is 83 5C and ポ 83 7C in Shift-JIS.
    assert_eq!(decode("GBK", b"\x81\x5C\\x", Kind::Values), "乗\\x");
    assert_eq!(decode("GB18030", b"\x81\x5E^x", Kind::Names), "乛^x");
    assert_eq!(decode("ISO_IR 13", b"\x83\x5C\x83\x7C\\\xB1", Kind::Values), "ソポ\\ｱ");
    assert_eq!(decode("ISO 2022 IR 13\\ISO 2022 IR 87", b"\x83\x5C\\\xB1", Kind::Values), "ソ\\ｱ");
}

#[test]
fn chinese_sets_reach_beyond_gbk() {
    for name in ["王^喆", "李^堃", "朱^镕基", "牛^犇", "张^㛃", "刘^𬱖", "王^𠮷", "陈^\u{9FB4}"]
    {
        let bytes = Encoding::Gb18030.encode(name, Kind::Names).unwrap();
        assert_eq!(decode("GB18030", &bytes, Kind::Names), name);
        assert_eq!(decode("GBK", &bytes, Kind::Names), name);
        assert_eq!(decode("ISO_IR 192", name.as_bytes(), Kind::Names), name);
    }
}

#[test]
fn other_spellings_of_terms_are_understood() {
    for term in
        ["ISO-IR 100", "iso_ir 100", "ISO IR 100", "ISO_IR_100", "ISO8859-1", "ISO 2022 IR100"]
    {
        assert_eq!(decode(term, b"\xFC", Kind::Names), "ü", "{term}");
    }
    for term in ["GB2312", "gbk ", "GB 18030", "ISO 2022 GBK", "ISO_IR 100\\GB18030", "\\GBK"] {
        assert_eq!(decode(term, &gbk("中"), Kind::Names), "中", "{term}");
    }
    for term in ["UTF-8", "utf8", "ISO IR 192", "ISO 2022 IR 192", "ISO_IR 192\\ISO_IR 100"] {
        assert_eq!(decode(term, "中".as_bytes(), Kind::Names), "中", "{term}");
    }
}

const SURNAMES: &str = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文";
const GIVEN: [&str; 37] = [
    "伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟",
    "涛", "明", "超", "秀兰", "霞", "平", "刚", "桂英", "玉兰", "建国", "建华", "国庆", "志强",
    "淑珍", "梓涵", "浩然", "喆", "堃", "镕", "犇", "㛃", "𬱖",
];

#[test]
fn chinese_names_declared_as_latin_or_not_at_all_are_recognised() {
    let mut names = 0;
    for surname in SURNAMES.chars().chain("欧司尉阿买".chars()) {
        for given in GIVEN {
            for name in [format!("{surname}{given}"), format!("Xx^Yy={surname}^{given}")] {
                let bytes = gbk(&name);
                for declared in
                    [None, Some(""), Some("ISO_IR 100"), Some("ISO_IR 6"), Some("CHINESE")]
                {
                    assert_eq!(
                        alone(declared, &bytes),
                        (name.clone(), true),
                        "{name} {declared:?}"
                    );
                }
            }
            names += 1;
        }
    }
    assert!(names > 200);
    for name in
        ["阿卜杜拉", "买买提^艾力", "扎西^卓玛", "尉迟^恭", "王", "伟", "头颅CT平扫", "x光胸片"]
    {
        assert_eq!(alone(Some("ISO_IR 100"), &gbk(name)), (name.to_owned(), true), "{name}");
        assert_eq!(alone(None, name.as_bytes()), (name.to_owned(), true), "{name}");
    }
    // Rare characters whose second byte is an ASCII letter.
    for name in ["王^珅", "朱镕基", "李^珺", "陈玥", "张^祎", "刘^頔", "王珅明"] {
        assert_eq!(alone(Some("ISO_IR 100"), &gbk(name)), (name.to_owned(), true), "{name}");
    }
    assert_eq!(alone(Some("ISO_IR 100"), b"\xE9F0"), ("éF0".to_owned(), false));
}

const LATIN1: &[&str] = &[
    "Müller",
    "François",
    "Ångström",
    "MÜLLER",
    "Groß",
    "René",
    "Zoë",
    "Bäcker^Jürgen",
    "Øystein",
    "Sørensen",
    "Åsa",
    "Jönsson^Björn",
    "Hämäläinen",
    "Þórður",
    "Þorsteinn",
    "Núñez",
    "Peña",
    "João",
    "créée",
    "Élève",
    "Noël",
    "Façade",
    "Übergröße",
    "Fußgängerüberführung",
    "ÄÖÜ",
    "Çelik",
    "Citroën",
    "Ærø",
    "Gonçalves",
    "30°",
    "5 µm ± 2",
    "Schädel nativ",
    "Thorax à 2 m",
    "Clichés du crâne",
    "Röntgen",
    "«été»",
    "MÉDÉE",
    "DÉÇU",
    "Ó'Brien",
    "Ü",
    "Bébé éé",
    "PÄÄKKÖNEN",
    "TÖÖLÖ",
    "JÄÄSKELÄINEN",
    "Jääskeläinen",
    "Töölö",
    "SÄÄSK",
    "CRÉÉE",
    "TÖRÄÄ",
    "Öö",
    "Õunpuu",
    "RÜÜTEL",
    "VÕÕRAS",
    "ÉTÉ",
    "ÉFÉ",
];

#[test]
fn western_names_are_not_taken_for_chinese() {
    for name in LATIN1 {
        let bytes = Encoding::Latin1.encode(name, Kind::Names).unwrap();
        let decoded = alone(Some("ISO_IR 100"), &bytes);
        assert_eq!(decoded, ((*name).to_owned(), false));
        assert_eq!(alone(None, &bytes), ((*name).to_owned(), true));
        assert_eq!(alone(None, name.as_bytes()), ((*name).to_owned(), true), "{name} in UTF-8");
    }
}

const POLISH: &[&str] = &[
    "Żółć",
    "Łódź",
    "Wałęsa",
    "Kościuszko",
    "Świętosława",
    "Błażej",
    "Jędrzejów",
    "Gęślą jaźń",
    "Źdźbło",
    "Śląsk",
    "Grażyna^Żak",
    "Dąbrowski",
    "Szczęsny",
    "Mikołajczyk",
];
const RUSSIAN: &[&str] = &[
    "Иванов",
    "Петров",
    "Сидорова^Анна",
    "Кузнецов",
    "Смирнов",
    "Попов",
    "Васильева",
    "Новиков",
    "Фёдоров",
    "Морозов^Дмитрий",
    "Волков",
    "Алексеев",
    "Лебедев",
    "Семёнов",
    "Егоров",
    "Павлов",
    "Козлов",
    "Степанов",
    "Николаев",
    "Орлов",
    "Андреев",
    "Макаров",
    "Никитин",
    "Захаров^Пётр",
    "Зайцев",
    "Соловьёв",
    "Борисов",
    "Яковлев",
    "Григорьев",
    "Романов",
    "Воробьёв",
    "Сергеев",
    "Рентген грудной клетки",
    "Череп",
    "Шумахер^Щукин",
    "ИВАНОВ",
];

#[test]
fn slavic_names_in_undeclared_sets_are_not_taken_for_chinese() {
    let tables = [
        (POLISH, encoding_rs::ISO_8859_2),
        (POLISH, encoding_rs::WINDOWS_1250),
        (RUSSIAN, encoding_rs::ISO_8859_5),
        (RUSSIAN, encoding_rs::WINDOWS_1251),
        (RUSSIAN, encoding_rs::KOI8_R),
    ];
    for (names, table) in tables {
        for name in names {
            let bytes = table.encode(name).0;
            for declared in [None, Some("ISO_IR 100")] {
                let (text, _) = alone(declared, &bytes);
                let hanzi = text.chars().any(|c| ('\u{3400}'..'\u{A000}').contains(&c));
                assert!(!hanzi, "{name} in {} became {text}", table.name());
            }
        }
    }
    for name in POLISH.iter().chain(RUSSIAN) {
        assert_eq!(alone(None, name.as_bytes()), ((*name).to_owned(), true), "{name} in UTF-8");
    }
}

#[test]
fn all_text_of_a_data_set_is_weighed_together() {
    // Alone this is doubtful; beside the institution it is not.
    let values = [gbk("镕"), gbk("某县第一人民医院")];
    let sets = CharacterSets::of_text(Some(b"ISO_IR 100"), values.iter().map(Vec::as_slice));
    assert!(sets.guessed());
    assert_eq!(sets.decode(&values[0], Kind::Names), "镕");
    // A value cut at 16 bytes in the middle of a character.
    let cut = &gbk("某县某镇中心卫生院")[..15];
    assert_eq!(alone(None, cut), ("某县某镇中心卫\u{FFFD}".to_owned(), true));
    // Declared as the other of the two.
    assert_eq!(alone(Some("ISO_IR 192"), &gbk("王^伟")), ("王^伟".to_owned(), true));
    assert_eq!(alone(Some("GB18030"), "王^秀英".as_bytes()), ("王^秀英".to_owned(), true));
    // What was declared and fits stays.
    assert_eq!(alone(Some("GBK"), &gbk("王^伟")), ("王^伟".to_owned(), false));
    assert_eq!(
        alone(Some("ISO_IR 144"), b"\xB8\xD2\xD0\xDD\xDE\xD2"),
        ("Иванов".to_owned(), false)
    );
    assert_eq!(alone(Some("\\ISO 2022 IR 58"), b"\x1B$)A\xCD\xF5"), ("王".to_owned(), false));
    assert_eq!(alone(Some("\\ISO 2022 IR 58"), &gbk("王^喆")), ("王^喆".to_owned(), true));
    assert_eq!(alone(Some("\\ISO 2022 IR 58"), "王^喆".as_bytes()), ("王^喆".to_owned(), true));
}

#[test]
fn gb2312_is_written_with_its_escape_sequence_in_every_part() {
    let encoding = Encoding::Iso2022Gb2312;
    let name = "Zhang^XiaoDong=张^小东=";
    let bytes = encoding.encode(name, Kind::Names).unwrap();
    assert_eq!(bytes, b"Zhang^XiaoDong=\x1B$)A\xD5\xC5^\x1B$)A\xD0\xA1\xB6\xAB=");
    assert_eq!(decode(encoding.term(), &bytes, Kind::Names), name);
    for beyond in ["喆", "㛃", "𬱖", "ü̈", "ⅳ"] {
        assert_eq!(
            encoding.encode(beyond, Kind::Names).unwrap_err().encoding,
            encoding,
            "{beyond}"
        );
    }
}

#[test]
fn a_set_that_lacks_a_character_says_so_and_names_one_that_has_it() {
    for (encoding, lacks) in [
        (Encoding::Ascii, "é"),
        (Encoding::Latin1, "张"),
        (Encoding::Latin1, "\u{92}"),
        (Encoding::Gbk, "𬱖"),
        (Encoding::Gbk, "€"),
        (Encoding::Iso2022Gb2312, "堃"),
    ] {
        assert!(encoding.encode(lacks, Kind::Values).is_err(), "{encoding:?} {lacks}");
        let other = encoding.fallback();
        let bytes = other.encode(lacks, Kind::Values).unwrap();
        assert_eq!(decode(other.term(), &bytes, Kind::Values), lacks);
    }
}

#[test]
fn a_peer_is_answered_in_the_set_that_it_declares() {
    for (declared, encoding) in [
        ("", Some(Encoding::Ascii)),
        ("ISO_IR 100", Some(Encoding::Latin1)),
        ("ISO 2022 IR 6\\ISO 2022 IR 58", Some(Encoding::Iso2022Gb2312)),
        ("gbk", Some(Encoding::Gbk)),
        ("GB18030", Some(Encoding::Gb18030)),
        ("UTF-8", Some(Encoding::Utf8)),
        ("ISO_IR 144", None),
        ("\\ISO 2022 IR 87", None),
        ("nonsense", None),
    ] {
        assert_eq!(Encoding::read_by(declared), encoding, "{declared}");
    }
    for encoding in [
        Encoding::Ascii,
        Encoding::Latin1,
        Encoding::Utf8,
        Encoding::Gb18030,
        Encoding::Gbk,
        Encoding::Iso2022Gb2312,
    ] {
        assert_eq!(Encoding::read_by(encoding.term()), Some(encoding));
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Values), Just(Kind::Block), Just(Kind::Names)]
}

fn declarations() -> impl Strategy<Value = String> {
    let term = prop::sample::select(vec![
        "",
        "ISO_IR 100",
        "ISO_IR 13",
        "ISO_IR 166",
        "ISO_IR 192",
        "GB18030",
        "GBK",
        "ISO 2022 IR 6",
        "ISO 2022 IR 13",
        "ISO 2022 IR 58",
        "ISO 2022 IR 87",
        "ISO 2022 IR 149",
        "ISO 2022 IR 159",
        "ISO 2022 IR 144",
        "nonsense",
    ]);
    prop::collection::vec(term, 0..4).prop_map(|terms| terms.join("\\"))
}

fn bytes_with_escapes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec![
            b"\x1B$)A".to_vec(),
            b"\x1B$B".to_vec(),
            b"\x1B$(D".to_vec(),
            b"\x1B(B".to_vec(),
            b"\x1B)I".to_vec(),
            b"\x1B-F".to_vec(),
            b"\x1B$)C".to_vec(),
            b"\x1B".to_vec(),
        ]),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn anything_decodes(declared in declarations(), bytes in bytes_with_escapes(), kind in kinds()) {
        let sets = CharacterSets::of_text(Some(declared.as_bytes()), std::iter::once(bytes.as_slice()));
        let text = sets.decode(&bytes, kind);
        prop_assert!(text.len() <= bytes.len() * 4);
        CharacterSets::declared(&bytes).decode(&bytes, kind);
    }

    #[test]
    fn ascii_is_what_it_is_whatever_is_declared(declared in declarations(), text in "[ -~]{0,40}") {
        let sets = CharacterSets::of_text(Some(declared.as_bytes()), std::iter::once(text.as_bytes()));
        prop_assert!(!sets.guessed());
        prop_assert_eq!(sets.decode(text.as_bytes(), Kind::Names), text);
    }

    #[test]
    fn accents_within_words_are_never_chinese(
        text in "([A-ZÄÖÜÉÈÀÇÑÅØÆ]?[A-Z]{1,3}(ÄÄ|ÖÖ|ÕÕ|ÜÜ|ÉÉ|É|Ä|Ö)?[A-Z]{0,3} ){0,2}([A-ZÄÖÜÉÈÀÇÑÅØÆ]?[a-z]{1,4}([äöüßéèêëàâçñåøæîïôûùíóúáãð][a-z]{1,4}){0,3}[éàèöåñ]?[ ^=.,-]){1,6}",
    ) {
        let bytes = Encoding::Latin1.encode(&text, Kind::Names).unwrap();
        prop_assert_eq!(alone(Some("ISO_IR 100"), &bytes), (text, false));
    }

    #[test]
    fn what_is_encoded_decodes_again(
        text in "[ -~\u{A1}-\u{FF}一-龥㐀-䶵𠀀-𪛖가-힣ぁ-んА-я]{0,12}|[ -~一-龥]{0,12}|[ -~]{0,9}[王李张刘陈^=中]{0,9}",
        kind in kinds(),
    ) {
        for encoding in [
            Encoding::Ascii, Encoding::Latin1, Encoding::Utf8, Encoding::Gb18030, Encoding::Gbk,
            Encoding::Iso2022Gb2312,
        ] {
            if let Ok(bytes) = encoding.encode(&text, kind) {
                prop_assert_eq!(&decode(encoding.term(), &bytes, kind), &text, "{:?}", encoding);
            }
        }
        prop_assert!(Encoding::Utf8.encode(&text, kind).is_ok());
        prop_assert!(Encoding::Gb18030.encode(&text, kind).is_ok());
    }
}
