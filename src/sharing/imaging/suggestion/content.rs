//! The content tree: TID 1500 with the algorithm (TID 4019), the image, and one group for each
//! thing that was looked for.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::{Finding, MARK, MEASUREMENT_REPORT, Suggestion, Uids, named};
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::header::Header;

/// Scheme of our own codes: what begins with 99 is private (PS3.16, 8.2).
const OWN_SCHEME: &str = "99XIANGYI";
/// Characters of a code's meaning at most (PS3.5, 6.2, LO).
const MEANING_CHARS_MAX: usize = 64;

/// How an item belongs to the one above.
#[derive(Debug, Clone, Copy)]
enum Relation {
    Contains,
    Context,
    Modifier,
}

impl Relation {
    fn term(self) -> &'static str {
        match self {
            Self::Contains => "CONTAINS",
            Self::Context => "HAS OBS CONTEXT",
            Self::Modifier => "HAS CONCEPT MOD",
        }
    }
}

/// The image that the report is about.
pub(super) fn evidence(image: &Header) -> ElementSet {
    let series = ElementSet::default()
        .with_text(tags::SERIES_INSTANCE_UID, VR::UI, &image.series.uid)
        .with_items(tags::REFERENCED_SOP_SEQUENCE, vec![reference(image)]);
    ElementSet::default()
        .with_text(tags::STUDY_INSTANCE_UID, VR::UI, &image.study.uid)
        .with_items(tags::REFERENCED_SERIES_SEQUENCE, vec![series])
}

/// The root of the tree, to stand in the data set itself.
pub(super) fn root(suggestion: &Suggestion<'_>, uids: &Uids) -> ElementSet {
    let Suggestion { image, model, findings, .. } = suggestion;
    let found: Vec<&str> =
        findings.iter().filter(|f| f.passes()).map(|f| f.name.as_str()).collect();
    let found = if found.is_empty() { "无".to_owned() } else { found.join("、") };
    let note = format!(
        "{MARK}。达到阈值的提示：{found}。模型：{} {}（{}），{}。须由医师阅片判断。",
        model.title, model.version, model.id, model.certificate
    );
    let mut children = vec![
        code(
            Relation::Modifier,
            dcm("121049", "Language of Content Item and Descendants"),
            coded("zh-CN", "RFC5646", "Chinese (China)"),
        ),
        code(Relation::Context, dcm("121005", "Observer Type"), dcm("121007", "Device")),
        uid(Relation::Context, dcm("121012", "Device Observer UID"), &uids.device),
        text(Relation::Context, dcm("121013", "Device Observer Name"), model.title),
        text(Relation::Context, dcm("121014", "Device Observer Manufacturer"), model.manufacturer),
        text(
            Relation::Context,
            dcm("121015", "Device Observer Model Name"),
            &format!("{} {}", model.id, model.version),
        ),
        code(Relation::Modifier, dcm("121058", "Procedure reported"), procedure(image)),
        text(Relation::Contains, dcm("121106", "Comment"), &note),
    ];
    let group = container(
        Relation::Contains,
        dcm("126200", "Image Library Group"),
        vec![picture(None, image)],
    );
    children.push(container(Relation::Contains, dcm("111028", "Image Library"), vec![group]));
    let groups = findings.iter().map(|finding| measured(suggestion, finding)).collect();
    children.push(container(Relation::Contains, dcm("126010", "Imaging Measurements"), groups));
    let template = ElementSet::default()
        .with_text(tags::MAPPING_RESOURCE, VR::CS, "DCMR")
        .with_text(tags::TEMPLATE_IDENTIFIER, VR::CS, "1500");
    ElementSet::default()
        .with_text(tags::VALUE_TYPE, VR::CS, "CONTAINER")
        .with_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![dcm("126000", MEASUREMENT_REPORT)])
        .with_text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE")
        .with_items(tags::CONTENT_TEMPLATE_SEQUENCE, vec![template])
        .with_items(tags::CONTENT_SEQUENCE, children)
}

/// One thing that was looked for (TID 1501).
fn measured(suggestion: &Suggestion<'_>, finding: &Finding) -> ElementSet {
    let Suggestion { image, model, .. } = suggestion;
    let tracking = named(&["finding", &image.instance.uid, model.id, model.version, &finding.id]);
    let what = match &finding.code {
        Some((scheme, value)) => coded(value, scheme, &finding.name),
        None => coded(&finding.id, OWN_SCHEME, &finding.name),
    };
    let passes = if finding.passes() {
        coded("373066001", "SCT", "Yes")
    } else {
        coded("373067005", "SCT", "No")
    };
    let parameters = format!("sha256 {}; {}", model.sha256, model.engine);
    container(
        Relation::Contains,
        dcm("125007", "Measurement Group"),
        vec![
            text(Relation::Context, dcm("112039", "Tracking Identifier"), &finding.id),
            uid(Relation::Context, dcm("112040", "Tracking Unique Identifier"), &tracking),
            code(Relation::Contains, dcm("121071", "Finding"), what),
            text(Relation::Modifier, dcm("111001", "Algorithm Name"), model.id),
            text(Relation::Modifier, dcm("111003", "Algorithm Version"), model.version),
            text(Relation::Modifier, dcm("111002", "Algorithm Parameters"), &parameters),
            picture(Some(dcm("121112", "Source of Measurement")), image),
            percent(dcm("111012", "Certainty of Finding"), finding.probability),
            percent(coded("threshold", OWN_SCHEME, "判定阈值"), finding.threshold),
            code(Relation::Contains, coded("passes", OWN_SCHEME, "是否达到阈值"), passes),
        ],
    )
}

/// What was done, by the modality (LOINC, as in CID 100).
fn procedure(image: &Header) -> ElementSet {
    let (value, scheme, meaning) = match image.series.modality.as_str() {
        "CT" => ("25045-6", "LN", "CT unspecified body region"),
        "MR" => ("25056-3", "LN", "MR unspecified body region"),
        "DX" | "CR" => ("43468-8", "LN", "XR unspecified body region"),
        "US" => ("25061-3", "LN", "US unspecified body region"),
        _ => ("363679005", "SCT", "Imaging procedure"),
    };
    coded(value, scheme, meaning)
}

fn coded(value: &str, scheme: &str, meaning: &str) -> ElementSet {
    let meaning: String = meaning.chars().take(MEANING_CHARS_MAX).collect();
    ElementSet::default()
        .with_text(tags::CODE_VALUE, VR::SH, value)
        .with_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme)
        .with_text(tags::CODE_MEANING, VR::LO, &meaning)
}

fn dcm(value: &str, meaning: &str) -> ElementSet {
    coded(value, "DCM", meaning)
}

fn item(relation: Relation, kind: &str, concept: Option<ElementSet>) -> ElementSet {
    let item = ElementSet::default()
        .with_text(tags::RELATIONSHIP_TYPE, VR::CS, relation.term())
        .with_text(tags::VALUE_TYPE, VR::CS, kind);
    match concept {
        Some(concept) => item.with_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![concept]),
        None => item,
    }
}

fn code(relation: Relation, concept: ElementSet, value: ElementSet) -> ElementSet {
    item(relation, "CODE", Some(concept)).with_items(tags::CONCEPT_CODE_SEQUENCE, vec![value])
}

fn text(relation: Relation, concept: ElementSet, value: &str) -> ElementSet {
    item(relation, "TEXT", Some(concept)).with_text(tags::TEXT_VALUE, VR::UT, value)
}

fn uid(relation: Relation, concept: ElementSet, value: &str) -> ElementSet {
    item(relation, "UIDREF", Some(concept)).with_text(tags::UID, VR::UI, value)
}

fn container(relation: Relation, concept: ElementSet, children: Vec<ElementSet>) -> ElementSet {
    item(relation, "CONTAINER", Some(concept))
        .with_text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE")
        .with_items(tags::CONTENT_SEQUENCE, children)
}

/// A share from 0 to 1 as a percentage with two decimals.
fn percent(concept: ElementSet, share: f32) -> ElementSet {
    let measured = ElementSet::default()
        .with_items(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, vec![coded("%", "UCUM", "Percent")])
        .with_text(tags::NUMERIC_VALUE, VR::DS, &format!("{:.2}", f64::from(share) * 100.0));
    item(Relation::Contains, "NUM", Some(concept))
        .with_items(tags::MEASURED_VALUE_SEQUENCE, vec![measured])
}

fn picture(concept: Option<ElementSet>, image: &Header) -> ElementSet {
    item(Relation::Contains, "IMAGE", concept)
        .with_items(tags::REFERENCED_SOP_SEQUENCE, vec![reference(image)])
}

fn reference(image: &Header) -> ElementSet {
    ElementSet::default()
        .with_text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &image.instance.sop_class)
        .with_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, &image.instance.uid)
}
