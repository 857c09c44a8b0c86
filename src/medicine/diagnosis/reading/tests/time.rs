//! Durations: how they are read, and which finding they belong to.

use super::*;

#[test]
fn spans_of_time_are_read_in_every_spelling() {
    check(&[
        ("发热3天", "+fever[3d]"),
        ("发热三天", "+fever[3d]"),
        ("发热３天", "+fever[3d]"),
        ("发热3日余", "+fever[3-4d]"),
        ("发热2+天", "+fever[2-3d]"),
        ("发热1-2天", "+fever[1-2d]"),
        ("发热2到3天", "+fever[2-3d]"),
        ("发热两三天", "+fever[2-3d]"),
        ("发热几天", "+fever[2-9d]"),
        ("发热十来天", "+fever[8-12d]"),
        ("发热10余天", "+fever[10-19d]"),
        ("发热二十天", "+fever[20d]"),
        ("发热半天", "+fever[0.5d]"),
        ("发热2小时", "+fever[0.08d]"),
        ("发热三个钟头", "+fever[0.13d]"),
        ("发热12h", "+fever[0.5d]"),
        ("咳嗽1周余", "+cough[7-14d]"),
        ("咳嗽两个星期", "+cough[14d]"),
        ("咳嗽半月", "+cough[15d]"),
        ("咳嗽1月", "+cough[30d]"),
        ("咳嗽一个半月", "+cough[45d]"),
        ("咳嗽3个多月", "+cough[90-120d]"),
        ("咳嗽半年", "+cough[182.5d]"),
        ("咳嗽1年3个月", "+cough[455d]"),
        ("咳嗽十几年", "+cough[4015-6935d]"),
        ("咳嗽多年", "+cough[730-3285d]"),
        ("昨晚开始发热", "+fever[0.5-2d]"),
        ("今天发热", "+fever[0-1d]"),
        ("发烧5天", "+prolonged_fever[5d]"),
    ]);
}

#[test]
fn numbers_that_are_no_duration_give_none() {
    check(&[
        ("呕吐3次", "+vomiting"),
        ("一天呕吐五六次", "+vomiting"),
        ("一天吐了五六次", "+vomiting"),
        ("每3天发热", "+fever"),
        ("3岁，发热", "+fever"),
        ("8个月大，发热", "+fever"),
        ("5月3日发热", "+fever"),
        ("2023年5月发热", "+fever"),
        ("3天后发热", "+fever"),
        ("8:30发热", "+fever"),
        ("电话13800138000，发热", "+fever"),
    ]);
}

#[test]
fn a_duration_belongs_to_the_enumeration_before_it() {
    check(&[
        ("咳嗽、咳痰1周余", "+cough[7-14d] +sputum[7-14d]"),
        ("发热伴咳嗽3天，头痛", "+fever[3d] +cough[3d] +headache"),
        ("发热1天，咳嗽2天", "+fever[1d] +cough[2d]"),
        ("头痛2周发热3天", "+headache[14d] +fever[3d]"),
        ("发热，咳嗽，3天", "+fever[3d] +cough[3d]"),
        ("发热 咳嗽 3天", "+fever[3d] +cough[3d]"),
        ("咳嗽，无发热3天", "+cough -fever"),
    ]);
}

#[test]
fn a_duration_before_the_finding_belongs_to_what_follows() {
    check(&[
        ("3天前开始发热", "+fever[3d]"),
        ("3天前受凉后出现发热，咳嗽", "+fever[3d] +cough[3d]"),
        ("3天前发热，今天皮疹", "+fever[3d] +rash[0-1d]"),
        ("3天前发热，现咳嗽", "+fever[3d] +cough"),
        ("3天前发热，咳嗽1天", "+fever[3d] +cough[1d]"),
        ("3天前发热。咳嗽", "+fever[3d] +cough"),
        ("近3天发热、头痛", "+fever[3d] +headache[3d]"),
        ("2天来腹泻", "+diarrhea[2d]"),
        ("1周咳嗽，头痛", "+cough[7d] +headache"),
        ("头痛3天前开始发热", "+headache +fever[3d]"),
    ]);
}

#[test]
fn the_time_of_a_change_is_not_the_time_of_the_finding() {
    check(&[
        ("头晕2年，加重3天", "+dizziness[730d]"),
        ("咳嗽加重3天", "+cough*moderate"),
        ("反复咳嗽10年，再发2天", "+cough[3650d]"),
        ("咳嗽，住院3天", "+cough"),
    ]);
}

#[test]
fn the_words_of_a_duration_are_kept() {
    let text = "咳嗽、咳痰１周余。";
    let reading = fixture().reader.read(text);
    let duration = reading.mentions[1].duration.clone().unwrap();
    assert_eq!(duration.words, "１周余");
    assert_eq!(&text[duration.span], "１周余");
    assert_eq!(duration.unit, TimeUnit::Week);
    assert_eq!(&text[reading.mentions[1].span.clone()], "咳痰");
}
