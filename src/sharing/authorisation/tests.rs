//! Every cell of the table, against what is typed here: a change of a right is a change in two places.

use super::*;
use crate::embedded;
use crate::tables::files::Files;

const ACTIONS: &str = "policy/actions.csv";

fn table() -> AuthorisationTable {
    AuthorisationTable::load(&embedded::files()).unwrap()
}

/// Letters as in the tests of the doors: village, township and hospital doctor, radiologist, pharmacist,
/// public-health worker, auditor, administrator.
const LETTERS: &str = "VTHRPWAM";

/// Who may do it anywhere where the role can be.
const EXPECTED: &[(Action, &str)] = &[
    (Action::Diagnose, "VTH"),
    (Action::CheckPrescription, "VTHP"),
    (Action::ReadConsultations, "VTHA"),
    (Action::ReadChecks, "VTHPA"),
    (Action::ReviewPrescriptions, "VTHPA"),
    (Action::RecordOverride, "VTH"),
    (Action::RecommendPlan, "VTH"),
    (Action::FindImages, "VTHRA"),
    (Action::RetrieveImages, "VTHR"),
    (Action::StoreImages, "VTHR"),
    (Action::AnalyseImages, "VTHR"),
    (Action::EraseImages, "M"),
    (Action::DeidentifyImages, "M"),
    (Action::HoldImages, "M"),
    (Action::ReadHolds, "AM"),
    (Action::PlanExaminations, "VTHR"),
    (Action::ReadWorklist, ""),
    (Action::ReportSteps, ""),
    (Action::AssessRecognition, "VTHR"),
    (Action::RecordRecognition, "VTHR"),
    (Action::ReadRecognition, "VTHRA"),
    (Action::SubmitRecords, "VTH"),
    (Action::ReadRecords, "VTHPWA"),
    (Action::LookUpRecords, "VTHPWA"),
    (Action::ChangeTasks, "VTHW"),
    (Action::RegisterPeople, "VTHW"),
    (Action::ChangeConsent, "VTH"),
    (Action::ReviewAccess, "A"),
    (Action::TellPatients, "VTHA"),
    (Action::ReadExchange, "VTHWAM"),
    (Action::ReadPeople, "AM"),
    (Action::DecidePeople, "M"),
    (Action::OpenQuarantine, "M"),
    (Action::SettleQuarantine, "M"),
    (Action::ReadAudit, "A"),
    (Action::CloseAlarms, "A"),
    (Action::VerifyAudit, "AM"),
    (Action::AnchorAudit, ""),
    (Action::SearchKnowledge, "VTHRPWAM"),
    (Action::ListModels, "VTHRPWAM"),
    (Action::ReloadModels, "M"),
    (Action::OwnSession, "VTHRPWAM"),
    (Action::ChangePassword, "VTHRPWAM"),
    (Action::ManageAccounts, "M"),
    (Action::ManageNodes, "M"),
    (Action::ReadCoverage, "WAM"),
    (Action::TellCoverage, ""),
    (Action::ReadNodeInfo, "VTHRPWAM"),
];

/// Where a role can be.
fn places(role: Role) -> &'static [Place] {
    use Place::{County, Hospital, Region, Township, Village};
    match role {
        Role::TownshipDoctor => &[Village, Township, County, Region],
        Role::HospitalDoctor | Role::Radiologist => &[Township, County, Region, Hospital],
        Role::VillageDoctor
        | Role::Pharmacist
        | Role::PublicHealthWorker
        | Role::Auditor
        | Role::Administrator => &[Village, Township, County, Region, Hospital],
        Role::Local | Role::DicomPeer | Role::Node => &[],
    }
}

/// For what a role reads records.
fn purposes(role: Role) -> &'static [Purpose] {
    match role {
        Role::VillageDoctor | Role::TownshipDoctor | Role::HospitalDoctor => &[
            Purpose::Treatment,
            Purpose::Emergency,
            Purpose::PublicHealth,
            Purpose::PatientRequest,
        ],
        Role::Pharmacist => &[Purpose::Treatment, Purpose::Emergency],
        Role::PublicHealthWorker => &[Purpose::PublicHealth],
        Role::Auditor => &[Purpose::Quality, Purpose::Compliance],
        Role::Radiologist | Role::Administrator | Role::Local | Role::DicomPeer | Role::Node => &[],
    }
}

#[test]
fn every_cell_is_as_it_is_typed_here() {
    let table = table();
    assert_eq!(EXPECTED.len(), Action::ALL.len());
    let mut cells = 0;
    for (letter, role) in LETTERS.chars().zip(Role::PEOPLE) {
        assert_eq!(table.places(role), places(role), "{role:?}");
        for place in Place::ALL {
            let rights = table.rights(role, *place);
            for (action, who) in EXPECTED {
                // Who is whom, what was put aside, and which nodes there are, is for those who see to a whole county.
                let is_wide = matches!(
                    action,
                    Action::ReadPeople
                        | Action::DecidePeople
                        | Action::OpenQuarantine
                        | Action::SettleQuarantine
                        | Action::ManageNodes
                );
                let may = who.contains(letter)
                    && places(role).contains(place)
                    && (!is_wide || matches!(place, Place::County | Place::Region));
                assert_eq!(rights.allow(*action), may, "{role:?} {place:?} {action:?}");
                for purpose in Purpose::ALL {
                    let for_it = may && action.states_purpose() && purposes(role).contains(purpose);
                    let has = rights.allow_for(*action, *purpose);
                    assert_eq!(has, for_it, "{role:?} {place:?} {action:?} {purpose:?}");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 8 * 5 * 48 * 8);
}

#[test]
fn systems_have_what_the_program_gives_them_and_nothing_else() {
    let table = table();
    for place in Place::ALL {
        for action in Action::ALL {
            assert!(table.rights(Role::Local, *place).allow(*action), "{action:?}");
            for role in [Role::DicomPeer, Role::Node] {
                let of_role = if role == Role::Node {
                    matches!(action, Action::AnchorAudit | Action::TellCoverage)
                } else {
                    matches!(action, Action::ReadWorklist | Action::ReportSteps)
                };
                let may = *action == Action::RetrieveImages || of_role;
                assert_eq!(table.rights(role, *place).allow(*action), may, "{role:?} {action:?}");
            }
        }
    }
    let only = Rights::only(Action::EraseImages);
    assert!(Action::ALL.iter().all(|a| only.allow(*a) == (*a == Action::EraseImages)));
}

/// What a role may do for a purpose must not be more than the consent tables open to it, and not less: two
/// tables that say something different would surprise whoever changes one.
#[test]
fn purposes_of_reading_are_those_that_the_policy_of_consent_opens() {
    use crate::sharing::consent;
    let policy = consent::PolicyTables::load(&embedded::files()).unwrap();
    // 2026-11-29.
    let now = 1_795_910_400_000;
    for role in Role::PEOPLE {
        let Some(known) = consent::Role::from_id(role.name()) else {
            assert!(purposes(role).is_empty(), "{role:?} is not known to the policy of consent");
            continue;
        };
        for purpose in Purpose::ALL {
            let opens = policy.opens("361121", (*purpose, known), now);
            assert_eq!(opens, purposes(role).contains(purpose), "{role:?} {purpose:?}");
        }
    }
}

fn refused(rows: &str) -> String {
    let mut files = embedded::files();
    let text = format!("action,role,place,purpose,note_zh,source,status\n{rows}\n");
    files.insert(ACTIONS, text.into_bytes());
    AuthorisationTable::load(&files).unwrap_err().to_string()
}

#[test]
fn a_wrong_row_is_refused_with_its_line() {
    for (row, says) in [
        ("diagnose,village_doctor,village,-,接诊,,draft", "no source"),
        ("diagnose,village_doctor,village,-,接诊,nobody,draft", "unknown source"),
        ("diagnose,village_doctor,village,-,,project,draft", "needs a note"),
        ("heal,village_doctor,village,-,接诊,project,draft", "unknown action `heal`"),
        ("diagnose,chief,village,-,接诊,project,draft", "unknown role `chief`"),
        ("diagnose,,village,-,接诊,project,draft", "needs a role"),
        ("diagnose,village_doctor,moon,-,接诊,project,draft", "unknown place `moon`"),
        ("diagnose,village_doctor,,-,接诊,project,draft", "needs a place"),
        ("diagnose,village_doctor,village,TREAT,接诊,project,draft", "states no purpose"),
        ("read_records,auditor,county,-,检查,project,draft", "needs purposes"),
        ("read_records,auditor,county,FUN,检查,project,draft", "unknown purpose `FUN`"),
        ("diagnose,auditor|auditor,county,-,检查,project,draft", "stands twice at `county`"),
        ("read_records,auditor,county,TREAT|TREAT,检查,project,draft", "stands twice"),
    ] {
        let error = refused(row);
        assert!(error.contains(says), "{row}: {error}");
        assert!(error.contains(ACTIONS) && error.contains('2'), "{row}: {error}");
    }
    let peer = "retrieve_images,dicom_peer|node,-,-,取影像,project,draft\n\
                anchor_audit,node,-,-,交签名头,project,draft\n\
                read_worklist,dicom_peer,-,-,读工作列表,project,draft\n\
                report_performed_steps,dicom_peer,-,-,报执行情况,project,draft\n\
                tell_coverage,node,-,-,报数,project,draft";
    assert!(refused("diagnose,node,-,-,接诊,project,draft").contains("`dicom_peer` are fixed"));
    let local = format!("{peer}\ndiagnose,local,-,-,接诊,project,draft");
    assert!(refused(&local).contains("`local` may do everything"));
    assert!(refused(peer).contains("nobody may do `diagnose`"));
    let without = Files::new();
    assert!(AuthorisationTable::load(&without).is_err());
}
