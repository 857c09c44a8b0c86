//! Images in and out, over gRPC: CT slices of 512 by 512, as a modality or another node brings them. One
//! stream and four; readers that read one object after the other, and readers that come when they come.

use std::sync::Arc;

use bytes::Bytes;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::Failure;
use super::calls::IN_FLIGHT_MAX;
use super::driven::{Clients, Driven};
use super::run::Bench;
use crate::app::ports::IdSource as _;
use crate::benchmark::load::{ClosedLoad, OpenLoad, closed_loop, open_loop};
use crate::benchmark::statistics::{count, number};
use crate::cli::client::readable;
use crate::node::UuidSource;
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::imaging_service_client::ImagingServiceClient;
use crate::rpc::proto::xiangyi::imaging::v1::retrieve_object_response::Part as Read;
use crate::rpc::proto::xiangyi::imaging::v1::store_objects_request::Part;
use crate::rpc::proto::xiangyi::imaging::v1::store_objects_response::Part as Reply;
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::writing::write;

/// Rows and columns, and the bytes of their pixels.
const SIDE: u16 = 512;
const PIXEL_BYTES: usize = 512 * 512 * 2;
/// Bytes of a chunk.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that are on their way to the node at most, of one stream.
const AHEAD: usize = 8;
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;
/// GiB that must be free before images are brought.
const FREE_GIB_MIN: f64 = 2.0;

/// Images of one stream: a study, and what all have alike.
#[derive(Debug, Clone)]
struct Study {
    uid: String,
    pixels: Bytes,
}

impl Study {
    /// A study with a UID of its own (PS3.5, B.2: 2.25 and a UUID as a number).
    fn new(pixels: &Bytes) -> Result<Self, Failure> {
        let id = uuid::Uuid::parse_str(&UuidSource.new_id())?;
        Ok(Self { uid: format!("2.25.{}", id.as_u128()), pixels: pixels.clone() })
    }

    /// Pixels like tissue: neighbours are alike and nothing repeats.
    fn pixels() -> Bytes {
        let pixels: Vec<u8> = (0..PIXEL_BYTES / 2)
            .flat_map(|at| {
                let (noise, place) = (at.wrapping_mul(2_654_435_761) >> 7, at / 512);
                let value = (noise & 0x1F) | ((place & 0x3FF) << 1);
                u16::try_from(value & 0xFFF).unwrap_or(0).to_le_bytes()
            })
            .collect();
        pixels.into()
    }

    fn instance(&self, number: usize) -> String {
        // The study's own is at most 44 characters long.
        format!("{}.1.{number}", self.uid)
    }

    /// A data set up to its pixels, explicit VR little endian.
    fn head(&self, number: usize) -> Vec<u8> {
        let mut set = ElementSet::default();
        for (tag, vr, value) in [
            (tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.2".to_owned()),
            (tags::SOP_INSTANCE_UID, VR::UI, self.instance(number)),
            (tags::MODALITY, VR::CS, "CT".to_owned()),
            (tags::PATIENT_NAME, VR::PN, "Bench^Box".to_owned()),
            (tags::PATIENT_ID, VR::LO, "XIANGYI-BENCH".to_owned()),
            (tags::STUDY_INSTANCE_UID, VR::UI, self.uid.clone()),
            (tags::SERIES_INSTANCE_UID, VR::UI, format!("{}.1", self.uid)),
            (tags::INSTANCE_NUMBER, VR::IS, number.to_string()),
            (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2".to_owned()),
        ] {
            set = set.with_text(tag, vr, &value);
        }
        for (tag, value) in [
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::ROWS, SIDE),
            (tags::COLUMNS, SIDE),
            (tags::BITS_ALLOCATED, 16),
            (tags::BITS_STORED, 12),
            (tags::HIGH_BIT, 11),
            (tags::PIXEL_REPRESENTATION, 0),
        ] {
            set = set.with_u16(tag, value);
        }
        // The head of the pixels says how long they are; the bytes themselves follow as they are.
        set.insert(Element {
            tag: tags::PIXEL_DATA,
            vr: VR::OW,
            value: Value::Bytes(self.pixels.to_vec()),
        });
        let mut bytes = write(&set, true);
        bytes.truncate(bytes.len().saturating_sub(self.pixels.len()));
        bytes
    }
}

/// Measures images in and out.
pub(super) async fn measure(bench: &mut Bench, driven: &mut Driven) -> Result<(), Failure> {
    let free = bench.report.machine.disk.as_ref().map_or(f64::MAX, |disk| disk.free_gib);
    if driven.node.is_some() && free < FREE_GIB_MIN {
        return Err(format!("images want {FREE_GIB_MIN} GiB; {free:.1} are free").into());
    }
    let budget = bench.budget;
    let mut uids = Vec::new();
    let pixels = Study::pixels();
    // Several times a part of the images: answers come in bursts, so that parts in time say little.
    let (times, each) = (budget.blocks.max(1), (budget.images / budget.blocks.max(1)).max(1));
    for streams in [1_usize, 4] {
        let (mut rates, mut all, mut seconds) = (Vec::new(), 0, 0.0);
        for _ in 0..times {
            bench.step(&format!("images in: {streams}"), budget.retrieve / u32::try_from(times)?);
            let studies = (0..streams).map(|_| Study::new(&pixels));
            let studies = studies.collect::<Result<Vec<_>, _>>()?;
            let begun = Instant::now();
            let kept = brought(&driven.clients, studies, each).await?;
            let took = begun.elapsed().as_secs_f64();
            driven.is_there()?;
            rates.push(count(kept.len()) / took.max(1e-6));
            (all, seconds) = (all + kept.len(), seconds + took);
            uids.extend(kept);
        }
        let per_second = count(all) / seconds;
        let name = format!("imaging.ingest_{streams}_per_second");
        bench.report.add(&name, per_second, rates.clone());
        if streams == 4 {
            let mib = |rate: f64| rate * count(PIXEL_BYTES) / MIB;
            let rates = rates.into_iter().map(mib).collect();
            bench.report.add("imaging.ingest_4_mib_per_second", mib(per_second), rates);
        }
    }
    let uids = Arc::new(uids);
    let mut most = 0.0;
    for clients in [1_usize, 4] {
        bench.step(&format!("images out: {clients}"), budget.retrieve);
        let load = ClosedLoad { clients, time: budget.retrieve, blocks: budget.blocks };
        let seen = closed_loop(load, by(&driven.clients, &uids)).await?;
        driven.is_there()?;
        if seen.done == 0 {
            return Err(seen.error.unwrap_or_else(|| "no image came out".to_owned()).into());
        }
        most = seen.per_second();
        let name = format!("imaging.retrieve_{clients}_per_second");
        bench.report.add(&name, most, seen.rates());
        if clients == 4 {
            let mib = |rate: f64| rate * count(PIXEL_BYTES) / MIB;
            let rates = seen.rates().into_iter().map(mib).collect();
            bench.report.add("imaging.retrieve_4_mib_per_second", mib(most), rates);
        }
    }
    bench.step(&format!("images out: {:.0}/s", most / 2.0), budget.retrieve);
    let load = OpenLoad {
        per_second: most / 2.0,
        time: budget.retrieve,
        seed: bench.next_seed(),
        in_flight_max: IN_FLIGHT_MAX,
        blocks: budget.blocks,
    };
    let seen = open_loop(&load, by(&driven.clients, &uids)).await?;
    driven.is_there()?;
    let figures = [("retrieve_half_p50_ms", 0.5), ("retrieve_half_p99_ms", 0.99)];
    bench.quantiles("imaging", &seen, &figures)?;
    if seen.failed + seen.unsent > 0 {
        let lost = number(seen.failed + seen.unsent);
        bench.note(format!("imaging: {lost} of {} reads failed or were not sent", seen.due));
    }
    Ok(())
}

fn by(
    clients: &Clients,
    uids: &Arc<Vec<String>>,
) -> impl Fn(u64) -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>
+ Send
+ Sync
+ 'static {
    let (clients, uids) = (clients.clone(), Arc::clone(uids));
    move |number| {
        let (clients, uids) = (clients.clone(), Arc::clone(&uids));
        Box::pin(async move { read(&clients, &uids, number).await })
    }
}

/// Streams, one for each study, that bring so many objects each at the same time; an object that is not kept
/// is an error. Names of the objects.
async fn brought(
    clients: &Clients,
    studies: Vec<Study>,
    each: usize,
) -> Result<Vec<String>, Failure> {
    let mut running = JoinSet::new();
    for (stream, study) in (0_u64..).zip(studies) {
        let clients = clients.clone();
        running.spawn(async move { stream_of(&clients, stream, study, each).await });
    }
    let mut all = Vec::new();
    while let Some(done) = running.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}

async fn stream_of(
    clients: &Clients,
    number: u64,
    study: Study,
    each: usize,
) -> Result<Vec<String>, Failure> {
    let client = clients.of(number)?;
    let mut service = ImagingServiceClient::new(client.node()?);
    let (messages, outgoing) = mpsc::channel(AHEAD);
    let sending = {
        let study = study.clone();
        async move {
            for object in 0..each {
                // A node that listens no more has said why.
                if send(&messages, &study, object).await.is_err() {
                    return;
                }
            }
        }
    };
    let receiving = async {
        let request = client.signed(ReceiverStream::new(outgoing));
        let replies = service.store_objects(request).await.map_err(|s| readable(&s))?;
        let (mut replies, mut kept) = (replies.into_inner(), Vec::new());
        while let Some(reply) = replies.message().await.map_err(|s| readable(&s))? {
            let Some(Reply::Result(result)) = reply.part else { continue };
            if result.outcome() != pb::StoreOutcome::Stored {
                return Err::<_, Failure>(
                    format!("an image was not kept: {}", result.reason).into(),
                );
            }
            kept.push(study.instance(kept.len()));
        }
        Ok(kept)
    };
    let ((), kept) = tokio::join!(sending, receiving);
    kept
}

async fn send(
    messages: &mpsc::Sender<pb::StoreObjectsRequest>,
    study: &Study,
    object: usize,
) -> Result<(), mpsc::error::SendError<pb::StoreObjectsRequest>> {
    let head = study.head(object);
    let start = pb::ObjectStart {
        object_id: object.to_string(),
        form: pb::ObjectForm::DataSet.into(),
        transfer_syntax_uid: "1.2.840.10008.1.2.1".to_owned(),
        size_bytes: u64::try_from(head.len() + study.pixels.len()).ok(),
        ..pb::ObjectStart::default()
    };
    let pixels = (0..study.pixels.len()).step_by(CHUNK_BYTES).map(|at| {
        let end = study.pixels.len().min(at.saturating_add(CHUNK_BYTES));
        Part::Chunk(study.pixels.slice(at..end))
    });
    let parts = [Part::Start(start), Part::Chunk(Bytes::from(head))].into_iter();
    for part in parts.chain(pixels).chain([Part::End(pb::ObjectEnd {})]) {
        messages.send(pb::StoreObjectsRequest { part: Some(part) }).await?;
    }
    Ok(())
}

/// Reads one object to its end.
async fn read(clients: &Clients, uids: &[String], number: u64) -> Result<(), String> {
    let client = clients.of(number)?;
    let many = u64::try_from(uids.len()).unwrap_or(1).max(1);
    let place = usize::try_from(number % many).unwrap_or(0);
    let uid = uids.get(place).ok_or_else(|| "there is no image".to_owned())?;
    let mut service = ImagingServiceClient::new(client.node().map_err(|e| e.to_string())?);
    let request = pb::RetrieveObjectRequest { sop_instance_uid: uid.clone(), ..Default::default() };
    let parts = service.retrieve_object(client.signed(request)).await;
    let mut parts = parts.map_err(|status| readable(&status))?.into_inner();
    let mut is_whole = false;
    while let Some(message) = parts.message().await.map_err(|status| readable(&status))? {
        is_whole |= matches!(message.part, Some(Read::Verified(_)));
    }
    is_whole.then_some(()).ok_or_else(|| "an image that is not whole".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::imaging::part10::{self, Meta};

    #[test]
    fn an_image_has_a_uid_of_its_own_and_reads_as_dicom() {
        let pixels = Study::pixels();
        let (a, b) = (Study::new(&pixels).unwrap(), Study::new(&pixels).unwrap());
        assert_ne!(a.uid, b.uid);
        assert!(a.instance(999_999).len() <= 64, "{}", a.instance(999_999));
        assert_eq!(a.pixels.len(), PIXEL_BYTES);
        let instance = a.instance(3);
        let meta = part10::write_meta(Meta {
            sop_class: "1.2.840.10008.5.1.4.1.1.2",
            sop_instance: &instance,
            transfer_syntax: "1.2.840.10008.1.2.1",
            source_ae: None,
        });
        let mut file = meta.unwrap();
        file.extend(a.head(3));
        file.extend_from_slice(&a.pixels);
        let read = dicom_object::from_reader(file.get(128..).unwrap()).unwrap();
        assert_eq!(read.element(tags::SOP_INSTANCE_UID).unwrap().to_str().unwrap(), instance);
        assert_eq!(read.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().len(), PIXEL_BYTES);
    }
}
