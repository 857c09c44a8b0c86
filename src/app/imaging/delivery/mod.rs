//! A study over a thin link, in the order of its use: a contact sheet of each series, key images,
//! then the objects, reports first and slices so that every moment's are spread over the whole.
//!
//! What is delivered is decided once and named by a token that travels with every part: after a
//! break it goes on where it was, even within an object. What is stored meanwhile is not part of
//! it. Nothing is worked ahead: dropping a [`Delivery`] stops it.

mod keys;
mod token;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use self::token::Place;
use super::images::{Images, PIXEL_BYTES_ALL_MAX, PIXEL_UNIT};
use super::objects::{ObjectReader, Piece};
use super::pictures::{SeriesSheet, placed, whole};
use super::ports::{IndexedInstance, KnownObject, Selection};
use super::progressive::delivery_order;
use super::render::{
    ImageFormat, PixelSource, RenderRequest, RenderedImage, SheetChoice, SheetRequest, Viewport,
};
use super::search::validate_uid;
use super::{INSTANCES_PAGE_MAX, Requester};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::request::Problems;
use crate::sharing::imaging::object::Digest;

/// Bytes of a call that are allowed at least.
const BYTES_MIN: u64 = 20_000;
/// Bytes of a sheet: least, most, and when the caller does not say.
const SHEET_BYTES: (u32, u32, u32) = (10_000, 2_000_000, 100_000);
/// Edge of a key image: least, most, and when the caller does not say.
const IMAGE_EDGES: (u32, u32, u32) = (64, 8_192, 1_024);
/// Quality of key images.
const QUALITY: u8 = 80;
/// Key images named at most.
const KEYS_MAX: usize = 100;
/// Series that have a sheet.
const SHEETS_MAX: usize = 200;
/// Tiles of a sheet at most.
const TILES_MAX: usize = 300;
/// Bytes of a chunk: least and most.
const CHUNK_BYTES: (u64, u64) = (4_096, 256 * 1024);

/// Asks for a study.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryRequest {
    /// Study instance UID.
    pub study: String,
    /// Only this series; empty for all.
    pub series: String,
    /// Key images by SOP instance UID; none: those that the study's key object selections name,
    /// else the middle image of each series.
    pub keys: Vec<String>,
    /// Whether the objects follow.
    pub objects: bool,
    /// Bytes in this call at most; 0: no limit.
    pub bytes_max: u64,
    /// Bytes of a sheet at most; 0 for the default.
    pub sheet_bytes_max: u32,
    /// Edge of a key image at most, in pixels; 0 for the default.
    pub image_pixels_max: u32,
    /// From the last message that arrived; empty to begin.
    pub resume_token: String,
}

/// What will be delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Contact sheets.
    pub sheets: u32,
    /// Key images.
    pub images: u32,
    /// Objects.
    pub objects: u32,
    /// Their bytes.
    pub object_bytes: u64,
}

/// A part of a study.
#[derive(Debug)]
pub enum Part {
    /// What will come.
    Plan(Plan),
    /// The sheet of a series.
    Sheet(String, SeriesSheet),
    /// A drawn key image: SOP instance UID, frame.
    Image(String, u32, RenderedImage),
    /// An object begins: what it is, preamble and file meta group.
    Header(KnownObject, Bytes),
    /// Its bytes.
    Chunk(u64, Bytes),
    /// It is whole.
    Verified(Digest),
    /// What cannot be delivered: series, instance (empty for a sheet), why.
    Skipped(String, String, String),
    /// The end.
    Ended {
        /// Whether everything was delivered; else the bytes are used up.
        complete: bool,
        /// Bytes that were sent.
        sent: u64,
    },
}

/// One thing to deliver; numbers are places among the instances.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Sheet(String),
    Image(usize),
    Object(usize),
}

/// A delivery under way.
#[derive(Debug)]
pub struct Delivery {
    app: Arc<App>,
    requester: Requester,
    request: DeliveryRequest,
    instances: Vec<IndexedInstance>,
    items: Vec<Item>,
    plan: Option<Plan>,
    place: Place,
    reader: Option<ObjectReader>,
    sent: u64,
    over: bool,
}

impl App {
    /// Begins, or goes on, to deliver a study. The audit trail has an entry before anything goes
    /// out.
    pub async fn deliver_study(
        self: &Arc<Self>,
        caller: &Caller,
        request: DeliveryRequest,
    ) -> Result<Delivery, Error> {
        authorise(caller, Action::RetrieveImages)?;
        let images = self.images()?;
        let request = request.checked()?;
        let token = Place::read(&request.resume_token)?;
        let requester = Requester::of(caller.clone());
        let patient = images.study(&requester, &request.study).await?.header.patient.id;
        images.imaging.audit_retrieval(&requester, &request.study, &patient).await?;
        let mut instances = images.of_delivery(&requester, &request).await?;
        let mut place = Place::beginning(&instances);
        if let Some(token) = &token {
            // What came later is not part of it.
            instances.retain(|instance| instance.location <= token.last);
            place = Place { last: token.last, ..place };
        }
        place.print = token::print(&request, &instances);
        if let Some(token) = token {
            if token.print != place.print {
                let allowed = "is of another request, or the study has changed: begin without it";
                return Err(Error::field("resume_token", allowed));
            }
            place = token;
        }
        let keys = images.keys(&requester, &request, &instances).await?;
        let items = items(&request, &instances, &keys);
        let plan = Some(planned(&items, &instances));
        Ok(Delivery {
            app: Arc::clone(self),
            requester,
            request,
            instances,
            items,
            plan,
            place,
            reader: None,
            sent: 0,
            over: false,
        })
    }
}

impl Images {
    async fn of_delivery(
        &self,
        requester: &Requester,
        request: &DeliveryRequest,
    ) -> Result<Vec<IndexedInstance>, Error> {
        let selection = Selection {
            studies: vec![request.study.clone()],
            series: if request.series.is_empty() { vec![] } else { vec![request.series.clone()] },
            ..Selection::default()
        };
        let most = INSTANCES_PAGE_MAX;
        let instances = self.imaging.instances(requester, selection, 0, most).await?;
        if instances.is_empty() {
            return Err(Error::NotFound { kind: "series" });
        }
        if u64::try_from(instances.len()).unwrap_or(0) >= most {
            let reason = format!("the study has {most} instances or more: name a series");
            return Err(Error::Refused { reason });
        }
        Ok(instances)
    }

    /// A frame of an object as the decoder takes it, with its memory counted.
    async fn frame(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        request: RenderRequest,
    ) -> Result<RenderedImage, Error> {
        let length = instance.location.length;
        if length > PIXEL_BYTES_ALL_MAX {
            let reason = format!("objects of more than {PIXEL_BYTES_ALL_MAX} bytes are not drawn");
            return Err(Error::Refused { reason });
        }
        let units = u32::try_from(length.div_ceil(PIXEL_UNIT)).unwrap_or(u32::MAX);
        let room = self.pixels.acquire_many(units).await;
        let _room = room.map_err(|_| Error::Unavailable { what: "imaging", cause: None })?;
        let data_set = whole(&self.imaging, requester, instance.location).await?;
        let transfer_syntax = instance.transfer_syntax.clone();
        self.renderer.render(PixelSource { transfer_syntax, data_set }, request).await
    }
}

impl Delivery {
    /// The next part, and the token that goes on after it; none after the end. An error that may go
    /// away leaves the delivery where it was.
    pub async fn next(&mut self) -> Result<Option<(String, Part)>, Error> {
        if self.over {
            return Ok(None);
        }
        if let Some(plan) = self.plan.take() {
            return Ok(Some((self.place.token(), Part::Plan(plan))));
        }
        let Some(item) = self.items.get(self.place.item).cloned() else {
            return Ok(Some(self.end(true)));
        };
        let part = match &item {
            Item::Sheet(series) => self.sheet(series).await,
            Item::Image(at) => self.image(*at).await,
            Item::Object(at) => self.object(*at).await,
        };
        let part = match part {
            Ok(Some(part)) => part,
            Ok(None) => return Ok(Some(self.end(false))),
            Err(error) if error.retryable() => return Err(error),
            Err(error) => {
                tracing::warn!(error = crate::app::chain(&error), "a part is not delivered");
                self.reader = None;
                self.place.pass();
                let (series, instance) = self.named(&item);
                Part::Skipped(series, instance, error.public())
            }
        };
        Ok(Some((self.place.token(), part)))
    }

    fn end(&mut self, complete: bool) -> (String, Part) {
        self.over = true;
        (self.place.token(), Part::Ended { complete, sent: self.sent })
    }

    /// Bytes that may still be sent.
    fn left(&self) -> u64 {
        match self.request.bytes_max {
            0 => u64::MAX,
            most => most.saturating_sub(self.sent),
        }
    }

    fn named(&self, item: &Item) -> (String, String) {
        match item {
            Item::Sheet(series) => (series.clone(), String::new()),
            Item::Image(at) | Item::Object(at) => {
                self.instances.get(*at).map_or_else(Default::default, |instance| {
                    (instance.uids.series.clone(), instance.uids.instance.clone())
                })
            }
        }
    }

    /// The sheet of a series; none if there are not enough bytes left.
    async fn sheet(&mut self, series: &str) -> Result<Option<Part>, Error> {
        let (least, _, _) = SHEET_BYTES;
        let wanted = u64::from(self.request.sheet_bytes_max);
        let most = wanted.min(self.left());
        if most < u64::from(least) {
            return Ok(None);
        }
        let images = self.app.images()?;
        let of_series = self.instances.iter().filter(|i| i.uids.series == series).cloned();
        let slices = images.slices_of(self.requester.clone(), of_series.collect())?;
        let request = SheetRequest {
            choice: SheetChoice::Even(TILES_MAX),
            bytes_max: usize::try_from(most).unwrap_or(usize::MAX),
            ..SheetRequest::default()
        };
        let sheet = match images.renderer.contact_sheet(&slices, request).await {
            // It may fit when more bytes are allowed.
            Err(Error::Refused { .. }) if most < wanted && self.sent > 0 => return Ok(None),
            sheet => sheet?,
        };
        let drawn = SeriesSheet { tiles: placed(&slices, &sheet), sheet };
        self.count(drawn.sheet.image.bytes.len());
        self.place.pass();
        Ok(Some(Part::Sheet(series.to_owned(), drawn)))
    }

    /// A key image; none if there are not enough bytes left. The first of a call is made smaller
    /// until it fits.
    async fn image(&mut self, at: usize) -> Result<Option<Part>, Error> {
        let images = self.app.images()?;
        let instance = self.instances.get(at).ok_or(Error::NotFound { kind: "instance" })?.clone();
        let mut edge = self.request.image_pixels_max;
        loop {
            let frame = instance.frames / 2 + 1;
            let request = RenderRequest {
                frame,
                viewport: Some(Viewport { width: edge, height: edge }),
                format: ImageFormat::Jpeg { quality: QUALITY },
                ..RenderRequest::default()
            };
            let image = images.frame(&self.requester, &instance, request).await?;
            let length = u64::try_from(image.bytes.len()).unwrap_or(u64::MAX);
            if length <= self.left() {
                self.count(image.bytes.len());
                self.place.pass();
                return Ok(Some(Part::Image(instance.uids.instance, frame, image)));
            }
            if self.sent > 0 {
                return Ok(None);
            }
            edge /= 2;
            if edge < IMAGE_EDGES.0 {
                // Another call would not have more room.
                let reason = "the image does not fit the bytes of a call".to_owned();
                return Err(Error::Refused { reason });
            }
        }
    }

    /// The next part of an object; none if there are not enough bytes left.
    async fn object(&mut self, at: usize) -> Result<Option<Part>, Error> {
        let (least, most) = CHUNK_BYTES;
        let left = self.left();
        let Some(reader) = &mut self.reader else {
            if left < least {
                return Ok(None);
            }
            let images = self.app.images()?;
            let one = self.instances.get(at).ok_or(Error::NotFound { kind: "instance" })?;
            let object = KnownObject {
                digest: one.digest,
                sop_class: one.sop_class.clone(),
                transfer_syntax: one.transfer_syntax.clone(),
                uids: one.uids.clone(),
                location: one.location,
                apart: false,
            };
            if self.place.offset > object.location.length {
                return Err(Error::field("resume_token", "must be as it was given"));
            }
            let requester = self.requester.clone();
            let reader = images.reader(requester, object, self.place.offset, most).await?;
            let meta = Bytes::copy_from_slice(reader.meta());
            let part = Part::Header(reader.object().clone(), meta);
            self.reader = Some(reader);
            return Ok(Some(part));
        };
        if left < least && !reader.is_read() {
            self.reader = None;
            return Ok(None);
        }
        reader.chunks_of(most.min(left));
        match reader.next().await? {
            Some(Piece::Chunk { offset, data }) => {
                self.place.offset = offset.saturating_add(u64::try_from(data.len()).unwrap_or(0));
                self.count(data.len());
                Ok(Some(Part::Chunk(offset, data)))
            }
            Some(Piece::Verified(digest)) => {
                self.reader = None;
                self.place.pass();
                Ok(Some(Part::Verified(digest)))
            }
            None => Err(Error::internal("delivery", "an object ended twice")),
        }
    }

    fn count(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// What is delivered, in its order.
fn items(request: &DeliveryRequest, instances: &[IndexedInstance], keys: &[usize]) -> Vec<Item> {
    let mut seen = HashSet::new();
    let series = instances.iter().filter(|i| i.frames > 0).map(|i| &i.uids.series);
    let series = series.filter(|series| seen.insert(series.as_str())).take(SHEETS_MAX);
    let mut items: Vec<Item> = series.map(|series| Item::Sheet(series.clone())).collect();
    items.extend(keys.iter().map(|at| Item::Image(*at)));
    if !request.objects {
        return items;
    }
    let (pictures, others): (Vec<usize>, Vec<usize>) = (0..instances.len())
        .partition(|at| instances.get(*at).is_some_and(|instance| instance.frames > 0));
    items.extend(others.into_iter().map(Item::Object));
    let places: Vec<usize> =
        keys.iter().filter_map(|key| pictures.iter().position(|at| at == key)).collect();
    let order = delivery_order(pictures.len(), &places).into_iter();
    items.extend(order.filter_map(|at| pictures.get(at)).map(|at| Item::Object(*at)));
    items
}

fn planned(items: &[Item], instances: &[IndexedInstance]) -> Plan {
    let mut plan = Plan::default();
    for item in items {
        match item {
            Item::Sheet(_) => plan.sheets += 1,
            Item::Image(_) => plan.images += 1,
            Item::Object(at) => {
                plan.objects += 1;
                plan.object_bytes += instances.get(*at).map_or(0, |i| i.location.length);
            }
        }
    }
    plan
}

impl DeliveryRequest {
    /// With defaults put in.
    fn checked(mut self) -> Result<Self, Error> {
        let mut problems = Problems::default();
        validate_uid(&mut problems, "study_uid", &self.study);
        if !self.series.is_empty() {
            validate_uid(&mut problems, "series_uid", &self.series);
        }
        let few = self.keys.len() <= KEYS_MAX;
        problems.unless(few, "key_sop_instance_uids", "must have at most 100 entries");
        for uid in self.keys.iter().take(KEYS_MAX) {
            validate_uid(&mut problems, "key_sop_instance_uids", uid);
        }
        let fine = self.bytes_max == 0 || self.bytes_max >= BYTES_MIN;
        problems.unless(fine, "bytes_max", "must be at least 20000, or 0");
        let (least, most, usual) = SHEET_BYTES;
        if self.sheet_bytes_max == 0 {
            self.sheet_bytes_max = usual;
        }
        let fine = (least..=most).contains(&self.sheet_bytes_max);
        problems.unless(fine, "sheet_bytes_max", "must be from 10000 to 2000000, or 0");
        let (least, most, usual) = IMAGE_EDGES;
        if self.image_pixels_max == 0 {
            self.image_pixels_max = usual;
        }
        let fine = (least..=most).contains(&self.image_pixels_max);
        problems.unless(fine, "image_pixels_max", "must be from 64 to 8192, or 0");
        problems.finish()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::imaging::object::{InstanceUids, Location};

    fn instance(series: &str, number: u64, frames: u32) -> IndexedInstance {
        let uids = InstanceUids {
            study: "1".to_owned(),
            series: series.to_owned(),
            instance: format!("{series}.{number}"),
        };
        IndexedInstance {
            uids,
            sop_class: String::new(),
            transfer_syntax: String::new(),
            digest: Digest([0; 32]),
            location: Location { segment: 1, offset: number * 100, body: 0, length: 10 },
            frames,
        }
    }

    #[test]
    fn sheets_come_first_then_keys_then_reports_then_slices_that_spread() {
        let mut instances: Vec<IndexedInstance> =
            (0..8).map(|number| instance("1.1", number, 1)).collect();
        instances.push(instance("1.2", 9, 0));
        let request = DeliveryRequest { objects: true, ..DeliveryRequest::default() };
        let items = items(&request, &instances, &[6]);
        let wanted = [
            Item::Sheet("1.1".to_owned()),
            Item::Image(6),
            Item::Object(8),
            Item::Object(4),
            Item::Object(6),
            Item::Object(0),
        ];
        assert_eq!(items.get(..6), Some(wanted.as_slice()));
        assert_eq!(items.len(), 1 + 1 + 9);
        let plan = planned(&items, &instances);
        assert_eq!(plan, Plan { sheets: 1, images: 1, objects: 9, object_bytes: 90 });
    }
}
