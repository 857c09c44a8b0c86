//! Which images of a study matter most: those that the caller names, those that key object
//! selections (PS3.3, A.35.4) in the study name, else the middle of each series.

use std::collections::HashMap;

use bytes::Bytes;
use dicom_dictionary_std::uids;
use serde_json::Value;

use super::DeliveryRequest;
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::images::Images;
use crate::app::imaging::pictures::whole;
use crate::app::imaging::ports::IndexedInstance;
use crate::sharing::imaging::metadata::{Next, Walk, write_json};
use crate::sharing::imaging::structure::Syntax;

/// Selections that are read.
const SELECTIONS_MAX: usize = 8;
/// Bytes of a selection at most.
const SELECTION_BYTES_MAX: u64 = 1024 * 1024;
/// Key images that are drawn at most.
const DRAWN_MAX: usize = 100;

impl Images {
    /// Places of the key images among `instances`.
    pub(super) async fn keys(
        &self,
        requester: &Requester,
        request: &DeliveryRequest,
        instances: &[IndexedInstance],
    ) -> Result<Vec<usize>, Error> {
        let drawable = instances.iter().enumerate().filter(|(_, i)| i.frames > 0);
        let places: HashMap<&str, usize> =
            drawable.map(|(at, instance)| (instance.uids.instance.as_str(), at)).collect();
        let mut named = request.keys.clone();
        if named.is_empty() {
            let selections = instances
                .iter()
                .filter(|i| i.sop_class == uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE)
                .filter(|i| i.location.length <= SELECTION_BYTES_MAX);
            for selection in selections.take(SELECTIONS_MAX) {
                let bytes = whole(&self.imaging, requester, selection.location).await?;
                named.extend(references(&selection.transfer_syntax, &bytes));
            }
        }
        let mut keys: Vec<usize> = Vec::new();
        for uid in &named {
            match places.get(uid.as_str()) {
                Some(at) if !keys.contains(at) && keys.len() < DRAWN_MAX => keys.push(*at),
                Some(_) => {}
                None if request.keys.is_empty() => {}
                None => {
                    let allowed = "must be images of the study";
                    return Err(Error::field("key_sop_instance_uids", allowed));
                }
            }
        }
        if keys.is_empty() { Ok(middles(instances)) } else { Ok(keys) }
    }
}

/// The middle image of each series.
fn middles(instances: &[IndexedInstance]) -> Vec<usize> {
    let mut by_series: Vec<(&str, Vec<usize>)> = Vec::new();
    for (at, instance) in instances.iter().enumerate().filter(|(_, i)| i.frames > 0) {
        match by_series.last_mut() {
            Some((series, places)) if *series == instance.uids.series => places.push(at),
            Some(_) | None => by_series.push((&instance.uids.series, vec![at])),
        }
    }
    let middle = |(_, places): &(&str, Vec<usize>)| places.get(places.len() / 2).copied();
    by_series.iter().filter_map(middle).take(DRAWN_MAX).collect()
}

/// SOP instance UIDs that the content of a selection refers to, in its order; none of what cannot
/// be read.
fn references(transfer_syntax: &str, bytes: &Bytes) -> Vec<String> {
    let Some(syntax) = Syntax::of(transfer_syntax).filter(|syntax| !syntax.deflated) else {
        return Vec::new();
    };
    let mut walk = Walk::new(syntax, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    if !matches!(walk.feed(0, bytes), Ok(Next::Done)) {
        return Vec::new();
    }
    let mut json = Vec::new();
    write_json(&walk, "", &mut json);
    let mut found = Vec::new();
    if let Ok(object) = serde_json::from_slice::<Value>(&json) {
        collect(object.get("0040A730").unwrap_or(&Value::Null), &mut found);
    }
    found
}

/// Every value of Referenced SOP Instance UID below `value`. The walk that made it has a limit of
/// depth.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "00081155" {
                    let uid = value.pointer("/Value/0").and_then(Value::as_str);
                    found.extend(uid.map(str::to_owned));
                } else {
                    collect(value, found);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::imaging::element::ElementSet;
    use crate::sharing::imaging::writing::write;
    use dicom_core::VR;
    use dicom_dictionary_std::tags;

    #[test]
    fn a_selection_names_images_in_its_content_and_not_in_its_evidence() {
        let reference = |uid: &str| {
            let of =
                ElementSet::default().with_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, uid);
            ElementSet::default().with_items(tags::REFERENCED_SOP_SEQUENCE, vec![of])
        };
        let set = ElementSet::default()
            .with_items(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, vec![reference("1.9")])
            .with_items(tags::CONTENT_SEQUENCE, vec![reference("1.2"), reference("1.1")]);
        let bytes = Bytes::from(write(&set, true));
        assert_eq!(references(uids::EXPLICIT_VR_LITTLE_ENDIAN, &bytes), ["1.2", "1.1"]);
        assert!(references(uids::EXPLICIT_VR_LITTLE_ENDIAN, &bytes.slice(..9)).is_empty());
    }
}
