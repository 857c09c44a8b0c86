//! Who calls, what they may do, and the proof of it.
//!
//! Every use case asks [`authorise`] first. Whatever writes takes a [`Permit`], which only
//! [`authorise`] can make, so that no door can write without having asked.

use super::error::Error;

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 乡村医生, and the clinic software that works for one.
    VillageDoctor,
    /// 药师
    Pharmacist,
    /// Reads what was done, changes nothing.
    Auditor,
    /// Runs the node; sees no patient's record, but for documents that a hub has put aside. At the hub
    /// decides who is whom.
    Administrator,
    /// A process on the same box while the node listens on loopback only and no credentials are
    /// configured: everything, as if doctor and administrator in one.
    Local,
    /// A DICOM application entity. What it may do stands in the table of application entities; no
    /// bearer token can have this role.
    #[serde(skip)]
    DicomPeer,
    /// Another node of the region, for somebody there. It is known by its link; no bearer token can
    /// have this role.
    #[serde(skip)]
    Node,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Diagnose a consultation.
    Diagnose,
    /// Check a prescription.
    CheckPrescription,
    /// Read kept consultations.
    ReadConsultations,
    /// Read kept prescription checks and overrides.
    ReadChecks,
    /// Review prescriptions in retrospect.
    ReviewPrescriptions,
    /// Record why a finding was overridden.
    RecordOverride,
    /// Ask for a treatment plan, and read those that were given.
    RecommendPlan,
    /// Look studies up.
    FindImages,
    /// Be given images.
    RetrieveImages,
    /// Give images to the node.
    StoreImages,
    /// Have imaging models look at images, and keep what they say.
    AnalyseImages,
    /// Erase images for good.
    EraseImages,
    /// Place and lift legal holds on studies.
    HoldImages,
    /// Read which holds stand and stood.
    ReadHolds,
    /// Ask whether a study stands in the place of a planned examination.
    AssessRecognition,
    /// Record what was decided about it.
    RecordRecognition,
    /// Read what was decided, and counts of it.
    ReadRecognition,
    /// Hand discharge records in.
    SubmitRecords,
    /// Read discharge records and follow-up tasks.
    ReadRecords,
    /// Ask the hub for a person's records that the node does not have.
    LookUpRecords,
    /// Say how a follow-up task stands.
    ChangeTasks,
    /// Register people with the clinic.
    RegisterPeople,
    /// Write down that a patient takes consent back, or gives it again.
    ChangeConsent,
    /// Look at reads by a broken glass.
    ReviewAccess,
    /// See what patients are to be told of reads, and say that they were.
    TellPatients,
    /// Read how the exchange with the hub stands. No patient's data.
    ReadExchange,
    /// At the hub: read who the documents are about, numbers hidden.
    ReadPeople,
    /// At the hub: decide who is whom.
    DecidePeople,
    /// Open documents that the hub has put aside: the bytes as they came.
    OpenQuarantine,
    /// Say what came of documents that the hub has put aside.
    SettleQuarantine,
    /// Look findings, conditions and medicines up.
    SearchKnowledge,
    /// List models.
    ListModels,
    /// Reload models.
    ReloadModels,
    /// Ask what the node is.
    ReadNodeInfo,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the credential, from the configuration.
    pub name: String,
    /// Role.
    pub role: Role,
}

/// Proof that `caller` may do `action`. Only [`authorise`] makes one.
#[derive(Debug)]
pub struct Permit<'a> {
    caller: &'a Caller,
    action: Action,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::VillageDoctor,
        Self::Pharmacist,
        Self::Auditor,
        Self::Administrator,
        Self::Local,
        Self::DicomPeer,
        Self::Node,
    ];

    /// The name in configuration and audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::VillageDoctor => "village_doctor",
            Self::Pharmacist => "pharmacist",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
            Self::Local => "local",
            Self::DicomPeer => "dicom_peer",
            Self::Node => "node",
        }
    }

    /// Whether the role may do `action`.
    pub fn may(self, action: Action) -> bool {
        match (self, action) {
            (Self::DicomPeer | Self::Node, action) => matches!(action, Action::RetrieveImages),
            (Self::Local, _) | (_, Action::SearchKnowledge | Action::ReadNodeInfo) => true,
            (Self::VillageDoctor, action) => !matches!(
                action,
                Action::ReloadModels
                    | Action::EraseImages
                    | Action::HoldImages
                    | Action::ReadHolds
                    | Action::ReviewAccess
                    | Action::ReadPeople
                    | Action::DecidePeople
                    | Action::OpenQuarantine
                    | Action::SettleQuarantine
            ),
            (Self::Pharmacist, action) => {
                matches!(
                    action,
                    Action::CheckPrescription
                        | Action::ReadChecks
                        | Action::ReviewPrescriptions
                        | Action::ReadRecords
                        | Action::LookUpRecords
                        | Action::ListModels
                )
            }
            (Self::Auditor, action) => {
                matches!(
                    action,
                    Action::ReadConsultations
                        | Action::ReadChecks
                        | Action::ReviewPrescriptions
                        | Action::FindImages
                        | Action::ReadRecognition
                        | Action::ReadHolds
                        | Action::ReadExchange
                        | Action::ReadPeople
                        | Action::ReadRecords
                        | Action::LookUpRecords
                        | Action::ReviewAccess
                        | Action::TellPatients
                        | Action::ListModels
                )
            }
            (Self::Administrator, action) => {
                matches!(
                    action,
                    Action::ListModels
                        | Action::ReloadModels
                        | Action::EraseImages
                        | Action::HoldImages
                        | Action::ReadHolds
                        | Action::ReadExchange
                        | Action::ReadPeople
                        | Action::DecidePeople
                        | Action::OpenQuarantine
                        | Action::SettleQuarantine
                )
            }
        }
    }
}

impl Action {
    /// The name in errors and audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diagnose => "diagnose",
            Self::CheckPrescription => "check_prescription",
            Self::ReadConsultations => "read_consultations",
            Self::ReadChecks => "read_checks",
            Self::ReviewPrescriptions => "review_prescriptions",
            Self::RecordOverride => "record_override",
            Self::RecommendPlan => "recommend_plan",
            Self::FindImages => "find_images",
            Self::RetrieveImages => "retrieve_images",
            Self::StoreImages => "store_images",
            Self::AnalyseImages => "analyse_images",
            Self::EraseImages => "erase_images",
            Self::HoldImages => "hold_images",
            Self::ReadHolds => "read_holds",
            Self::AssessRecognition => "assess_recognition",
            Self::RecordRecognition => "record_recognition",
            Self::ReadRecognition => "read_recognition",
            Self::SubmitRecords => "submit_records",
            Self::ReadRecords => "read_records",
            Self::LookUpRecords => "look_up_records",
            Self::ChangeTasks => "change_tasks",
            Self::RegisterPeople => "register_people",
            Self::ChangeConsent => "change_consent",
            Self::ReviewAccess => "review_access",
            Self::TellPatients => "tell_patients",
            Self::ReadExchange => "read_exchange",
            Self::ReadPeople => "read_people",
            Self::DecidePeople => "decide_people",
            Self::OpenQuarantine => "open_quarantine",
            Self::SettleQuarantine => "settle_quarantine",
            Self::SearchKnowledge => "search_knowledge",
            Self::ListModels => "list_models",
            Self::ReloadModels => "reload_models",
            Self::ReadNodeInfo => "read_node_info",
        }
    }
}

impl Permit<'_> {
    /// Who was permitted.
    pub fn caller(&self) -> &Caller {
        self.caller
    }

    /// What was permitted.
    pub fn action(&self) -> Action {
        self.action
    }
}

/// Decides whether `caller` may do `action`.
pub fn authorise(caller: &Caller, action: Action) -> Result<Permit<'_>, Error> {
    if caller.role.may(action) {
        Ok(Permit { caller, action })
    } else {
        Err(Error::Denied { action: action.name() })
    }
}
