//! `POST /fhir/Patient/$match`: who of the persons of the node's records somebody may be.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;

use super::Shared;
use super::ask::{Ask, json};
use super::outcome::Outcome;
use crate::app::records::references::MatchedPerson;
use crate::sharing::discharge::Problem;
use crate::sharing::discharge::fhir::resources::{Candidate, Grade, match_answer, match_request};
use crate::sharing::discharge::model::{Address, Patient};
use crate::sharing::patient::{self, ProblemKind};

/// Bytes of a question at most.
const BYTES_MAX: usize = 1 << 20;

pub(super) async fn matches(
    State(shared): State<Arc<Shared>>,
    ask: Ask,
    body: Body,
) -> Result<Response, Outcome> {
    ask.accepts_json()?;
    let purpose = ask.purpose()?;
    ask.content(&["application/fhir+json", "application/json"])?;
    let body = ask.body(body, BYTES_MAX).await?;
    let asked = match_request(&body).map_err(Outcome::refused)?;
    let wish = (asked.only_certain, asked.count);
    let matched = shared.app.match_people(ask.caller()?, &asked.patient, wish, purpose).await?;
    let matched = matched
        .map_err(|problems| Outcome::refused(problems.into_iter().map(problem).collect()))?;
    let shown: Vec<(MatchedPerson, String)> = matched
        .into_iter()
        .map(|one| {
            let url = format!("{}/Patient/{}", ask.base, one.id);
            (MatchedPerson { patient: shown(&one), ..one }, url)
        })
        .collect();
    let candidates: Vec<Candidate<'_>> = shown
        .iter()
        .map(|(one, url)| Candidate {
            id: &one.id,
            url,
            patient: &one.patient,
            score: one.score,
            grade: one.grade,
        })
        .collect();
    Ok(json(&match_answer(&candidates, &format!("{}/Patient/$match", ask.base))))
}

/// Of somebody who may be another, as much as tells them apart and no numbers.
fn shown(one: &MatchedPerson) -> Patient {
    let patient = &one.patient;
    match one.grade {
        Grade::Certain => patient.clone(),
        Grade::Probable | Grade::Possible | Grade::CertainlyNot => Patient {
            name: patient.name.clone(),
            sex: patient.sex,
            birth_date: patient.birth_date.clone(),
            address: Address {
                house: String::new(),
                text: String::new(),
                ..patient.address.clone()
            },
            ..Patient::default()
        },
    }
}

fn problem(problem: patient::Problem) -> Problem {
    let code = match problem.kind {
        ProblemKind::Empty | ProblemKind::TooLittle => "missing",
        ProblemKind::NoSuchDate | ProblemKind::InFuture | ProblemKind::TooLongAgo => {
            "date_impossible"
        }
        ProblemKind::Length
        | ProblemKind::Characters
        | ProblemKind::Region
        | ProblemKind::CheckDigit
        | ProblemKind::TooLong
        | ProblemKind::NameOfRelative
        | ProblemKind::NameHidden
        | ProblemKind::NameUnknown => "invalid",
    };
    Problem::fatal("Patient", code, problem.zh())
}
