//! Negation, doubt, whose finding it is, the past, and degree.

use super::*;

#[test]
fn a_negation_reaches_over_an_enumeration() {
    check(&[
        ("无发热、咳嗽及胸痛", "-fever -cough -chest_pain"),
        ("无咳嗽咳痰，无胸闷气促", "-cough -sputum -chest_tightness -dyspnea"),
        ("无恶心、呕吐，有头晕", "-nausea -vomiting +dizziness"),
        ("未见皮疹和压痛", "-rash -tenderness"),
        ("未诉胸痛或胸闷", "-chest_pain -chest_tightness"),
        ("不伴恶心呕吐", "-nausea -vomiting"),
        ("无明显发热", "-fever"),
        ("没有发烧", "-fever"),
        ("无 发热", "-fever"),
        ("无夜间咳嗽", "-cough"),
    ]);
}

#[test]
fn a_denial_runs_over_commas_while_only_findings_follow() {
    check(&[
        ("否认胸痛，胸闷", "-chest_pain -chest_tightness"),
        ("否认高血压，糖尿病，哮喘史", "-hypertension -diabetes -asthma@past"),
        ("否认胸痛，胸闷，咳嗽3天", "-chest_pain -chest_tightness +cough[3d]"),
        ("否认胸痛，伴咳嗽", "-chest_pain +cough"),
        ("否认胸痛。胸闷", "-chest_pain +chest_tightness"),
        ("患者否认有胸痛，但有胸闷", "-chest_pain +chest_tightness"),
    ]);
}

#[test]
fn what_follows_a_written_negation_and_a_comma_is_not_decided() {
    check(&[
        ("无发热，咳嗽，胸痛", "-fever ?cough ?chest_pain"),
        ("无发热，咳嗽3天", "-fever +cough[3d]"),
        ("无发热，伴咳嗽", "-fever +cough"),
        ("没有发烧，咳嗽，流鼻涕", "-fever +cough +runny_nose"),
    ]);
}

#[test]
fn a_positive_word_ends_a_negation() {
    check(&[
        ("无发热但咳嗽", "-fever +cough"),
        ("无发热伴咳嗽", "-fever +cough"),
        ("无发热有咳嗽", "-fever +cough"),
        ("无胸痛，出现咳嗽", "-chest_pain +cough"),
        ("没有发热有痰", "-fever +sputum"),
        ("不咳嗽，还发烧", "-cough +fever"),
        ("否认有胸痛", "-chest_pain"),
        ("无发热腰杆胀咳嗽", "-fever +cough"),
    ]);
}

#[test]
fn a_short_negation_binds_one_word() {
    check(&[
        ("不发热", "-fever"),
        ("不发热、咳嗽", "-fever +cough"),
        ("不咳不吐", "-cough -vomiting"),
        ("不咳嗽，也不发烧", "-cough -fever"),
        ("不能吃，咳嗽", "+cough"),
    ]);
}

#[test]
fn a_negation_may_stand_behind() {
    check(&[
        ("咳嗽不明显", "-cough"),
        ("咳嗽、胸痛不明显", "-cough -chest_pain"),
        ("胸痛(-)", "-chest_pain"),
        ("胸痛（－）", "-chest_pain"),
        ("胸痛（—）", "-chest_pain"),
        ("压痛、反跳痛阴性", "-tenderness -rebound"),
        ("压痛(+)，反跳痛(-)", "+tenderness -rebound"),
        ("压痛-，反跳痛-", "-tenderness -rebound"),
        ("发热：无 咳嗽：有", "-fever +cough"),
        ("发热无，咳嗽有", "-fever +cough"),
        ("发热咳嗽都没有", "-fever -cough"),
        ("胸痛否，胸闷否", "-chest_pain -chest_tightness"),
        ("发热 咳嗽 胸痛(-)", "+fever +cough -chest_pain"),
    ]);
}

#[test]
fn words_that_only_look_negative_stay_positive() {
    check(&[
        ("全身无力", "+fatigue"),
        ("无力、头晕", "+fatigue +dizziness"),
        ("不能平卧", "+orthopnea"),
        ("无尿3小时", "+anuria[0.13d]"),
        ("食欲不振", "+anorexia"),
        ("没胃口，没力气", "+anorexia +fatigue"),
        ("腹部不适", "+discomfort"),
        ("无腹部不适", "-discomfort"),
        ("没有呼吸", "+apnea"),
    ]);
}

#[test]
fn a_word_with_a_negation_gives_way_to_a_longer_word_behind_it() {
    check(&[
        ("没有呼吸困难", "-dyspnea"),
        ("无尿频、尿急、尿痛", "-frequency -urgency -dysuria"),
        ("无尿频尿急", "-frequency -urgency"),
        ("没有痰", "-sputum"),
        ("没有痰中带血", "-bloody_sputum"),
        ("有痰中带血", "+bloody_sputum"),
        ("没有高血压", "-hypertension"),
    ]);
}

#[test]
fn a_negation_that_another_word_takes_upon_itself_negates_nothing() {
    check(&[
        ("咳嗽未见好转", "+cough"),
        ("咳嗽无好转，发热不退", "+cough +fever"),
        ("无明显诱因出现发热", "+fever"),
        ("无明显诱因下咳嗽、咳痰", "+cough +sputum"),
        ("不明原因发热", "+fever"),
        ("未治疗，咳嗽加重", "+cough*moderate"),
        ("没有去医院，发烧三天", "+fever[3d]"),
        ("没吃药头痛", "+headache"),
        ("咳嗽不止，呕吐不止", "+cough +vomiting"),
        ("不停咳嗽", "+cough"),
    ]);
}

#[test]
fn doubts_and_questions_are_not_decided() {
    check(&[
        ("可能发热", "?fever"),
        ("疑似肺炎", "?pneumonia_name"),
        ("肺炎？", "?pneumonia_name"),
        ("肺炎?咳嗽", "?pneumonia_name +cough"),
        ("好像头痛", "?headache"),
        ("有没有发热", "?fever"),
        ("有无胸痛？", "?chest_pain"),
        ("发烧吗", "?fever"),
        ("发烧没有？", "?fever"),
        ("头痛不头痛", "?headache ?headache"),
        ("咳嗽，是不是肺炎", "+cough ?pneumonia_name"),
        ("可能感冒，发烧", "?cold_name +fever"),
        ("可能感冒伴发热", "?cold_name +fever"),
        ("发热待查，肺炎待排", "+fever ?pneumonia_name"),
        ("如有抽搐随诊", "?convulsion"),
        ("不太咳嗽", "?cough"),
        ("没有很剧烈的头痛", "?headache*severe"),
        ("孩子发烧怎么办？", "+fever"),
        ("排除肺炎", "-pneumonia_name"),
    ]);
}

#[test]
fn findings_of_others_are_not_the_patients() {
    check(&[
        ("母亲有高血压", "+hypertension@other"),
        ("父亲高血压，糖尿病，咳嗽3天", "+hypertension@other +diabetes@other +cough[3d]"),
        ("家族史：高血压，糖尿病。咳嗽", "+hypertension@other +diabetes@other +cough"),
        ("同学有水痘，发热2天", "+varicella@other +fever[2d]"),
        ("爸爸感冒了，孩子也发烧", "+cold_name@other +fever"),
        ("母亲感冒孩子发烧", "+cold_name@other +fever"),
        ("接触水痘患者后出现皮疹", "+varicella@other +rash"),
        ("接触流感病人，发热1天", "+flu_name@other +fever[1d]"),
        ("和得水痘的同学玩过，发热", "+varicella@other +fever"),
        ("接触冷水咳嗽", "+cough"),
        ("妈妈说孩子发热3天", "+fever[3d]"),
        ("母亲代诉：咳嗽", "+cough"),
        ("父亲：高血压；患者：咳嗽", "+hypertension@other +cough"),
        ("母亲哮喘。查体：啰音", "+asthma@other +examination +crackles"),
    ]);
}

#[test]
fn the_past_is_marked() {
    check(&[
        ("既往有高血压", "+hypertension@past"),
        ("既往高血压、糖尿病，现咳嗽", "+hypertension@past +diabetes@past +cough"),
        ("既往哮喘，糖尿病史", "+asthma@past +diabetes@past"),
        ("既往曾有抽搐", "+convulsion@past"),
        ("曾患哮喘", "+asthma@past"),
        ("今晨曾有抽搐", "+convulsion[0-1d]"),
        ("抽搐史", "+convulsion@past"),
        ("小时候得过哮喘", "+asthma@past"),
        ("头痛3天，已消失", "+headache[3d]@over"),
        ("咳嗽好了", "+cough@over"),
        ("发烧已经退了，还咳嗽", "+fever@over +cough"),
        ("既往体健，发热3天", "+fever[3d]"),
        ("反复咳嗽病史10年", "+cough[3650d]"),
    ]);
}

#[test]
fn degrees_go_to_the_finding_beside_them() {
    check(&[
        ("轻微头痛", "+headache*mild"),
        ("稍咳嗽，剧烈腹痛", "+cough*mild +abdominal_pain*severe"),
        ("腹痛剧烈、呕吐", "+abdominal_pain*severe +vomiting"),
        ("伴明显乏力", "+fatigue*moderate"),
        ("咳嗽加重", "+cough*moderate"),
        ("头痛得厉害，恶心", "+headache*severe +nausea"),
        ("有点头痛", "+headache*mild"),
        ("剧烈运动后胸痛", "+chest_pain"),
    ]);
}

#[test]
fn wordings_that_another_word_splits_are_joined() {
    check(&[
        ("头有点痛", "+headache*mild"),
        ("肚子不疼，头也不痛", "-abdominal_pain -headache"),
        ("胸口特别痛", "+chest_pain*severe"),
        ("拉了三天肚子", "+diarrhea[3d]"),
        ("嗓子也疼", "+sore_throat"),
        ("头发掉了，痛", ""),
    ]);
}

#[test]
fn composed_wordings_are_read_like_any_other() {
    check(&[
        ("胸口压榨样疼痛1小时", "+chest_pain[0.04d]"),
        ("无心口刺痛，咳嗽", "-chest_pain ?cough"),
        ("心口一阵阵刺痛", "+chest_pain"),
        ("咳促2天", "+cough[2d] +dyspnea[2d]"),
        ("没有咳促", "-cough -dyspnea"),
        ("头疼痛", "+headache"),
    ]);
}

#[test]
fn a_wording_may_depend_on_what_stands_before_it() {
    check(&[
        ("咳嗽3天，活动后加重", "+cough[3d] +dyspnea"),
        ("咳嗽，头痛，活动后加重", "+cough +headache +dyspnea"),
        ("头痛，活动后加重", "+headache"),
        ("无咳嗽，活动后加重", "-cough"),
        ("咳嗽。头痛，活动后加重", "+cough +headache"),
    ]);
    assert_eq!(unread("头痛，活动后加重，吞咽时加重"), Vec::<String>::new());
    assert_eq!(unread("头痛，走路明显"), ["走路明显"]);
}

#[test]
fn what_matches_nothing_is_handed_back() {
    assert_eq!(unread("咳嗽，屙得凶，头痛"), ["屙得凶"]);
    assert_eq!(unread("患者3天前出现了发热，伴有咳嗽，请看一下。"), Vec::<String>::new());
    assert_eq!(unread("无明显诱因，精神可，二便正常"), Vec::<String>::new());
    assert_eq!(unread("墨菲征（+）"), ["墨菲征"]);
    let text = "发热，ＡＢＣ噁心，腰";
    let parts = fixture().reader.read(text).unread;
    assert_eq!(parts.iter().map(|p| &text[p.span.clone()]).collect::<Vec<_>>(), ["ＡＢＣ", "腰"]);
}

#[test]
fn a_word_of_latin_letters_is_not_found_inside_another() {
    check(&[("胸部ct，ECT，CTA，CT3次", "+ct +ct"), ("H1N12，H1N1", "+flu_name")]);
}

#[test]
fn cues_that_stand_twice_or_say_nothing_are_refused() {
    let load = |text: &str| {
        let mut files = Files::new();
        files.insert(CUES, text.as_bytes().to_vec());
        Cues::load(&files).unwrap_err().to_string()
    };
    let head = "kind,text,note\n";
    assert!(load(&format!("{head}negate,无,\nfiller,無,\n")).contains("cues.csv:3: `無` stands"));
    assert!(load(&format!("{head}negate,,\n")).contains("cues.csv:2: a cue needs a text"));
    assert!(load(&format!("{head}negation,无,\n")).contains("cues.csv:2: unknown kind"));
}

#[test]
fn english_is_read_with_its_negations() {
    check(&[
        (
            "No fever, cough or vomiting. Denies abdominal pain.",
            "-fever -cough -vomiting -abdominal_pain",
        ),
        ("cough and fever, but no vomiting", "+cough +fever -vomiting"),
        ("her nose bled; cough without fever", "+cough -fever"),
    ]);
}

#[test]
fn a_relative_whom_the_text_begins_with_is_the_patient() {
    check(&[
        ("我爸今天早上胸痛，我爸还咳嗽", "+chest_pain[0-1d] +cough"),
        ("医生快来，我爸胸痛", "+chest_pain"),
        ("我爸胸痛。查体：我爸头痛", "+chest_pain +examination +headache"),
        ("老公发热两天，没有咳嗽", "+fever[2d] -cough"),
        ("妈妈发热，孩子也咳嗽", "+fever@other +cough"),
        ("母亲有糖尿病，咳嗽三天", "+diabetes@other +cough[3d]"),
        ("咳嗽，爸爸也发热", "+cough +fever@other"),
    ]);
}

#[test]
fn what_stands_in_brackets_behind_a_finding_does_not_deny_it_unless_it_says_so() {
    check(&[
        ("咳嗽(多在夜间)", "+cough"),
        ("压痛(3+)，反跳痛(-)", "+tenderness -rebound"),
        ("发热(最高39℃)", "+fever"),
        ("头痛（无），咳嗽（有）", "-headache +cough"),
    ]);
}

#[test]
fn a_normal_state_excludes_what_it_would_not_be_with() {
    let knowledge = crate::medicine::diagnosis::DiagnosisKnowledge::load(&crate::embedded::files());
    let knowledge = knowledge.unwrap();
    let absent = |text: &str| -> Vec<String> {
        let mentions = knowledge.reader.read(text).mentions.into_iter();
        mentions
            .filter(|mention| mention.presence == Presence::Absent)
            .map(|mention| knowledge.vocabulary.finding_slug(mention.finding).to_owned())
            .collect()
    };
    assert_eq!(absent("查体：颈软，双肺(-)"), ["neck_stiffness", "crackles", "wheeze"]);
    assert_eq!(absent("肝脾未触及"), ["hepatomegaly", "splenomegaly"]);
    assert_eq!(absent("母亲神志清楚，患儿咳嗽"), Vec::<String>::new(), "somebody else's");
}

#[test]
fn looking_for_whom_a_text_is_about_takes_no_more_time_with_every_relative() {
    let text = format!("{}{}", "的x".repeat(2000), "妈妈，".repeat(2000));
    let (_, steps) = fixture().reader.read_counting(&text);
    assert!(steps < 8 * text.chars().count(), "{steps} steps");
}
