//! Tests of the look-up index.

use proptest::prelude::*;

use super::*;

fn index() -> NameIndex {
    NameIndex::builder()
        .add(0, "阿莫西林", NameKind::Primary)
        .add(0, "Amoxicillin", NameKind::English)
        .add(0, "W006", NameKind::Code)
        .add(0, "羟氨苄青霉素", NameKind::Alias)
        .add(1, "阿莫西林克拉维酸钾", NameKind::Primary)
        .add(2, "头孢氨苄", NameKind::Primary)
        .add(3, "头孢拉定", NameKind::Primary)
        .add(4, "重组人胰岛素", NameKind::Primary)
        .add(5, "尼莫地平", NameKind::Primary)
        .add(6, "尼群地平", NameKind::Primary)
        .add(7, "绿脓杆菌感染", NameKind::Primary)
        .add(8, "中暑", NameKind::Primary)
        .add(9, "维生素B12", NameKind::Primary)
        .add(10, "ω-3 鱼油", NameKind::Primary)
        .add(11, "藏红花", NameKind::Primary)
        .build()
}

fn ids(query: &str) -> Vec<u32> {
    index().search(query, 10).iter().map(|h| h.id).collect()
}

fn first(query: &str) -> Option<(u32, Tier)> {
    index().search(query, 10).first().map(|h| (h.id, h.tier))
}

#[test]
fn an_exact_name_is_found_across_width_case_spaces_hyphens_and_traditional_characters() {
    for query in ["阿莫西林", " 阿 莫-西 林 ", "ＡＭＯＸＩＣＩＬＬＩＮ", "w-006"]
    {
        assert_eq!(index().exact(query), vec![0], "{query}");
    }
    assert_eq!(index().exact("頭孢氨苄"), vec![2]);
    assert_eq!(index().exact("维生素 b12"), vec![9]);
    assert_eq!(index().exact("ω3鱼油"), vec![10]);
    assert!(index().exact("阿莫西").is_empty() && index().exact("").is_empty());
}

#[test]
fn exact_comes_before_prefix_before_substring() {
    assert_eq!(ids("阿莫西林"), vec![0, 1]);
    assert_eq!(first("阿莫西林"), Some((0, Tier::Exact)));
    assert_eq!(first("头孢"), Some((2, Tier::Prefix)));
    assert_eq!(first("克拉维酸"), Some((1, Tier::Substring)));
    assert_eq!(first("amoxi"), Some((0, Tier::Prefix)));
    assert_eq!(first("W00"), Some((0, Tier::Prefix)));
}

#[test]
fn full_pinyin_finds_even_while_the_last_syllable_is_unfinished() {
    assert_eq!(first("toubao"), Some((2, Tier::Pinyin)));
    assert_eq!(ids("toubao"), vec![2, 3]);
    assert_eq!(first("amoxilin"), Some((0, Tier::Pinyin)));
    assert_eq!(first("toubaolad"), Some((3, Tier::Pinyin)));
    assert_eq!(first("kelaweisuan"), Some((1, Tier::Pinyin)));
    assert_eq!(ids("toubaoq"), Vec::<u32>::new());
}

#[test]
fn initials_and_mixtures_find() {
    assert_eq!(first("amxl"), Some((0, Tier::Initials)));
    assert_eq!(first("tbld"), Some((3, Tier::Initials)));
    assert_eq!(first("头b拉d"), Some((3, Tier::Mixed)));
    assert_eq!(first("toubld"), Some((3, Tier::Mixed)));
    assert_eq!(first("wssb12"), Some((9, Tier::Initials)));
    assert_eq!(first("zhsh"), Some((8, Tier::Initials)));
}

#[test]
fn every_reading_of_a_character_counts() {
    for query in ["chongzuren", "zhongzuren", "czryds", "zzryds"] {
        assert_eq!(first(query).map(|h| h.0), Some(4), "{query}");
    }
    for query in ["canghonghua", "zanghonghua", "chh", "zhh"] {
        assert_eq!(first(query).map(|h| h.0), Some(11), "{query}");
    }
    for query in ["lvnong", "lunong", "lngjgr"] {
        assert_eq!(first(query).map(|h| h.0), Some(7), "{query}");
    }
    assert_eq!(first("changhong"), None);
}

#[test]
fn one_slip_is_forgiven_but_says_so() {
    for (query, id) in [("amoxicilin", 0), ("amoxicililn", 0), ("阿莫西淋", 0), ("头苞垃定", 3)]
    {
        let hits = index().search(query, 5);
        assert_eq!(hits.first().map(|h| h.id), Some(id), "{query}");
    }
    assert!(index().search("阿莫西淋", 5).iter().all(Hit::is_fuzzy));
    assert!(index().exact("阿莫西淋").is_empty());
}

#[test]
fn a_certain_hit_keeps_look_alikes_away() {
    assert_eq!(ids("尼莫地平"), vec![5]);
    assert_eq!(ids("尼美地平"), vec![5, 6]);
    assert!(ids("amxx").is_empty(), "four letters are too few to forgive one");
}

#[test]
fn names_inside_a_longer_text_are_found_longest_first() {
    let hits = index().within("阿莫西林克拉维酸钾加什么药", 3);
    assert_eq!(hits.iter().map(|h| h.id).collect::<Vec<_>>(), vec![1, 0]);
    assert!(hits.iter().all(Hit::is_fuzzy));
}

#[test]
fn hostile_queries_are_bounded() {
    assert!(index().search(&"a".repeat(QUERY_CHARS_MAX + 1), 10).is_empty());
    assert!(index().search(&"阿".repeat(1_000_000), 10).is_empty());
    assert!(index().within(&"阿".repeat(1_000_000), 10).is_empty());
    assert!(index().search("a", usize::MAX).len() <= HITS_MAX);
    assert!(index().search("阿", 0).is_empty());
}

#[test]
fn the_order_of_adding_does_not_change_the_order_of_hits() {
    let turned = NameIndex::builder()
        .add(3, "头孢拉定", NameKind::Primary)
        .add(2, "头孢氨苄", NameKind::Primary)
        .build();
    let hits: Vec<u32> = turned.search("tb", 10).iter().map(|h| h.id).collect();
    assert_eq!(hits, vec![2, 3]);
}

proptest! {
    #[test]
    fn any_query_is_answered_the_same_twice(query in ".{0,60}", limit in 0_usize..20) {
        let index = index();
        let hits = index.search(&query, limit);
        prop_assert!(hits.len() <= limit);
        prop_assert_eq!(&hits, &index.search(&query, limit));
        prop_assert!(hits.windows(2).all(|w| w[0].score >= w[1].score));
        for id in index.exact(&query) {
            prop_assert!(limit == 0 || query.chars().count() > 40
                || hits.iter().any(|h| h.id == id) || hits.len() == limit);
        }
        let _ = index.within(&query, limit);
    }
}
