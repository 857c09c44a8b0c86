//! C-FIND on the worklist: what is asked, what matches, what is answered (PS3.4, K.4 and K.6).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::fields::{CODE, Code, Field, ITEM, ITEM_CODES, STEP, STEP_CODES};
use super::{Item, State};
use crate::sharing::imaging::charset::{Encoding, NotRepresentable};
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::identifier::{Problem, Wanted, matching};
use crate::sharing::imaging::matching::{self, Kind, Test};
use crate::sharing::imaging::query::Matching;
use crate::sharing::imaging::value::{Values, kind};

/// Depth of sequences in a request that are answered.
const DEPTH_MAX: usize = 4;

/// A question to the worklist.
#[derive(Debug, Clone)]
pub struct Question {
    tests: Vec<(Field, Kind, Test)>,
    /// First and last moment (date, time), where both keys are ranges: they are one then.
    moment: Option<[(String, String); 2]>,
    request: ElementSet,
    /// Keys with a value that cannot be matched: answers carry a warning.
    pub ignored: Vec<Tag>,
}

/// What of a sequence's item is answered.
#[derive(Clone, Copy)]
struct Of {
    fields: &'static [Field],
    codes: &'static [Code],
}

const OF_ITEM: Of = Of { fields: ITEM, codes: ITEM_CODES };
const OF_STEP: Of = Of { fields: STEP, codes: STEP_CODES };

impl Question {
    /// Reads the identifier of a request.
    pub fn read(request: &ElementSet) -> Result<Self, Problem> {
        let mut question =
            Self { tests: Vec::new(), moment: None, request: request.clone(), ignored: Vec::new() };
        let values = Values::of(request);
        let steps: Vec<Values<'_>> =
            values.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).take(1).collect();
        question.keys(&values, OF_ITEM)?;
        for step in &steps {
            question.keys(step, OF_STEP)?;
        }
        question.combine();
        Ok(question)
    }

    /// Days that an answer can lie on, both included; empty is open.
    pub fn days(&self) -> (String, String) {
        if let Some([(from, _), (to, _)]) = &self.moment {
            return (from.clone(), to.clone());
        }
        let date = |(field, _, _): &&(Field, Kind, Test)| {
            field.tag == tags::SCHEDULED_PROCEDURE_STEP_START_DATE
        };
        match self.tests.iter().find(date) {
            Some((_, _, Test::Between(from, to))) => {
                (from.clone().unwrap_or_default(), to.clone().unwrap_or_default())
            }
            Some(_) | None => (String::new(), String::new()),
        }
    }

    /// Whether `item` is asked for.
    pub fn matches(&self, item: &Item, state: State) -> bool {
        let moment = self.moment.as_ref().is_none_or(|[from, to]| {
            let (from, to) = ((&*from.0, &*from.1), (&*to.0, &*to.1));
            matching::moment_matches(from, to, &item.start_date, &item.start_time)
        });
        moment
            && self
                .tests
                .iter()
                .all(|(field, kind, test)| test.holds(*kind, (field.read)(item, state)))
    }

    /// The identifier that answers with `item`: every attribute that was asked for, empty where
    /// nothing is known. Written in `encoding`, or else in what has every character.
    pub fn answer(&self, item: &Item, state: State, encoding: Encoding) -> ElementSet {
        let write = |encoding| self.written(item, state, encoding);
        write(encoding)
            .or_else(|_| write(encoding.fallback()))
            .or_else(|_| write(Encoding::Utf8))
            .unwrap_or_default()
    }

    fn written(
        &self,
        item: &Item,
        state: State,
        encoding: Encoding,
    ) -> Result<ElementSet, NotRepresentable> {
        let mut set = fill(&self.request, OF_ITEM, (item, state, encoding), DEPTH_MAX)?;
        if !is_ascii(&set) {
            set = set.with_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, encoding.term());
        }
        Ok(set)
    }

    fn keys(&mut self, values: &Values<'_>, of: Of) -> Result<(), Problem> {
        for element in values.elements().iter() {
            let tag = element.tag;
            let sequence = matches!(element.value, Value::Items(_));
            let Some(field) = of.fields.iter().find(|f| f.tag == tag && !sequence) else {
                let about = tag == tags::SPECIFIC_CHARACTER_SET || tag.element() == 0;
                if !sequence && !about && !values.text(tag).is_empty() {
                    self.ignored.push(tag);
                }
                continue;
            };
            match (matching(tag, field.vr, &values.texts(tag), false)?, field.kind) {
                (Wanted::All, _) => {}
                (Wanted::Only(wanted), Some(kind)) => {
                    self.tests.push((*field, kind, matching::test(&wanted, kind)));
                    // A time without a dash is one time, though it is matched as the range it means.
                    if values.text(tag).contains('-') {
                        self.remember(tag, &wanted);
                    }
                }
                (Wanted::Only(_) | Wanted::Unsupported, _) => self.ignored.push(tag),
            }
        }
        Ok(())
    }

    /// Keeps the ends of ranges of date and time.
    fn remember(&mut self, tag: Tag, wanted: &Matching) {
        let (from, to) = match wanted {
            Matching::Range { from, to } => (from.clone(), to.clone()),
            Matching::Single(_)
            | Matching::AnyOf(_)
            | Matching::Wildcard(_)
            | Matching::Fuzzy(_) => return,
        };
        let mut moment = self.moment.take().unwrap_or_default();
        let [first, last] = &mut moment;
        match tag {
            tags::SCHEDULED_PROCEDURE_STEP_START_DATE => (first.0, last.0) = (from, to),
            tags::SCHEDULED_PROCEDURE_STEP_START_TIME => (first.1, last.1) = (from, to),
            _ => {}
        }
        self.moment = Some(moment);
    }

    /// Ranges of both date and time are one range of moments (PS3.4, table K.6-1); a range of one
    /// alone stays with its test.
    fn combine(&mut self) {
        let Some([from, to]) = &self.moment else { return };
        let dates = !from.0.is_empty() || !to.0.is_empty();
        let times = !from.1.is_empty() || !to.1.is_empty();
        if dates && times {
            self.tests.retain(|(field, _, _)| {
                field.tag != tags::SCHEDULED_PROCEDURE_STEP_START_DATE
                    && field.tag != tags::SCHEDULED_PROCEDURE_STEP_START_TIME
            });
        } else {
            self.moment = None;
        }
    }
}

/// What `request` asks for, with the values of `item`.
fn fill(
    request: &ElementSet,
    of: Of,
    (item, state, encoding): (&Item, State, Encoding),
    depth: usize,
) -> Result<ElementSet, NotRepresentable> {
    let mut set = ElementSet::default();
    for element in request.iter() {
        let tag = element.tag;
        if tag == tags::SPECIFIC_CHARACTER_SET || tag.element() == 0 {
            continue;
        }
        let sequence = matches!(element.value, Value::Items(_)) || element.vr == VR::SQ;
        if let Some(field) = of.fields.iter().find(|field| field.tag == tag) {
            let value = encoding.encode((field.read)(item, state), kind(field.vr))?;
            set.insert(Element { tag, vr: field.vr, value: Value::Bytes(value) });
        } else if let Some(code) = of.codes.iter().find(|code| code.tag == tag) {
            let items = coded((code.read)(item), encoding)?.into_iter().collect();
            set.insert(Element { tag, vr: VR::SQ, value: Value::Items(items) });
        } else if tag == tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE && depth > 0 {
            // An empty item, or none, asks for the whole step.
            let asked = request.items(tag).first().filter(|asked| !asked.is_empty()).cloned();
            let asked = asked.unwrap_or_else(whole_step);
            let step = fill(&asked, OF_STEP, (item, state, encoding), depth - 1)?;
            set.insert(Element { tag, vr: VR::SQ, value: Value::Items(vec![step]) });
        } else if sequence {
            set.insert(Element { tag, vr: VR::SQ, value: Value::Items(Vec::new()) });
        } else {
            set.insert(Element { tag, vr: element.vr, value: Value::Bytes(Vec::new()) });
        }
    }
    Ok(set)
}

fn coded(code: [&str; 3], encoding: Encoding) -> Result<Option<ElementSet>, NotRepresentable> {
    let [value, _, _] = code;
    if value.is_empty() {
        return Ok(None);
    }
    let mut set = ElementSet::default();
    for ((tag, vr), text) in CODE.into_iter().zip(code) {
        let value = Value::Bytes(encoding.encode(text, kind(vr))?);
        set.insert(Element { tag, vr, value });
    }
    Ok(Some(set))
}

fn whole_step() -> ElementSet {
    let mut set = ElementSet::default();
    let fields = STEP.iter().map(|field| (field.tag, field.vr));
    for (tag, vr) in fields.chain(STEP_CODES.iter().map(|code| (code.tag, VR::SQ))) {
        set.insert(Element { tag, vr, value: Value::Bytes(Vec::new()) });
    }
    set
}

fn is_ascii(set: &ElementSet) -> bool {
    set.iter().all(|element| match &element.value {
        Value::Bytes(bytes) => bytes.is_ascii() && !bytes.contains(&0x1B),
        Value::Items(items) => items.iter().all(is_ascii),
    })
}
