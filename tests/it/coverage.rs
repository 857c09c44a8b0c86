//! How far the programme has come: a village's counts reach the hub's report, late ones correct it, and
//! nobody reads more than their own area.

use std::process::Command;

use tonic::transport::Channel;
use tonic::{Code, Request};
use xiangyi::app::access::{Place, Role};
use xiangyi::app::ports::Clock as _;
use xiangyi::app::reporting::ports::{Heard, KeptTelling, Present, ReportingStore as _, Telling};
use xiangyi::config::{Config, NodeRole, TokenSection};
use xiangyi::link::proto::xiangyi::link::v1 as lk;
use xiangyi::link::proto::xiangyi::link::v1::link_service_client::LinkServiceClient;
use xiangyi::node::SystemClock;
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;
use xiangyi::rpc::proto::xiangyi::reporting::v1 as pb;
use xiangyi::rpc::proto::xiangyi::reporting::v1::reporting_service_client::ReportingServiceClient;
use xiangyi::rpc::proto::xiangyi::treatment::v1 as tx;
use xiangyi::sharing::reporting::Month;
use xiangyi::sharing::reporting::month::{DAY_MS, day_of_ms, midnight_ms};
use xiangyi::store::sqlite::hub::reporting::HubReporting;

use crate::harness::{TestNode, bad_fields, channel, complaint, hex, order};
use crate::images::small;
use crate::records;
use crate::region::{member, node_with, token, until};

/// A village, its neighbour, and their township and county.
const VILLAGE: &str = "361102001001";
const NEIGHBOUR: &str = "361102001003";
const TOWN: &str = "361102001";
const COUNTY: &str = "361102";

/// Counts of the month that is over.
pub(crate) fn counts(place: &str) -> lk::TellCoverageRequest {
    let now = Month::of_ms(SystemClock.now_ms()).unwrap();
    let number = |counter: &str, value| lk::CoverageNumber { counter: counter.to_owned(), value };
    lk::TellCoverageRequest {
        place: place.to_owned(),
        month: now.previous().unwrap().to_string(),
        revision: 1,
        numbers: vec![number("checks", 3), number("read_hours/24", 1)],
    }
}

/// Counts that cannot be, and the field.
pub(crate) fn bad_counts() -> [(lk::TellCoverageRequest, &'static str); 13] {
    let good = || counts("361181");
    let month = |month: &str| lk::TellCoverageRequest { month: month.to_owned(), ..good() };
    let number = |counter: &str, value| {
        let one = lk::CoverageNumber { counter: counter.to_owned(), value };
        lk::TellCoverageRequest { numbers: vec![one], ..good() }
    };
    let twice = [good().numbers, good().numbers].concat();
    [
        (month("2026-13"), "month"),
        (month("2198-01"), "month"),
        (month("2021-01"), "month"),
        (counts("361102"), "place"),
        (counts("999999"), "place"),
        (counts("361181000"), "place"),
        (lk::TellCoverageRequest { revision: 0, ..good() }, "revision"),
        (lk::TellCoverageRequest { numbers: Vec::new(), ..good() }, "numbers"),
        (number("patients", 1), "numbers[0]"),
        (number("read_hours/25", 1), "numbers[0]"),
        (number("sites", 1), "numbers[0]"),
        (number("checks", u64::MAX), "numbers[0]"),
        (lk::TellCoverageRequest { numbers: twice, ..good() }, "numbers[2]"),
    ]
}

fn now() -> Month {
    Month::of_ms(SystemClock.now_ms()).unwrap()
}

/// Two months ago: drawn up whatever today is.
fn past() -> Month {
    now().previous().unwrap().previous().unwrap()
}

async fn hub() -> TestNode {
    let setup = small().with(|c| {
        "hub".clone_into(&mut c.node.name);
        c.node.role = NodeRole::Hub;
        c.link.listen = Some("127.0.0.1:0".parse().unwrap());
        c.link.nodes = vec![member("village", VILLAGE), member("neighbour", NEIGHBOUR)];
    });
    setup.start().await
}

fn reporting(channel: &Channel) -> ReportingServiceClient<Channel> {
    ReportingServiceClient::new(channel.clone()).max_decoding_message_size(16 << 20)
}

fn asked(month: Month, level: pb::Level) -> pb::GetCoverageReportRequest {
    pb::GetCoverageReportRequest {
        months: vec![month.to_string()],
        level: level.into(),
        ..Default::default()
    }
}

async fn report(hub: &TestNode, month: Month) -> pb::CoverageReport {
    report_in(hub, month, COUNTY).await
}

async fn report_in(hub: &TestNode, month: Month, region: &str) -> pb::CoverageReport {
    let request = pb::GetCoverageReportRequest {
        region: region.to_owned(),
        ..asked(month, pb::Level::Village)
    };
    let answered = reporting(&hub.channel).get_coverage_report(request).await.unwrap();
    answered.into_inner().report.unwrap()
}

fn stated(report: &pb::CoverageReport, code: &str, id: &str) -> pb::Stated {
    let column = report.indicators.iter().position(|one| one.id == id).unwrap();
    report.rows.iter().find(|row| row.code == code).unwrap().figures[column]
}

fn value(report: &pb::CoverageReport, code: &str, id: &str) -> Option<f64> {
    stated(report, code, id).now.unwrap().value
}

/// A consultation, and what the doctor does about it.
async fn consult(village: &TestNode, patient: &str) {
    let mut request = complaint("发热3天，咳嗽咳黄痰");
    request.patient = request.patient.map(|p| common::Patient { reference: patient.into(), ..p });
    let asked = request.patient.clone();
    let found = village.diagnose(request).await.unwrap();
    let first = found.conditions.first().unwrap();
    let plan = tx::RecommendPlanRequest {
        patient: asked,
        diagnoses: vec![first.name.clone()],
        ..Default::default()
    };
    village.treatment().recommend_plan(plan).await.unwrap();
}

/// A prescription against an allergy, and another one instead; how many of both are to be changed or given
/// a reason.
async fn prescribe(village: &TestNode, patient: &str) -> u64 {
    let mut flagged = 0;
    for medicine in ["阿莫西林胶囊", "阿奇霉素片"] {
        let mut prescription = order(&[medicine]);
        prescription.patient =
            prescription.patient.map(|p| common::Patient { reference: patient.into(), ..p });
        let penicillin = rx::Allergy { name: "青霉素".to_owned(), ..Default::default() };
        prescription.allergies = vec![penicillin];
        let found = village.check(prescription).await.unwrap().findings;
        let weighs =
            |f: &rx::CheckFinding| matches!(f.action(), rx::Action::Stop | rx::Action::NeedsReason);
        flagged += u64::from(found.iter().any(weighs));
    }
    flagged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_village_does_is_in_the_report_and_what_it_did_offline_comes_later() {
    let hub = hub().await;
    let address = hub.node.link_address().unwrap();
    let at = |c: &mut Config| VILLAGE.clone_into(&mut c.node.area);
    let village = node_with("village", address, tempfile::tempdir().unwrap(), at).await;
    let mut flagged = 0;
    for patient in 0..6 {
        consult(&village, &format!("P{patient}")).await;
        flagged += prescribe(&village, &format!("P{patient}")).await;
    }
    // Nothing was told before all of it, or it comes with the next start.
    let village = again(village, address).await;
    let report_of = |id: &'static str, wanted: f64| {
        let hub = &hub;
        async move {
            until(&format!("{id} is {wanted}"), async || {
                let report = report(hub, now()).await;
                (value(&report, VILLAGE, id) == Some(wanted)).then_some(report)
            })
            .await
        }
    };
    let first = report_of("prescriptions", 12.0).await;
    let of = |id| stated(&first, VILLAGE, id).now.unwrap();
    assert_eq!((of("acceptance").numerator, of("acceptance").denominator), (Some(6), Some(6)));
    assert_eq!(of("diagnoses").value, Some(6.0));
    assert_eq!((of("flag_rate").numerator, of("flag_rate").denominator), (Some(flagged), Some(12)));
    assert_eq!(of("flag_allergy").numerator, Some(6));
    // After the second one nothing more is asked for.
    let changed = of("change_rate");
    assert_eq!((changed.numerator, changed.denominator), (Some(6), Some(flagged)));
    assert_eq!(of("doctors").value, Some(1.0));
    assert_eq!(value(&first, TOWN, "diagnoses"), Some(6.0));
    assert_eq!(
        stated(&first, NEIGHBOUR, "diagnoses").now.unwrap().standing(),
        pb::Standing::Unknown
    );
    // There is no middle of nothing; it is not nought.
    let delivery = stated(&first, VILLAGE, "delivery_lag").now.unwrap();
    assert_eq!((delivery.numerator, delivery.value), (Some(0), None));
    // While the line is down the village works on.
    let offline = node_in_nowhere(village).await;
    for patient in 6..11 {
        consult(&offline, &format!("P{patient}")).await;
    }
    let back = again(offline, address).await;
    let second = report_of("diagnoses", 11.0).await;
    assert_eq!(value(&second, COUNTY, "diagnoses"), Some(11.0));
    // It is a site from when it first came, and has not been away for a whole hour.
    until("the hub has written down who was there", async || {
        let report = report(&hub, now()).await;
        let covered = stated(&report, COUNTY, "village_coverage").now.unwrap();
        (covered.numerator == Some(1)).then_some(())
    })
    .await;
    back.node.stop().await;
}

/// Stops a node and starts it again with its data.
async fn again(node: TestNode, address: std::net::SocketAddr) -> TestNode {
    let TestNode { node, data, .. } = node;
    node.stop().await;
    let at = |c: &mut Config| VILLAGE.clone_into(&mut c.node.area);
    node_with("village", address, data, at).await
}

/// The same, where no hub answers.
async fn node_in_nowhere(node: TestNode) -> TestNode {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    again(node, address).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_long_records_took_is_told_of_those_that_were_on_their_way_at_once() {
    let hub = records::hub().await;
    let county = records::node("county", &hub).await;
    let mut names = Vec::new();
    for number in 0..6 {
        let content = records::stroke(&format!("CYXJ-{number}"));
        names.push(records::submit(&county, content).await);
    }
    records::handed_over(&county).await;
    let start = async |name: &str, area: &str, data| {
        records::node_with(name, &hub, data, |c| area.clone_into(&mut c.node.area)).await
    };
    // One has them by the address; the other by a contract that was written down after all that.
    for (name, area) in &records::NODES[1..] {
        let node = start(name, area, tempfile::tempdir().unwrap()).await;
        if *name == "elsewhere" {
            records::register(&node, false).await;
        }
        for kept in &names {
            records::has(&node, &kept.name, kept.version).await;
        }
        // With the next start it tells its counts at once.
        let TestNode { node, data, .. } = node;
        node.stop().await;
        let node = start(name, area, data).await;
        let six = async || {
            let report = report_in(&hub, now(), &area[..6]).await;
            (value(&report, area, "delivered") == Some(6.0)).then_some(report)
        };
        let report = until(&format!("{name} tells what came"), six).await;
        let lag = stated(&report, area, "delivery_lag").now.unwrap();
        let expected = if *name == "village" { (Some(6), Some(1.0)) } else { (Some(0), None) };
        assert_eq!((lag.numerator, lag.value), expected, "{name}");
        node.node.stop().await;
    }
}

fn telling(place: &str, revision: u32, consultations: u64) -> Telling {
    let numbers = vec![("consultations".to_owned(), consultations)];
    Telling { place: place.to_owned(), month: past(), revision, numbers }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_village_that_comes_late_corrects_its_month_and_is_named() {
    let hub = hub().await;
    let store = HubReporting::open(&hub.data.path().join("hub.db"));
    let month = past();
    let soon_ms = month.end_ms() + DAY_MS;
    let kept = KeptTelling {
        node: "neighbour".to_owned(),
        telling: telling(NEIGHBOUR, 1, 40),
        at_ms: soon_ms,
    };
    assert_eq!(store.keep(kept).await.unwrap(), Heard::Kept);
    let there = |node: &str, place: &str| {
        let day_ms = midnight_ms(day_of_ms(month.start_ms()).unwrap());
        let (node, place) = (node.to_owned(), place.to_owned());
        (Present { node, place, day_ms, hours: 0b11 }, month.start_ms())
    };
    store.present(vec![there("neighbour", NEIGHBOUR), there("village", VILLAGE)]).await.unwrap();
    // Over the link, now: long after the month was drawn up.
    let url = format!("http://{}", hub.node.link_address().unwrap());
    let mut link = LinkServiceClient::new(channel(&url).await);
    let mut tell = async |revision, consultations| {
        let mut request = Request::new(lk::TellCoverageRequest {
            month: month.to_string(),
            revision,
            numbers: vec![lk::CoverageNumber {
                counter: "consultations".to_owned(),
                value: consultations,
            }],
            ..counts(VILLAGE)
        });
        let bearer = format!("Bearer {}", token("village"));
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        link.tell_coverage(request).await.unwrap().into_inner()
    };
    assert_eq!(tell(1, 25).await.outcome(), lk::CoverageOutcome::Kept);
    assert_eq!(tell(1, 25).await.outcome(), lk::CoverageOutcome::Known);
    let behind = tell(1, 26).await;
    assert_eq!(behind.outcome(), lk::CoverageOutcome::Behind);
    assert_eq!(behind.newest_revision, 1);
    let report = report(&hub, month).await;
    let county = stated(&report, COUNTY, "diagnoses");
    assert_eq!(county.now.unwrap().value, Some(65.0));
    assert_eq!(county.was.unwrap().value, Some(40.0));
    let row = report.rows.iter().find(|row| row.code == COUNTY).unwrap();
    let [late] = row.late.as_slice() else { panic!("{:?}", row.late) };
    assert_eq!((late.level(), late.first_count, late.again_count), (pb::Level::Village, 1, 0));
    // Of 31 days or so it was seen for two hours.
    let offline = stated(&report, NEIGHBOUR, "offline").now.unwrap();
    let hours = u64::try_from((month.end_ms() - month.start_ms()) / 3_600_000).unwrap();
    assert_eq!((offline.numerator, offline.denominator), (Some(hours - 2), Some(hours)));
    // What was known by the day it was drawn up can still be asked for.
    let request = pb::GetCoverageReportRequest {
        as_of_ms: month.cut_off_ms(5),
        ..asked(month, pb::Level::Region)
    };
    let before = reporting(&hub.channel).get_coverage_report(request).await.unwrap().into_inner();
    assert_eq!(value(&before.report.unwrap(), "3611", "diagnoses"), Some(40.0));
    drop(store);
    // The command line writes it in every format.
    let url = format!("http://{}", hub.node.address());
    let folder = tempfile::tempdir().unwrap();
    for (format, holds) in [("csv", "截止时数值"), ("html", "迟报：1个村"), ("json", "\"figures\"")]
    {
        let file = folder.path().join(format);
        let month = month.to_string();
        let args =
            ["coverage", "report", "--month", &month, "--months", "2", "--level", "township"];
        let out = Command::new(env!("CARGO_BIN_EXE_xiangyi"))
            .args(args)
            .args(["--server", &url, "--format", format, "--out"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(std::fs::read_to_string(&file).unwrap().contains(holds), "{format}");
    }
}

fn credential(name: &str, role: Role, area: &str) -> TokenSection {
    use sha2::{Digest as _, Sha256};
    TokenSection {
        name: name.to_owned(),
        role,
        sha256: hex(&Sha256::digest(name.as_bytes())),
        place: Some(Place::County),
        area: area.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_more_than_their_area_and_bad_questions_are_named() {
    let setup = small().with(|c| {
        "hub".clone_into(&mut c.node.name);
        c.node.role = NodeRole::Hub;
        c.link.listen = Some("127.0.0.1:0".parse().unwrap());
        c.link.nodes = vec![member("village", VILLAGE)];
        c.auth.tokens = vec![
            credential("whole", Role::Administrator, ""),
            credential("county", Role::PublicHealthWorker, COUNTY),
            credential("doctor", Role::VillageDoctor, COUNTY),
        ];
    });
    let hub = setup.start().await;
    let ask = async |token: &str, request: pb::GetCoverageReportRequest| {
        let mut request = Request::new(request);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        reporting(&hub.channel).get_coverage_report(request).await
    };
    let of = |region: &str| pb::GetCoverageReportRequest {
        region: region.to_owned(),
        ..asked(now(), pb::Level::Township)
    };
    let denied = ask("doctor", of(COUNTY)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let own = ask("county", of("")).await.unwrap().into_inner().report.unwrap();
    assert_eq!((own.region.as_str(), own.region_name.as_str()), (COUNTY, "信州区"));
    assert!(own.rows.iter().all(|row| row.code.starts_with(COUNTY)));
    for other in ["361103", "3611"] {
        let refused = ask("county", of(other)).await.unwrap_err();
        assert_eq!(bad_fields(&refused), ["region"], "{other}");
    }
    let whole = ask("whole", of("")).await.unwrap().into_inner().report.unwrap();
    assert_eq!(whole.rows.len(), 1 + 12 + 229);
    let good = || asked(now(), pb::Level::County);
    let months =
        |months: &[String]| pb::GetCoverageReportRequest { months: months.to_vec(), ..good() };
    let next = now().next().unwrap().to_string();
    let this = now().to_string();
    for (request, field) in [
        (of("360102"), "region"),
        (months(&[]), "months"),
        (months(&["2026-13".to_owned()]), "months[0]"),
        (months(&[next]), "months[0]"),
        (months(&[this.clone(), this.clone()]), "months[1]"),
        (months(&vec![this; 25]), "months"),
        (pb::GetCoverageReportRequest { level: 77, ..good() }, "level"),
        (pb::GetCoverageReportRequest { as_of_ms: i64::MAX, ..good() }, "as_of_ms"),
        (
            pb::GetCoverageReportRequest {
                months: now().back(3).iter().map(ToString::to_string).collect(),
                ..asked(now(), pb::Level::Village)
            },
            "level",
        ),
    ] {
        let refused = ask("whole", request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert!(bad_fields(&refused).contains(&field.to_owned()), "{field}: {refused:?}");
    }
}
