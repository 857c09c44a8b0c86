//! Questions, each for one thing that a hospital asks.

use dicom_dictionary_std::tags;

use super::{condition, entry, find, query, single, study_uids};
use crate::app::error::Error;
use crate::app::imaging::ports::{IndexEntry, StudyIndex};
use crate::sharing::imaging::query::{Level, Matching};

fn named(study: u32, name: &str) -> IndexEntry {
    let mut entry = entry(study, 1, 1);
    name.clone_into(&mut entry.header.patient.name);
    entry
}

fn wild(question: &str) -> Matching {
    Matching::Wildcard(question.to_owned())
}

fn range(from: &str, to: &str) -> Matching {
    Matching::Range { from: from.to_owned(), to: to.to_owned() }
}

async fn by_name(index: &dyn StudyIndex, matching: Matching) -> Vec<String> {
    let found = find(index, Level::Study, vec![condition(tags::PATIENT_NAME, matching)]).await;
    let mut names: Vec<_> = found.into_iter().map(|m| m.header.patient.name).collect();
    names.sort();
    names
}

pub(super) async fn chinese_names_are_found_by_every_part(index: &dyn StudyIndex) {
    let names =
        ["王伟", "张^三丰", "ＺＨＡＮＧ^ＳＡＮ=張^三", "买买提·吐尔逊", "𠮷田^太郎", "李?四"];
    let entries = (1..).zip(names).map(|(n, name)| named(n, name)).collect();
    index.add(entries).await.unwrap();
    for (question, expected) in [
        ("*伟*", &["王伟"][..]),
        ("王*", &["王伟"]),
        ("*三丰*", &["张^三丰"]),
        ("张*", &["张^三丰", "ＺＨＡＮＧ^ＳＡＮ=張^三"]),
        ("張三*", &["张^三丰", "ＺＨＡＮＧ^ＳＡＮ=張^三"]),
        ("*zhang*", &["ＺＨＡＮＧ^ＳＡＮ=張^三"]),
        ("ZHANG*", &["ＺＨＡＮＧ^ＳＡＮ=張^三"]),
        ("*ng^s*", &["ＺＨＡＮＧ^ＳＡＮ=張^三"]),
        ("*提•吐*", &["买买提·吐尔逊"]),
        ("*尔*", &["买买提·吐尔逊"]),
        ("*𠮷*", &["𠮷田^太郎"]),
        ("?田*", &["𠮷田^太郎"]),
        ("??", &["王伟", "ＺＨＡＮＧ^ＳＡＮ=張^三"]),
        ("*四", &["李?四"]),
        ("*马*", &[]),
        ("三*", &[]),
    ] {
        assert_eq!(by_name(index, wild(question)).await, expected, "{question}");
    }
    for (question, expected) in [
        ("王伟", &["王伟"][..]),
        ("zhang^san", &["ＺＨＡＮＧ^ＳＡＮ=張^三"]),
        ("张三", &["ＺＨＡＮＧ^ＳＡＮ=張^三"]),
        ("买买提吐尔逊", &["买买提·吐尔逊"]),
        ("王", &[]),
    ] {
        let found = by_name(index, Matching::Single(question.to_owned())).await;
        assert_eq!(found, expected, "{question}");
    }
}

pub(super) async fn a_fuzzy_question_finds_pinyin_and_initials(index: &dyn StudyIndex) {
    let names = ["张三", "Zhang^San", "曾国藩", "单田芳", "李四"];
    let entries = (1..).zip(names).map(|(n, name)| named(n, name)).collect();
    index.add(entries).await.unwrap();
    for (question, expected) in [
        ("zhang san", &["Zhang^San", "张三"][..]),
        ("zs", &["Zhang^San", "张三"]),
        ("san zh", &["Zhang^San", "张三"]),
        ("张", &["张三"]),
        ("zeng", &["曾国藩"]),
        ("cgf", &["曾国藩"]),
        ("shantianfang", &["单田芳"]),
        ("dan", &["单田芳"]),
        ("lisi", &["李四"]),
        ("li san", &[]),
    ] {
        let found = by_name(index, Matching::Fuzzy(question.to_owned())).await;
        assert_eq!(found, expected, "{question}");
    }
}

pub(super) async fn studies_come_newest_first_and_in_pages(index: &dyn StudyIndex) {
    let mut entries = Vec::new();
    for (n, date, time) in [
        (1, "20240101", "1000"),
        (2, "20240102", "090000"),
        (3, "20240102", "100000"),
        (4, "", ""),
        (5, "20240102", "100000"),
    ] {
        let mut entry = entry(n, 1, 1);
        date.clone_into(&mut entry.header.study.date);
        time.clone_into(&mut entry.header.study.time);
        entries.push(entry);
    }
    index.add(entries).await.unwrap();
    let all = find(index, Level::Study, vec![]).await;
    assert_eq!(study_uids(&all), ["1.2.5", "1.2.3", "1.2.2", "1.2.1", "1.2.4"]);
    for level in [Level::Patient, Level::Study, Level::Series, Level::Image] {
        let all = find(index, level, vec![]).await;
        for (offset, limit) in [(0, 0), (0, 2), (1, 3), (4, 10), (5, 10), (u64::MAX, u64::MAX)] {
            let mut page = query(level, vec![]);
            (page.offset, page.limit) = (offset, limit);
            let from = usize::try_from(offset).unwrap().min(all.len());
            let to = from.saturating_add(usize::try_from(limit).unwrap()).min(all.len());
            assert_eq!(
                index.find(page).await.unwrap(),
                all[from..to],
                "{level:?} {offset} {limit}"
            );
        }
    }
    let month = vec![condition(tags::STUDY_DATE, range("20240102", "20240131"))];
    let found = find(index, Level::Study, month).await;
    assert_eq!(study_uids(&found), ["1.2.5", "1.2.3", "1.2.2"]);
}

pub(super) async fn modalities_and_sop_classes_of_a_study_are_conditions(index: &dyn StudyIndex) {
    let mut report = entry(1, 2, 1);
    report.header.series.modality = "SR".to_owned();
    report.head.sop_class = "1.2.840.10008.5.1.4.1.1.88.11".to_owned();
    let mut plain = entry(2, 1, 1);
    plain.header.series.modality = "DX".to_owned();
    index.add(vec![entry(1, 1, 1), report, plain]).await.unwrap();
    let any = |values: &[&str]| Matching::AnyOf(values.iter().map(|v| (*v).to_owned()).collect());
    for (tag, matching, expected) in [
        (tags::MODALITIES_IN_STUDY, any(&["SR"]), &["1.2.1"][..]),
        (tags::MODALITIES_IN_STUDY, any(&["MR", "dx", "CT"]), &["1.2.2", "1.2.1"]),
        (tags::MODALITIES_IN_STUDY, any(&["C"]), &[]),
        (tags::MODALITIES_IN_STUDY, wild("?R"), &["1.2.1"]),
        (tags::SOP_CLASSES_IN_STUDY, any(&["1.2.840.10008.5.1.4.1.1.88.11"]), &["1.2.1"]),
        (tags::SOP_CLASSES_IN_STUDY, any(&["1.2.840.10008.5.1.4.1.1.88"]), &[]),
        (tags::MODALITY, any(&["SR"]), &["1.2.1"]),
        (tags::SOP_CLASS_UID, any(&["1.2.840.10008.5.1.4.1.1.88.11"]), &["1.2.1"]),
    ] {
        let found = find(index, Level::Study, vec![condition(tag, matching.clone())]).await;
        let mut uids = study_uids(&found);
        uids.sort_by(|a, b| b.cmp(a));
        assert_eq!(uids, expected, "{tag} {matching:?}");
    }
    let found = find(index, Level::Study, vec![single(tags::MODALITIES_IN_STUDY, "CT")]).await;
    assert_eq!(found[0].modalities, ["CT", "SR"]);
}

pub(super) async fn one_series_must_fit_all_conditions_on_series(index: &dyn StudyIndex) {
    let mut head = entry(1, 1, 1);
    head.header.series.body_part = "HEAD".to_owned();
    let mut chest = entry(1, 2, 1);
    chest.header.series.body_part = "CHEST".to_owned();
    chest.header.series.modality = "DX".to_owned();
    index.add(vec![head, chest]).await.unwrap();
    let ask = |modality, part| {
        vec![single(tags::MODALITY, modality), single(tags::BODY_PART_EXAMINED, part)]
    };
    assert_eq!(find(index, Level::Study, ask("CT", "head")).await.len(), 1);
    assert_eq!(find(index, Level::Study, ask("CT", "chest")).await.len(), 0);
    let mut below = ask("CT", "head");
    below.push(single(tags::INSTANCE_NUMBER, "01"));
    assert_eq!(find(index, Level::Patient, below.clone()).await.len(), 1);
    below.push(single(tags::SOP_INSTANCE_UID, "1.2.1.2.1"));
    assert_eq!(find(index, Level::Patient, below).await.len(), 0);
}

pub(super) async fn patients_come_once_with_counts_of_all_their_studies(index: &dyn StudyIndex) {
    let mut entries = Vec::new();
    for study in 1..=6 {
        for instance in 1..=2 {
            let mut entry = entry(study, 1, instance);
            entry.header.patient.id = format!("P{}", study % 2);
            entry.header.study.date = format!("2024010{study}");
            entries.push(entry);
        }
    }
    index.add(entries).await.unwrap();
    let found = find(index, Level::Patient, vec![]).await;
    let ids: Vec<_> = found.iter().map(|m| m.header.patient.id.as_str()).collect();
    assert_eq!(ids, ["P0", "P1"]);
    assert_eq!((found[0].studies, found[0].series, found[0].instances), (3, 3, 6));
    assert_eq!(found[0].bytes, 3000);
    // The order is that of the newest study that fits.
    let early = condition(tags::STUDY_DATE, range("", "20240105"));
    let found = find(index, Level::Patient, vec![early]).await;
    assert_eq!(found[0].header.patient.id, "P1");
    assert_eq!(found[0].studies, 3);
}

pub(super) async fn a_range_over_midnight_is_one_moment_when_combined(index: &dyn StudyIndex) {
    let mut entries = Vec::new();
    for (n, date, time) in [
        (1, "20240131", "2300"),
        (2, "20240201", "010000.5"),
        (3, "20240201", "0700"),
        (4, "20240131", "0500"),
    ] {
        let mut entry = entry(n, 1, 1);
        date.clone_into(&mut entry.header.study.date);
        time.clone_into(&mut entry.header.study.time);
        entries.push(entry);
    }
    index.add(entries).await.unwrap();
    let mut night = query(
        Level::Study,
        vec![
            condition(tags::STUDY_DATE, range("20240131", "20240201")),
            condition(tags::STUDY_TIME, range("2200", "0600")),
        ],
    );
    assert!(index.find(night.clone()).await.unwrap().is_empty());
    night.combined_date_time = true;
    let found = index.find(night).await.unwrap();
    assert_eq!(study_uids(&found), ["1.2.2", "1.2.1"]);
}

pub(super) async fn what_is_not_kept_or_too_much_is_refused(index: &dyn StudyIndex) {
    let asked = query(Level::Study, vec![single(tags::PIXEL_DATA, "1")]);
    assert!(
        matches!(index.find(asked).await, Err(Error::Invalid(problems)) if problems.len() == 1)
    );
    let many = query(Level::Study, vec![single(tags::MODALITY, "CT"); 1000]);
    assert!(matches!(index.find(many).await, Err(Error::Invalid(_))));
    index.add(vec![entry(1, 1, 1)]).await.unwrap();
    for tag in
        [tags::PATIENT_NAME, tags::MODALITIES_IN_STUDY, tags::STUDY_DATE, tags::SERIES_NUMBER]
    {
        let list = |n: u32| Matching::AnyOf((1..=n).map(|n| n.to_string()).collect());
        let long = query(Level::Study, vec![condition(tag, list(257))]);
        assert!(matches!(index.find(long).await, Err(Error::Invalid(_))));
        find(index, Level::Study, vec![condition(tag, list(256))]).await;
    }
    let uids = Matching::AnyOf((0..20_000).map(|n| format!("1.2.{n}")).collect());
    let found = find(index, Level::Study, vec![condition(tags::STUDY_INSTANCE_UID, uids)]).await;
    assert_eq!(study_uids(&found), ["1.2.1"]);
}

pub(super) async fn hostile_questions_find_nothing_and_break_nothing(index: &dyn StudyIndex) {
    index.add(vec![entry(1, 1, 1)]).await.unwrap();
    let texts = [
        "' OR 1=1 --".to_owned(),
        "[".repeat(500),
        "*a".repeat(20_000),
        "?".repeat(60_000),
        "\0".to_owned(),
        "\u{10FFFF}".repeat(100),
        "\"\\".to_owned(),
    ];
    let tags = [tags::PATIENT_NAME, tags::PATIENT_ID, tags::STUDY_INSTANCE_UID, tags::IMAGE_TYPE];
    for tag in tags {
        for text in &texts {
            for matching in [
                wild(text),
                Matching::Single(text.clone()),
                Matching::AnyOf(vec![text.clone(), text.clone()]),
                range(text, text),
                Matching::Fuzzy(text.clone()),
            ] {
                let found = find(index, Level::Study, vec![condition(tag, matching.clone())]).await;
                // A name without a letter asks for nothing.
                let nothing = tag == tags::PATIENT_NAME
                    && !text.chars().any(|c| c.is_alphanumeric() || c == '[' || c > '\u{FFFF}');
                assert!(found.is_empty() || nothing, "{tag} {}", text.len());
            }
        }
    }
}
