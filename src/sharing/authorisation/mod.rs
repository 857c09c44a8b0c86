//! Who may do what, where, and for what: roles times places times purposes, as a table.
//!
//! `models/policy/actions.csv` holds one row for each thing that is allowed; what no row allows is
//! denied. [`AuthorisationTable::rights`] gives what a role may do at a place as a small value that
//! travels with the caller, so that deciding takes no look-up. Which records of which patient somebody
//! may read is decided after this, by the region's policy of consent ([`super::consent`]).

mod table;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::table::AuthorisationTable;
pub use super::consent::Purpose;
use super::terms::terms;

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 乡村医生, and the clinic software that works for one.
    VillageDoctor,
    /// 乡镇卫生院医生
    TownshipDoctor,
    /// 医院医生
    HospitalDoctor,
    /// 放射科医生: images and what models see in them; no discharge records.
    Radiologist,
    /// 药师
    Pharmacist,
    /// 公共卫生人员: follow-up of the people registered.
    PublicHealthWorker,
    /// Reads what was done, changes nothing.
    Auditor,
    /// Runs the node; sees no patient's record, but for documents that a hub has put aside. At the hub
    /// decides who is whom.
    Administrator,
    /// A process on the same box while the node listens on loopback only and no credentials are
    /// configured: everything, as if doctor and administrator in one.
    Local,
    /// A DICOM application entity. What it may do stands in the table of application entities; nobody
    /// who signs in can have this role.
    #[serde(skip)]
    DicomPeer,
    /// Another node of the region, for somebody there. It is known by its link; nobody who signs in
    /// can have this role.
    #[serde(skip)]
    Node,
}

terms! {
    /// What can be done.
    Action {
        /// Diagnose a consultation.
        Diagnose = "diagnose",
        /// Check a prescription.
        CheckPrescription = "check_prescription",
        /// Read kept consultations.
        ReadConsultations = "read_consultations",
        /// Read kept prescription checks and overrides.
        ReadChecks = "read_checks",
        /// Review prescriptions in retrospect.
        ReviewPrescriptions = "review_prescriptions",
        /// Record why a finding was overridden.
        RecordOverride = "record_override",
        /// Ask for a treatment plan, and read those that were given.
        RecommendPlan = "recommend_plan",
        /// Look studies up.
        FindImages = "find_images",
        /// Be given images.
        RetrieveImages = "retrieve_images",
        /// Give images to the node.
        StoreImages = "store_images",
        /// Have imaging models look at images, and keep what they say.
        AnalyseImages = "analyse_images",
        /// Erase images for good.
        EraseImages = "erase_images",
        /// Read images of the archive to give them out de-identified.
        DeidentifyImages = "deidentify_images",
        /// Place and lift legal holds on studies.
        HoldImages = "hold_images",
        /// Read which holds stand and stood.
        ReadHolds = "read_holds",
        /// Put planned examinations into the worklist, and take them out.
        PlanExaminations = "plan_examinations",
        /// As a modality: ask what is planned.
        ReadWorklist = "read_worklist",
        /// As a modality: report what of it is done.
        ReportSteps = "report_performed_steps",
        /// Ask whether a study stands in the place of a planned examination.
        AssessRecognition = "assess_recognition",
        /// Record what was decided about it.
        RecordRecognition = "record_recognition",
        /// Read what was decided, and counts of it.
        ReadRecognition = "read_recognition",
        /// Hand discharge records in.
        SubmitRecords = "submit_records",
        /// Read discharge records and follow-up tasks.
        ReadRecords = "read_records",
        /// Ask the hub for a person's records that the node does not have.
        LookUpRecords = "look_up_records",
        /// Say how a follow-up task stands.
        ChangeTasks = "change_tasks",
        /// Register people with the clinic.
        RegisterPeople = "register_people",
        /// Write down that a patient takes consent back, or gives it again.
        ChangeConsent = "change_consent",
        /// Look at reads by a broken glass.
        ReviewAccess = "review_access",
        /// See what patients are to be told of reads, and say that they were.
        TellPatients = "tell_patients",
        /// Read how the exchange with the hub stands. No patient's data.
        ReadExchange = "read_exchange",
        /// At the hub: read who the documents are about, numbers hidden.
        ReadPeople = "read_people",
        /// At the hub: decide who is whom.
        DecidePeople = "decide_people",
        /// Open documents that the hub has put aside: the bytes as they came.
        OpenQuarantine = "open_quarantine",
        /// Say what came of documents that the hub has put aside.
        SettleQuarantine = "settle_quarantine",
        /// Read the audit trail: entries, who saw a patient's data, alarms.
        ReadAudit = "read_audit",
        /// Close an alarm of the audit trail: say what looking into it came to.
        CloseAlarms = "close_alarms",
        /// Have the audit trail gone along and compared with signed heads. No entry is shown.
        VerifyAudit = "verify_audit",
        /// At the hub: hand over a signed head of a node's own audit trail.
        AnchorAudit = "anchor_audit",
        /// Look findings, conditions and medicines up.
        SearchKnowledge = "search_knowledge",
        /// List models.
        ListModels = "list_models",
        /// Reload models.
        ReloadModels = "reload_models",
        /// Ask who one is, and end one's own session.
        OwnSession = "own_session",
        /// Change one's own password.
        ChangePassword = "change_password",
        /// Make, change and list accounts of this node.
        ManageAccounts = "manage_accounts",
        /// At the hub: let nodes in, list their certificates, take them back.
        ManageNodes = "manage_nodes",
        /// At the hub: read reports of how far the programme has come. No patient's data.
        ReadCoverage = "read_coverage",
        /// Tell the hub the node's own counts.
        TellCoverage = "tell_coverage",
        /// Ask what the node is.
        ReadNodeInfo = "read_node_info",
    }
}

terms! {
    /// Where somebody works, and so whose data they have to do with.
    Place {
        /// 村: division code of 12 digits.
        Village = "village",
        /// 乡镇、街道: 9 digits.
        Township = "township",
        /// 县、区: 6 digits.
        County = "county",
        /// 设区的市, and the hub: 4 digits or fewer.
        Region = "region",
        /// A hospital, whatever its division.
        Hospital = "hospital",
    }
}

/// What one role may do at one place. `Copy`; a bit for each purpose of each action.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rights([u16; Action::ALL.len()]);

/// The bit for "no purpose is stated".
const UNSTATED: u16 = 1 << 15;

impl Role {
    /// Every role.
    pub const ALL: [Self; 11] = [
        Self::VillageDoctor,
        Self::TownshipDoctor,
        Self::HospitalDoctor,
        Self::Radiologist,
        Self::Pharmacist,
        Self::PublicHealthWorker,
        Self::Auditor,
        Self::Administrator,
        Self::Local,
        Self::DicomPeer,
        Self::Node,
    ];

    /// Roles that a person can be given.
    pub const PEOPLE: [Self; 8] = [
        Self::VillageDoctor,
        Self::TownshipDoctor,
        Self::HospitalDoctor,
        Self::Radiologist,
        Self::Pharmacist,
        Self::PublicHealthWorker,
        Self::Auditor,
        Self::Administrator,
    ];

    /// The name in configuration, tables and audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::VillageDoctor => "village_doctor",
            Self::TownshipDoctor => "township_doctor",
            Self::HospitalDoctor => "hospital_doctor",
            Self::Radiologist => "radiologist",
            Self::Pharmacist => "pharmacist",
            Self::PublicHealthWorker => "public_health_worker",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
            Self::Local => "local",
            Self::DicomPeer => "dicom_peer",
            Self::Node => "node",
        }
    }

    /// The person's role of this name.
    pub fn of_person(name: &str) -> Option<Self> {
        Self::PEOPLE.into_iter().find(|role| role.name() == name)
    }

    /// Treats patients.
    pub fn is_doctor(self) -> bool {
        matches!(self, Self::VillageDoctor | Self::TownshipDoctor | Self::HospitalDoctor)
    }
}

impl Action {
    /// The name in errors and audit.
    pub fn name(self) -> &'static str {
        self.id()
    }

    /// Whether who does it says what for.
    pub fn states_purpose(self) -> bool {
        matches!(self, Self::ReadRecords | Self::LookUpRecords)
    }
}

impl Place {
    /// Where `area` lies, a division code of 0 to 12 digits.
    pub fn of_area(area: &str) -> Self {
        match area.len() {
            12.. => Self::Village,
            9..12 => Self::Township,
            6..9 => Self::County,
            _ => Self::Region,
        }
    }

    /// Whether places of this kind lie within one of the other. A hospital lies within none.
    pub fn is_smaller_than(self, other: Self) -> bool {
        let rank = |place| match place {
            Self::Village => Some(0),
            Self::Township => Some(1),
            Self::County => Some(2),
            Self::Region => Some(3),
            Self::Hospital => None,
        };
        rank(self).zip(rank(other)).is_some_and(|(own, others)| own < others)
    }
}

impl Rights {
    /// Nothing.
    pub const NONE: Self = Self([0; Action::ALL.len()]);
    /// Everything.
    pub const ALL: Self = Self([u16::MAX; Action::ALL.len()]);

    /// What those of this role have who never sign in, none for a person's role: everything for who is
    /// local, images for a peer or another node, for a peer the worklist, and for a node heads of its
    /// audit trail.
    pub fn of_system(role: Role) -> Option<Self> {
        match role {
            Role::Local => Some(Self::ALL),
            Role::DicomPeer | Role::Node => {
                let mut rights = Self::NONE;
                rights.add(Action::RetrieveImages, None);
                let more: &[Action] = if role == Role::Node {
                    &[Action::AnchorAudit, Action::TellCoverage]
                } else {
                    &[Action::ReadWorklist, Action::ReportSteps]
                };
                for action in more {
                    rights.add(*action, None);
                }
                Some(rights)
            }
            Role::VillageDoctor
            | Role::TownshipDoctor
            | Role::HospitalDoctor
            | Role::Radiologist
            | Role::Pharmacist
            | Role::PublicHealthWorker
            | Role::Auditor
            | Role::Administrator => None,
        }
    }

    /// One's own session and password.
    pub fn own() -> Self {
        let mut rights = Self::NONE;
        rights.add(Action::OwnSession, None);
        rights.add(Action::ChangePassword, None);
        rights
    }

    /// One action, whatever for, and nothing else.
    pub fn only(action: Action) -> Self {
        let mut rights = Self::NONE;
        if let Some(bits) = rights.0.get_mut(action.number()) {
            *bits = u16::MAX;
        }
        rights
    }

    fn add(&mut self, action: Action, purpose: Option<Purpose>) {
        if let Some(bits) = self.0.get_mut(action.number()) {
            *bits |= bit(purpose);
        }
    }

    /// Whether the action is allowed at all.
    pub fn allow(&self, action: Action) -> bool {
        self.0.get(action.number()).is_some_and(|bits| *bits != 0)
    }

    /// Whether the action is allowed for a purpose.
    pub fn allow_for(&self, action: Action, purpose: Purpose) -> bool {
        self.0.get(action.number()).is_some_and(|bits| bits & bit(Some(purpose)) != 0)
    }
}

/// Names what is allowed.
impl std::fmt::Debug for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(Action::ALL.iter().filter(|action| self.allow(**action)).map(|a| a.name()))
            .finish()
    }
}

fn bit(purpose: Option<Purpose>) -> u16 {
    purpose.map_or(UNSTATED, |purpose| 1 << purpose.number())
}
