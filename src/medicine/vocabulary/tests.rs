//! A small vocabulary for tests, and the tests of loading one.

use super::*;

/// Small tables that hold enough for the tests of this module and of diagnosis.
pub(crate) fn files() -> Files {
    let mut files = Files::new();
    for (path, text) in [
        (SOURCES, SOURCES_CSV),
        (FINDINGS, FINDINGS_CSV),
        (CONDITIONS, CONDITIONS_CSV),
        (IMPLICATIONS, IMPLICATIONS_CSV),
        (MEASUREMENTS, MEASUREMENTS_CSV),
        (WORDINGS, WORDINGS_CSV),
    ] {
        files.insert(path, text.as_bytes());
    }
    files
}

/// The small vocabulary.
pub(crate) fn vocabulary() -> Vocabulary {
    Vocabulary::load(&files()).unwrap()
}

const SOURCES_CSV: &str = "\
id,citation,url,licence,note
memory,Compiled from memory,,,
expert-guess,Guessed,,,
book,A book of 2020,https://example.org,CC-BY,facts restated
";

const WORDINGS_CSV: &str = "\
finding,after,parts,note
chest_pain,,胸口|心口;刺|压榨样|;痛|疼痛,a site and a quality
dyspnea,cough,活动后|走路;加重|明显,
,,活动后|吞咽时;加重,
cough|dyspnea,,咳促,one wording that says two
";

const IMPLICATIONS_CSV: &str = "\
finding,implies,source,status
hyperpyrexia,high_fever,memory,draft
high_fever,fever,memory,draft
bloody_sputum,sputum,memory,draft
";

const MEASUREMENTS_CSV: &str = "\
finding,measure,op,value,unit,age_min_years,age_max_years,source,status
fever,temperature_c,>=,37.3,°C,,,memory,draft
high_fever,temperature_c,>,39.0,°C,,,memory,draft
raised_bp,systolic_mmhg,>=,140,mmHg,18,,memory,draft
raised_bp,diastolic_mmhg,>=,90,mmHg,18,,memory,draft
low_spo2,spo2_percent,<,95,%,,,memory,draft
tachypnea,respiratory_rate_bpm,>=,50,/min,0.167,1,memory,draft
tachypnea,respiratory_rate_bpm,>,24,/min,14,,memory,draft
";

const FINDINGS_CSV: &str = "\
id,name_zh,name_en,kind,body_part,synonyms,source,status
fever,发热,Fever,symptom,general,发烧|体温高|烧到|发热了,memory,draft
high_fever,高热,High fever,symptom,general,高烧|体温39|40度|39度多,memory,draft
hyperpyrexia,超高热,Hyperpyrexia,symptom,general,,memory,draft
prolonged_fever,发热5天以上,Prolonged fever,symptom,general,发烧5天|发烧五天,memory,draft
chills,畏寒,Chills,symptom,general,怕冷|寒战,memory,draft
cough,咳嗽,Cough,symptom,chest,咳|干咳,memory,draft
sputum,咳痰,Sputum,symptom,chest,痰|有痰,memory,draft
bloody_sputum,痰中带血,Bloody sputum,symptom,chest,痰里有血,memory,draft
runny_nose,流涕,Runny nose,symptom,nose,流鼻涕|流清鼻涕,memory,draft
sore_throat,咽痛,Sore throat,symptom,throat,嗓子疼|喉咙痛,memory,draft
chest_pain,胸痛,Chest pain,symptom,chest,胸口痛|胸口疼,memory,draft
chest_tightness,胸闷,Chest tightness,symptom,chest,,memory,draft
dyspnea,呼吸困难,Dyspnea,symptom,chest,气促|喘不上气,memory,draft
apnea,呼吸停止,Apnea,sign,chest,没有呼吸,memory,draft
orthopnea,端坐呼吸,Orthopnea,symptom,chest,不能平卧,memory,draft
headache,头痛,Headache,symptom,head,头疼,memory,draft
dizziness,头晕,Dizziness,symptom,head,,memory,draft
fatigue,乏力,Fatigue,symptom,general,无力|没力气,memory,draft
anorexia,食欲不振,Poor appetite,symptom,abdomen,没胃口|不想吃饭,memory,draft
nausea,恶心,Nausea,symptom,abdomen,想吐,memory,draft
vomiting,呕吐,Vomiting,symptom,abdomen,吐,memory,draft
diarrhea,腹泻,Diarrhea,symptom,abdomen,拉肚子|拉稀,memory,draft
abdominal_pain,腹痛,Abdominal pain,symptom,abdomen,肚子痛|肚子疼,memory,draft
discomfort,不适,Discomfort,symptom,general,不舒服,memory,draft
rash,皮疹,Rash,symptom,skin,起疹子,memory,draft
frequency,尿频,Urinary frequency,symptom,urinary,,memory,draft
urgency,尿急,Urinary urgency,symptom,urinary,,memory,draft
dysuria,尿痛,Painful urination,symptom,urinary,,memory,draft
anuria,无尿,Anuria,symptom,urinary,,memory,draft
sweating,出汗,Sweating,symptom,general,大汗,memory,draft
tenderness,压痛,Tenderness,sign,abdomen,,memory,draft
rebound,反跳痛,Rebound tenderness,sign,abdomen,,memory,draft
crackles,湿啰音,Crackles,sign,chest,啰音,memory,draft
convulsion,抽搐,Convulsion,sign,nerve,惊厥,memory,draft
raised_bp,血压升高,Raised blood pressure,vital,general,血压高|血压180,memory,draft
low_spo2,血氧低,Low oxygen saturation,vital,general,血氧90,memory,draft
tachypnea,呼吸急促,Tachypnea,vital,chest,,memory,draft
examination,查体,Examination,test,,体格检查,memory,draft
ct,CT,CT,test,,胸部CT,memory,draft
hypertension,高血压病史,Hypertension,history,,高血压|有高血压,memory,draft
diabetes,糖尿病病史,Diabetes,history,,糖尿病,memory,draft
asthma,哮喘病史,Asthma,history,,哮喘,memory,draft
drug_allergy,药物过敏,Drug allergy,history,,,memory,draft
trauma,外伤史,Trauma,history,,外伤,memory,draft
varicella,水痘,Chickenpox,diagnosis,skin,,memory,draft
pneumonia_name,肺炎,Pneumonia (named),diagnosis,chest,,memory,draft
cold_name,感冒,Cold (named),diagnosis,,,memory,draft
flu_name,流感,Influenza (named),diagnosis,,H1N1,memory,draft
";

const CONDITIONS_CSV: &str = "\
id,name_zh,name_en,synonyms,icd10,severity,must_not_miss,age_min_years,age_max_years,sex,department,referral,confusion_group,source,status
common_cold,普通感冒,Common cold,伤风,J00.x00,mild,no,,,any,全科,village,airway,book#12,draft
pneumonia,肺炎,Pneumonia,肺部感染,J18.900,severe,yes,,,any,内科,county,airway,book,draft
acs,急性冠脉综合征,Acute coronary syndrome,心梗|急性心肌梗死,I24.901,critical,yes,18,,any,内科,city,,memory,draft
pid,盆腔炎,Pelvic inflammatory disease,,N73.901,moderate,no,12,60,female,妇科,township,,memory,draft
bronchiolitis,毛细支气管炎,Bronchiolitis,,J21.900,severe,yes,,2,any,儿科,county,airway,memory,draft
";

fn with(path: &str, from: &str, to: &str) -> LoadError {
    let mut files = files();
    let text = files.text(path).unwrap().replacen(from, to, 1);
    assert_ne!(text, files.text(path).unwrap(), "the test changes nothing");
    files.insert(path, text.into_bytes());
    Vocabulary::load(&files).unwrap_err()
}

fn refused(path: &str, from: &str, to: &str, line: u64, message: &str) {
    let error = with(path, from, to);
    assert_eq!((error.file.as_str(), error.line), (path, Some(line)), "{error}");
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn names_in_every_spelling_lead_to_the_finding() {
    let vocabulary = vocabulary();
    let fever = vocabulary.finding("fever").unwrap();
    for name in ["fever", "发热", "發熱", " 发烧 ", "FEVER", "ＦＥＶＥＲ", "Fever"] {
        assert_eq!(vocabulary.resolve_finding(name), Some(fever), "{name}");
    }
    assert_eq!(vocabulary.resolve_finding("发"), None);
    assert_eq!(vocabulary.finding("发热"), None, "only the slug is a slug");
}

#[test]
fn conditions_are_found_by_name_and_by_code() {
    let vocabulary = vocabulary();
    let acs = vocabulary.condition("acs");
    for name in ["急性心肌梗死", "心梗", "I24.901", "i24.9", "Ｉ２４"] {
        assert_eq!(vocabulary.resolve_condition(name), acs, "{name}");
    }
    assert_eq!(vocabulary.resolve_condition("J"), None, "one letter is no code");
    assert_eq!(vocabulary.resolve_condition("J1"), None);
    assert_eq!(vocabulary.resolve_condition("Z99"), None);
}

#[test]
fn a_code_that_two_conditions_begin_with_resolves_to_neither() {
    let mut files = files();
    let text = files.text(CONDITIONS).unwrap().replace("J21.900", "J18.000");
    files.insert(CONDITIONS, text.into_bytes());
    let vocabulary = Vocabulary::load(&files).unwrap();
    assert_eq!(vocabulary.resolve_condition("J18"), None);
    assert_eq!(vocabulary.resolve_condition("J18.9"), vocabulary.condition("pneumonia"));
}

#[test]
fn what_is_entailed_is_closed_over_several_steps() {
    let vocabulary = vocabulary();
    let id = |slug| vocabulary.finding(slug).unwrap();
    assert_eq!(vocabulary.implied(id("hyperpyrexia")), [id("fever"), id("high_fever")]);
    assert_eq!(vocabulary.implied_by(id("fever")), [id("high_fever"), id("hyperpyrexia")]);
    assert!(vocabulary.implied(id("fever")).is_empty());
}

#[test]
fn names_of_all_findings_can_be_listed_for_a_search_index() {
    let vocabulary = vocabulary();
    let fever = vocabulary.finding("fever").unwrap();
    let names: Vec<&str> =
        vocabulary.finding_names().filter(|(id, _)| *id == fever).map(|(_, name)| name).collect();
    assert_eq!(names, ["发热", "Fever", "发烧", "体温高", "烧到", "发热了"]);
    let pid = vocabulary.condition("pid").unwrap();
    assert!(vocabulary.condition_names().any(|(id, name)| id == pid && name == "盆腔炎"));
}

#[test]
fn age_and_sex_limits_admit_and_exclude() {
    let vocabulary = vocabulary();
    let get = |slug| vocabulary.get_condition(vocabulary.condition(slug).unwrap()).unwrap();
    assert!(get("bronchiolitis").admits_age(Some(2.9)), "the limit is in completed years");
    assert!(!get("bronchiolitis").admits_age(Some(3.0)));
    assert!(get("bronchiolitis").admits_age(None));
    assert!(!get("pid").admits_sex(Some(Sex::Male)));
    assert!(get("pid").admits_sex(None));
}

#[test]
fn uncited_and_unknown_sources_are_refused() {
    refused(
        FINDINGS,
        "恶心,Nausea,symptom,abdomen,想吐,memory",
        "恶心,Nausea,symptom,abdomen,想吐,",
        21,
        "no source",
    );
    refused(
        FINDINGS,
        "体温高|烧到|发热了,memory",
        "体温高|烧到|发热了,hearsay#3",
        2,
        "unknown source `hearsay#3`",
    );
    refused(CONDITIONS, "book#12", "", 2, "no source");
    refused(IMPLICATIONS, "fever,memory", "fever,rumour", 2, "unknown source");
    refused(MEASUREMENTS, "memory", "", 2, "no source");
}

#[test]
fn names_that_two_rows_claim_are_refused() {
    refused(FINDINGS, "头疼", "头疼|怕冷", 17, "`怕冷` already belongs to line 6");
    refused(FINDINGS, "头疼", "頭疼|發燒", 17, "already belongs to line 2");
    refused(FINDINGS, "headache,头痛", "cough,头痛", 17, "`cough` stands twice");
    refused(CONDITIONS, "肺部感染", "伤风", 3, "`伤风` already belongs to line 2");
}

#[test]
fn references_to_nothing_are_refused() {
    refused(IMPLICATIONS, "high_fever,fever", "high_fever,fevr", 3, "unknown finding `fevr`");
    refused(MEASUREMENTS, "raised_bp", "raised_pb", 4, "unknown finding `raised_pb`");
}

#[test]
fn impossible_limits_and_units_are_refused() {
    refused(CONDITIONS, "no,12,60", "no,60,12", 5, "impossible age limits");
    refused(CONDITIONS, "no,12,60", "no,-1,60", 5, "impossible age limits");
    refused(CONDITIONS, "no,12,60", "no,12,600", 5, "impossible age limits");
    refused(MEASUREMENTS, "37.3", "373", 2, "outside 25 to 45");
    refused(MEASUREMENTS, "°C", "mmHg", 2, "not a unit");
    refused(MEASUREMENTS, ">=,37.3", "~,37.3", 2, "unknown variant `~`");
}

#[test]
fn implications_that_turn_in_a_circle_are_refused() {
    refused(IMPLICATIONS, "bloody_sputum,sputum", "fever,hyperpyrexia", 4, "entail itself");
    refused(IMPLICATIONS, "bloody_sputum,sputum", "fever,fever", 4, "entail itself");
    refused(IMPLICATIONS, "bloody_sputum,sputum", "high_fever,fever", 4, "stands twice");
}

#[test]
fn malformed_rows_name_their_line() {
    refused(FINDINGS, "chills,畏寒", "Chills,畏寒", 6, "not a slug");
    refused(FINDINGS, "畏寒,Chills,symptom", "畏寒,Chills,feeling", 6, "unknown variant `feeling`");
    refused(CONDITIONS, "I24.901", "", 4, "`icd10` is empty");
    refused(CONDITIONS, "critical,yes", "critical,maybe", 4, "unknown variant `maybe`");
}

#[test]
fn a_fraction_of_a_year_ends_an_age_as_it_stands() {
    let files = files();
    let line = CONDITIONS_CSV.lines().find(|line| line.starts_with("bronchiolitis,")).unwrap();
    let mut files = files;
    let changed = CONDITIONS_CSV.replace(line, &line.replacen(",2,", ",0.25,", 1));
    assert_ne!(changed, CONDITIONS_CSV, "the test changes nothing");
    files.insert(CONDITIONS, changed.into_bytes());
    let vocabulary = Vocabulary::load(&files).unwrap();
    let id = vocabulary.condition("bronchiolitis").unwrap();
    let condition = vocabulary.get_condition(id).unwrap();
    assert!(condition.admits_age(Some(0.25)));
    assert!(!condition.admits_age(Some(0.26)));
    assert!(!condition.admits_age(Some(1.0)));
}

#[test]
fn a_faulty_table_of_times_is_refused_with_its_line() {
    let findings = format!(
        "{}course_days,病程数天,Days,course,general,,memory,draft\n",
        files().text(FINDINGS).unwrap()
    );
    for (row, message) in [
        ("nothing,fever,5,,memory,draft", "nothing"),
        ("prolonged_fever,nothing,5,,memory,draft", "nothing"),
        ("prolonged_fever,fever,5,5,memory,draft", "0 <= min_days < max_days"),
        ("prolonged_fever,fever,-1,5,memory,draft", "0 <= min_days < max_days"),
        ("prolonged_fever,fever,5,,,draft", "source"),
        ("prolonged_fever,,5,,memory,draft", "a course, and only a course"),
        ("course_days,fever,5,,memory,draft", "a course, and only a course"),
    ] {
        let mut files = files();
        files.insert(FINDINGS, findings.clone().into_bytes());
        let table = format!("finding,of,min_days,max_days,source,status\n{row}\n");
        files.insert(DURATIONS, table.into_bytes());
        let error = Vocabulary::load(&files).unwrap_err();
        assert!(error.message.contains(message), "{row}: {error}");
        assert_eq!((error.file.as_str(), error.line), (DURATIONS, Some(2)), "{row}");
    }
}

#[test]
fn an_english_name_is_found_in_any_order_of_its_words() {
    let vocabulary = vocabulary();
    let pain = vocabulary.finding("chest_pain");
    for name in ["pain in the chest", "Severe chest pains", "chest-pain"] {
        assert_eq!(vocabulary.resolve_finding(name), pain, "{name}");
    }
    assert_eq!(vocabulary.resolve_finding("no chest pain"), None);
    assert_eq!(
        vocabulary.resolve_condition("inflammatory disease of the pelvic"),
        vocabulary.condition("pid")
    );
}

/// The small vocabulary with a table of wider names.
fn wider(row: &str) -> Result<Vocabulary, LoadError> {
    let mut files = files();
    let text = format!("name,conditions,source,status\n{row}\n");
    files.insert(WIDER, text.into_bytes());
    Vocabulary::load(&files)
}

#[test]
fn a_wider_name_means_several_conditions_and_is_the_answer_to_none() {
    let vocabulary = wider("呼吸道感染,common_cold|pneumonia,memory,draft").unwrap();
    let expected: Vec<_> =
        ["common_cold", "pneumonia"].iter().filter_map(|c| vocabulary.condition(c)).collect();
    assert_eq!(vocabulary.resolve_conditions("呼吸道感染"), expected);
    assert_eq!(vocabulary.resolve_condition("呼吸道感染"), None);
    assert_eq!(vocabulary.resolve_conditions("心梗"), [vocabulary.condition("acs").unwrap()]);
    assert_eq!(vocabulary.resolve_conditions("不知道"), []);
    for (row, message) in [
        ("呼吸道感染,common_cold|nothing,memory,draft", "unknown condition"),
        ("呼吸道感染,,memory,draft", "needs a name and conditions"),
        ("心梗,pneumonia,memory,draft", "the name of another condition"),
        ("呼吸道感染,common_cold,,draft", "source"),
    ] {
        let error = wider(row).unwrap_err();
        assert!(error.message.contains(message), "{row}: {error}");
    }
}

#[test]
fn further_codes_lead_to_a_condition_but_a_category_covers_nothing_below_it() {
    let mut files = files();
    let text = files.text(CONDITIONS).unwrap().replace(",icd10,", ",icd10,icd10_more,");
    let rows: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(i, line)| match i {
            0 => line.to_owned(),
            _ => line
                .replace("J18.900,", "J18.900,J18|J15.9,")
                .replace("N73.901,", "N73.901,,")
                .replace("J00.x00,", "J00.x00,,")
                .replace("I24.901,", "I24.901,I21,")
                .replace("J21.900,", "J21.900,,"),
        })
        .collect();
    files.insert(CONDITIONS, rows.join("\n").into_bytes());
    let vocabulary = Vocabulary::load(&files).unwrap();
    let pneumonia = vocabulary.condition("pneumonia");
    for code in ["J18", "J15.9", "J15.900", "J15.902", "J18.900"] {
        assert_eq!(vocabulary.resolve_condition(code), pneumonia, "{code}");
    }
    assert_eq!(vocabulary.resolve_condition("J00.x00x003"), vocabulary.condition("common_cold"));
    assert_eq!(vocabulary.resolve_condition("I21"), vocabulary.condition("acs"));
    assert_eq!(vocabulary.resolve_condition("J18.2"), None, "a category covers itself alone");
}
