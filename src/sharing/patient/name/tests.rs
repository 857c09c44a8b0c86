//! Tests of names: what villages' forms, older systems and pinyin keyboards make of them.

use proptest::prelude::*;

use super::*;
use crate::sharing::patient::problem::ProblemKind;
use crate::sharing::patient::testing::tables;

fn name(written: &str) -> Name {
    Name::parse(written, &tables().names).unwrap_or_else(|e| panic!("{written}: {e:?}"))
}

fn text(written: &str) -> String {
    name(written).text().to_owned()
}

fn agree(a: &str, b: &str) -> Agreement {
    let (a, b) = (name(a), name(b));
    let one = agreement(a.view(), b.view());
    assert_eq!(one, agreement(b.view(), a.view()));
    one
}

#[test]
fn width_padding_and_invisible_characters_go() {
    for written in
        ["张伟", "张 伟", "张　伟", " 张伟\u{200b}", "\u{feff}张\u{e0100}伟", "张\u{2002}伟\t"]
    {
        assert_eq!(text(written), "张伟", "{written:?}");
    }
    assert_eq!(text("ＺＨＡＮＧ　Ｗｅｉ"), "ZHANG Wei");
    assert_eq!(text("Zu\u{308}rn"), "Zürn");
    assert_eq!(text("\u{2f32}将"), "干将", "a radical is the character it looks like");
    assert_eq!(text("\u{f9d1}小龙"), "六小龙", "a compatibility ideograph");
}

#[test]
fn every_code_of_the_dot_is_the_one_dot() {
    for dot in ["·", "•", "・", "‧", "．", ".", "･", "∙", "⋅", "●", "。", " · ", "\u{387}"]
    {
        assert_eq!(text(&format!("买买提{dot}艾力")), "买买提·艾力", "{dot}");
    }
    assert_eq!(text("买买提 艾力"), "买买提·艾力");
    assert_eq!(text("欧阳 修"), "欧阳修");
    assert_eq!(text("尼玛·次仁·"), "尼玛·次仁");
    assert_eq!(agree("买买提·艾力", "买买提艾力"), Agreement::Variant);
    assert_eq!(agree("买买提·艾力", "买买提"), Agreement::Near);
}

#[test]
fn remarks_labels_titles_and_numbers_go() {
    for written in [
        "张伟（儿子）",
        "张伟(新农合)",
        "张伟【急】",
        "张伟（未结账",
        "张伟（李某转来）",
        "姓名：张伟",
        "患者 张伟",
        "张伟先生",
        "张伟 同志",
        "张伟2",
        "1、张伟",
        "张伟老师",
        "“张伟”",
    ] {
        assert_eq!(text(written), "张伟", "{written}");
    }
    assert_eq!(text("Mr. Zhang Wei"), "Zhang Wei");
    assert_eq!(text("Amr Drago"), "Amr Drago", "titles in letters are words of their own");
    assert_eq!(text("张小姐"), "张小姐", "nothing but a surname would be left");
}

#[test]
fn names_that_are_not_somebodys_name_are_refused_with_the_reason() {
    use ProblemKind as Kind;
    for (written, kind) in [
        ("", Kind::Empty),
        (" （） ", Kind::Empty),
        ("123", Kind::Empty),
        ("王芳之子", Kind::NameOfRelative),
        ("王芳之女（双胎）", Kind::NameOfRelative),
        ("王芳之大子", Kind::NameOfRelative),
        ("李婴儿", Kind::NameOfRelative),
        ("张*", Kind::NameHidden),
        ("张＊＊", Kind::NameHidden),
        ("李某某", Kind::NameHidden),
        ("无名氏", Kind::NameUnknown),
        ("不详", Kind::Empty),
        ("无", Kind::Empty),
        ("姓名不详", Kind::NameUnknown),
        ("测试", Kind::NameUnknown),
        ("张伟|李强", Kind::Characters),
        ("张3伟", Kind::Characters),
        ("??", Kind::Characters),
    ] {
        assert_eq!(Name::parse(written, &tables().names).err(), Some(kind), "{written}");
    }
    let long = "张".repeat(65);
    assert_eq!(Name::parse(&long, &tables().names).err(), Some(Kind::TooLong));
}

#[test]
fn characters_of_the_private_use_area_are_what_gb18030_means_by_them() {
    // U+E863 in systems of GBK and GB 18030-2000 is 䶮 of GB 18030-2005 and 2022.
    assert_eq!(text("刘\u{e863}"), "刘䶮");
    assert_eq!(text("刘\u{e81e}"), "刘\u{9fb4}");
    assert_eq!(text("刘\u{e831}"), "刘\u{215d7}");
    assert_eq!(agree("刘\u{e863}", "刘䶮"), Agreement::Exact);
    assert_eq!(agree("刘\u{e863}", "刘岩"), Agreement::Sound);
    // Somebody's own code: the character is lost, the rest counts.
    assert_eq!(text("刘\u{e111}生"), "刘〓生");
    assert_eq!(agree("刘\u{e111}生", "刘䶮生"), Agreement::Near);
    assert_eq!(agree("刘?", "刘䶮"), Agreement::Near);
}

#[test]
fn rare_characters_of_the_supplementary_planes_are_names() {
    assert_eq!(text("王\u{2b74a}"), "王\u{2b74a}");
    assert_eq!(text("李\u{30edd}"), "李\u{30edd}");
    assert_eq!(agree("王\u{2b74a}", "王\u{2b74a}"), Agreement::Exact);
    assert_eq!(agree("王\u{2b74a}", "王\u{30edd}"), Agreement::Surname, "no reading is no sound");
}

#[test]
fn variants_and_traditional_characters_agree() {
    for (a, b) in [
        ("張偉", "张伟"),
        ("王喆", "王哲"),
        ("李昇", "李升"),
        ("肖峯", "萧峰"),
        ("付明", "傅明"),
        ("闫丽", "阎丽"),
        ("占国强", "詹国强"),
        ("邱羣", "丘群"),
        ("温昇", "溫升"),
    ] {
        assert_eq!(agree(a, b), Agreement::Variant, "{a} {b}");
    }
}

#[test]
fn homophones_sound_the_same_and_surnames_are_read_as_surnames() {
    for (a, b) in [
        ("张伟", "章玮"),
        ("单丽", "善莉"),
        ("仇英", "邱英"),
        ("解明", "谢明"),
        ("曾强", "增强"),
        ("欧阳娜", "欧杨娜"),
        ("单伟", "Shan Wei"),
        ("张伟", "WEI ZHANG"),
        ("吕丽", "LYU LI"),
        ("吕丽", "Lu Li"),
        ("欧阳娜娜", "Nana Ouyang"),
        ("尉迟恭", "玉池公"),
    ] {
        assert_eq!(agree(a, b), Agreement::Sound, "{a} {b}");
    }
    for (a, b) in [("王行", "王航"), ("李乐", "李越"), ("万静", "万青")] {
        assert_eq!(agree(a, b), Agreement::Reading, "{a} {b}");
    }
    assert!(agree("单丽", "丹莉") > Agreement::Reading, "as a surname never dan");
    assert!(agree("解明", "姐明") > Agreement::Reading);
}

#[test]
fn one_slip_is_near_and_a_shared_surname_is_no_agreement() {
    use Agreement::{Near, Other, Surname};
    for (a, b, level) in [
        ("张小明", "张小强", Near),
        ("张明", "张小明", Near),
        ("张小明", "张明小", Near),
        ("明张", "张明", Near),
        ("黄小兰", "方晓兰", Near),
        ("陈林", "岑宁", Near),
        ("张伟", "张强", Surname),
        ("张强", "王强", Surname),
        ("张大力", "张建国", Surname),
        ("张伟", "李强", Other),
        ("张伟", "Li Qiang", Other),
        ("Zhang Wei", "Li Qiang", Other),
        ("阿卜杜热西提·买买提", "阿卜都热西提·买买提明", Near),
        ("Katherine Smith", "Katharine Smith", Near),
        ("Katherine Smith", "John Smith", Surname),
    ] {
        assert_eq!(agree(a, b), level, "{a} {b}");
    }
}

#[test]
fn compound_surnames_are_one_surname() {
    let tables = &tables().names;
    for (name, chars) in [("欧阳修", 2), ("欧阳", 1), ("张伟", 1), ("东方红", 2), ("", 0)]
    {
        assert_eq!(tables.surname_chars(name), chars, "{name}");
    }
}

#[test]
fn syllables_fit_four_bytes_and_come_back() {
    for letters in ["a", "zhuang", "lv", "xiong", "e"] {
        assert_eq!(Syllable::new(letters).unwrap().letters(), letters);
    }
    assert_eq!(Syllable::new("nü"), Syllable::new("nv"));
    assert_eq!(Syllable::new(""), None);
    assert_eq!(Syllable::new("zhuangs"), None);
    assert_eq!(Syllable::new("Ma"), None);
    for (a, b) in [("zhang", "zan"), ("ning", "lin"), ("huang", "fang"), ("hu", "fu")] {
        let heard = |letters| Syllable::new(letters).unwrap().as_heard();
        assert_eq!(heard(a), heard(b), "{a} {b}");
    }
}

#[test]
fn a_name_is_spelled_under_every_reading() {
    assert_eq!(name("张伟").view().spellings(), ["zhangwei"]);
    assert_eq!(name("单乐").view().spellings(), ["shanle", "shanyue"]);
    assert_eq!(name("Zhang Wei").view().spellings(), ["weizhang", "zhangwei"]);
    // Of none of these characters a reading is known.
    assert_eq!(name("\u{2a6da}\u{2a6d6}").view().spellings(), ["\u{2a6da}\u{2a6d6}"]);
    assert_eq!(
        name("欧阳娜").view().ends(),
        [vec!["ou".to_owned()], vec!["na".to_owned(), "nuo".to_owned()]]
    );
}

#[test]
fn the_letter_that_keyboards_lack_is_known_in_every_way_it_is_written() {
    let own = name("吕小芳");
    assert_eq!(own.view().spellings(), ["lvxiaofang", "luxiaofang"]);
    for written in [
        "Lü Xiaofang",
        "LÜ XIAOFANG",
        "Lu\u{308} Xiaofang",
        "Lyu Xiaofang",
        "LV XIAOFANG",
        "Lu Xiaofang",
    ] {
        let other = name(written);
        assert_eq!(agreement(own.view(), other.view()), Agreement::Sound, "{written}");
        let (own, other) = (own.view().spellings(), other.view().spellings());
        assert!(other.iter().any(|way| own.contains(way)), "{written}: {other:?}");
    }
    assert_eq!(agreement(own.view(), name("Li Xiaofang").view()), Agreement::Other);
}

#[test]
fn names_are_not_printed_by_debug() {
    assert!(!format!("{:?}", name("张伟")).contains('张'));
}

proptest! {
    #[test]
    fn nothing_written_makes_the_reader_panic(written in "\\PC{0,80}|[张王单欧阳?*（）·.之子\u{e863}a-z 0-9]{0,20}") {
        if let Ok(name) = Name::parse(&written, &tables().names) {
            prop_assert!(!name.folded().is_empty());
            let again = Name::parse(name.text(), &tables().names);
            prop_assert_eq!(again.as_ref().map(Name::folded), Ok(name.folded()), "{}", name.text());
        }
    }

    #[test]
    fn agreement_is_the_same_both_ways(
        a in "[张章单善解谢乐伟玮明小〓·a-c ]{1,6}", b in "[张章单善解谢乐伟玮明小〓·a-c ]{1,6}",
    ) {
        let tables = &tables().names;
        if let (Ok(a), Ok(b)) = (Name::parse(&a, tables), Name::parse(&b, tables)) {
            prop_assert_eq!(agreement(a.view(), b.view()), agreement(b.view(), a.view()));
            prop_assert_eq!(agreement(a.view(), a.view()), Agreement::Exact);
        }
    }
}
