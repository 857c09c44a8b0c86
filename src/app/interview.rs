//! An interview: from a complaint, question by question, to a kept consultation.
//!
//! The state is plain and travels with every answer, so that another connection, or another node,
//! can go on. Nothing is kept before the end.

use std::collections::BTreeSet;

use super::access::{Action, Caller, authorise};
use super::consultation::{Alarm, Ask, State};
use super::error::Error;
use super::request::{DiagnoseRequest, FINDINGS_MAX, NAME_CHARS_MAX, Problems};
use super::{App, explain};
use crate::medicine::diagnosis::interview::{QUESTIONS_DEFAULT, QUESTIONS_MAX};
use crate::medicine::vocabulary::FindingId;

/// Conditions told while the interview goes on.
const LEADING: usize = 3;

/// An interview under way.
#[derive(Debug, Clone)]
pub struct Interview {
    request: DiagnoseRequest,
    questions_max: usize,
    /// Finding id and answer, in the order of the questions; `Uncertain` is a question skipped.
    answers: Vec<(String, State)>,
}

/// Where an interview stands after an answer.
#[derive(Debug, Clone)]
pub struct Stand {
    /// What to ask next; none when it is time to end.
    pub question: Option<Ask>,
    /// Condition id, Chinese name and probability of the likeliest.
    pub leading: Vec<(String, String, f32)>,
    /// Red flags that fire already.
    pub alarms: Vec<Alarm>,
}

impl Interview {
    /// Everything answered so far, corrections applied.
    pub fn answers(&self) -> &[(String, State)] {
        &self.answers
    }

    /// The consultation with what was answered so far.
    pub fn so_far(&self) -> DiagnoseRequest {
        let mut request = self.request.clone();
        request.findings.extend(self.answers.iter().cloned());
        request
    }
}

impl App {
    /// Whether `caller` may hold interviews.
    pub fn may_interview(&self, caller: &Caller) -> Result<(), Error> {
        authorise(caller, Action::Diagnose).map(|_| ())
    }

    /// Begins an interview. `questions_max` 0 is [`QUESTIONS_DEFAULT`]; `answers` are those of an
    /// interview that broke off.
    pub fn begin_interview(
        &self,
        caller: &Caller,
        request: DiagnoseRequest,
        questions_max: u32,
        answers: Vec<(String, State)>,
    ) -> Result<Interview, Error> {
        authorise(caller, Action::Diagnose)?;
        request.validate()?;
        let mut problems = Problems::default();
        let allowed = "must be from 0 to 30";
        problems.unless(questions_max <= QUESTIONS_MAX, "start.question_count_max", allowed);
        let room = FINDINGS_MAX.saturating_sub(request.findings.len());
        problems.unless(answers.len() <= room, "start.answers", "must leave room for 200 findings");
        problems.finish()?;
        let questions_max = if questions_max == 0 { QUESTIONS_DEFAULT } else { questions_max };
        let questions_max = usize::try_from(questions_max).unwrap_or(usize::MAX).min(room);
        let mut interview = Interview { request, questions_max, answers: Vec::new() };
        for (i, (finding, state)) in answers.into_iter().enumerate() {
            self.answer(
                &mut interview,
                &format!("start.answers[{i}].finding_id"),
                &finding,
                state,
            )?;
        }
        Ok(interview)
    }

    /// Takes an answer, or the correction of one. `field` names it in errors.
    pub fn answer(
        &self,
        interview: &mut Interview,
        field: &str,
        finding: &str,
        state: State,
    ) -> Result<(), Error> {
        let knowledge = self.knowledge.load();
        let vocabulary = &knowledge.diagnosis.vocabulary;
        let mut problems = Problems::default();
        problems.chars(field, finding, NAME_CHARS_MAX);
        let known = vocabulary.resolve_finding(finding);
        problems.unless(known.is_some(), field, "must be a finding of the vocabulary");
        problems.finish()?;
        let slug = known.map(|id| vocabulary.finding_slug(id).to_owned()).unwrap_or_default();
        // What was said before the interview is corrected too.
        interview.request.findings.retain(|(name, _)| vocabulary.resolve_finding(name) != known);
        match interview.answers.iter_mut().find(|(asked, _)| *asked == slug) {
            Some(answer) => answer.1 = state,
            None => interview.answers.push((slug, state)),
        }
        Ok(())
    }

    /// Where the interview stands, and what to ask next.
    pub async fn stand(&self, interview: &Interview) -> Result<Stand, Error> {
        let request = interview.so_far();
        let assessment = self.assess(&request).await?;
        let differential = assessment.differential(&request.patient, LEADING)?;
        let vocabulary = &assessment.knowledge.diagnosis.vocabulary;
        let skipped: BTreeSet<FindingId> = interview
            .answers
            .iter()
            .filter_map(|(finding, _)| vocabulary.resolve_finding(finding))
            .collect();
        let last = interview.answers.last().and_then(|(f, _)| vocabulary.resolve_finding(f));
        let mut questions = Vec::new();
        if interview.answers.len() < interview.questions_max {
            questions = assessment.questions(&request.patient, &skipped, 1, last);
        }
        let shown = explain::Shown { knowledge: &assessment.knowledge, text: &request.text };
        let leading = shown.conditions(&differential).into_iter().filter(|c| !c.listed_for_safety);
        Ok(Stand {
            question: questions.first().map(|question| shown.ask(question)),
            leading: leading.map(|c| (c.condition, c.about.name, c.probability)).collect(),
            alarms: shown.alarms(&differential, &assessment.evidence),
        })
    }
}
