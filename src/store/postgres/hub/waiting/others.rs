//! What is asked of a store that is not open yet beside its documents: look-ups and persons.

use super::Waiting;
use crate::app::error::Error;
use crate::app::exchange::ports::{
    Allowance, Entered, HeldRecord, HubLookUps, LookUpEntry, PersonKey, Spent, Wanted,
};
use crate::app::people::ports::{
    Applied, DecidedPerson, HubPeople, KeptParticulars, KeptPerson, PeopleChange, PeopleCounts,
    PeopleState, PersonDocument, PersonEvent, PersonReview, Stated, Unsettled,
};
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::Document;

impl HubPeople for Waiting {
    fn state(&self) -> BoxFuture<'_, Result<PeopleState, Error>> {
        Box::pin(async move { self.store()?.state().await })
    }

    fn changes(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<KeptPerson>, Error>> {
        Box::pin(async move { self.store()?.changes(after, limit).await })
    }

    fn unsettled(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Unsettled>, Error>> {
        Box::pin(async move { self.store()?.unsettled(limit).await })
    }

    fn known<'a>(
        &'a self,
        digests: &'a [Stated],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(async move { self.store()?.known(digests).await })
    }

    fn decided<'a>(
        &'a self,
        cores: &'a [Stated],
    ) -> BoxFuture<'a, Result<Vec<DecidedPerson>, Error>> {
        Box::pin(async move { self.store()?.decided(cores).await })
    }

    fn persons<'a>(&'a self, numbers: &'a [u64]) -> BoxFuture<'a, Result<Vec<KeptPerson>, Error>> {
        Box::pin(async move { self.store()?.persons(numbers).await })
    }

    fn particulars_of<'a>(
        &'a self,
        persons: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(async move { self.store()?.particulars_of(persons).await })
    }

    fn particulars<'a>(
        &'a self,
        numbers: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(async move { self.store()?.particulars(numbers).await })
    }

    fn apply(&self, change: PeopleChange) -> BoxFuture<'_, Result<Applied, Error>> {
        Box::pin(async move { self.store()?.apply(change).await })
    }

    fn reviews(
        &self,
        closed: bool,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<PersonReview>, Error>> {
        Box::pin(async move { self.store()?.reviews(closed, after, limit).await })
    }

    fn reviews_of<'a>(
        &'a self,
        particulars: &'a [u64],
        number: Option<u64>,
    ) -> BoxFuture<'a, Result<Vec<PersonReview>, Error>> {
        Box::pin(async move { self.store()?.reviews_of(particulars, number).await })
    }

    fn events(&self, person: u64) -> BoxFuture<'_, Result<Vec<PersonEvent>, Error>> {
        Box::pin(async move { self.store()?.events(person).await })
    }

    fn decision(&self, number: u64) -> BoxFuture<'_, Result<Vec<PersonEvent>, Error>> {
        Box::pin(async move { self.store()?.decision(number).await })
    }

    fn documents<'a>(
        &'a self,
        particulars: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<PersonDocument>, Error>> {
        Box::pin(async move { self.store()?.documents(particulars).await })
    }

    fn waiting(&self) -> BoxFuture<'_, Result<(u64, u64), Error>> {
        Box::pin(async move { self.store()?.waiting().await })
    }

    fn counts(&self) -> BoxFuture<'_, Result<PeopleCounts, Error>> {
        Box::pin(async move { self.store()?.counts().await })
    }
}

impl HubLookUps for Waiting {
    fn held<'a>(
        &'a self,
        keys: &'a [PersonKey],
        wanted: Wanted<'a>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<HeldRecord>, Error>> {
        Box::pin(async move { self.store()?.held(keys, wanted, limit).await })
    }

    fn document(&self, number: u64) -> BoxFuture<'_, Result<Option<Document>, Error>> {
        Box::pin(async move { self.store()?.document(number).await })
    }

    fn spent<'a>(
        &'a self,
        node: &'a str,
        person: &'a [u8],
        allowance: Allowance,
    ) -> BoxFuture<'a, Result<Spent, Error>> {
        Box::pin(async move { self.store()?.spent(node, person, allowance).await })
    }

    fn enter(
        &self,
        entry: LookUpEntry,
        allowance: Allowance,
    ) -> BoxFuture<'_, Result<Entered, Error>> {
        Box::pin(async move { self.store()?.enter(entry, allowance).await })
    }
}
