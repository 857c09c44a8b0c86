//! Adding, forgetting, and what is known by UID, place and number.

use dicom_dictionary_std::tags;

use super::{digest, entry, find, single};
use crate::app::imaging::ports::{ChangeKind, IndexCounts, Selection, StudyIndex};
use crate::sharing::imaging::query::Level;

pub(super) async fn an_empty_index_answers_everything_with_nothing(index: &dyn StudyIndex) {
    assert_eq!(index.reached().await.unwrap(), None);
    assert_eq!(index.counts().await.unwrap(), IndexCounts::default());
    assert_eq!(index.known(vec!["1.2".to_owned()]).await.unwrap(), vec![vec![]]);
    assert!(index.apart(0, 10).await.unwrap().is_empty());
    assert!(index.changes(0, 10).await.unwrap().is_empty());
    assert_eq!(index.patient_of("1.2.1").await.unwrap(), None);
    for level in [Level::Patient, Level::Study, Level::Series, Level::Image] {
        assert!(find(index, level, vec![]).await.is_empty());
    }
    index.add(vec![]).await.unwrap();
    index.remove(digest(1), 0).await.unwrap();
    assert_eq!(index.reached().await.unwrap(), None);
}

pub(super) async fn what_was_added_is_known_found_and_counted(index: &dyn StudyIndex) {
    let mut one = entry(1, 1, 1);
    one.header.character_set_guessed = true;
    one.header.instance.image_type = r"ORIGINAL\PRIMARY\AXIAL".to_owned();
    one.header.series.anatomic_region_code = "SCT:69536005".to_owned();
    let other = entry(1, 2, 1);
    index.add(vec![one.clone(), other.clone()]).await.unwrap();
    assert_eq!(index.patient_of("1.2.1").await.unwrap().as_deref(), Some("P1"));
    assert_eq!(index.patient_of("1.2.9").await.unwrap(), None);
    let known = index.known(vec!["9.9".to_owned(), one.head.uids.instance.clone()]).await.unwrap();
    assert!(known[0].is_empty());
    assert_eq!(known[1].len(), 1);
    assert_eq!(known[1][0].digest, one.digest);
    assert_eq!(known[1][0].uids, one.head.uids);
    assert_eq!(known[1][0].location, one.location);
    assert_eq!(known[1][0].transfer_syntax, one.head.transfer_syntax);
    assert!(!known[1][0].apart);
    let image = find(index, Level::Image, vec![single(tags::SOP_INSTANCE_UID, "1.2.1.1.1")]).await;
    assert_eq!(image.len(), 1);
    assert_eq!(image[0].header, one.header);
    assert_eq!(image[0].transfer_syntax, one.head.transfer_syntax);
    assert_eq!(image[0].bytes, 500);
    let study = find(index, Level::Study, vec![single(tags::STUDY_INSTANCE_UID, "1.2.1")]).await;
    assert_eq!(study[0].header.study, one.header.study);
    assert_eq!(study[0].header.patient, one.header.patient);
    assert_eq!(study[0].header.series.uid, "");
    assert_eq!((study[0].series, study[0].instances, study[0].bytes), (2, 2, 1000));
    let series =
        find(index, Level::Series, vec![single(tags::SERIES_INSTANCE_UID, "1.2.1.2")]).await;
    assert_eq!(series[0].header.series, other.header.series);
    assert_eq!((series[0].series, series[0].instances, series[0].bytes), (2, 1, 500));
    let counts = index.counts().await.unwrap();
    assert_eq!(counts, IndexCounts { patients: 1, studies: 1, series: 2, instances: 2, apart: 0 });
}

pub(super) async fn adding_again_changes_nothing(index: &dyn StudyIndex) {
    let entries: Vec<_> = (1..=5).map(|n| entry(1, 1, n)).collect();
    index.add(entries.clone()).await.unwrap();
    let before = (
        index.counts().await.unwrap(),
        index.changes(0, 100).await.unwrap(),
        find(index, Level::Image, vec![]).await,
    );
    index.add(entries.clone()).await.unwrap();
    let mut twice = entries.clone();
    twice.extend(entries);
    index.add(twice).await.unwrap();
    let after = (
        index.counts().await.unwrap(),
        index.changes(0, 100).await.unwrap(),
        find(index, Level::Image, vec![]).await,
    );
    assert_eq!(before, after);
}

pub(super) async fn reached_is_the_last_location_even_of_what_was_there(index: &dyn StudyIndex) {
    let (first, second) = (entry(1, 1, 1), entry(1, 1, 2));
    index.add(vec![first.clone(), second.clone()]).await.unwrap();
    assert_eq!(index.reached().await.unwrap(), Some(second.location));
    let mut moved = second.clone();
    moved.location.offset += 1_000_000;
    index.add(vec![moved.clone()]).await.unwrap();
    assert_eq!(index.reached().await.unwrap(), Some(moved.location));
    assert_eq!(index.counts().await.unwrap().instances, 2);
}

pub(super) async fn empty_attributes_are_filled_and_others_stay(index: &dyn StudyIndex) {
    let mut first = entry(1, 1, 1);
    first.header.study.description.clear();
    first.header.series.description = "head".to_owned();
    first.header.patient.sex.clear();
    let mut second = entry(1, 1, 2);
    second.header.study.description = "CT".to_owned();
    second.header.study.date = "20250101".to_owned();
    second.header.series.description = "chest".to_owned();
    second.header.series.body_part = "HEAD".to_owned();
    second.header.patient.sex = "F".to_owned();
    index.add(vec![first]).await.unwrap();
    index.add(vec![second]).await.unwrap();
    let found = find(index, Level::Series, vec![]).await;
    assert_eq!(found.len(), 1);
    let header = &found[0].header;
    assert_eq!(header.study.description, "CT");
    assert_eq!(header.study.date, "20240131");
    assert_eq!(header.series.description, "head");
    assert_eq!(header.series.body_part, "HEAD");
    assert_eq!(header.patient.sex, "F");
    let counts = index.counts().await.unwrap();
    assert_eq!((counts.patients, counts.studies, counts.series), (1, 1, 1));
}

pub(super) async fn a_name_that_comes_late_gives_the_study_its_patient(index: &dyn StudyIndex) {
    let mut nameless = entry(1, 1, 1);
    nameless.header.patient.name.clear();
    index.add(vec![nameless]).await.unwrap();
    index.add(vec![entry(1, 1, 2)]).await.unwrap();
    index.add(vec![entry(1, 1, 3)]).await.unwrap();
    let found = find(index, Level::Patient, vec![single(tags::PATIENT_NAME, "张三")]).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].studies, found[0].instances), (1, 3));
    assert_eq!(find(index, Level::Patient, vec![]).await.len(), 1);
    assert_eq!(index.counts().await.unwrap().patients, 1);
}

pub(super) async fn one_patient_id_with_two_names_is_two_patients(index: &dyn StudyIndex) {
    let mut one = entry(1, 1, 1);
    let mut other = entry(2, 1, 1);
    one.header.patient.id = "1".to_owned();
    other.header.patient.id = "1".to_owned();
    other.header.patient.name = "李四".to_owned();
    let mut third = entry(3, 1, 1);
    third.header.patient.id = "1".to_owned();
    third.header.patient.name = "ZHANG SAN=张 三".to_owned();
    index.add(vec![one, other, third]).await.unwrap();
    let found = find(index, Level::Patient, vec![single(tags::PATIENT_ID, "1")]).await;
    assert_eq!(found.iter().map(|m| m.studies).collect::<Vec<_>>(), [2, 1]);
    let studies = find(index, Level::Study, vec![single(tags::PATIENT_NAME, "李四")]).await;
    assert_eq!(studies.len(), 1);
    assert_eq!(studies[0].header.study.uid, "1.2.2");
    let all = Selection { patient_id: Some("1".to_owned()), ..Selection::default() };
    assert_eq!(index.instances(all, 0, 10).await.unwrap().len(), 3);
}

pub(super) async fn an_object_kept_apart_answers_no_question(index: &dyn StudyIndex) {
    let first = entry(1, 1, 1);
    let mut second = entry(1, 1, 1);
    second.digest = digest(77);
    second.apart = true;
    second.location.offset += 50_000;
    second.location.body += 50_000;
    second.head.transfer_syntax = "1.2.840.10008.1.2.4.70".to_owned();
    index.add(vec![first.clone()]).await.unwrap();
    index.add(vec![second.clone()]).await.unwrap();
    index.add(vec![second.clone()]).await.unwrap();
    let counts = index.counts().await.unwrap();
    assert_eq!((counts.instances, counts.apart), (1, 1));
    let known = index.known(vec![first.head.uids.instance.clone()]).await.unwrap();
    let seen: Vec<_> = known[0].iter().map(|k| (k.digest, k.apart)).collect();
    assert_eq!(seen, [(first.digest, false), (second.digest, true)]);
    let apart = index.apart(0, 10).await.unwrap();
    assert_eq!(apart.len(), 1);
    assert_eq!(apart[0].location, second.location);
    assert_eq!(apart[0].transfer_syntax, second.head.transfer_syntax);
    assert!(index.apart(1, 10).await.unwrap().is_empty());
    let all = Selection { studies: vec!["1.2.1".to_owned()], ..Selection::default() };
    assert_eq!(index.instances(all, 0, 10).await.unwrap().len(), 1);
    assert_eq!(find(index, Level::Study, vec![]).await[0].bytes, 500);
    index.remove(second.digest, 5).await.unwrap();
    assert!(index.apart(0, 10).await.unwrap().is_empty());
    let counts = index.counts().await.unwrap();
    assert_eq!((counts.instances, counts.apart), (1, 0));
    let kinds: Vec<_> = index.changes(0, 10).await.unwrap().iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [ChangeKind::Stored, ChangeKind::KeptApart, ChangeKind::Erased]);
}

pub(super) async fn a_second_object_is_kept_apart_even_if_nobody_said_so(index: &dyn StudyIndex) {
    let first = entry(1, 1, 1);
    // It claims to stand in another study.
    let mut second = entry(2, 1, 1);
    second.head.uids.instance.clone_from(&first.head.uids.instance);
    index.add(vec![first]).await.unwrap();
    index.add(vec![second]).await.unwrap();
    let counts = index.counts().await.unwrap();
    assert_eq!((counts.studies, counts.instances, counts.apart), (1, 1, 1));
}

pub(super) async fn one_instance_uid_in_two_additions_of_one_batch_is_kept_apart(
    index: &dyn StudyIndex,
) {
    let mut second = entry(1, 1, 1);
    second.digest = digest(77);
    index.add(vec![entry(1, 1, 1), second]).await.unwrap();
    let counts = index.counts().await.unwrap();
    assert_eq!((counts.instances, counts.apart), (1, 1));
}

pub(super) async fn removing_the_last_instance_removes_all_above_it(index: &dyn StudyIndex) {
    let only = entry(1, 1, 1);
    index.add(vec![only.clone(), entry(2, 1, 1)]).await.unwrap();
    index.remove(only.digest, 9).await.unwrap();
    index.remove(only.digest, 10).await.unwrap();
    let counts = index.counts().await.unwrap();
    assert_eq!(counts, IndexCounts { patients: 1, studies: 1, series: 1, instances: 1, apart: 0 });
    for level in [Level::Patient, Level::Study, Level::Series, Level::Image] {
        assert_eq!(find(index, level, vec![]).await.len(), 1);
    }
    assert!(index.known(vec![only.head.uids.instance]).await.unwrap()[0].is_empty());
    assert!(find(index, Level::Study, vec![single(tags::PATIENT_ID, "P1")]).await.is_empty());
    assert_eq!(index.patient_of("1.2.1").await.unwrap(), None);
}

pub(super) async fn removing_one_of_several_leaves_true_counts(index: &dyn StudyIndex) {
    let mut report = entry(1, 2, 1);
    report.header.series.modality = "SR".to_owned();
    report.head.sop_class = "1.2.840.10008.5.1.4.1.1.88.11".to_owned();
    let mut secondary = entry(1, 1, 3);
    secondary.head.sop_class = "1.2.840.10008.5.1.4.1.1.7".to_owned();
    index
        .add(vec![entry(1, 1, 1), entry(1, 1, 2), report.clone(), secondary.clone()])
        .await
        .unwrap();
    let study = &find(index, Level::Study, vec![]).await[0];
    assert_eq!(study.modalities, ["CT", "SR"]);
    assert_eq!(study.sop_classes.len(), 3);
    index.remove(report.digest, 1).await.unwrap();
    index.remove(secondary.digest, 2).await.unwrap();
    let study = &find(index, Level::Study, vec![]).await[0];
    assert_eq!(study.modalities, ["CT"]);
    assert_eq!(study.sop_classes, ["1.2.840.10008.5.1.4.1.1.2"]);
    assert_eq!((study.series, study.instances, study.bytes), (1, 2, 1000));
}

pub(super) async fn what_was_removed_can_come_again(index: &dyn StudyIndex) {
    let one = entry(1, 1, 1);
    index.add(vec![one.clone(), entry(1, 1, 2)]).await.unwrap();
    index.remove(one.digest, 1).await.unwrap();
    index.add(vec![one.clone()]).await.unwrap();
    assert_eq!(find(index, Level::Study, vec![]).await[0].instances, 2);
    let kinds: Vec<_> = index.changes(0, 10).await.unwrap().iter().map(|c| c.kind).collect();
    let (stored, erased) = (ChangeKind::Stored, ChangeKind::Erased);
    assert_eq!(kinds, [stored, stored, erased, stored]);
}

pub(super) async fn changes_are_numbered_and_stay_after_removal(index: &dyn StudyIndex) {
    let entries: Vec<_> = (1..=3).map(|n| entry(1, 1, n)).collect();
    index.add(entries.clone()).await.unwrap();
    index.remove(entries[1].digest, 4242).await.unwrap();
    let changes = index.changes(0, 10).await.unwrap();
    assert_eq!(changes.len(), 4);
    assert!(changes.windows(2).all(|pair| pair[0].number < pair[1].number));
    assert_eq!(changes[1].uids, entries[1].head.uids);
    assert_eq!(changes[1].kind, ChangeKind::Stored);
    assert_eq!(changes[1].at_ms, entries[1].head.received_ms);
    assert_eq!(changes[3].uids, entries[1].head.uids);
    assert_eq!((changes[3].kind, changes[3].at_ms), (ChangeKind::Erased, 4242));
    assert_eq!(index.changes(changes[1].number, 1).await.unwrap(), changes[2..3]);
}

pub(super) async fn clearing_forgets_everything_but_the_numbers(index: &dyn StudyIndex) {
    let one = entry(1, 1, 1);
    index.add(vec![one.clone(), entry(2, 1, 1)]).await.unwrap();
    let last = index.changes(0, 10).await.unwrap().pop().unwrap().number;
    index.clear().await.unwrap();
    assert_eq!(index.counts().await.unwrap(), IndexCounts::default());
    assert_eq!(index.reached().await.unwrap(), None);
    assert!(find(index, Level::Study, vec![]).await.is_empty());
    index.add(vec![one]).await.unwrap();
    let changes = index.changes(last, 10).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(find(index, Level::Study, vec![]).await.len(), 1);
}

pub(super) async fn instances_come_in_the_order_of_series_and_instance_numbers(
    index: &dyn StudyIndex,
) {
    let mut entries = Vec::new();
    for series in [10, 2, 1] {
        for instance in [100, 20, 3] {
            entries.push(entry(1, series, instance));
        }
    }
    entries.push(entry(2, 1, 1));
    index.add(entries).await.unwrap();
    let all = Selection { studies: vec!["1.2.1".to_owned()], ..Selection::default() };
    let found = index.instances(all.clone(), 0, 100).await.unwrap();
    let uids: Vec<_> = found.iter().map(|i| i.uids.instance.as_str()).collect();
    assert_eq!(
        uids,
        [
            "1.2.1.1.3",
            "1.2.1.1.20",
            "1.2.1.1.100",
            "1.2.1.2.3",
            "1.2.1.2.20",
            "1.2.1.2.100",
            "1.2.1.10.3",
            "1.2.1.10.20",
            "1.2.1.10.100",
        ]
    );
    assert_eq!(found[0].frames, 1);
    assert_eq!(found[0].sop_class, "1.2.840.10008.5.1.4.1.1.2");
    assert_eq!(index.instances(all, 2, 3).await.unwrap(), found[2..5]);
    let some = Selection {
        studies: vec!["1.2.1".to_owned(), "1.2.2".to_owned()],
        series: vec!["1.2.1.2".to_owned(), "1.2.2.1".to_owned()],
        instances: vec!["1.2.1.2.20".to_owned(), "1.2.1.1.3".to_owned()],
        ..Selection::default()
    };
    let found = index.instances(some, 0, 100).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].uids.instance, "1.2.1.2.20");
}

pub(super) async fn nothing_asked_for_selects_nothing(index: &dyn StudyIndex) {
    index.add(vec![entry(1, 1, 1)]).await.unwrap();
    assert!(index.instances(Selection::default(), 0, 10).await.unwrap().is_empty());
    let many = Selection {
        instances: (0..50_000)
            .map(|n| format!("1.9.{n}"))
            .chain(["1.2.1.1.1".to_owned()])
            .collect(),
        ..Selection::default()
    };
    assert_eq!(index.instances(many, 0, 10).await.unwrap().len(), 1);
}

pub(super) async fn odd_uids_and_texts_come_back_as_they_were(index: &dyn StudyIndex) {
    let mut odd = entry(1, 1, 1);
    odd.head.uids.study = "not a uid ' \" \\".to_owned();
    odd.head.uids.series = "ＵＩＤ𠮷".to_owned();
    odd.head.uids.instance = "1.2.".repeat(40);
    odd.header.study.uid.clone_from(&odd.head.uids.study);
    odd.header.series.uid.clone_from(&odd.head.uids.series);
    odd.header.instance.uid.clone_from(&odd.head.uids.instance);
    odd.header.patient.name = "𠮷田^\"x'=;--".to_owned();
    odd.header.patient.id = "' OR 1=1 --".to_owned();
    odd.header.study.description = "line\r\n\u{1b}\u{1}tab\t[*?]\u{FFFD}".to_owned();
    odd.header.series.number = "x".to_owned();
    odd.header.instance.number = "-7".to_owned();
    odd.head.received_ms = -1;
    index.add(vec![odd.clone()]).await.unwrap();
    let image = find(index, Level::Image, vec![single(tags::PATIENT_ID, "' OR 1=1 --")]).await;
    assert_eq!(image.len(), 1);
    assert_eq!(image[0].header, odd.header);
    for (tag, uid) in [
        (tags::STUDY_INSTANCE_UID, &odd.head.uids.study),
        (tags::SERIES_INSTANCE_UID, &odd.head.uids.series),
        (tags::SOP_INSTANCE_UID, &odd.head.uids.instance),
    ] {
        assert_eq!(find(index, Level::Study, vec![single(tag, uid)]).await.len(), 1);
    }
    let known = index.known(vec![odd.head.uids.instance.clone()]).await.unwrap();
    assert_eq!(known[0][0].uids, odd.head.uids);
}
