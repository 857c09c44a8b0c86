//! Names as Chinese hospitals send them.

use super::*;

fn first_key(pattern: &str) -> Option<String> {
    pattern_keys(pattern).into_iter().next()
}

fn sounds_like(name: &str, word: &str) -> bool {
    sounds(name).iter().any(|sound| sound.starts_with(word))
}

#[test]
fn width_case_separators_and_traditional_forms_do_not_change_a_look() {
    for name in [
        "Zhang^San=张^三",
        "ＺＨＡＮＧ^ＳＡＮ=張^三",
        "zhang san=张三",
        "ZHANG^SAN^=张三=",
        "zhang·san=張 三",
    ] {
        assert_eq!(look(name), "=zhangsan=张三=", "{name}");
    }
    assert_eq!(look("^^="), "");
    assert_eq!(look(""), "");
}

#[test]
fn every_dot_between_the_parts_of_a_transcribed_name_is_the_same() {
    for dot in [
        '\u{B7}', '\u{2022}', '\u{2027}', '\u{2219}', '\u{22C5}', '\u{30FB}', '\u{FF65}', '\u{387}',
    ] {
        let name = format!("买买提{dot}吐尔逊");
        assert_eq!(look(&name), "=买买提吐尔逊=", "U+{:04X}", u32::from(dot));
    }
}

#[test]
fn a_part_of_a_name_is_folded_as_in_the_name() {
    // Word by word, 樊於期 would keep its 於 and 乾隆 its 乾.
    for name in ["樊於期", "乾隆", "鍾書", "葉問", "龍應台"] {
        let whole = look(name);
        for c in name.chars() {
            let part = pattern(&format!("*{c}*")).unwrap();
            let c = part.trim_matches(['*', '=']).to_owned();
            assert!(whole.contains(&c), "{name} {c}");
        }
    }
}

#[test]
fn a_name_sounds_like_its_pinyin_its_initials_and_its_parts() {
    let name = "张^三丰";
    for word in
        ["张", "张三", "三丰", "丰", "zhang", "zhangsanf", "zha", "sanfeng", "zsf", "zs", "sf", "f"]
    {
        assert!(sounds_like(name, word), "{word}");
    }
    for word in ["hang", "丰三", "zf", "li"] {
        assert!(!sounds_like(name, word), "{word}");
    }
    assert!(sounds_like("Zhang^San", "zs"));
    assert!(sounds_like("Zhang^San", "zhangsan"));
}

#[test]
fn surnames_with_several_readings_are_found_under_each() {
    for (name, readings) in [
        ("曾伟", ["zengwei", "cengwei"]),
        ("单伟", ["shanwei", "danwei"]),
        ("解伟", ["xiewei", "jiewei"]),
        ("仇伟", ["qiuwei", "chouwei"]),
        ("吕伟", ["lvwei", "luwei"]),
    ] {
        for reading in readings {
            assert!(sounds_like(name, reading), "{name} {reading} {:?}", sounds(name));
        }
    }
}

#[test]
fn characters_beyond_the_basic_plane_are_found_as_they_stand() {
    assert_eq!(look("𠮷田^𡈽"), "=𠮷田𡈽=");
    assert!(keys("𠮷田").contains("𠮷田"));
    assert_eq!(first_key(&pattern("*𠮷*").unwrap()).as_deref(), Some("𠮷"));
    assert!(sounds_like("𠮷田", "tian"));
}

#[test]
fn every_question_that_matches_leads_to_a_key_of_the_name() {
    let names = [
        "张三丰",
        "Zhang^San=张^三",
        "O'Brien^Sean",
        "买买提·吐尔逊",
        "欧阳娜娜",
        "WANG XIAO MING",
        "王小明",
    ];
    for name in names {
        let look = look(name);
        let letters: Vec<char> = look.trim_matches('=').chars().collect();
        for from in 0..letters.len() {
            for to in from + 1..=letters.len() {
                let part: String = letters[from..to].iter().collect();
                for question in [format!("*{part}*"), format!("*{part}"), format!("{part}*")] {
                    let Some(pattern) = pattern(&question) else { continue };
                    let fits = super::super::matching::Test::NameLike(pattern.clone())
                        .holds(super::super::matching::Kind::Name, name);
                    for key in pattern_keys(&pattern).into_iter().filter(|_| fits) {
                        assert!(
                            keys(name).iter().any(|k| k.starts_with(&key)),
                            "{name} {question} {key}"
                        );
                    }
                }
            }
        }
        let exact = equal(name).unwrap();
        let key = equal_key(&exact).unwrap();
        assert!(keys(name).iter().any(|k| k.starts_with(&key)), "{name} {key}");
    }
}

#[test]
fn the_most_telling_part_of_a_pattern_is_looked_up() {
    assert_eq!(first_key(&pattern("*小*明丽*").unwrap()).as_deref(), Some("明丽"));
    assert_eq!(first_key(&pattern("ZHANG*").unwrap()).as_deref(), Some("^zhang"));
    assert_eq!(first_key(&pattern("*zhang*").unwrap()).as_deref(), Some("~zhang"));
    assert_eq!(first_key(&pattern("?").unwrap()), None);
    assert_eq!(pattern("**"), None);
    assert_eq!(pattern("^^"), None);
}

#[test]
fn a_hostile_name_makes_a_bounded_number_of_keys() {
    for name in
        ["单".repeat(10_000), "a^".repeat(10_000), "\u{FDFA}".repeat(1000), "=".repeat(9000)]
    {
        assert!(keys(&name).len() <= KEYS_MAX + 3 * SPELLINGS_MAX, "{}", keys(&name).len());
        assert!(look(&name).chars().count() <= NAME_CHARS_MAX + 2);
        assert!(keys(&name).iter().all(|key| key.chars().count() <= SOUND_CHARS_MAX + 1));
    }
}
