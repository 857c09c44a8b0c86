//! The second part of `xiangyi demo`: a hub, a county hospital and a village clinic. A patient is
//! discharged while the village's link is down; the record, the comparison of medicines and the tasks
//! arrive when it is back.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::super::client::{Client, connect, readable};
use super::super::made_up::{self as patient, HOSPITAL, VILLAGE};
use super::super::records::{reconciled, tasks};
use super::super::wire::Wire;
use super::super::{Failure, json, say};
use super::CALL_TIMEOUT;
use crate::config::{Config, MemberSection, NodeRole};
use crate::node::Node;
use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::rpc::proto::xiangyi::records::v1::exchange_service_client::ExchangeServiceClient;
use crate::rpc::proto::xiangyi::records::v1::follow_up_service_client::FollowUpServiceClient;
use crate::rpc::proto::xiangyi::records::v1::record_service_client::RecordServiceClient;
use crate::sharing::discharge::{Moment, fhir};
use crate::tables::text::hex;

/// How long anything may take to arrive.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Three nodes, and a wire that can be cut.
struct Region {
    hub: Node,
    hospital: Node,
    village: Node,
    wire: Wire,
}

fn token(name: &str) -> String {
    format!("demo-{name}")
}

async fn start(
    base: &Config,
    data: &Path,
    name: &str,
    change: impl FnOnce(&mut Config),
) -> Result<Node, Failure> {
    let mut config = base.clone();
    name.clone_into(&mut config.node.name);
    config.store.dir = data.join(name);
    config.metrics.listen = None;
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    tokio::fs::create_dir_all(&config.store.dir).await?;
    change(&mut config);
    Ok(Node::start(config).await?)
}

async fn dialling(
    base: &Config,
    data: &Path,
    (name, hub): (&str, SocketAddr),
    role: NodeRole,
) -> Result<Node, Failure> {
    let file = data.join(format!("{name}.token"));
    tokio::fs::write(&file, token(name)).await?;
    let node = start(base, data, name, |config| {
        config.node.role = role;
        config.link.hub = Some(format!("http://{hub}"));
        config.link.token_file = Some(file);
    });
    node.await
}

async fn region(base: &Config, data: &Path) -> Result<Region, Failure> {
    let members = [VILLAGE, HOSPITAL].map(|(name, area)| MemberSection {
        name: name.to_owned(),
        area: area.to_owned(),
        certificate_sha256: None,
        token_sha256: Some(hex(&Sha256::digest(token(name).as_bytes()))),
    });
    let hub = start(base, data, "hub", |config| {
        config.node.role = NodeRole::Hub;
        config.link.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.link.nodes = members.to_vec();
    });
    let hub = hub.await?;
    let address = hub.link_address().ok_or("the hub has no link door")?;
    let (mut wire, through) = Wire::new(address)?;
    wire.join()?;
    let hospital = dialling(base, data, (HOSPITAL.0, address), NodeRole::Hospital).await?;
    let village = dialling(base, data, (VILLAGE.0, through), NodeRole::Clinic).await?;
    Ok(Region { hub, hospital, village, wire })
}

async fn client(node: &Node) -> Result<Client, Failure> {
    let url = format!("http://{}", node.address());
    Ok(Client::remote(connect(&url, None, CALL_TIMEOUT).await?, CALL_TIMEOUT))
}

/// Looks until `done` gives something.
async fn until<T>(
    what: &str,
    mut done: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(found) = done().await? {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {} s", PATIENCE.as_secs()).into());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn waiting(client: &Client) -> Result<u64, Failure> {
    let mut service = ExchangeServiceClient::new(client.node()?);
    let status = service.get_exchange_status(client.dressed(pb::GetExchangeStatusRequest {}));
    Ok(status.await.map_err(|s| readable(&s))?.into_inner().waiting)
}

/// Shows the journey of a record.
pub(super) async fn show(base: &Config, data: &Path, as_json: bool) -> Result<(), Failure> {
    let said = |text: &str| if as_json { Ok(()) } else { say(text) };
    said("\n════ 出院记录到村：一个中心、一家县医院、一间村卫生室 ════\n")?;
    let mut region = region(base, data).await?;
    let (hospital, village) = (client(&region.hospital).await?, client(&region.village).await?);

    let mut service = ExchangeServiceClient::new(village.node()?);
    let registered = service.register_patient(village.dressed(patient::registration()));
    registered.await.map_err(|s| readable(&s))?;
    until("the registration reaches the hub", async || {
        Ok((waiting(&village).await? == 0).then_some(()))
    })
    .await?;
    said("村卫生室登记了签约居民，中心已知。\n")?;

    region.wire.cut().await;
    said("村里的网断了。\n")?;

    let written = Moment::iso(patient::WRITTEN).map_err(|_| "the demo's date")?;
    let document = fhir::write(&patient::record()?, &written);
    let request = pb::SubmitRecordRequest {
        content: serde_json::to_vec(&document)?,
        media_type: "application/fhir+json".to_owned(),
        record: None,
    };
    let mut records = RecordServiceClient::new(hospital.node()?);
    let kept = records.submit_record(hospital.dressed(request)).await;
    let kept = kept.map_err(|s| readable(&s))?.into_inner();
    until(
        "the record reaches the hub",
        async || Ok((waiting(&hospital).await? == 0).then_some(())),
    )
    .await?;
    said(&format!(
        "县医院办出院：{} 第 {} 版，已存盘，已交中心，等村里的网。\n",
        kept.name, kept.version
    ))?;

    region.wire.join()?;
    let begun = Instant::now();
    let mut records = RecordServiceClient::new(village.node()?);
    let arrived = until("the record reaches the village", async || {
        let request = pb::ListRecordsRequest {
            purpose: pb::Purpose::Treatment.into(),
            ..pb::ListRecordsRequest::default()
        };
        let listed = records.list_records(village.dressed(request)).await;
        let listed = listed.map_err(|s| readable(&s))?.into_inner();
        Ok(listed.records.into_iter().find(|line| line.name == kept.name))
    })
    .await?;
    said(&format!(
        "网恢复，{:.1} 秒后记录到村：{} {} 出院，{}，{}，纳入管理：{}。\n",
        begun.elapsed().as_secs_f64(),
        arrived.institution,
        arrived.discharged,
        arrived.patient_name,
        arrived.diagnosis,
        arrived.programmes.join("、"),
    ))?;
    meaning(&village, &kept.name, as_json).await?;

    let mut drained = region.village.stop().await;
    drained &= region.hospital.stop().await;
    drained &= region.hub.stop().await;
    if drained { Ok(()) } else { Err("a node of the demo's region did not stop in time".into()) }
}

/// What follows from the record in the village.
async fn meaning(village: &Client, name: &str, as_json: bool) -> Result<(), Failure> {
    let mut records = RecordServiceClient::new(village.node()?);
    let request = pb::ReconcileMedicinesRequest {
        name: name.to_owned(),
        version: 0,
        medicines: patient::PRESCRIBED.map(str::to_owned).to_vec(),
        purpose: pb::Purpose::Treatment.into(),
    };
    let compared = records.reconcile_medicines(village.dressed(request)).await;
    let compared = compared.map_err(|s| readable(&s))?.into_inner();
    let mut follow_up = FollowUpServiceClient::new(village.node()?);
    let request = pb::ListTasksRequest {
        record: name.to_owned(),
        purpose: pb::Purpose::Treatment.into(),
        ..pb::ListTasksRequest::default()
    };
    let listed = follow_up.list_tasks(village.dressed(request)).await;
    let listed = listed.map_err(|s| readable(&s))?.into_inner();
    if as_json {
        say(&json::print("xiangyi.records.v1.ReconcileMedicinesResponse", &compared)?)?;
        return say(&json::print("xiangyi.records.v1.ListTasksResponse", &listed)?);
    }
    let mut out = format!("与村里在开的药（{}）比对：\n", patient::PRESCRIBED.join("、"));
    out.push_str(&reconciled(&compared));
    out.push_str("随访任务：\n");
    out.push_str(&tasks(&listed.tasks));
    say(&out)
}
