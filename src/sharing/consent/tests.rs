//! Each cell of the default policy against a picture of it, and what holds whatever happens.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::tables::files::Files;

const HOUR: i64 = 3_600_000;
/// 2026-11-29T12:00+08:00.
const NOW: i64 = 1_795_924_800_000;
const CLINIC: &str = "clinic";
const HOSPITAL: &str = "hospital";
const REASON: &str = "患者昏迷，家属不在，需要了解用药和过敏";

fn policy() -> &'static PolicyTables {
    static SHIPPED: LazyLock<PolicyTables> =
        LazyLock::new(|| PolicyTables::load(&crate::embedded::files()).unwrap());
    &SHIPPED
}

fn request(purpose: Purpose, role: Role) -> AccessRequest {
    AccessRequest {
        purpose: Some(purpose),
        role: Some(role),
        institution: CLINIC.into(),
        region: "361123".into(),
        record: RecordRef { name: "record".into(), author_institution: HOSPITAL.into() },
        scope: Scope::Whole,
        is_the_patient: false,
        break_glass: None,
    }
}

fn grant(kind: GrantKind, until_ms: Option<i64>) -> Grant {
    Grant { kind, institution: CLINIC.into(), from_ms: NOW - HOUR, until_ms }
}

/// Request and standing in which exactly this relation holds.
fn situation(purpose: Purpose, role: Role, relation: Relation) -> (AccessRequest, Standing) {
    let mut request = request(purpose, role);
    let mut standing = Standing::default();
    let until = Some(NOW + 1000 * HOUR);
    match relation {
        Relation::Registered => standing.grants.push(grant(GrantKind::Registration, None)),
        Relation::Present => standing.grants.push(grant(GrantKind::Presence, until)),
        Relation::Contract => standing.grants.push(grant(GrantKind::Contract, until)),
        Relation::Referral => standing.grants.push(grant(GrantKind::Referral, until)),
        Relation::Author => request.record.author_institution = CLINIC.into(),
        Relation::Own => request.is_the_patient = true,
        Relation::None => {}
    }
    (request, standing)
}

/// What a cell lets through, as one letter: A whole, s summary, b whole with a broken glass and
/// not without, `.` nothing.
fn letter(request: &AccessRequest, standing: &Standing) -> char {
    let plain = decide(request, standing, policy(), NOW);
    let with_reason = AccessRequest { break_glass: Some(REASON.into()), ..request.clone() };
    let glass = decide(&with_reason, standing, policy(), NOW);
    match (plain.verdict, plain.scope, glass.verdict, glass.scope) {
        (Verdict::Allowed, Some(Scope::Whole), Verdict::Allowed, _) => 'A',
        (Verdict::Allowed, Some(Scope::Summary), Verdict::Allowed, _) => 's',
        (Verdict::Denied, None, Verdict::GlassBroken, Some(Scope::Whole)) => 'b',
        (Verdict::Denied, None, Verdict::Denied, None) => '.',
        other => panic!("{other:?}"),
    }
}

/// Roles down: village, township and hospital doctor, pharmacist, public health worker, auditor,
/// administrator, patient. Relations across: registered, present, contract, referral, author, own,
/// none. Left as it is, right after the patient withdrew everything.
const PICTURE: &[(Purpose, &str)] = &[
    (
        Purpose::Treatment,
        "AAAAA.. ....A..
         AAAAA.. ....A..
         .AsAA.. ....A..
         sssss.. ....s..
         ....... .......
         ....... .......
         ....... .......
         ....... .......",
    ),
    (
        Purpose::Emergency,
        "AAAAAbb bbbbAbb
         AAAAAbb bbbbAbb
         AAAAAbb bbbbAbb
         sssss.. ....s..
         ....... .......
         ....... .......
         ....... .......
         ....... .......",
    ),
    (
        Purpose::PublicHealth,
        "s.s.... .......
         s.s.... .......
         ....s.. ....s..
         ....... .......
         sss.... .......
         ....... .......
         ....... .......
         ....... .......",
    ),
    (
        Purpose::PatientRequest,
        ".A..... .A.....
         .A..... .A.....
         .A..... .A.....
         ....... .......
         ....... .......
         ....... .......
         ....... .......
         .....A. .....A.",
    ),
    (
        Purpose::Quality,
        "....... .......
         ....... .......
         ....... .......
         ....... .......
         ....... .......
         s.s.A.. ....A..
         ....... .......
         ....... .......",
    ),
    (
        Purpose::Compliance,
        "....... .......
         ....... .......
         ....... .......
         ....... .......
         ....... .......
         s.s.s.. s.s.s..
         ....... .......
         ....... .......",
    ),
    (Purpose::Payment, NOTHING),
    (Purpose::Research, NOTHING),
];

const NOTHING: &str = "....... .......
    ....... .......
    ....... .......
    ....... .......
    ....... .......
    ....... .......
    ....... .......
    ....... .......";

#[test]
fn each_cell_of_the_default_policy_is_as_in_the_picture() {
    assert_eq!(PICTURE.len(), Purpose::ALL.len());
    let mut cells = 0;
    for (purpose, picture) in PICTURE {
        let rows: Vec<&str> = picture.lines().map(str::trim).collect();
        assert_eq!(rows.len(), Role::ALL.len());
        for (role, row) in Role::ALL.iter().zip(rows) {
            let (before, after) = row.split_once(' ').unwrap();
            assert_eq!((before.len(), after.len()), (Relation::ALL.len(), Relation::ALL.len()));
            for (at, relation) in Relation::ALL.iter().enumerate() {
                let (request, mut standing) = situation(*purpose, *role, *relation);
                let which = format!("{} {} {}", purpose.id(), role.id(), relation.id());
                let expected = |part: &str| part.chars().nth(at).unwrap();
                assert_eq!(letter(&request, &standing), expected(before), "{which}");
                standing.withdrawals.push(all());
                assert_eq!(letter(&request, &standing), expected(after), "{which}, withdrawn");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 448);
}

fn all() -> Withdrawal {
    Withdrawal { reach: Reach::All, from_ms: NOW - 1, until_ms: None }
}

#[test]
fn each_cell_has_a_row_so_that_a_denial_can_be_explained() {
    for purpose in Purpose::ALL {
        for role in Role::ALL {
            for relation in Relation::ALL {
                let (request, standing) = situation(*purpose, *role, *relation);
                let access = decide(&request, &standing, policy(), NOW);
                assert!(access.row.starts_with("policy/consent/default.csv:"), "{access:?}");
                assert!(!access.source.is_empty());
                assert_eq!(access.reasons[0].code, ReasonCode::Policy);
            }
        }
    }
}

#[test]
fn what_is_unknown_is_denied_and_said() {
    let (known, standing) = situation(Purpose::Treatment, Role::VillageDoctor, Relation::Present);
    let codes = |request: &AccessRequest, at: i64| -> Vec<ReasonCode> {
        let access = decide(request, &standing, policy(), at);
        assert_eq!((access.verdict, access.scope, access.until_ms), (Verdict::Denied, None, None));
        assert!(access.reasons.iter().all(|reason| !reason.text_zh.is_empty()));
        access.reasons.iter().map(|reason| reason.code).collect()
    };
    assert_eq!(decide(&known, &standing, policy(), NOW).verdict, Verdict::Allowed);
    let unknown = AccessRequest { purpose: Purpose::from_id("HMARKT"), ..known.clone() };
    assert_eq!(codes(&unknown, NOW), [ReasonCode::PurposeUnknown]);
    let unknown = AccessRequest { role: Role::from_id("nurse"), ..known.clone() };
    assert_eq!(codes(&unknown, NOW), [ReasonCode::RoleUnknown]);
    let nowhere = AccessRequest { institution: " ".into(), ..known.clone() };
    assert_eq!(codes(&nowhere, NOW), [ReasonCode::InstitutionUnknown]);
    for region in ["", "36", "36112a", "３６１１２３", "3611230000000"] {
        let nowhere = AccessRequest { region: region.into(), ..known.clone() };
        assert_eq!(codes(&nowhere, NOW), [ReasonCode::RegionUnknown], "{region}");
    }
    assert_eq!(codes(&known, i64::MAX), [ReasonCode::TimeUnknown]);
    // Before the first row was in force.
    let none = codes(&known, NOW - 400 * 24 * HOUR);
    assert_eq!(none[0], ReasonCode::NoRow);
    let everything = AccessRequest { purpose: None, role: None, ..known };
    assert_eq!(codes(&everything, NOW), [ReasonCode::PurposeUnknown, ReasonCode::RoleUnknown]);
}

#[test]
fn a_grant_counts_between_its_ends_and_says_why_it_does_not() {
    let request = request(Purpose::Treatment, Role::VillageDoctor);
    for (kind, from, until, code) in [
        (GrantKind::Contract, 0, Some(1), None),
        (GrantKind::Contract, -10, Some(0), Some(ReasonCode::GrantEnded)),
        (GrantKind::Contract, 1, Some(10), Some(ReasonCode::GrantNotBegun)),
        (GrantKind::Contract, -10, None, Some(ReasonCode::GrantInvalid)),
        (GrantKind::Referral, -10, None, Some(ReasonCode::GrantInvalid)),
        (GrantKind::Presence, -10, None, Some(ReasonCode::GrantInvalid)),
        (GrantKind::Contract, 0, Some(-1), Some(ReasonCode::GrantInvalid)),
        (GrantKind::Registration, -10, None, None),
        // A presence ends after a day, whatever its end.
        (GrantKind::Presence, -23, Some(1000), None),
        (GrantKind::Presence, -24, Some(1000), Some(ReasonCode::GrantEnded)),
    ] {
        let grant = Grant {
            kind,
            institution: CLINIC.into(),
            from_ms: NOW + from * HOUR,
            until_ms: until.map(|until| NOW + until * HOUR),
        };
        let standing = Standing { grants: vec![grant], withdrawals: Vec::new() };
        let access = decide(&request, &standing, policy(), NOW);
        let said = |code| access.reasons.iter().any(|reason| reason.code == code);
        match code {
            None => assert_eq!(access.verdict, Verdict::Allowed, "{kind:?} {from}"),
            Some(code) => {
                assert_eq!(access.verdict, Verdict::Denied, "{kind:?} {from}");
                assert!(said(code), "{access:?}");
            }
        }
    }
    // Of another institution.
    let mut other = grant(GrantKind::Registration, None);
    other.institution = HOSPITAL.into();
    let standing = Standing { grants: vec![other], withdrawals: Vec::new() };
    assert_eq!(decide(&request, &standing, policy(), NOW).verdict, Verdict::Denied);
}

#[test]
fn a_permit_ends_with_the_row_or_with_the_grant() {
    let request = request(Purpose::Treatment, Role::VillageDoctor);
    let until = |until| {
        let grants = vec![grant(GrantKind::Contract, Some(until))];
        decide(&request, &Standing { grants, ..Standing::default() }, policy(), NOW).until_ms
    };
    assert_eq!(until(NOW + 2 * HOUR), Some(NOW + 2 * HOUR));
    assert_eq!(until(NOW + 500 * HOUR), Some(NOW + 24 * HOUR));
}

#[test]
fn a_withdrawal_reaches_what_it_says() {
    let (request, standing) =
        situation(Purpose::Treatment, Role::VillageDoctor, Relation::Registered);
    for (reach, from, until, expected) in [
        (Reach::All, 0, None, Verdict::Denied),
        (Reach::Institution(CLINIC.into()), 0, None, Verdict::Denied),
        (Reach::Institution(HOSPITAL.into()), 0, None, Verdict::Allowed),
        (Reach::Record("record".into()), 0, None, Verdict::Denied),
        (Reach::Record("other".into()), 0, None, Verdict::Allowed),
        (Reach::All, 1, None, Verdict::Allowed),
        (Reach::All, -2, Some(0), Verdict::Allowed),
        (Reach::All, -2, Some(1), Verdict::Denied),
    ] {
        let mut standing = standing.clone();
        standing.withdrawals.push(Withdrawal {
            reach: reach.clone(),
            from_ms: NOW + from,
            until_ms: until.map(|until| NOW + until),
        });
        let access = decide(&request, &standing, policy(), NOW);
        assert_eq!(access.verdict, expected, "{reach:?} {from} {until:?}");
        let said = access.reasons.iter().any(|reason| reason.code == ReasonCode::Withdrawn);
        assert_eq!(said, expected == Verdict::Denied);
    }
}

#[test]
fn breaking_the_glass_needs_a_reason_ends_soon_tells_and_is_reviewed() {
    let mut request = request(Purpose::Emergency, Role::VillageDoctor);
    let standing = Standing::default();
    let said = |access: &Access, code| access.reasons.iter().any(|reason| reason.code == code);
    let plain = decide(&request, &standing, policy(), NOW);
    assert!(said(&plain, ReasonCode::GlassPossible));
    for poor in [
        "",
        "急救",
        "。。。。。。。。。。。。",
        "啊啊啊啊啊啊啊啊啊啊啊啊",
        "  需要  了解   用药  ",
    ] {
        request.break_glass = Some(poor.into());
        let access = decide(&request, &standing, policy(), NOW);
        assert_eq!(access.verdict, Verdict::Denied, "{poor}");
        assert!(said(&access, ReasonCode::GlassReasonMissing));
    }
    request.break_glass = Some(REASON.into());
    let access = decide(&request, &standing, policy(), NOW);
    assert_eq!(access.verdict, Verdict::GlassBroken);
    assert_eq!(access.until_ms, Some(NOW + 4 * HOUR));
    assert!(access.notify && access.review && said(&access, ReasonCode::GlassBroken));
    assert!(!format!("{request:?}").contains("昏迷"));
    // With a relation the glass stays whole.
    let registered = Standing { grants: vec![grant(GrantKind::Registration, None)], ..standing };
    let access = decide(&request, &registered, policy(), NOW);
    assert_eq!((access.verdict, access.notify, access.review), (Verdict::Allowed, false, false));
    let json = serde_json::to_string(&access).unwrap();
    assert_eq!(serde_json::from_str::<Access>(&json).unwrap(), access);
}

#[test]
fn less_is_given_than_asked_where_the_row_says_so_and_never_more() {
    let (mut request, standing) =
        situation(Purpose::PublicHealth, Role::PublicHealthWorker, Relation::Registered);
    let access = decide(&request, &standing, policy(), NOW);
    assert_eq!(access.scope, Some(Scope::Summary));
    assert!(access.reasons.iter().any(|reason| reason.code == ReasonCode::ScopeNarrowed));
    request.scope = Scope::Summary;
    request.purpose = Some(Purpose::Treatment);
    request.role = Some(Role::VillageDoctor);
    let access = decide(&request, &standing, policy(), NOW);
    assert_eq!(access.scope, Some(Scope::Summary));
    assert!(access.reasons.iter().all(|reason| reason.code != ReasonCode::ScopeNarrowed));
}

const HEADER: &str = "purpose,role,relation,decision,scope,expires_hours,notify,withdrawal,\
    reason_chars_min,note_zh,valid_from,valid_to,source,status";

fn with(path: &str, rows: &[&str]) -> Files {
    let mut files = crate::embedded::files();
    files.insert(path.to_owned(), format!("{HEADER}\n{}\n", rows.join("\n")).into_bytes());
    files
}

#[test]
fn a_regions_row_goes_before_the_wider_ones_on_its_days() {
    let mut files = with(
        "policy/consent/361123.csv",
        &[
            "TREAT,village_doctor,registered,deny,,,,,,某县不开放,2026-06-01,2026-12-31,memory,draft",
        ],
    );
    let city = format!(
        "{HEADER}\nTREAT,village_doctor,registered|none,allow,summary,2,yes,stops,,某市只开放摘要,\
         2026-06-01,,memory,draft\n"
    );
    files.insert("policy/consent/3611.csv", city.into_bytes());
    let regional = PolicyTables::load(&files).unwrap();
    let (request, standing) =
        situation(Purpose::Treatment, Role::VillageDoctor, Relation::Registered);
    let given = |region: &str, at: i64| {
        let request = AccessRequest { region: region.into(), ..request.clone() };
        let access = decide(&request, &standing, &regional, at);
        (access.scope, access.row)
    };
    // The county says no to registered patients, and nothing about others: there the city's row
    // counts.
    let city = (Some(Scope::Summary), "policy/consent/3611.csv:2".to_owned());
    assert_eq!(given("361123", NOW), city);
    assert_eq!(given("361102001", NOW), city);
    assert_eq!(given("361123", NOW + 60 * 24 * HOUR), city);
    let default = given("360102", NOW);
    assert_eq!(default.0, Some(Scope::Whole));
    assert!(default.1.starts_with("policy/consent/default.csv:"));
    assert_ne!(regional.version(), policy().version());
}

#[test]
fn rows_that_are_uncited_unknown_double_or_senseless_do_not_load() {
    for (row, message) in [
        ("TREAT,patient,own,deny,,,,,,x,2026-01-01,,,draft", "row has no source"),
        ("TREAT,nurse,own,deny,,,,,,x,2026-01-01,,memory,draft", "unknown role `nurse`"),
        ("TREAT,patient,friend,deny,,,,,,x,2026-01-01,,memory,draft", "unknown relation"),
        ("HMARKT,patient,own,deny,,,,,,x,2026-01-01,,memory,draft", "unknown variant"),
        ("TREAT,patient,own,deny,whole,,,,,x,2026-01-01,,memory,draft", "do not fit"),
        ("TREAT,patient,own,allow,whole,,no,stops,,x,2026-01-01,,memory,draft", "do not fit"),
        ("TREAT,patient,own,allow,whole,0,no,stops,,x,2026-01-01,,memory,draft", "do not fit"),
        ("TREAT,patient,own,allow,whole,9,no,stops,5,x,2026-01-01,,memory,draft", "nothing else"),
        ("TREAT,patient,own,break_glass,whole,9,yes,stops,,x,2026-01-01,,memory,draft", "needs"),
        ("TREAT,patient,own,break_glass,whole,9,no,stops,9,x,2026-01-01,,memory,draft", "tells"),
        ("TREAT,patient,own,deny,,,,,,,2026-01-01,,memory,draft", "needs a note"),
        ("TREAT,patient,own,deny,,,,,,x,2026-13-01,,memory,draft", "YYYY-MM-DD"),
        ("TREAT,patient,own,deny,,,,,,x,2026-02-01,2026-01-01,memory,draft", "before valid_from"),
        ("TREAT,patient|patient,own,deny,,,,,,x,2026-01-01,,memory,draft", "stands twice"),
        ("TREAT,,own,deny,,,,,,x,2026-01-01,,memory,draft", "needs a role"),
    ] {
        let said = PolicyTables::load(&with("policy/consent/3611.csv", &[row])).unwrap_err();
        let said = said.to_string();
        assert!(said.contains(message) && said.contains("3611.csv:2"), "{row}: {said}");
    }
    let strange = with("policy/consent/shangrao.csv", &[]);
    assert!(PolicyTables::load(&strange).unwrap_err().message.contains("division code"));
}

prop_compose! {
    fn a_grant()(
        kind in prop::sample::select(vec![
            GrantKind::Registration, GrantKind::Presence, GrantKind::Contract, GrantKind::Referral,
        ]),
        institution in prop::sample::select(vec![CLINIC, HOSPITAL, ""]),
        from in -50_i64..5, until in prop::option::of(-40_i64..40),
    ) -> Grant {
        Grant {
            kind,
            institution: institution.into(),
            from_ms: NOW + from * HOUR,
            until_ms: until.map(|until| NOW + until * HOUR),
        }
    }
}

prop_compose! {
    fn a_withdrawal()(
        reach in prop::sample::select(vec![
            Reach::All, Reach::Institution(CLINIC.into()), Reach::Institution(HOSPITAL.into()),
            Reach::Record("record".into()), Reach::Record("other".into()),
        ]),
        from in -50_i64..5, until in prop::option::of(-40_i64..40),
    ) -> Withdrawal {
        Withdrawal {
            reach,
            from_ms: NOW + from * HOUR,
            until_ms: until.map(|until| NOW + until * HOUR),
        }
    }
}

prop_compose! {
    fn a_request()(
        purpose in prop::sample::select(Purpose::ALL), role in prop::sample::select(Role::ALL),
        institution in prop::sample::select(vec![CLINIC, HOSPITAL, ""]),
        author in prop::sample::select(vec![CLINIC, HOSPITAL, ""]),
        scope in prop::sample::select(Scope::ALL), is_the_patient: bool,
        break_glass in prop::option::of(prop::sample::select(vec!["", "急救急救急救急救急救", REASON])),
    ) -> AccessRequest {
        AccessRequest {
            purpose: Some(purpose), role: Some(role), institution: institution.into(),
            region: "361123001001".into(),
            record: RecordRef { name: "record".into(), author_institution: author.into() },
            scope, is_the_patient, break_glass: break_glass.map(str::to_owned),
        }
    }
}

/// Verdict, scope and end: larger is wider.
fn width(access: &Access) -> (Verdict, Option<Scope>, Option<i64>) {
    (access.verdict, access.scope, access.until_ms)
}

proptest! {
    #[test]
    fn a_withdrawal_never_widens_access(
        request in a_request(), grants in prop::collection::vec(a_grant(), 0..4),
        withdrawals in prop::collection::vec(a_withdrawal(), 0..3), more in a_withdrawal(),
    ) {
        let before = Standing { grants, withdrawals };
        let mut after = before.clone();
        after.withdrawals.push(more);
        let (before, after) =
            (decide(&request, &before, policy(), NOW), decide(&request, &after, policy(), NOW));
        prop_assert!(width(&after) <= width(&before), "{before:?} {after:?}");
    }

    #[test]
    fn a_grant_that_does_not_hold_never_allows(
        request in a_request(), grants in prop::collection::vec(a_grant(), 0..5),
    ) {
        let holding = grants.iter().filter(|grant| grant.holds(NOW)).cloned().collect();
        let held = Standing { grants: holding, withdrawals: Vec::new() };
        let all = Standing { grants, withdrawals: Vec::new() };
        let (held, all) =
            (decide(&request, &held, policy(), NOW), decide(&request, &all, policy(), NOW));
        prop_assert_eq!(width(&held), width(&all));
    }

    #[test]
    fn the_glass_never_breaks_without_a_reason_and_never_in_silence(
        request in a_request(), grants in prop::collection::vec(a_grant(), 0..3),
        withdrawals in prop::collection::vec(a_withdrawal(), 0..3),
    ) {
        let access = decide(&request, &Standing { grants, withdrawals }, policy(), NOW);
        prop_assert!(!access.reasons.is_empty());
        if access.verdict == Verdict::GlassBroken {
            prop_assert_eq!(request.break_glass.as_deref(), Some(REASON));
            prop_assert!(access.notify && access.review);
        } else {
            prop_assert!(!access.review);
        }
        prop_assert_eq!(access.verdict == Verdict::Denied, access.scope.is_none());
        prop_assert_eq!(access.scope.is_none(), access.until_ms.is_none());
        prop_assert!(access.until_ms.is_none_or(|until| until > NOW));
        prop_assert!(access.scope.is_none_or(|scope| scope <= request.scope));
    }

    /// Whoever is no patient and has no relation gets nothing without breaking the glass.
    #[test]
    fn nothing_is_open_to_a_stranger(mut request in a_request()) {
        request.is_the_patient = false;
        request.record.author_institution = "elsewhere".into();
        let access = decide(&request, &Standing::default(), policy(), NOW);
        prop_assert!(access.verdict != Verdict::Allowed, "{access:?}");
    }
}

#[test]
fn a_role_reads_for_a_purpose_where_some_relation_lets_it() {
    let opens = |purpose, role| policy().opens("361123", (purpose, role), NOW);
    for purpose in Purpose::ALL {
        for role in Role::ALL {
            let lets = Relation::ALL.iter().any(|relation| {
                let (request, standing) = situation(*purpose, *role, *relation);
                letter(&request, &standing) != '.'
            });
            assert_eq!(opens(*purpose, *role), lets, "{purpose:?} {role:?}");
        }
    }
    assert!(opens(Purpose::Treatment, Role::Pharmacist));
    assert!(!opens(Purpose::Treatment, Role::Administrator));
    // Before the policy is in force nothing is open.
    assert!(!policy().opens("361123", (Purpose::Treatment, Role::VillageDoctor), 0));
}

#[test]
fn a_patient_is_told_in_the_words_of_the_closest_region_and_words_that_say_too_little_do_not_load()
{
    let told = Told {
        at_ms: NOW,
        institution: "湖村卫生室",
        role_zh: Role::VillageDoctor.name_zh(),
        reader: "饶医生",
        purpose_zh: policy().purpose_zh(Purpose::Emergency),
    };
    let glass = policy().notice("361123", NoticeKind::GlassBroken, &told);
    for part in ["湖村卫生室", "乡村医生", "饶医生", "“急救”", "紧急调阅", "投诉"]
    {
        assert!(glass.contains(part), "{part}: {glass}");
    }
    assert!(!glass.contains(['{', '}']) && glass.starts_with("2026年"), "{glass}");
    assert!(!policy().notice("", NoticeKind::Read, &told).contains("紧急"));
    let all = "{when}{institution}{role}{reader}{purpose}";
    let load = |rows: &[String]| {
        let mut files = crate::embedded::files();
        let text = format!("region,kind,text_zh,source,status\n{}\n", rows.join("\n"));
        files.insert("policy/notices.csv".to_owned(), text.into_bytes());
        PolicyTables::load(&files)
    };
    let row = |region: &str, kind: &str, text: &str| format!("{region},{kind},{text},memory,draft");
    let default = [row("", "read", all), row("", "glass_broken", all)];
    let county = row("361123", "read", &format!("某县：{all}"));
    let regional = load(&[default.as_slice(), std::slice::from_ref(&county)].concat()).unwrap();
    assert!(regional.notice("361123001", NoticeKind::Read, &told).starts_with("某县"));
    assert!(!regional.notice("361102", NoticeKind::Read, &told).starts_with("某县"));
    for (row, message) in [
        (row("36112a", "read", all), "division code"),
        (row("36", "read", "有人看了"), "has no {when}"),
        (row("36", "read", &format!("{all}{{patient}}")), "may have"),
        (row("36", "told", all), "unknown variant"),
        (county.clone() + "\n" + &county, "stands twice"),
        (format!("36,read,{all},,draft"), "row has no source"),
    ] {
        let said = load(&[default.as_slice(), std::slice::from_ref(&row)].concat())
            .unwrap_err()
            .to_string();
        assert!(said.contains(message), "{row}: {said}");
    }
    assert!(load(&default[..1]).unwrap_err().message.contains("GlassBroken is missing"));
}
