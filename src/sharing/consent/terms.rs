//! The terms in which a policy speaks.

use crate::sharing::terms::terms;

terms! {
    /// What a record is read for: codes of HL7 v3 `ActReason` under `PurposeOfUse`
    /// (`http://terminology.hl7.org/CodeSystem/v3-ActReason`). Others are unknown here and denied.
    Purpose {
        /// Treatment.
        Treatment = "TREAT",
        /// Emergency treatment.
        Emergency = "ETREAT",
        /// Public health.
        PublicHealth = "PUBHLTH",
        /// The patient asks for it.
        PatientRequest = "PATRQT",
        /// Quality improvement.
        Quality = "HQUALIMP",
        /// Compliance.
        Compliance = "HCOMPL",
        /// Payment.
        Payment = "HPAYMT",
        /// Research.
        Research = "HRESCH",
    }
}

terms! {
    /// As what somebody reads.
    Role {
        /// 村医.
        VillageDoctor = "village_doctor",
        /// 乡镇卫生院医生.
        TownshipDoctor = "township_doctor",
        /// 医院医生.
        HospitalDoctor = "hospital_doctor",
        /// 药师.
        Pharmacist = "pharmacist",
        /// 公共卫生人员.
        PublicHealthWorker = "public_health_worker",
        /// 审查人员.
        Auditor = "auditor",
        /// 系统管理员.
        Administrator = "administrator",
        /// 患者.
        Patient = "patient",
    }
}

terms! {
    /// What stands between the reader and the patient.
    Relation {
        /// The patient is registered with the reader's institution.
        Registered = "registered",
        /// The patient is there and has confirmed it.
        Present = "present",
        /// A family-doctor contract with the reader's institution.
        Contract = "contract",
        /// A referral to the reader's institution.
        Referral = "referral",
        /// The reader's institution wrote the record.
        Author = "author",
        /// The reader is the patient.
        Own = "own",
        /// Nothing.
        None = "none",
    }
}

terms! {
    /// How much of a record; the later the more.
    Scope {
        /// Diagnoses, medicines, allergies, follow-up.
        Summary = "summary",
        /// All of it, the original included.
        Whole = "whole",
    }
}

impl Role {
    /// In Chinese.
    pub fn name_zh(self) -> &'static str {
        match self {
            Self::VillageDoctor => "乡村医生",
            Self::TownshipDoctor => "乡镇卫生院医生",
            Self::HospitalDoctor => "医院医生",
            Self::Pharmacist => "药师",
            Self::PublicHealthWorker => "公共卫生人员",
            Self::Auditor => "审查人员",
            Self::Administrator => "系统管理员",
            Self::Patient => "患者本人",
        }
    }
}

impl Relation {
    /// In Chinese.
    pub fn name_zh(self) -> &'static str {
        match self {
            Self::Registered => "在本机构登记",
            Self::Present => "正在本机构就诊",
            Self::Contract => "与本机构签约",
            Self::Referral => "转诊到本机构",
            Self::Author => "病历由本机构书写",
            Self::Own => "患者本人",
            Self::None => "没有诊疗关系",
        }
    }
}
