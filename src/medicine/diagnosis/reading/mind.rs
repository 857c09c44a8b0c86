//! What a reader keeps in mind while reading on, and what a glance ahead tells.

use super::cues::{Cue, Negation};
use super::numbers::TimeSpan;
use super::tokens::{Break, Kind, Token};
use super::{Degree, Presence};

/// Characters of unknown content that a negation reaches over to its first target.
pub(super) const LOOSE_CHARS_MAX: usize = 4;
/// Characters of unknown content after a target that do not end a negation (胸痛**样**).
const TAIL_CHARS_MAX: usize = 2;

/// What lies ahead: computed once, so that the pass never looks forward.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) clauses: Vec<Clause>,
    /// Per stretch between commas, full stops and blanks: findings and nothing else.
    pub(super) bare: Vec<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clause {
    /// Index of the last token that is a finding.
    pub(super) last_finding: Option<usize>,
    /// Says something besides findings and times.
    pub(super) busy: bool,
}

/// A negation or a doubt that is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    /// How far a negation reaches; a doubt reaches like 没有.
    pub(super) reach: Negation,
    /// Findings it has met.
    pub(super) targets: usize,
    /// Characters of content before its first target.
    pub(super) loose: usize,
    /// Reached over a comma.
    pub(super) carried: bool,
    /// First mention of the enumeration right before it: its target where none follows.
    pub(super) backward: Option<usize>,
    /// Stands behind a colon (发热:无).
    pub(super) answer: bool,
    /// An enumeration sign has just been read.
    pub(super) listed: bool,
}

/// How far something reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Scope {
    #[default]
    None,
    /// The diseases of this clause.
    Diseases,
    /// This clause.
    Clause,
    /// This sentence.
    Sentence,
}

/// A time that waits for its finding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) span: TimeSpan,
    /// Where it stands.
    pub(super) place: Token,
    /// Reaches over commas.
    pub(super) crosses: bool,
}

/// What the reader keeps in mind.
#[derive(Debug, Default)]
pub(super) struct Mind {
    pub(super) negation: Option<Open>,
    pub(super) doubt: Option<Open>,
    /// Whose story it is, if not the patient's.
    pub(super) other: Scope,
    pub(super) past: Scope,
    /// The open scope of `other` or `past` has met a finding.
    pub(super) met: bool,
    /// A degree, and the mention right before it.
    pub(super) degree: Option<(Degree, Option<usize>)>,
    /// First mention of the enumeration that has just been read.
    pub(super) group: Option<usize>,
    /// The next finding begins an enumeration of its own.
    pub(super) apart: bool,
    /// A colon has just been read.
    pub(super) colon: bool,
    pub(super) waiting: Option<Waiting>,
}

impl Outline {
    pub(super) fn new(tokens: &[Token]) -> Self {
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
                Kind::Content | Kind::Cue(Cue::Course | Cue::Absorb) => {
                    clause.busy = true;
                    others = true;
                }
                Kind::Cue(cue) => others |= !cue.keeps_bare(),
                Kind::Break(_) => {}
                Kind::Read
                | Kind::Normal(_)
                | Kind::Composed(_)
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

impl Open {
    pub(super) fn new(reach: Negation, group: Option<usize>, answer: bool) -> Self {
        Self { reach, targets: 0, loose: 0, carried: false, backward: group, answer, listed: false }
    }

    /// What the next finding is under this negation.
    pub(super) fn negates(&self, severe: bool) -> Presence {
        let unsure = self.reach == Negation::Weak
            || self.carried
            || self.loose > LOOSE_CHARS_MAX
            // 没有很剧烈的头痛 leaves a mild one open.
            || severe;
        if unsure { Presence::Uncertain } else { Presence::Absent }
    }

    /// What is left of a negation after `chars` characters that matched nothing.
    pub(super) fn over_content(mut self, chars: usize) -> Option<Self> {
        let ends = self.targets > 0 && !self.listed && chars > TAIL_CHARS_MAX;
        if ends || self.reach == Negation::Next {
            return None;
        }
        self.backward = None;
        if self.targets == 0 {
            self.loose += chars;
        }
        Some(self)
    }

    /// What is left of a negation beyond a comma or a blank, when `bare` says whether only
    /// findings follow.
    pub(super) fn over_boundary(self, is_space: bool, bare: bool) -> Option<Self> {
        if self.targets == 0 {
            return is_space.then_some(self);
        }
        let carried = Self { carried: true, ..self };
        match self.reach {
            Negation::List => bare.then_some(self),
            Negation::Written => bare.then_some(carried),
            Negation::Spoken => (bare && is_space).then_some(carried),
            Negation::Next | Negation::Weak => None,
        }
    }
}

impl Scope {
    /// What is left of a scope beyond a comma, a blank or the end of a sentence.
    fn over_boundary(self, sign: Break, carries: bool) -> Self {
        let ends_sentence = matches!(sign, Break::Sentence | Break::Question);
        let stays = match self {
            Self::None => false,
            Self::Diseases => sign == Break::Space,
            Self::Clause => !ends_sentence && carries,
            Self::Sentence => !ends_sentence,
        };
        if stays { self } else { Self::None }
    }
}

impl Mind {
    /// A comma, a blank or the end of a sentence. `bare` says whether only findings follow up to
    /// the next one.
    pub(super) fn cross(&mut self, sign: Break, bare: bool) {
        let ends_sentence = matches!(sign, Break::Sentence | Break::Question);
        let is_space = sign == Break::Space;
        let bare = bare && !ends_sentence;
        self.negation = self
            .negation
            .and_then(|open| if ends_sentence { None } else { open.over_boundary(is_space, bare) });
        self.doubt = self.doubt.filter(|open| is_space && open.targets == 0);
        // A blank may stand before the first finding: 既往 高血压.
        let carries = bare && (self.met || is_space);
        self.other = self.other.over_boundary(sign, carries);
        self.past = self.past.over_boundary(sign, carries);
        if is_space {
            self.apart = true;
            return;
        }
        self.group = None;
        self.waiting = self.waiting.filter(|waiting| waiting.crosses && !ends_sentence);
    }

    /// A word that affirms what follows: ends what has found its target already.
    pub(super) fn affirm(&mut self) {
        self.close_satisfied();
        for open in [&mut self.negation, &mut self.doubt].into_iter().flatten() {
            open.backward = None;
        }
    }

    /// Ends a negation and a doubt that have found their targets.
    pub(super) fn close_satisfied(&mut self) {
        for open in [&mut self.negation, &mut self.doubt] {
            if open.is_some_and(|open| open.targets > 0) {
                *open = None;
            }
        }
    }

    /// 、 or 及
    pub(super) fn list(&mut self) {
        if let Some(open) = &mut self.negation {
            open.listed = true;
        }
    }
}
