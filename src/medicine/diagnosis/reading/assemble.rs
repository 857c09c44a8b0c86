//! One pass over the tokens that decides what each finding means.
//!
//! The state is what a reader keeps in mind: a negation or a doubt that is still open, whose
//! story is being told, whether it is past, the enumeration that has just been named, and a
//! span of time that waits for its finding. Steps back over mentions are only taken over
//! mentions that no earlier step has touched, so the pass is linear.

use super::cues::CueKind;
use super::lexicon::Lexicon;
use super::measures::Value;
use super::numbers::TimeSpan;
use super::tokens::{Break, Kind, Token};
use super::{
    Degree, Duration, Experiencer, Implausible, MeasuredAt, Measurement, Mention, Presence,
    Reading, Unread,
};
use crate::medicine::patient::Measure;
use crate::medicine::text::Folded;
use crate::medicine::vocabulary::{FindingId, FindingKind};

/// Characters of unknown content that a negation reaches over to its first target.
const LOOSE_CHARS_MAX: usize = 4;
/// Characters of unknown content after a target that do not end a negation (胸痛**样**).
const TAIL_CHARS_MAX: usize = 2;

/// Makes the reading; also tells how many tokens and steps back it took.
pub(super) fn assemble(
    lexicon: &Lexicon,
    original: &str,
    folded: &Folded,
    tokens: &[Token],
) -> (Reading, usize) {
    let outline = Outline::new(tokens);
    let mut pass = Pass {
        lexicon,
        original,
        folded,
        tokens,
        clause: outline.clauses.first().copied().unwrap_or_default(),
        outline,
        clause_at: 0,
        stretch_at: 0,
        out: Reading::default(),
        steps: 0,
        mind: Mind::default(),
        fresh: 0,
        sentence_fresh: 0,
        clause_first: 0,
        previous_first: 0,
        unread: None,
    };
    for (at, token) in tokens.iter().enumerate() {
        pass.token(at, *token);
    }
    pass.boundary(Break::Sentence);
    pass.flush_unread();
    (pass.out, pass.steps + tokens.len())
}

/// What lies ahead: computed once, so that the pass never looks forward.
#[derive(Debug)]
struct Outline {
    clauses: Vec<Clause>,
    /// Per stretch between commas, full stops and blanks: findings and nothing else.
    bare: Vec<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Clause {
    /// Index of the last token that is a finding.
    last_finding: Option<usize>,
    /// Says something besides findings and times.
    busy: bool,
}

impl Outline {
    fn new(tokens: &[Token]) -> Self {
        let mut out = Self { clauses: Vec::new(), bare: Vec::new() };
        let mut clause = Clause::default();
        let (mut findings, mut others) = (false, false);
        for (at, token) in tokens.iter().enumerate() {
            if token.ends_clause() {
                out.clauses.push(std::mem::take(&mut clause));
            }
            if token.ends_clause() || token.kind == Kind::Break(Break::Space) {
                out.bare.push(findings && !others);
                (findings, others) = (false, false);
            }
            match token.kind {
                Kind::Finding { section, .. } => {
                    clause.last_finding = Some(at);
                    findings = true;
                    others |= section;
                }
                Kind::Content | Kind::Cue(CueKind::Course | CueKind::Absorb) => {
                    clause.busy = true;
                    others = true;
                }
                Kind::Cue(CueKind::Filler | CueKind::Connector | CueKind::PastAfter)
                | Kind::Break(_) => {}
                Kind::Read
                | Kind::Cue(_)
                | Kind::Time(_)
                | Kind::Measured(_)
                | Kind::Number { .. }
                | Kind::Mark { .. } => others = true,
            }
        }
        out.clauses.push(clause);
        out.bare.push(findings && !others);
        out
    }
}

/// A negation or a doubt that is open.
#[derive(Debug, Clone, Copy)]
struct Open {
    cue: CueKind,
    /// Findings it has met.
    targets: usize,
    /// Characters of content before its first target.
    loose: usize,
    /// Reached over a comma.
    carried: bool,
    /// First mention of the enumeration right before it: its target where none follows.
    backward: Option<usize>,
    /// Stands behind a colon (发热:无).
    answer: bool,
    /// An enumeration sign has just been read.
    listed: bool,
}

/// How far something reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Scope {
    #[default]
    None,
    Clause,
    Sentence,
}

/// What the reader keeps in mind.
#[derive(Debug, Default)]
struct Mind {
    negation: Option<Open>,
    doubt: Option<Open>,
    other: Scope,
    contact: bool,
    past: Scope,
    /// The open scope of `other` or `past` has met a finding.
    met: bool,
    /// A degree, and the mention right before it.
    degree: Option<(Degree, Option<usize>)>,
    /// First mention of the enumeration that has just been read.
    group: Option<usize>,
    /// The next finding begins an enumeration of its own.
    apart: bool,
    colon: bool,
    /// A time that waits for its finding, and whether it reaches over commas.
    prefix: Option<(TimeSpan, Token, bool)>,
}

struct Pass<'a> {
    lexicon: &'a Lexicon,
    original: &'a str,
    folded: &'a Folded,
    tokens: &'a [Token],
    outline: Outline,
    clause: Clause,
    clause_at: usize,
    stretch_at: usize,
    out: Reading,
    steps: usize,
    mind: Mind,
    /// First mention of this clause that no time has followed.
    fresh: usize,
    /// First mention of this sentence that no time has followed.
    sentence_fresh: usize,
    /// First mention of this clause, and of the clause before it.
    clause_first: usize,
    previous_first: usize,
    /// Unread content that may still grow, in bytes of the folded text.
    unread: Option<(usize, usize)>,
}

impl Pass<'_> {
    fn token(&mut self, at: usize, token: Token) {
        let joins = matches!(
            token.kind,
            Kind::Content | Kind::Number { .. } | Kind::Cue(CueKind::Filler | CueKind::Connector)
        );
        if !joins {
            self.flush_unread();
        }
        if !matches!(token.kind, Kind::Finding { .. } | Kind::Cue(CueKind::Filler)) {
            let keeps = matches!(token.kind, Kind::Cue(CueKind::Positive));
            self.settle_degree(keeps);
        }
        let colon = std::mem::take(&mut self.mind.colon);
        match token.kind {
            Kind::Finding { id, section, affirmed, time } => {
                if section {
                    self.new_part();
                }
                self.finding(id, affirmed, time, token);
            }
            Kind::Read => {
                self.mind.group = None;
                self.close_satisfied();
            }
            Kind::Cue(kind) => self.cue(at, kind, colon),
            Kind::Time(span) => self.time(at, span, token),
            Kind::Measured(value) => self.measured(value, token),
            Kind::Number { times } => self.number(times),
            Kind::Mark { negative } => self.mark(at, negative),
            Kind::Break(sign) => self.sign(sign),
            Kind::Content => self.content(token),
        }
    }

    /// 一天拉肚子**5次**: the day before the finding counts how often, not for how long.
    fn number(&mut self, times: bool) {
        if let (true, Some(_), Some((span, _, _)), Some(last)) =
            (times, self.mind.group, self.mind.prefix, self.out.mentions.last_mut())
            && !span.ago
            && span.most_days <= 1.0
        {
            last.duration = None;
            self.mind.prefix = None;
        }
        self.mind.group = None;
    }

    fn sign(&mut self, sign: Break) {
        match sign {
            Break::Sentence | Break::Question | Break::Comma | Break::Space => self.boundary(sign),
            Break::List => self.listed(),
            Break::Colon => self.mind.colon = true,
            Break::Open => self.mind.apart = true,
            Break::Close => {
                self.close_satisfied();
                self.mind.apart = true;
            }
        }
    }

    fn listed(&mut self) {
        if let Some(open) = &mut self.mind.negation {
            open.listed = true;
        }
    }

    fn content(&mut self, token: Token) {
        self.unread = Some((self.unread.map_or(token.start, |(start, _)| start), token.end));
        self.mind.group = None;
        let chars = self
            .folded
            .text
            .get(token.start..token.end)
            .map_or(0, |text| text.chars().take(LOOSE_CHARS_MAX + 1).count());
        if let Some(open) = &mut self.mind.negation {
            open.backward = None;
            if open.targets == 0 {
                open.loose += chars;
            }
            let ends = open.targets > 0 && !open.listed && chars > TAIL_CHARS_MAX;
            if ends || open.cue == CueKind::NegateNext {
                self.mind.negation = None;
            }
        }
        if let Some(open) = &mut self.mind.doubt {
            open.backward = None;
        }
    }

    fn finding(&mut self, id: FindingId, affirmed: bool, time: Option<TimeSpan>, token: Token) {
        let index = self.out.mentions.len();
        let presence = self.presence(id, affirmed);
        let degree = match self.mind.degree.take() {
            Some((degree, _)) if presence != Presence::Absent => Some(degree),
            Some(_) | None => None,
        };
        let is_disease = self.lexicon.kind(id) == Some(FindingKind::Diagnosis);
        self.mind.met = true;
        let other = self.mind.other != Scope::None || (self.mind.contact && is_disease);
        let duration = match (time, self.mind.prefix) {
            _ if presence == Presence::Absent => None,
            (Some(time), _) => Some(self.duration(time, token)),
            (None, Some((time, place, _))) => Some(self.duration(time, place)),
            (None, None) => None,
        };
        let span = self.span(token.start, token.end);
        self.out.mentions.push(Mention {
            finding: id,
            presence,
            words: self.words(&span),
            span,
            duration,
            degree,
            experiencer: if other { Experiencer::Other } else { Experiencer::Patient },
            past: self.mind.past != Scope::None,
        });
        if time.is_some() {
            self.fresh = index + 1;
        }
        if self.mind.group.is_none() || self.mind.apart {
            self.mind.group = Some(index);
        }
        self.mind.apart = false;
    }

    fn presence(&mut self, id: FindingId, affirmed: bool) -> Presence {
        let severe = matches!(self.mind.degree, Some((Degree::Severe, _)));
        let mut presence = Presence::Present;
        if self.mind.negation.is_some_and(|open| affirmed && open.targets > 0) {
            self.mind.negation = None;
        }
        if let Some(open) = &mut self.mind.negation {
            let unsure = open.cue == CueKind::NegateWeak
                || open.carried
                || open.loose > LOOSE_CHARS_MAX
                || severe;
            presence = if unsure { Presence::Uncertain } else { Presence::Absent };
            // 痛不痛: asked, not said.
            let asked = open.backward.take().is_some();
            if let Some(last) = self.out.mentions.last_mut().filter(|last| last.finding == id)
                && asked
            {
                last.presence = Presence::Uncertain;
                presence = Presence::Uncertain;
            }
            open.targets += 1;
            open.listed = false;
            if matches!(open.cue, CueKind::NegateNext | CueKind::NegateWeak) {
                self.mind.negation = None;
            }
        }
        if let Some(open) = &mut self.mind.doubt {
            open.targets += 1;
            presence = Presence::Uncertain;
        }
        presence
    }

    fn cue(&mut self, at: usize, kind: CueKind, colon: bool) {
        if kind == CueKind::Filler {
            return;
        }
        let group = self.mind.group;
        match kind {
            CueKind::Connector => return self.listed(),
            CueKind::DegreeMild | CueKind::DegreeModerate | CueKind::DegreeSevere => {
                return self.degree(kind);
            }
            CueKind::NegateList
            | CueKind::Negate
            | CueKind::NegateSpoken
            | CueKind::NegateNext
            | CueKind::NegateWeak => self.mind.negation = Some(Open::new(kind, group, colon)),
            CueKind::Uncertain => self.mind.doubt = Some(Open::new(kind, group, colon)),
            CueKind::NegateAfter => self.set_group(group, Presence::Absent),
            CueKind::UncertainAfter => self.set_group(group, Presence::Uncertain),
            CueKind::Unconfirmed => self.unconfirm(group),
            CueKind::PastAfter => self.make_past(group),
            CueKind::ResolvedAfter => {
                let before = self.clause_before();
                self.make_past(group.or(before));
            }
            CueKind::Absorb => self.mind.negation = None,
            CueKind::Course => self.course(group),
            CueKind::Contrast => (self.mind.negation, self.mind.doubt) = (None, None),
            CueKind::Positive | CueKind::Informant => self.affirm(),
            CueKind::OtherPerson => self.other_person(at, group),
            CueKind::Contact => self.mind.contact = true,
            CueKind::Family => self.mind.other = Scope::Sentence,
            CueKind::Patient if group.is_none() => {
                (self.mind.other, self.mind.contact) = (Scope::None, false);
                self.close_satisfied();
            }
            CueKind::Resume => {
                self.mind.contact = false;
                if self.mind.other == Scope::Clause {
                    self.mind.other = Scope::None;
                }
            }
            CueKind::Past => (self.mind.past, self.mind.met) = (Scope::Clause, false),
            CueKind::Now => {
                (self.mind.past, self.mind.prefix) = (Scope::None, None);
                self.close_satisfied();
            }
            CueKind::Section => self.new_part(),
            CueKind::AffirmAfter
            | CueKind::Aside
            | CueKind::Patient
            | CueKind::Peak
            | CueKind::Filler
            | CueKind::Mask
            | CueKind::Normal
            | CueKind::OnsetToday
            | CueKind::OnsetYesterday
            | CueKind::OnsetDayBefore
            | CueKind::OnsetDays
            | CueKind::OnsetWeek
            | CueKind::OnsetMonth
            | CueKind::MeasureTemperatureC
            | CueKind::MeasureBloodPressure
            | CueKind::MeasureSystolicMmhg
            | CueKind::MeasureDiastolicMmhg
            | CueKind::MeasureHeartRateBpm
            | CueKind::MeasureRespiratoryRateBpm
            | CueKind::MeasureSpo2Percent
            | CueKind::MeasureGlucoseMmolL => {}
        }
        self.mind.group = None;
    }

    /// A word that affirms what follows: ends what has found its target already.
    fn affirm(&mut self) {
        self.close_satisfied();
        for open in [&mut self.mind.negation, &mut self.mind.doubt].into_iter().flatten() {
            open.backward = None;
        }
    }

    /// Ends a negation and a doubt that have found their targets.
    fn close_satisfied(&mut self) {
        for open in [&mut self.mind.negation, &mut self.mind.doubt] {
            if open.is_some_and(|open| open.targets > 0) {
                *open = None;
            }
        }
    }

    /// 母亲: the story of somebody else, unless they are telling it (母亲**诉**) or have already
    /// been given theirs (得水痘**的同学**).
    fn other_person(&mut self, at: usize, group: Option<usize>) {
        let told = self
            .tokens
            .get(at + 1..)
            .unwrap_or(&[])
            .iter()
            .take(3)
            .find(|token| token.kind != Kind::Cue(CueKind::Filler));
        if told.is_some_and(|token| token.kind == Kind::Cue(CueKind::Informant)) {
            return;
        }
        let of = at.checked_sub(1).and_then(|before| self.tokens.get(before));
        let of = of.and_then(|token| self.folded.text.get(token.start..token.end)) == Some("的");
        match group.filter(|_| of) {
            Some(first) => {
                for mention in self.out.mentions.iter_mut().skip(first) {
                    mention.experiencer = Experiencer::Other;
                    self.steps += 1;
                }
            }
            None => (self.mind.other, self.mind.met) = (Scope::Clause, false),
        }
    }

    fn degree(&mut self, kind: CueKind) {
        let degree = match kind {
            CueKind::DegreeMild => Degree::Mild,
            CueKind::DegreeSevere => Degree::Severe,
            _ => Degree::Moderate,
        };
        let before = self.mind.group.and_then(|_| self.out.mentions.len().checked_sub(1));
        self.mind.degree = Some((degree, before));
    }

    /// A degree that no finding followed belongs to the finding before it.
    fn settle_degree(&mut self, keeps: bool) {
        let Some((degree, before)) = self.mind.degree else { return };
        match before.and_then(|at| self.out.mentions.get_mut(at)) {
            Some(mention) if mention.presence != Presence::Absent => {
                mention.degree = Some(degree);
                self.mind.degree = None;
            }
            Some(_) => self.mind.degree = None,
            None if keeps => {}
            None => self.mind.degree = None,
        }
    }

    fn course(&mut self, group: Option<usize>) {
        self.mind.negation = None;
        self.fresh = self.out.mentions.len();
        self.sentence_fresh = self.fresh;
        if let (Some(_), Some(last)) = (group, self.out.mentions.last_mut())
            && last.presence == Presence::Present
        {
            last.degree = last.degree.max(Some(Degree::Moderate));
        }
    }

    /// Gives the enumeration from `first` on a presence. It is closed afterwards, so that no
    /// mention is visited twice.
    fn set_group(&mut self, first: Option<usize>, presence: Presence) {
        let Some(first) = first else { return };
        for mention in self.out.mentions.iter_mut().skip(first) {
            self.steps += 1;
            if presence == Presence::Absent || mention.presence == Presence::Present {
                mention.presence = presence;
            }
            if presence == Presence::Absent {
                (mention.duration, mention.degree) = (None, None);
            }
        }
        self.mind.group = None;
    }

    fn unconfirm(&mut self, group: Option<usize>) {
        for mention in self.out.mentions.iter_mut().skip(group.unwrap_or(usize::MAX)) {
            self.steps += 1;
            let is_disease = self.lexicon.kind(mention.finding) == Some(FindingKind::Diagnosis);
            if is_disease && mention.presence == Presence::Present {
                mention.presence = Presence::Uncertain;
            }
        }
    }

    fn make_past(&mut self, group: Option<usize>) {
        for mention in self.out.mentions.iter_mut().skip(group.unwrap_or(usize::MAX)) {
            self.steps += 1;
            mention.past = true;
        }
    }

    /// First mention of the clause before, where this clause has none yet: 头痛3天，已消失.
    fn clause_before(&mut self) -> Option<usize> {
        let none_here = self.clause_first == self.out.mentions.len();
        // Once only, so that no mention is visited twice.
        let first = std::mem::replace(&mut self.previous_first, self.clause_first);
        (none_here && first < self.clause_first).then_some(first)
    }

    /// `-` or `+` right behind a finding, at the end of a clause or in brackets.
    fn mark(&mut self, at: usize, negative: bool) {
        let ends = self
            .tokens
            .get(at + 1)
            .is_none_or(|next| matches!(next.kind, Kind::Break(_) | Kind::Mark { .. }));
        let group = self.mind.group.filter(|_| ends);
        if negative {
            self.set_group(group, Presence::Absent);
        }
        self.mind.group = None;
    }

    fn time(&mut self, at: usize, span: TimeSpan, token: Token) {
        self.close_satisfied();
        self.mind.group = None;
        let follows = self.clause.last_finding.is_some_and(|finding| finding > at);
        let here = self.fresh < self.out.mentions.len();
        if here && !(follows && span.ago) {
            self.attach(self.fresh, span, token, true);
        } else if follows {
            self.mind.prefix = Some((span, token, span.ago && !span.word));
        } else if !self.clause.busy && self.sentence_fresh < self.out.mentions.len() {
            self.attach(self.sentence_fresh, span, token, false);
        } else if span.ago && !span.word {
            self.mind.prefix = Some((span, token, true));
        }
    }

    fn attach(&mut self, first: usize, span: TimeSpan, place: Token, over: bool) {
        let duration = self.duration(span, place);
        for mention in self.out.mentions.iter_mut().skip(first) {
            self.steps += 1;
            let free = over || mention.duration.is_none();
            if free && mention.presence != Presence::Absent {
                mention.duration = Some(duration.clone());
            }
        }
        self.fresh = self.out.mentions.len();
        self.sentence_fresh = self.fresh;
    }

    fn measured(&mut self, value: Value, token: Token) {
        self.close_satisfied();
        self.mind.group = None;
        let span = self.span(token.start, token.end);
        let (min, max) = value.measure.range();
        if !(min..=max).contains(&value.value) {
            let (measure, value) = (value.measure, value.value);
            self.out.implausible.push(Implausible { measure, value, span });
            return;
        }
        // A diastolic pressure above its systolic one makes both a slip of the key.
        if value.measure == Measure::DiastolicMmhg
            && let Some(systolic) = self.out.measurements.pop_if(|m| {
                m.measure == Measure::SystolicMmhg && m.span == span && m.value <= value.value
            })
        {
            for (measure, value) in
                [(systolic.measure, systolic.value), (value.measure, value.value)]
            {
                self.out.implausible.push(Implausible { measure, value, span: span.clone() });
            }
            return;
        }
        let at = match (self.mind.past, value.peak) {
            (Scope::Clause | Scope::Sentence, _) => MeasuredAt::Past,
            (Scope::None, true) => MeasuredAt::Peak,
            (Scope::None, false) => MeasuredAt::Now,
        };
        let experiencer = match self.mind.other {
            Scope::None => Experiencer::Patient,
            Scope::Clause | Scope::Sentence => Experiencer::Other,
        };
        let (measure, value) = (value.measure, value.value);
        self.out.measurements.push(Measurement { measure, value, at, experiencer, span });
    }

    /// A comma, a blank, a full stop, a question mark or the end of the text.
    fn boundary(&mut self, sign: Break) {
        let is_question = sign == Break::Question;
        let is_space = sign == Break::Space;
        let ends_sentence = matches!(sign, Break::Sentence | Break::Question);
        self.settle_degree(false);
        self.answer_backward(is_space, is_question);
        if is_question {
            self.set_group(self.mind.group, Presence::Uncertain);
        }
        self.stretch_at += 1;
        let bare =
            !ends_sentence && self.outline.bare.get(self.stretch_at).copied().unwrap_or(false);
        self.mind.negation = self.mind.negation.filter(|_| !ends_sentence);
        self.mind.negation = self.mind.negation.and_then(|open| open.over(is_space, bare));
        self.mind.doubt =
            self.mind.doubt.filter(|open| is_space && !ends_sentence && open.targets == 0);
        let met = self.mind.met;
        for scope in [&mut self.mind.other, &mut self.mind.past] {
            let stays = match *scope {
                Scope::None => false,
                // A blank before the first finding: 既往 高血压.
                Scope::Clause => bare && (met || is_space),
                Scope::Sentence => !ends_sentence,
            };
            if !stays {
                *scope = Scope::None;
            }
        }
        if is_space {
            self.mind.apart = true;
            return;
        }
        self.mind.group = None;
        self.mind.contact = false;
        self.mind.prefix = self.mind.prefix.filter(|(_, _, crosses)| *crosses && !ends_sentence);
        self.fresh = self.out.mentions.len();
        self.previous_first = if ends_sentence { self.fresh } else { self.clause_first };
        self.clause_first = self.fresh;
        if ends_sentence {
            self.sentence_fresh = self.fresh;
        }
        self.clause_at += 1;
        self.clause = self.outline.clauses.get(self.clause_at).copied().unwrap_or_default();
    }

    /// 发热无: a negation or a doubt that no finding followed speaks about the enumeration right
    /// before it.
    fn answer_backward(&mut self, is_space: bool, is_question: bool) {
        if let Some(open) = self.mind.negation
            && open.targets == 0
            && (!is_space || open.answer)
        {
            let answers =
                matches!(open.cue, CueKind::NegateList | CueKind::Negate | CueKind::NegateSpoken);
            let said = if is_question { Presence::Uncertain } else { Presence::Absent };
            self.set_group(open.backward.filter(|_| answers), said);
            self.mind.negation = None;
        }
        if let Some(open) = self.mind.doubt
            && open.targets == 0
            && !is_space
        {
            self.set_group(open.backward, Presence::Uncertain);
            self.mind.doubt = None;
        }
    }

    /// A new part of the note: everything starts afresh.
    fn new_part(&mut self) {
        self.boundary(Break::Sentence);
        self.mind = Mind::default();
    }

    fn flush_unread(&mut self) {
        if let Some((start, end)) = self.unread.take() {
            let span = self.span(start, end);
            let words = self.words(&span);
            self.out.unread.push(Unread { span, words });
        }
    }

    fn duration(&self, time: TimeSpan, place: Token) -> Duration {
        let span = self.span(place.start, place.end);
        Duration {
            least_days: time.least_days,
            most_days: time.most_days,
            unit: time.unit,
            words: self.words(&span),
            span,
        }
    }

    /// The bytes of the original that bytes `start..end` of the folded text came from.
    fn span(&self, start: usize, end: usize) -> std::ops::Range<usize> {
        let from = self.folded.origin(start);
        let mut to = self.folded.origin(end);
        // The end may lie inside what one original character became (℃ is two).
        if end.checked_sub(1).is_some_and(|last| self.folded.origin(last) == to) {
            let next = self.original.get(to..).and_then(|rest| rest.chars().next());
            to += next.map_or(0, char::len_utf8);
        }
        from..to.max(from)
    }

    fn words(&self, span: &std::ops::Range<usize>) -> String {
        self.original.get(span.clone()).unwrap_or("").to_owned()
    }
}

impl Open {
    fn new(cue: CueKind, group: Option<usize>, answer: bool) -> Self {
        Self { cue, targets: 0, loose: 0, carried: false, backward: group, answer, listed: false }
    }

    /// What is left of a negation beyond a comma or a blank, when `bare` says whether only
    /// findings follow.
    fn over(self, is_space: bool, bare: bool) -> Option<Self> {
        if self.targets == 0 {
            return is_space.then_some(self);
        }
        match self.cue {
            CueKind::NegateList if bare => Some(self),
            CueKind::Negate if bare => Some(Self { carried: true, ..self }),
            CueKind::NegateSpoken if bare && is_space => Some(Self { carried: true, ..self }),
            _ => None,
        }
    }
}
