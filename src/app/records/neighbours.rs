//! Who lives where somebody works, as records and registrations of this node say, and who is here in person.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::RecordDesk;
use super::person::PersonKeys;
use super::place::is_in_person;
use crate::app::access::Caller;
use crate::app::error::Error;
use crate::app::imaging::near::Neighbours;
use crate::app::knowledge::Knowledge;
use crate::app::ports::{BoxFuture, Clock};
use crate::sharing::imaging::header::Patient;

/// See [`Neighbours`].
#[derive(Debug)]
pub(in crate::app) struct Neighbourhood {
    pub(in crate::app) name: String,
    pub(in crate::app) desk: Option<Arc<RecordDesk>>,
    pub(in crate::app) knowledge: Arc<ArcSwap<Knowledge>>,
    pub(in crate::app) clock: Arc<dyn Clock>,
}

impl Neighbours for Neighbourhood {
    fn is_near<'a>(
        &'a self,
        caller: &'a Caller,
        patient: &'a Patient,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let keys = PersonKeys::of_imaged(patient);
            let Some(desk) = self.desk.as_ref().filter(|_| !keys.is_empty()) else {
                return Ok(false);
            };
            let now = self.clock.now_ms();
            let grants = desk.store.grants(&keys).await?;
            if grants.iter().any(|grant| is_in_person(grant, &self.name, now)) {
                return Ok(true);
            }
            let homes = desk.store.homes(&keys, now).await?;
            let knowledge = self.knowledge.load();
            Ok(homes.iter().any(|at| caller.looks_after(&knowledge.divisions.resolve(at).code)))
        })
    }
}
