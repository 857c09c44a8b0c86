//! What each cue does.

use super::assemble::{Pass, Subject};
use super::cues::{After, Cue, Negation};
use super::lexicon::Lexicon;
use super::mind::{Open, Scope};
use super::tokens::{Break, Kind, Token};
use super::{Degree, Experiencer, Mention, Presence};
use crate::medicine::vocabulary::FindingKind;
use crate::tables::text::Folded;

impl Cue {
    /// Whether a stretch of findings stays one with this cue in it.
    pub(super) fn keeps_bare(self) -> bool {
        matches!(self, Self::Filler | Self::Connector | Self::After(After::Past))
    }
}

impl Pass<'_> {
    /// Token `at` is `cue`; `colon` says whether it stands right behind a colon.
    pub(super) fn cue(&mut self, at: usize, cue: Cue, colon: bool) {
        let group = self.mind.group;
        match cue {
            Cue::Filler => return,
            Cue::Connector => return self.mind.list(),
            Cue::Degree(degree) => return self.degree(degree),
            Cue::Negation(reach) => self.mind.negation = Some(Open::new(reach, group, colon)),
            Cue::Uncertain => {
                self.mind.doubt = Some(Open::new(Negation::Spoken, group, colon));
            }
            Cue::After(after) => self.after(after, group),
            Cue::Absorb => self.mind.negation = None,
            Cue::Course => self.course(group),
            Cue::Contrast => (self.mind.negation, self.mind.doubt) = (None, None),
            Cue::Positive | Cue::Informant => self.mind.affirm(),
            Cue::OtherPerson => self.other_person(at, group),
            Cue::Contact if self.mind.other == Scope::None => self.mind.other = Scope::Diseases,
            Cue::Family => self.mind.other = Scope::Sentence,
            Cue::Patient => self.back_to_patient(),
            Cue::Sufferer if group.is_none() => self.back_to_patient(),
            Cue::Resume if self.mind.other != Scope::Sentence => self.mind.other = Scope::None,
            Cue::Past => (self.mind.past, self.mind.met) = (Scope::Clause, false),
            Cue::Now => {
                (self.mind.past, self.mind.waiting) = (Scope::None, None);
                self.mind.close_satisfied();
            }
            Cue::Section => self.new_part(),
            Cue::Contact
            | Cue::Sufferer
            | Cue::Resume
            | Cue::Peak
            | Cue::Aside
            | Cue::Phrase
            | Cue::Apart
            | Cue::Onset(_)
            | Cue::Label(..) => {}
        }
        self.mind.group = None;
    }

    fn after(&mut self, after: After, group: Option<usize>) {
        match after {
            After::Negate => self.set_group(group, Presence::Absent),
            After::Doubt => self.set_group(group, Presence::Uncertain),
            After::Unconfirmed => self.unconfirm(group),
            After::Past => self.change(group, |mention| mention.past = true),
            After::Resolved => {
                let before = self.clause_before();
                self.change(group.or(before), |mention| mention.resolved = true);
            }
            // What stands before it is present as it is; it only closes the enumeration.
            After::Affirm => {}
        }
    }

    /// `-` or `+` right behind a finding, at the end of a clause or in brackets.
    pub(super) fn mark(&mut self, at: usize, negative: bool) {
        let next = self.tokens.get(at + 1).map(|token| token.kind);
        let ends = next.is_none_or(|kind| matches!(kind, Kind::Break(_) | Kind::Mark { .. }));
        if negative && ends {
            self.set_group(self.mind.group, Presence::Absent);
        }
        self.mind.group = None;
    }

    /// A new part of the note: everything starts afresh.
    pub(super) fn new_part(&mut self) {
        self.boundary(Break::Sentence);
        self.mind = super::mind::Mind::default();
    }

    /// 母亲: the story of somebody else, unless they are telling it (母亲**诉**) or have already
    /// been given theirs (得水痘**的同学**).
    fn other_person(&mut self, at: usize, group: Option<usize>) {
        let ahead = self.tokens.get(at + 1..).unwrap_or(&[]).iter().take(3);
        let told = ahead.map(|token| token.kind).find(|kind| *kind != Kind::Cue(Cue::Filler));
        if told == Some(Kind::Cue(Cue::Informant)) {
            return;
        }
        if self.is_subject(at) {
            return self.back_to_patient();
        }
        let before = at.checked_sub(1).and_then(|before| self.tokens.get(before));
        let words = before.and_then(|token| self.folded.text.get(token.start..token.end));
        if let Some(first) = group.filter(|_| words == Some("的")) {
            self.change(Some(first), |mention| mention.experiencer = Experiencer::Other);
        } else {
            (self.mind.other, self.mind.met) = (Scope::Clause, false);
        }
    }

    /// 我爸喝了农药: a text that begins with somebody, tells what is the matter with him and names no
    /// other patient is about him. 母亲有糖尿病 is not.
    fn is_subject(&mut self, at: usize) -> bool {
        if self.subject == Subject::Undecided {
            self.steps += self.tokens.len();
            let is_relative = begins_with(self.lexicon, self.folded, self.tokens, at);
            self.subject = if is_relative { Subject::Relative(at) } else { Subject::Patient };
        }
        let Subject::Relative(subject) = self.subject else { return false };
        let words = |at: usize| {
            let token = self.tokens.get(at)?;
            self.folded.text.get(token.start..token.end)
        };
        words(subject) == words(at)
    }

    fn back_to_patient(&mut self) {
        self.mind.other = Scope::None;
        self.mind.close_satisfied();
    }

    fn degree(&mut self, degree: Degree) {
        let before = self.mind.group.and_then(|_| self.out.mentions.len().checked_sub(1));
        self.mind.degree = Some((degree, before));
    }

    /// A degree that no finding followed belongs to the finding before it. One without a finding
    /// before it waits on where `keeps`.
    pub(super) fn settle_degree(&mut self, keeps: bool) {
        let Some((degree, before)) = self.mind.degree else { return };
        if before.is_none() && keeps {
            return;
        }
        self.mind.degree = None;
        if let Some(mention) = before.and_then(|at| self.out.mentions.get_mut(at))
            && mention.presence != Presence::Absent
        {
            mention.degree = Some(degree);
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
    pub(super) fn set_group(&mut self, first: Option<usize>, presence: Presence) {
        if first.is_none() {
            return;
        }
        self.change(first, |mention| {
            if presence == Presence::Absent || mention.presence == Presence::Present {
                mention.presence = presence;
            }
            if presence == Presence::Absent {
                (mention.duration, mention.degree) = (None, None);
            }
        });
        self.mind.group = None;
    }

    fn unconfirm(&mut self, group: Option<usize>) {
        let lexicon = self.lexicon;
        self.change(group, |mention| {
            let is_disease = matches!(
                lexicon.kind(mention.finding),
                Some(FindingKind::Diagnosis | FindingKind::History)
            );
            if is_disease && mention.presence == Presence::Present {
                mention.presence = Presence::Uncertain;
            }
        });
    }

    /// Changes the mentions from `first` on, where there is an enumeration.
    fn change(&mut self, first: Option<usize>, mut change: impl FnMut(&mut Mention)) {
        for mention in self.out.mentions.iter_mut().skip(first.unwrap_or(usize::MAX)) {
            self.steps += 1;
            change(mention);
        }
    }

    /// First mention of the clause before, where this clause has none yet: 头痛3天，已消失.
    fn clause_before(&mut self) -> Option<usize> {
        let none_here = self.clause_first == self.out.mentions.len();
        // Once only, so that no mention is visited twice.
        let first = std::mem::replace(&mut self.previous_first, self.clause_first);
        (none_here && first < self.clause_first).then_some(first)
    }

    /// 发热无: a negation or a doubt that no finding followed speaks about the enumeration right
    /// before it.
    pub(super) fn answer_backward(&mut self, sign: Break) {
        let is_space = sign == Break::Space;
        if let Some(open) = self.mind.negation
            && open.targets == 0
            && (!is_space || open.answer)
        {
            let answers = !open.reach.is_short();
            let asked = sign == Break::Question;
            let said = if asked { Presence::Uncertain } else { Presence::Absent };
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
}

/// Whether the text begins with the relative at token `at`, tells what is the matter with him, and
/// names no other patient.
fn begins_with(lexicon: &Lexicon, folded: &Folded, tokens: &[Token], at: usize) -> bool {
    let words = |token: &Token| folded.text.get(token.start..token.end);
    // Nothing was said of anybody yet: 医生快来，我爸… and 我 of 我爸 are no story.
    let idle = |token: &Token| match token.kind {
        Kind::Cue(Cue::Patient) => words(token) == Some("我"),
        Kind::Cue(Cue::OtherPerson | Cue::Family | Cue::Contact | Cue::Past | Cue::Sufferer)
        | Kind::Finding { .. }
        | Kind::Composed(_)
        | Kind::Measured(_) => false,
        Kind::Cue(_)
        | Kind::Read
        | Kind::Normal(_)
        | Kind::Time(_)
        | Kind::Number { .. }
        | Kind::Mark { .. }
        | Kind::Break(_)
        | Kind::Content => true,
    };
    if !tokens.get(..at).is_some_and(|before| before.iter().all(idle)) {
        return false;
    }
    let rest = tokens.get(at + 1..).unwrap_or(&[]);
    let ends = rest.iter().position(|token| token.ends_clause()).unwrap_or(rest.len());
    let complains = rest.iter().take(ends).any(|token| match token.kind {
        Kind::Finding { id, .. } => lexicon
            .kind(id)
            .is_some_and(|kind| kind.is_complaint() || kind == FindingKind::Exposure),
        Kind::Composed(_) | Kind::Measured(_) => true,
        Kind::Read
        | Kind::Normal(_)
        | Kind::Cue(_)
        | Kind::Time(_)
        | Kind::Number { .. }
        | Kind::Mark { .. }
        | Kind::Break(_)
        | Kind::Content => false,
    });
    // 我妈 speaks of the mother; 我 before anything else, or 孩子, is another patient.
    let others = rest.iter().zip(rest.iter().skip(1).map(Some).chain([None]));
    let mut others = others.filter(|(token, next)| {
        matches!(token.kind, Kind::Cue(Cue::Patient | Cue::Sufferer))
            && !next.is_some_and(|next| next.kind == Kind::Cue(Cue::OtherPerson))
    });
    complains && others.next().is_none()
}
