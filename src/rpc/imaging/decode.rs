//! From the contract to what the application is asked.

use crate::app::error::Error;
use crate::app::imaging::metadata::MetadataRequest;
use crate::app::imaging::objects::ObjectRequest;
use crate::app::imaging::pictures::viewport;
use crate::app::imaging::receiving::Announced;
use crate::app::imaging::render::{
    ImageFormat, Region, RenderRequest, SheetChoice, SheetRequest, Window, WindowFunction,
};
use crate::app::imaging::search::StudySearch;
use crate::app::regional::Purpose;
use crate::app::regional::fetching::StudyFetch;
use crate::app::request::{PageRequest, Problems};
use crate::rpc::common::known;
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::sharing::imaging::examination::{Laterality, Programme};
use crate::sharing::imaging::moment;
use crate::sharing::imaging::object::Digest;

/// Characters of a sender's name for an object at most.
const OBJECT_ID_CHARS_MAX: usize = 200;
/// Characters of a transfer syntax UID at most.
const UID_CHARS_MAX: usize = 64;

/// How a day is to be spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rpc) enum Spelt {
    /// `20261128`, as in an object.
    Plain,
    /// `2026-11-28`.
    Dashed,
}

/// A day of the contract; empty stays empty.
pub(in crate::rpc) fn day(
    problems: &mut Problems,
    field: &str,
    text: &str,
    spelt: Spelt,
) -> String {
    if text.is_empty() {
        return String::new();
    }
    let Some(plain) = moment::date(text) else {
        problems.add(field, "must be a day such as 2026-11-28, or empty");
        return String::new();
    };
    match spelt {
        Spelt::Plain => plain,
        Spelt::Dashed => super::encode::day(&plain),
    }
}

/// A side of the contract.
pub(in crate::rpc) fn laterality(
    problems: &mut Problems,
    field: &str,
    number: i32,
) -> Option<Laterality> {
    let allowed = "LATERALITY_UNSPECIFIED, LATERALITY_LEFT, LATERALITY_RIGHT, LATERALITY_BOTH";
    match known::<pb::Laterality>(problems, field, number, allowed)? {
        pb::Laterality::Unspecified => None,
        pb::Laterality::Left => Some(Laterality::Left),
        pb::Laterality::Right => Some(Laterality::Right),
        pb::Laterality::Both => Some(Laterality::Both),
    }
}

impl TryFrom<pb::SearchStudiesRequest> for StudySearch {
    type Error = Error;

    fn try_from(r: pb::SearchStudiesRequest) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let allowed = "PROGRAMME_BRAIN, PROGRAMME_CHEST, PROGRAMME_CARDIOVASCULAR, PROGRAMME_OTHER";
        let mut programmes = Vec::new();
        for (at, number) in r.programmes.iter().enumerate().take(5) {
            let field = format!("programmes[{at}]");
            match known::<pb::Programme>(&mut problems, &field, *number, allowed) {
                Some(pb::Programme::Brain) => programmes.push(Programme::Brain),
                Some(pb::Programme::Chest) => programmes.push(Programme::Chest),
                Some(pb::Programme::Cardiovascular) => programmes.push(Programme::Cardiovascular),
                Some(pb::Programme::Other) => programmes.push(Programme::Other),
                Some(pb::Programme::Unspecified) => {
                    problems.add(field, format!("must be one of {allowed}"));
                }
                None => {}
            }
        }
        problems.unless(r.programmes.len() <= 5, "programmes", "must have at most 5 entries");
        let search = Self {
            page: PageRequest {
                page_size: r.page_size,
                page_token: r.page_token,
                ..PageRequest::default()
            },
            patient_id: r.patient_id,
            patient_name: r.patient_name,
            fuzzy_name: r.fuzzy_name,
            birth_date: day(&mut problems, "birth_date", &r.birth_date, Spelt::Plain),
            sex: r.sex,
            accession_number: r.accession_number,
            date_from: day(&mut problems, "date_from", &r.date_from, Spelt::Plain),
            date_to: day(&mut problems, "date_to", &r.date_to, Spelt::Plain),
            modalities: r.modalities,
            programmes,
            regions: r.regions,
            examinations: r.examinations,
            institution: r.institution,
            studies: r.study_uids,
            whole_region: whole_region(&mut problems, "scope", r.scope),
        };
        problems.finish()?;
        Ok(search)
    }
}

/// Whether the whole region is asked.
pub(in crate::rpc) fn whole_region(problems: &mut Problems, field: &str, scope: i32) -> bool {
    let allowed = "SEARCH_SCOPE_UNSPECIFIED, SEARCH_SCOPE_NODE, SEARCH_SCOPE_REGION";
    match known::<pb::SearchScope>(problems, field, scope, allowed) {
        Some(pb::SearchScope::Region) => true,
        Some(pb::SearchScope::Unspecified | pb::SearchScope::Node) | None => false,
    }
}

impl TryFrom<pb::FetchStudyRequest> for StudyFetch {
    type Error = Error;

    fn try_from(r: pb::FetchStudyRequest) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let allowed = "PURPOSE_OF_USE_TREATMENT, PURPOSE_OF_USE_EMERGENCY, PURPOSE_OF_USE_QUALITY";
        let purpose = match known(&mut problems, "purpose", r.purpose, allowed) {
            Some(pb::PurposeOfUse::Treatment) | None => Purpose::Treatment,
            Some(pb::PurposeOfUse::Emergency) => Purpose::Emergency,
            Some(pb::PurposeOfUse::Quality) => Purpose::Quality,
            Some(pb::PurposeOfUse::Unspecified) => {
                problems.add("purpose", format!("must be one of {allowed}"));
                Purpose::Treatment
            }
        };
        problems.finish()?;
        Ok(Self { study: r.study_uid, node: r.node, purpose })
    }
}

impl From<pb::GetStudyMetadataRequest> for MetadataRequest {
    fn from(r: pb::GetStudyMetadataRequest) -> Self {
        Self {
            study: r.study_uid,
            series: r.series_uid,
            page_size: r.page_size,
            page_token: r.page_token,
        }
    }
}

impl From<pb::RetrieveObjectRequest> for ObjectRequest {
    fn from(r: pb::RetrieveObjectRequest) -> Self {
        Self {
            instance: r.sop_instance_uid,
            digest: r.sha256,
            offset: r.offset,
            chunk_bytes: r.chunk_bytes,
        }
    }
}

/// The sender's name for an object, and what is said of it.
pub(super) fn announced(start: pb::ObjectStart) -> (String, Result<Announced, Error>) {
    let mut problems = Problems::default();
    problems.chars("start.object_id", &start.object_id, OBJECT_ID_CHARS_MAX);
    let id = start.object_id.chars().take(OBJECT_ID_CHARS_MAX).collect();
    let allowed = "OBJECT_FORM_FILE, OBJECT_FORM_DATA_SET";
    let form = known::<pb::ObjectForm>(&mut problems, "start.form", start.form, allowed);
    let transfer_syntax = match form {
        Some(pb::ObjectForm::DataSet) => {
            let syntax = start.transfer_syntax_uid;
            let fine = !syntax.is_empty() && syntax.len() <= UID_CHARS_MAX;
            problems.unless(fine, "start.transfer_syntax_uid", "must be a UID");
            Some(syntax)
        }
        Some(pb::ObjectForm::Unspecified | pb::ObjectForm::File) | None => None,
    };
    let digest = Digest::parse(&start.sha256);
    let fine = start.sha256.is_empty() || digest.is_some();
    problems.unless(fine, "start.sha256", "must be 64 hex digits or empty");
    let announced = Announced { transfer_syntax, size_bytes: start.size_bytes, digest };
    (id, problems.finish().map(|()| announced))
}

/// The instance and how its frame is to be drawn.
pub(super) fn frame(r: pb::RenderFrameRequest) -> Result<(String, RenderRequest), Error> {
    let mut problems = Problems::default();
    let allowed = "IMAGE_FORMAT_JPEG, IMAGE_FORMAT_PNG";
    let format = known::<pb::ImageFormat>(&mut problems, "format", r.format, allowed);
    let quality = if r.quality == 0 { 90 } else { u8::try_from(r.quality).unwrap_or(u8::MAX) };
    let request = RenderRequest {
        frame: r.frame.max(1),
        window: window(&mut problems, r.window),
        region: r.region.map(|region| Region {
            left: region.left,
            top: region.top,
            width: region.width,
            height: region.height,
        }),
        viewport: Some(viewport(r.width_max, r.height_max)),
        overlays: r.overlays,
        format: match format {
            Some(pb::ImageFormat::Png) => ImageFormat::Png,
            Some(pb::ImageFormat::Jpeg | pb::ImageFormat::Unspecified) | None => {
                ImageFormat::Jpeg { quality }
            }
        },
    };
    problems.finish()?;
    Ok((r.sop_instance_uid, request))
}

/// Study, series and how their sheet is to be drawn.
pub(super) fn sheet(
    r: pb::RenderContactSheetRequest,
) -> Result<(String, String, SheetRequest), Error> {
    let mut problems = Problems::default();
    let usual = SheetRequest::default();
    let or = |number: u32, usual: usize| {
        if number == 0 { usual } else { usize::try_from(number).unwrap_or(usize::MAX) }
    };
    let request = SheetRequest {
        choice: SheetChoice::Even(or(r.tile_count_max, 300)),
        bytes_max: or(r.bytes_max, usual.bytes_max),
        tile_max: if r.tile_pixels_max == 0 { usual.tile_max } else { r.tile_pixels_max },
        window: window(&mut problems, r.window),
    };
    problems.finish()?;
    Ok((r.study_uid, r.series_uid, request))
}

fn window(problems: &mut Problems, window: Option<pb::Window>) -> Window {
    use pb::window::Choice;
    let Some(choice) = window.and_then(|w| w.choice) else { return Window::Stored };
    match choice {
        Choice::Index(index) => Window::Index(usize::try_from(index).unwrap_or(usize::MAX)),
        Choice::Full(true) => Window::Full,
        Choice::Full(false) => Window::Stored,
        Choice::Explicit(pb::ExplicitWindow { center, width, function }) => {
            let field = "window.explicit.function";
            let allowed = "WINDOW_FUNCTION_LINEAR, WINDOW_FUNCTION_LINEAR_EXACT, \
                           WINDOW_FUNCTION_SIGMOID";
            let function = match known::<pb::WindowFunction>(problems, field, function, allowed) {
                Some(pb::WindowFunction::LinearExact) => WindowFunction::LinearExact,
                Some(pb::WindowFunction::Sigmoid) => WindowFunction::Sigmoid,
                Some(pb::WindowFunction::Linear | pb::WindowFunction::Unspecified) | None => {
                    WindowFunction::Linear
                }
            };
            Window::Explicit { center, width, function }
        }
    }
}
