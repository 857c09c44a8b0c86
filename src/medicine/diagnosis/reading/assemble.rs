//! One pass over the tokens that decides what each finding means.
//!
//! What a reader keeps in mind is in `mind`, what the cues do to it in `effects`. Steps back
//! over mentions are only taken over mentions that no earlier step has touched, so the pass is
//! linear.

use std::ops::Range;

use super::cues::Cue;
use super::lexicon::Lexicon;
use super::measures::Measured;
use super::mind::{Clause, LOOSE_CHARS_MAX, Mind, Outline, Scope, Waiting};
use super::numbers::TimeSpan;
use super::tokens::{Break, Kind, Token};
use super::{
    Degree, Duration, Experiencer, Implausible, MeasuredAt, Measurement, Mention, Presence,
    Reading, Unread,
};
use crate::medicine::patient::Measure;
use crate::medicine::vocabulary::{FindingId, FindingKind};
use crate::tables::text::Folded;

/// Mentions that a wording looks back over for what it speaks about.
const LOOK_BACK_MAX: usize = 6;

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
        subject: Subject::Undecided,
        fresh: 0,
        sentence_fresh: 0,
        sentence_first: 0,
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

/// Whom a text is about. The first relative that it names decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// No relative has been named yet.
    Undecided,
    /// The patient, who is none of the relatives.
    Patient,
    /// The relative whom this token names.
    Relative(usize),
}

/// The pass: where it is, what it has found, and what it keeps in mind.
pub(super) struct Pass<'a> {
    pub(super) lexicon: &'a Lexicon,
    original: &'a str,
    pub(super) folded: &'a Folded,
    pub(super) tokens: &'a [Token],
    outline: Outline,
    clause: Clause,
    clause_at: usize,
    stretch_at: usize,
    pub(super) out: Reading,
    /// Steps taken back over mentions.
    pub(super) steps: usize,
    pub(super) mind: Mind,
    /// Whom the whole text is about.
    pub(super) subject: Subject,
    /// First mention of this clause that no time has followed.
    pub(super) fresh: usize,
    /// First mention of this sentence that no time has followed.
    pub(super) sentence_fresh: usize,
    /// First mention of this sentence.
    sentence_first: usize,
    /// First mention of this clause, and of the clause before it.
    pub(super) clause_first: usize,
    pub(super) previous_first: usize,
    /// Unread content that may still grow, in bytes of the folded text.
    unread: Option<(usize, usize)>,
}

impl Pass<'_> {
    /// A comma, a blank, a full stop, a question mark or the end of the text.
    pub(super) fn boundary(&mut self, sign: Break) {
        self.settle_degree(false);
        self.answer_backward(sign);
        if sign == Break::Question {
            self.set_group(self.mind.group, Presence::Uncertain);
        }
        self.stretch_at += 1;
        let bare = self.outline.bare.get(self.stretch_at).copied().unwrap_or(false);
        self.mind.cross(sign, bare);
        if sign == Break::Space {
            return;
        }
        self.fresh = self.out.mentions.len();
        self.previous_first = self.clause_first;
        self.clause_first = self.fresh;
        if matches!(sign, Break::Sentence | Break::Question) {
            (self.sentence_fresh, self.previous_first) = (self.fresh, self.fresh);
            self.sentence_first = self.fresh;
        }
        self.clause_at += 1;
        self.clause = self.outline.clauses.get(self.clause_at).copied().unwrap_or_default();
    }

    fn token(&mut self, at: usize, token: Token) {
        let joins = matches!(
            token.kind,
            Kind::Content | Kind::Number { .. } | Kind::Cue(Cue::Filler | Cue::Connector)
        );
        if !joins {
            self.flush_unread();
        }
        if !matches!(token.kind, Kind::Finding { .. } | Kind::Cue(Cue::Filler)) {
            self.settle_degree(token.kind == Kind::Cue(Cue::Positive));
        }
        let colon = std::mem::take(&mut self.mind.colon);
        match token.kind {
            Kind::Finding { id, section, affirmed, time } => {
                if section {
                    self.new_part();
                }
                self.finding(id, affirmed, time, token);
            }
            Kind::Read => self.read(),
            Kind::Normal(normal) => self.normal(normal, token),
            Kind::Composed(sense) => self.composed(sense, token),
            Kind::Cue(cue) => self.cue(at, cue, colon),
            Kind::Time(span) => self.time(at, span, token),
            Kind::Measured(value) => self.measured(value, token),
            Kind::Number { times } => self.number(times),
            Kind::Mark { negative } => self.mark(at, negative),
            Kind::Break(sign) => self.sign(sign),
            Kind::Content => self.content(token),
        }
    }

    /// A phrase that carries nothing.
    fn read(&mut self) {
        self.mind.group = None;
        self.mind.close_satisfied();
    }

    /// 神清: what is normal excludes what it would not be with.
    fn normal(&mut self, normal: usize, token: Token) {
        self.read();
        if self.mind.other != Scope::None || self.mind.past != Scope::None {
            return;
        }
        let lexicon = self.lexicon;
        for finding in lexicon.excluded(normal) {
            let span = self.span(token.start, token.end);
            self.out.mentions.push(Mention {
                finding: *finding,
                presence: Presence::Absent,
                words: self.words(&span),
                span,
                duration: None,
                degree: None,
                experiencer: Experiencer::Patient,
                past: false,
                resolved: false,
            });
        }
        self.fresh = self.out.mentions.len();
    }

    /// 深呼吸时加重 says something about a pain just mentioned, and nothing by itself.
    fn composed(&mut self, sense: usize, token: Token) {
        let lexicon = self.lexicon;
        let sentence = self.out.mentions.get(self.sentence_first..).unwrap_or(&[]);
        let told = |mention: &&Mention| {
            mention.presence == Presence::Present && mention.experiencer == Experiencer::Patient
        };
        let before = sentence.iter().rev().take(LOOK_BACK_MAX).filter(told).map(|m| m.finding);
        let said = lexicon.composed(sense, before);
        match (said.is_empty(), lexicon.absorbs(sense)) {
            (true, true) => self.read(),
            (true, false) => self.content(token),
            (false, _) => {}
        }
        for id in said {
            self.finding(*id, false, None, token);
        }
    }

    fn sign(&mut self, sign: Break) {
        match sign {
            Break::Sentence | Break::Question | Break::Comma | Break::Space => self.boundary(sign),
            Break::List => self.mind.list(),
            Break::Colon => self.mind.colon = true,
            Break::Open => self.mind.apart = true,
            Break::Close => {
                self.mind.close_satisfied();
                self.mind.apart = true;
            }
        }
    }

    /// 一天拉肚子**5次**: the day before the finding counts how often, not for how long.
    fn number(&mut self, times: bool) {
        let counted = self.mind.group.is_some() && times;
        let day = |waiting: Waiting| !waiting.span.ago && waiting.span.most_days <= 1.0;
        if counted && self.mind.waiting.is_some_and(day) {
            self.mind.waiting = None;
            if let Some(last) = self.out.mentions.last_mut() {
                last.duration = None;
            }
        }
        self.mind.group = None;
    }

    fn content(&mut self, token: Token) {
        self.unread = Some((self.unread.map_or(token.start, |(start, _)| start), token.end));
        self.mind.group = None;
        let text = self.folded.text.get(token.start..token.end).unwrap_or("");
        let chars = text.chars().take(LOOSE_CHARS_MAX + 1).count();
        self.mind.negation = self.mind.negation.and_then(|open| open.over_content(chars));
        if let Some(open) = &mut self.mind.doubt {
            open.backward = None;
        }
    }

    fn finding(&mut self, id: FindingId, affirmed: bool, time: Option<TimeSpan>, token: Token) {
        let index = self.out.mentions.len();
        let presence = self.presence(id, affirmed);
        let degree = self.mind.degree.take().map(|(degree, _)| degree);
        let duration = match (time, self.mind.waiting) {
            (Some(time), _) => Some(self.duration(time, token)),
            (None, Some(waiting)) => Some(self.duration(waiting.span, waiting.place)),
            (None, None) => None,
        };
        let is_there = presence != Presence::Absent;
        let other = match self.mind.other {
            Scope::None => false,
            Scope::Diseases => self.lexicon.kind(id) == Some(FindingKind::Diagnosis),
            Scope::Clause | Scope::Sentence => true,
        };
        self.mind.met = true;
        let span = self.span(token.start, token.end);
        self.out.mentions.push(Mention {
            finding: id,
            presence,
            words: self.words(&span),
            span,
            duration: duration.filter(|_| is_there),
            degree: degree.filter(|_| is_there),
            experiencer: if other { Experiencer::Other } else { Experiencer::Patient },
            past: self.mind.past != Scope::None,
            resolved: false,
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
        self.mind.negation = self.mind.negation.filter(|open| !(affirmed && open.targets > 0));
        if let Some(open) = &mut self.mind.negation {
            presence = open.negates(severe);
            // 头痛不头痛: asked, not said.
            let asked = open.backward.take().is_some();
            if let Some(last) = self.out.mentions.last_mut().filter(|last| last.finding == id)
                && asked
            {
                last.presence = Presence::Uncertain;
                presence = Presence::Uncertain;
            }
            open.targets += 1;
            open.listed = false;
            self.mind.negation = self.mind.negation.filter(|open| !open.reach.is_short());
        }
        if let Some(open) = &mut self.mind.doubt {
            open.targets += 1;
            presence = Presence::Uncertain;
        }
        presence
    }

    fn time(&mut self, at: usize, span: TimeSpan, place: Token) {
        self.mind.close_satisfied();
        self.mind.group = None;
        let follows = self.clause.last_finding.is_some_and(|finding| finding > at);
        let here = self.fresh < self.out.mentions.len();
        let crosses = span.ago && !span.word;
        if here && !(follows && span.ago) {
            self.attach(self.fresh, span, place, true);
        } else if follows {
            self.mind.waiting = Some(Waiting { span, place, crosses });
        } else if !self.clause.busy && self.sentence_fresh < self.out.mentions.len() {
            self.attach(self.sentence_fresh, span, place, false);
        } else if crosses {
            self.mind.waiting = Some(Waiting { span, place, crosses });
        }
    }

    /// Gives the mentions from `first` on a duration; `over` replaces one they have.
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

    fn measured(&mut self, found: Measured, token: Token) {
        self.mind.close_satisfied();
        self.mind.group = None;
        let span = self.span(token.start, token.end);
        let Measured { measure, value, peak } = found;
        let (min, max) = measure.range();
        if !(min..=max).contains(&value) {
            self.out.implausible.push(Implausible { measure, value, span });
            return;
        }
        // A diastolic pressure above its systolic one makes both a slip of the key.
        let above = |m: &mut Measurement| {
            m.measure == Measure::SystolicMmhg && m.span == span && m.value <= value
        };
        if measure == Measure::DiastolicMmhg
            && let Some(systolic) = self.out.measurements.pop_if(above)
        {
            let Measurement { measure: first, value: high, .. } = systolic;
            let slip = Implausible { measure: first, value: high, span: span.clone() };
            self.out.implausible.push(slip);
            self.out.implausible.push(Implausible { measure, value, span });
            return;
        }
        let at = match (self.mind.past, peak) {
            (Scope::None, true) => MeasuredAt::Peak,
            (Scope::None, false) => MeasuredAt::Now,
            (Scope::Diseases | Scope::Clause | Scope::Sentence, _) => MeasuredAt::Past,
        };
        let experiencer = match self.mind.other {
            Scope::None | Scope::Diseases => Experiencer::Patient,
            Scope::Clause | Scope::Sentence => Experiencer::Other,
        };
        self.out.measurements.push(Measurement { measure, value, at, experiencer, span });
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
    fn span(&self, start: usize, end: usize) -> Range<usize> {
        let from = self.folded.origin(start);
        let mut to = self.folded.origin(end);
        // The end may lie inside what one original character became (℃ is two).
        if end.checked_sub(1).is_some_and(|last| self.folded.origin(last) == to) {
            let next = self.original.get(to..).and_then(|rest| rest.chars().next());
            to += next.map_or(0, char::len_utf8);
        }
        from..to.max(from)
    }

    fn words(&self, span: &Range<usize>) -> String {
        self.original.get(span.clone()).unwrap_or("").to_owned()
    }
}
