//! Words that the records of property tests are made of.

const ICD_10: &str = "urn:oid:2.16.156.10011.2.3.3.11.5";
const ICD_9_CM: &str = "urn:oid:2.16.156.10011.2.3.3.12";
const TCM: &str = "urn:oid:2.16.156.10011.2.3.3.14";
const LOINC: &str = "http://loinc.org";
const LOCAL: &str = "urn:oid:2.999.1";

/// Code system, code, and what it is called.
pub(super) type Term = (&'static str, &'static str, &'static str);

pub(super) const WESTERN: &[Term] = &[
    (ICD_10, "I10.x05", "高血压3级（极高危）"),
    (ICD_10, "E11.900", "2型糖尿病"),
    (ICD_10, "I63.900", "脑梗死"),
    (ICD_10, "I25.103", "冠状动脉粥样硬化性心脏病"),
    (ICD_10, "J44.100", "慢性阻塞性肺疾病急性加重"),
    (ICD_10, "K29.502", "慢性胃炎 & 十二指肠炎"),
];
pub(super) const TCM_TERMS: &[Term] = &[
    (TCM, "BNG080", "中风病"),
    (TCM, "BNX030", "胸痹心痛病"),
    (TCM, "ZYQ020", "气虚血瘀证"),
    (TCM, "ZZGQ10", "肝阳上亢证"),
];
pub(super) const PROCEDURES: &[Term] = &[
    (ICD_9_CM, "36.0700", "药物洗脱冠状动脉支架置入术"),
    (ICD_9_CM, "51.2300", "腹腔镜下胆囊切除术"),
    (ICD_9_CM, "88.5500", "单根导管的冠状动脉造影术"),
];
pub(super) const SECTIONS: &[Term] = &[
    (LOINC, "29762-2", "社会史"),
    (LOINC, "10157-6", "家族史"),
    (LOCAL, "X-1", "会诊意见（心内科）"),
];
pub(super) const MEDICINES: &[Term] = &[
    (LOCAL, "M0001", "苯磺酸氨氯地平片 5mg×28片"),
    (LOCAL, "M0002", "盐酸二甲双胍缓释片 0.5g"),
    (LOCAL, "M0003", "阿司匹林肠溶片 100mg"),
    (LOCAL, "M0004", "单硝酸异山梨酯缓释片 40mg"),
    (LOCAL, "M0005", "血府逐瘀胶囊 0.4g"),
];
pub(super) const MEASURED: &[Term] = &[
    (LOINC, "8480-6", "收缩压"),
    (LOINC, "8462-4", "舒张压"),
    (LOINC, "2345-7", "葡萄糖"),
    (LOINC, "4548-4", "糖化血红蛋白"),
    (LOINC, "2160-0", "肌酐"),
];
pub(super) const ALLERGENS: &[Term] = &[
    (LOCAL, "A1", "青霉素"),
    (LOCAL, "A2", "头孢曲松"),
    (LOCAL, "A3", "碘造影剂"),
    (LOCAL, "A4", "花生 <peanut>"),
];
pub(super) const TASKS: &[Term] = &[
    (LOCAL, "F1", "出院后两周随访"),
    (LOCAL, "F2", "复查血脂、肝功能"),
    (LOCAL, "F3", "复查头颅CT"),
];
pub(super) const WORDS: &[Term] = &[
    (LOCAL, "1", "好转"),
    (LOCAL, "2", "口服"),
    (LOCAL, "20", "已婚"),
    (LOCAL, "27", "农民"),
    (LOCAL, "01", "全身麻醉"),
    (LOCAL, "甲", "Ⅱ类切口，甲级愈合"),
];

pub(super) const SURNAMES: &[&str] =
    &["王", "李", "张", "刘", "陈", "汪", "徐", "俞", "欧阳", "买买提·", "𠮷"];
pub(super) const GIVEN: &[&str] =
    &["建国", "桂英", "秀兰", "志强", "小妹", "细崽", "美玲", "㑇", "喆", "吐尔逊", "龘", "淼"];
pub(super) const SENTENCES: &[&str] = &[
    "患者因“反复头晕3年，加重1周”入院。",
    "入院时神志清，精神可，双肺呼吸音粗，未闻及干湿啰音；BP 186/112mmHg。",
    "头颅MRI：左侧基底节区急性脑梗死（DWI高信号）。",
    "血钾 <3.5mmol/L，予补钾后复查正常；空腹血糖 > 7.0mmol/L。",
    "予阿司匹林 & 氯吡格雷双联抗血小板、阿托伐他汀调脂稳斑等治疗。",
    "舌质暗红，苔薄白，脉弦细。",
    "水煎服，日一剂，分早晚两次温服。",
    "低盐低脂饮食，监测血压，每周至少\"3次\"；不适随诊。",
    "生命体征平稳，切口Ⅱ/甲愈合，无渗血、渗液。",
    "The patient was \u{201c}stable\u{201d} at discharge; 体温36.5℃，SpO₂ 97%。",
    "患者家属𡎚说：'知道了'。",
];
pub(super) const PHRASES: &[&str] = &[
    "每日一次，每次1片，餐后服",
    "原5mg qd，现改为10mg qd",
    "皮疹、瘙痒",
    "偏高 ↑",
    "90~140",
    "血压<140/90mmHg",
    "社区医生",
    "胸痛时舌下含服",
    "tid",
    "bid (早晚)",
    "头颅CT平扫+增强",
];
