//! The patient of the demo, and many like him to measure with: made up, like the clinic, the hospital and
//! every number.

use super::Failure;
use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{
    Address, Code, Coded, Diagnosis, DiagnosisKind, DiagnosisRole, DischargeRecord, Document,
    FollowUp, Identifier, IdentifierKind, Measurement, Medicine, MedicineChange, Narrative,
    Patient, Quantity, Sex, Stay,
};
use crate::sharing::patient::identifier::check_digit;

/// When the record was written.
pub(super) const WRITTEN: &str = "2026-11-28T10:30:00+08:00";
/// What the clinic has been giving.
pub(super) const PRESCRIBED: [&str; 4] =
    ["格列本脲片", "苯磺酸氨氯地平片", "盐酸二甲双胍片", "布洛芬片"];

/// Last day of the contract: 2099-12-31, in milliseconds since 1970 of its end.
const CONTRACT_UNTIL_MS: i64 = 4_102_415_999_999;
/// The village in which the clinic stands: 石峡村, 广信区 of Shangrao; made up for the demo are clinic,
/// hospital and patient.
pub(super) const VILLAGE: (&str, &str) = ("village-clinic", "361104111202");
/// The county's hospital.
pub(super) const HOSPITAL: (&str, &str) = ("county-hospital", "361104");
const NAME: &str = "饶春生";
const RESIDENT_ID: &str = "361121195803214233";

/// The clinic's patient.
pub(super) fn registration() -> pb::RegisterPatientRequest {
    pb::RegisterPatientRequest {
        person: Some(pb::RegisteredPerson {
            name: NAME.to_owned(),
            resident_id: RESIDENT_ID.to_owned(),
            birth_date: "1958-03-21".to_owned(),
            sex: "male".to_owned(),
            division: VILLAGE.1.to_owned(),
            ..pb::RegisteredPerson::default()
        }),
        relation: pb::Relation::Contract.into(),
        until_ms: CONTRACT_UNTIL_MS,
        ..pb::RegisterPatientRequest::default()
    }
}

/// One of many people, of whom no two have the same name, birth date or number.
#[derive(Debug, Clone)]
pub(super) struct Somebody {
    name: String,
    resident_id: String,
    birth_date: String,
    document: String,
}

impl Somebody {
    /// The person of a number.
    pub(super) fn new(number: usize) -> Result<Self, Failure> {
        const SURNAMES: [char; 10] = ['王', '李', '张', '刘', '陈', '杨', '黄', '赵', '吴', '周'];
        const GIVEN: [char; 16] = [
            '春', '夏', '秋', '冬', '梅', '兰', '竹', '菊', '山', '河', '湖', '海', '松', '柏',
            '云', '雨',
        ];
        let pick = |all: &[char], at: usize| all.get(at % all.len()).copied().unwrap_or('春');
        let name: String = [
            pick(&SURNAMES, number),
            pick(&GIVEN, number / SURNAMES.len()),
            pick(&GIVEN, number / SURNAMES.len() / GIVEN.len() + number % 7),
        ]
        .into_iter()
        .collect();
        let days = i64::try_from(number % 18_000)?;
        let born = jiff::civil::date(1940, 1, 1).checked_add(jiff::Span::new().days(days))?;
        let birth_date = born.to_string();
        // The last of the three digits before the check is odd for men.
        let digits = format!("361121{}{:03}", birth_date.replace('-', ""), number % 499 * 2 + 1);
        let check = check_digit(&digits).ok_or("a made-up number")?;
        Ok(Self {
            name,
            resident_id: format!("{digits}{check}"),
            birth_date,
            document: format!("urn:oid:2.16.156.10011.1.1|CYXJ-BENCH-{number:06}"),
        })
    }

    /// Registered by the clinic.
    pub(super) fn registration(&self) -> pb::RegisterPatientRequest {
        let mut request = registration();
        if let Some(person) = &mut request.person {
            self.name.clone_into(&mut person.name);
            self.resident_id.clone_into(&mut person.resident_id);
            self.birth_date.clone_into(&mut person.birth_date);
        }
        request
    }

    /// Discharged by the county hospital.
    pub(super) fn record(&self) -> Result<DischargeRecord, Failure> {
        let mut record = record()?;
        self.document.clone_into(&mut record.document.name);
        self.name.clone_into(&mut record.patient.name);
        record.patient.birth_date = Some(moment(&self.birth_date)?);
        for identifier in &mut record.patient.identifiers {
            self.resident_id.clone_into(&mut identifier.value);
        }
        Ok(record)
    }
}

fn coded(text: &str, system: &str, code: &str) -> Coded {
    let code = Code { system: system.to_owned(), code: code.to_owned(), display: text.to_owned() };
    Coded { text: text.to_owned(), codes: vec![code] }
}

fn diagnosis(role: DiagnosisRole, text: &str, icd10: &str) -> Diagnosis {
    Diagnosis {
        role,
        kind: DiagnosisKind::Western,
        coded: coded(text, "http://hl7.org/fhir/sid/icd-10", icd10),
        ..Diagnosis::default()
    }
}

fn medicine(text: &str, instruction: &str, change: MedicineChange, why: &str) -> Medicine {
    Medicine {
        coded: Coded::text(text),
        change: Some(change),
        change_text: why.to_owned(),
        instruction: instruction.to_owned(),
        ..Medicine::default()
    }
}

fn measured(text: &str, loinc: &str, value: f64, unit: &str) -> Result<Measurement, Failure> {
    Ok(Measurement {
        coded: coded(text, "http://loinc.org", loinc),
        value: Some(Quantity { value, unit: unit.to_owned() }),
        taken: Some(moment("2026-11-28T07:00:00+08:00")?),
        ..Measurement::default()
    })
}

fn moment(text: &str) -> Result<Moment, Failure> {
    Moment::iso(text).map_err(|_| "the demo's date".into())
}

/// What the county hospital writes at discharge.
pub(super) fn record() -> Result<DischargeRecord, Failure> {
    let medicines = vec![
        medicine("阿司匹林肠溶片", "100mg 每日一次 口服", MedicineChange::New, "卒中二级预防"),
        medicine("阿托伐他汀钙片", "20mg 每晚一次 口服", MedicineChange::New, ""),
        medicine("苯磺酸氨氯地平片", "10mg 每日一次 口服", MedicineChange::Altered, "原5mg"),
        medicine("盐酸二甲双胍片", "0.5g 每日三次 口服", MedicineChange::Continued, ""),
        medicine("格列本脲片", "", MedicineChange::Stopped, "住院期间低血糖"),
    ];
    let measurements = vec![
        measured("收缩压", "8480-6", 148.0, "mm[Hg]")?,
        measured("舒张压", "8462-4", 86.0, "mm[Hg]")?,
        measured("空腹血糖", "1558-6", 7.8, "mmol/L")?,
    ];
    Ok(DischargeRecord {
        document: Document {
            name: "urn:oid:2.16.156.10011.1.1|CYXJ-DEMO-0001".to_owned(),
            version: Some(1),
            title: "出院小结".to_owned(),
            written: Some(moment(WRITTEN)?),
            language: "zh-CN".to_owned(),
            ..Document::default()
        },
        patient: Patient {
            identifiers: vec![Identifier {
                kind: IdentifierKind::ResidentId,
                system: "urn:oid:2.16.156.10011.1.3".to_owned(),
                value: RESIDENT_ID.to_owned(),
            }],
            name: NAME.to_owned(),
            sex: Sex::Male,
            birth_date: Some(moment("1958-03-21")?),
            phones: vec!["13900000002".to_owned()],
            address: Address { division: VILLAGE.1.to_owned(), ..Address::default() },
            ..Patient::default()
        },
        stay: Stay {
            institution: "示范县人民医院".to_owned(),
            department: "神经内科".to_owned(),
            admitted: Some(moment("2026-11-18T09:10:00+08:00")?),
            discharged: Some(moment("2026-11-28T10:00:00+08:00")?),
            ..Stay::default()
        },
        diagnoses: vec![
            diagnosis(DiagnosisRole::DischargeMain, "脑梗死", "I63.9"),
            diagnosis(DiagnosisRole::Discharge, "高血压3级", "I10"),
            diagnosis(DiagnosisRole::Discharge, "2型糖尿病", "E11.9"),
        ],
        narrative: Narrative {
            admission: "突发右侧肢体无力6小时入院。".to_owned(),
            course: "予抗血小板、调脂、控制血压血糖及康复治疗，住院期间发生一次低血糖。".to_owned(),
            discharge: "右侧肢体肌力4级，神志清，言语清晰。".to_owned(),
            orders: "规律服药，停用格列本脲；两周后复查血压、血糖。".to_owned(),
            ..Narrative::default()
        },
        medicines,
        measurements,
        follow_ups: vec![FollowUp {
            coded: Coded::text("复查血压、血糖"),
            due: Some(moment("2026-12-12")?),
            by: "村卫生室".to_owned(),
            text: "出院两周内复查血压、血糖，肢体无力加重随时就诊".to_owned(),
            ..FollowUp::default()
        }],
        ..DischargeRecord::default()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sharing::patient::ResidentId;

    #[test]
    fn many_people_are_all_different_and_have_numbers_that_hold() {
        let mut seen = BTreeSet::new();
        for number in 0..2_000 {
            let somebody = Somebody::new(number).unwrap();
            let id = ResidentId::parse(&somebody.resident_id).unwrap();
            assert_eq!(id.birth_date().to_string(), somebody.birth_date);
            assert!(seen.insert(somebody.resident_id.clone()), "{number}");
            assert!(seen.insert(format!("{} {}", somebody.name, somebody.birth_date)));
        }
        let record = Somebody::new(7).unwrap().record().unwrap();
        assert!(record.document.name.ends_with("CYXJ-BENCH-000007"));
        assert_ne!(record.patient.name, NAME);
    }
}
