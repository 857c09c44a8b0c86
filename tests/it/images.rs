//! Images for tests: real files of the collection, data sets written here, and how to send them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use tonic::{Code, Status};
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::imaging::v1::retrieve_object_response::Part as Got;
use xiangyi::rpc::proto::xiangyi::imaging::v1::store_objects_request::Part;
use xiangyi::rpc::proto::xiangyi::imaging::v1::store_objects_response::Part as Reply;
use xiangyi::sharing::imaging::element::{Element, ElementSet, Value};
use xiangyi::sharing::imaging::writing::write;

use crate::harness::{Setup, TestNode};

pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
/// Bytes of a chunk: small, so that objects come in several.
const CHUNK: usize = 40_000;

/// A node whose archive is small.
pub(crate) fn small() -> Setup {
    Setup::new().with(|c| {
        c.imaging.free_bytes_min = 0;
        c.imaging.segment_bytes = 16 << 20;
    })
}

/// A file of the collection.
pub(crate) fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dicom");
    assert!(folder.is_dir(), "{} is missing", folder.display());
    folder.join(name)
}

/// Every file below a folder of the collection.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![file(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// An instance to be written.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) study: String,
    pub(crate) series: String,
    pub(crate) number: u32,
    pub(crate) patient_id: String,
    pub(crate) name: String,
    pub(crate) birth_date: String,
    pub(crate) date: String,
    pub(crate) description: String,
    pub(crate) institution: String,
    /// Further text elements.
    pub(crate) more: Vec<(Tag, VR, String)>,
}

impl Slice {
    /// A slice of a CT of the head, 5 mm thick, of a patient in Yanshan.
    pub(crate) fn head(study: &str, number: u32) -> Self {
        Self {
            study: study.to_owned(),
            series: format!("{study}.1"),
            number,
            patient_id: "P1".to_owned(),
            name: "Wang^XiaoDong=王^小东".to_owned(),
            birth_date: "19600131".to_owned(),
            date: "20261120".to_owned(),
            description: "颅脑CT平扫".to_owned(),
            institution: "示例县医院（虚构）".to_owned(),
            more: Vec::new(),
        }
    }

    pub(crate) fn uid(&self) -> String {
        format!("{}.{}", self.series, self.number)
    }

    /// The data set, explicit VR little endian, with an image of 64 x 64.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let text = |set: ElementSet, tag, vr, value: &str| set.with_text(tag, vr, value);
        let mut set = ElementSet::default();
        for (tag, vr, value) in [
            (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
            (tags::SOP_CLASS_UID, VR::UI, CT),
            (tags::SOP_INSTANCE_UID, VR::UI, &self.uid()),
            (tags::STUDY_DATE, VR::DA, &self.date),
            (tags::STUDY_TIME, VR::TM, "103000"),
            (tags::ACCESSION_NUMBER, VR::SH, &format!("A{}", self.study.replace('.', ""))),
            (tags::MODALITY, VR::CS, "CT"),
            (tags::INSTITUTION_NAME, VR::LO, &self.institution),
            (tags::STUDY_DESCRIPTION, VR::LO, &self.description),
            (tags::PATIENT_NAME, VR::PN, &self.name),
            (tags::PATIENT_ID, VR::LO, &self.patient_id),
            (tags::PATIENT_BIRTH_DATE, VR::DA, &self.birth_date),
            (tags::PATIENT_SEX, VR::CS, "M"),
            (tags::SLICE_THICKNESS, VR::DS, "5"),
            (tags::STUDY_INSTANCE_UID, VR::UI, &self.study),
            (tags::SERIES_INSTANCE_UID, VR::UI, &self.series),
            (tags::SERIES_NUMBER, VR::IS, "1"),
            (tags::INSTANCE_NUMBER, VR::IS, &self.number.to_string()),
            (tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("0\\0\\{}", self.number * 5)),
            (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
            (tags::BURNED_IN_ANNOTATION, VR::CS, "NO"),
        ] {
            set = text(set, tag, vr, value);
        }
        for (tag, vr, value) in &self.more {
            set = text(set, *tag, *vr, value);
        }
        for (tag, value) in [
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::ROWS, 64),
            (tags::COLUMNS, 64),
            (tags::BITS_ALLOCATED, 16),
            (tags::BITS_STORED, 12),
            (tags::HIGH_BIT, 11),
            (tags::PIXEL_REPRESENTATION, 0),
        ] {
            set = set.with_u16(tag, value);
        }
        let pixels = (0..64 * 64_u32).flat_map(|i| u16::try_from(i).unwrap().to_le_bytes());
        let value = Value::Bytes(pixels.collect());
        set.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OW, value });
        write(&set, true)
    }
}

/// The messages that send one object.
pub(crate) fn parts(start: im::ObjectStart, bytes: &[u8]) -> Vec<im::StoreObjectsRequest> {
    let chunks = bytes.chunks(CHUNK).map(|c| Part::Chunk(Bytes::copy_from_slice(c)));
    std::iter::once(Part::Start(start))
        .chain(chunks)
        .chain([Part::End(im::ObjectEnd {})])
        .map(|part| im::StoreObjectsRequest { part: Some(part) })
        .collect()
}

/// The messages that send a file.
pub(crate) fn as_file(id: &str, bytes: &[u8]) -> Vec<im::StoreObjectsRequest> {
    parts(im::ObjectStart { object_id: id.to_owned(), ..Default::default() }, bytes)
}

/// The messages that send a data set.
pub(crate) fn as_data_set(id: &str, bytes: &[u8]) -> Vec<im::StoreObjectsRequest> {
    let start = im::ObjectStart {
        object_id: id.to_owned(),
        form: im::ObjectForm::DataSet.into(),
        transfer_syntax_uid: EXPLICIT.to_owned(),
        size_bytes: Some(u64::try_from(bytes.len()).unwrap()),
        ..Default::default()
    };
    parts(start, bytes)
}

/// What is answered to a stream of messages.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) results: Vec<im::StoredObject>,
    pub(crate) summary: Option<im::StoreSummary>,
}

/// Sends messages and collects the answers.
pub(crate) async fn store(
    node: &TestNode,
    messages: Vec<im::StoreObjectsRequest>,
) -> Result<Stored, Status> {
    let mut replies =
        node.imaging().store_objects(tokio_stream::iter(messages)).await?.into_inner();
    let mut stored = Stored::default();
    while let Some(reply) = replies.message().await? {
        match reply.part.expect("a part") {
            Reply::Result(result) => stored.results.push(result),
            Reply::Summary(summary) => stored.summary = Some(summary),
        }
    }
    Ok(stored)
}

/// Stores written slices; all must be new.
pub(crate) async fn store_slices(node: &TestNode, slices: &[Slice]) {
    let messages = slices.iter().flat_map(|s| as_data_set(&s.uid(), &s.bytes())).collect();
    let stored = store(node, messages).await.unwrap();
    for result in &stored.results {
        assert_eq!(result.outcome(), im::StoreOutcome::Stored, "{result:?}");
    }
    assert_eq!(stored.results.len(), slices.len());
}

/// An object as it was given out.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) header: im::ObjectHeader,
    pub(crate) data: Vec<u8>,
    pub(crate) verified: Option<String>,
}

/// Retrieves an object, or what is left of it.
pub(crate) async fn retrieve(
    node: &TestNode,
    request: im::RetrieveObjectRequest,
) -> Result<Object, Status> {
    let mut offset = request.offset;
    let mut parts = node.imaging().retrieve_object(request).await?.into_inner();
    let first = parts.message().await?.and_then(|m| m.part);
    let Some(Got::Header(header)) = first else {
        return Err(Status::new(Code::Unknown, format!("no header: {first:?}")));
    };
    let mut object = Object { header, data: Vec::new(), verified: None };
    while let Some(message) = parts.message().await? {
        match message.part.expect("a part") {
            Got::Chunk(chunk) => {
                assert_eq!(chunk.offset, offset, "chunks follow one another");
                offset += u64::try_from(chunk.data.len()).unwrap();
                object.data.extend_from_slice(&chunk.data);
            }
            Got::Verified(end) => object.verified = Some(end.sha256),
            Got::Header(header) => panic!("a second header: {header:?}"),
        }
    }
    Ok(object)
}

/// All studies that a search finds, page by page.
pub(crate) async fn search(
    node: &TestNode,
    mut request: im::SearchStudiesRequest,
) -> Vec<im::StudySummary> {
    let mut all = Vec::new();
    loop {
        let page = node.imaging().search_studies(request.clone()).await.unwrap().into_inner();
        all.extend(page.studies);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}
