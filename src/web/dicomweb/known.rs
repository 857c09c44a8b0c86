//! Where instances lie that were looked up a moment ago: a viewer that reads the metadata of a
//! series asks for each of its frames next.
//!
//! What is stored never changes, so only what was erased meanwhile can be wrong here, and the
//! archive says so when it is read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ask::Target;
use crate::app::imaging::ports::IndexedInstance;
use crate::sharing::imaging::object::InstanceUids;

/// How long a place is believed.
const FRESH: Duration = Duration::from_secs(30);
/// Places that are remembered at most; each takes about half a kilobyte.
const PLACES_MAX: usize = 4_096;

/// The places.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<InstanceUids, (Instant, IndexedInstance)>>);

impl Known {
    /// The instance that `target` names whole.
    pub(super) fn get(&self, target: &Target) -> Option<IndexedInstance> {
        let uids = InstanceUids {
            study: target.study.clone()?,
            series: target.series.clone()?,
            instance: target.instance.clone()?,
        };
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, instance) = places.get(&uids)?;
        (at.elapsed() < FRESH).then(|| instance.clone())
    }

    pub(super) fn remember(&self, instances: &[IndexedInstance]) {
        let now = Instant::now();
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len().saturating_add(instances.len()) > PLACES_MAX {
            places.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        for instance in instances {
            if places.len() >= PLACES_MAX {
                return;
            }
            places.insert(instance.uids.clone(), (now, instance.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::imaging::object::{Digest, Location};

    fn instance(number: usize) -> IndexedInstance {
        IndexedInstance {
            uids: InstanceUids {
                study: "1".to_owned(),
                series: "2".to_owned(),
                instance: number.to_string(),
            },
            sop_class: String::new(),
            transfer_syntax: String::new(),
            digest: Digest([0; 32]),
            location: Location { segment: 0, offset: 0, body: 0, length: 0 },
            frames: 1,
        }
    }

    fn target(number: usize) -> Target {
        Target {
            study: Some("1".to_owned()),
            series: Some("2".to_owned()),
            instance: Some(number.to_string()),
            ..Target::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_believed_for_a_while_and_the_table_stays_small() {
        let known = Known::default();
        known.remember(&[instance(1)]);
        assert_eq!(known.get(&target(1)), Some(instance(1)));
        assert_eq!(known.get(&target(2)), None);
        assert_eq!(known.get(&Target { series: None, ..target(1) }), None);
        let other = Target { study: Some("9".to_owned()), ..target(1) };
        assert_eq!(known.get(&other), None);
        let many: Vec<_> = (0..2 * PLACES_MAX).map(instance).collect();
        known.remember(&many);
        assert_eq!(known.0.lock().unwrap().len(), PLACES_MAX);
        tokio::time::advance(FRESH).await;
        assert_eq!(known.get(&target(1)), None);
        known.remember(&many);
        assert_eq!(known.get(&target(1)), Some(instance(1)));
    }
}
