//! Cutting folded text into tokens: known words first, then cues, numbers, punctuation; what is
//! left is content.

use super::cues::{Cue, Negation};
use super::cursor::Cursor;
use super::lexicon::{Ahead, Lexicon, What};
use super::measures::{self, Measured, Pair};
use super::numbers::{self, TimeSpan, Timed};
use crate::medicine::patient::Measure;
use crate::medicine::vocabulary::FindingId;

/// Longest run of words between the halves of a split wording, in tokens.
const SPLIT_TOKENS_MAX: usize = 4;
/// Longest halves of a split wording, in characters.
const HEAD_CHARS_MAX: usize = 5;
const TAIL_CHARS_MAX: usize = 5;

/// A piece of folded text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A finding of the vocabulary.
    Finding {
        id: FindingId,
        /// Also the head of a new part of the note.
        section: bool,
        /// Begins with 有.
        affirmed: bool,
        /// A span of time inside the words themselves (发烧5天).
        time: Option<TimeSpan>,
    },
    /// A composed wording that depends on what stands before it.
    Composed(usize),
    /// A phrase that is read as a whole and carries nothing.
    Read,
    /// A normal state that excludes findings.
    Normal(usize),
    /// A word of the language.
    Cue(Cue),
    /// A span of time.
    Time(TimeSpan),
    /// A measured value; blood pressure gives two tokens in the same place.
    Measured(Measured),
    /// A number that is read and not used; `times` says how often (5次).
    Number { times: bool },
    /// `-` or `+`.
    Mark { negative: bool },
    /// Punctuation.
    Break(Break),
    /// Letters that matched nothing.
    Content,
}

/// What punctuation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    /// `。` `;` `!`, a new line.
    Sentence,
    /// `?`
    Question,
    /// `,`
    Comma,
    /// `、` `/`
    List,
    /// A blank, or any other sign.
    Space,
    /// `:`
    Colon,
    /// `(`
    Open,
    /// `)`
    Close,
}

impl Kind {
    /// A finding without more.
    fn finding(id: FindingId) -> Self {
        Self::Finding { id, section: false, affirmed: false, time: None }
    }
}

impl Break {
    /// How strongly a sign separates; brackets stand outside.
    fn strength(self) -> Option<u8> {
        match self {
            Self::Space => Some(0),
            Self::Colon => Some(1),
            Self::List => Some(2),
            Self::Comma => Some(3),
            Self::Sentence => Some(4),
            Self::Question => Some(5),
            Self::Open | Self::Close => None,
        }
    }
}

impl Token {
    /// A comma, a full stop or a question mark.
    pub(super) fn ends_clause(self) -> bool {
        matches!(self.kind, Kind::Break(Break::Sentence | Break::Question | Break::Comma))
            || self.begins_section()
    }

    pub(super) fn begins_section(self) -> bool {
        matches!(self.kind, Kind::Cue(Cue::Section) | Kind::Finding { section: true, .. })
    }
}

/// Cuts `text` (folded) into tokens that cover all of it, in order.
pub(super) fn tokenise(lexicon: &Lexicon, text: &str) -> Vec<Token> {
    let mut out = Tokens { lexicon, text, out: Vec::with_capacity(text.len() / 4 + 1) };
    let mut at = 0;
    let mut ahead = Ahead::Unknown;
    while let Some(found) = lexicon.next_known(text, at, &mut ahead) {
        out.gap(at, found.start);
        let kind = match found.what {
            What::Phrase => Kind::Read,
            What::Normal(normal) => Kind::Normal(normal),
            What::Composed(sense) if lexicon.depends(sense) => Kind::Composed(sense),
            What::Composed(sense) => {
                for id in lexicon.composed(sense, std::iter::empty()) {
                    out.push(found.start, found.end, Kind::finding(*id));
                }
                at = found.end;
                continue;
            }
            What::Cue(kind) => {
                at = out.cue(found.start, found.end, text.len(), kind);
                continue;
            }
            What::Finding(_) if out.tested(found.start, found.end) => {
                at = out.out.last().map_or(found.end, |token| token.end);
                continue;
            }
            What::Finding(id) => Kind::Finding {
                id,
                section: found.section,
                affirmed: found.affirmed,
                time: found.timed.then(|| inner_time(text, found.start, found.end)).flatten(),
            },
        };
        out.push(found.start, found.end, kind);
        at = found.end;
    }
    out.gap(at, text.len());
    out.out
}

/// The first span of time inside the words of a finding.
fn inner_time(text: &str, start: usize, end: usize) -> Option<TimeSpan> {
    let mut c = Cursor::new(text, start, end);
    while let Some(first) = c.peek() {
        let from = c;
        match numbers::begins_number(first).then(|| numbers::quantity(&mut c)).flatten() {
            Some(number) => {
                let mut c = c;
                if let Some(Timed::Span(span)) = numbers::timed(&mut c, from, number) {
                    return Some(span);
                }
            }
            None => c.at = from.at + first.len_utf8(),
        }
    }
    None
}

struct Tokens<'a> {
    lexicon: &'a Lexicon,
    text: &'a str,
    out: Vec<Token>,
}

impl Tokens<'_> {
    fn push(&mut self, start: usize, end: usize, kind: Kind) {
        if let (Kind::Content, Some(last)) = (kind, self.out.last_mut())
            && last.kind == Kind::Content
            && last.end == start
        {
            last.end = end;
            return;
        }
        // Of several signs in a row the strongest counts.
        if let (Kind::Break(new), Some(last)) = (kind, self.out.last_mut())
            && let Kind::Break(old) = last.kind
            && let (Some(old), Some(strength)) = (old.strength(), new.strength())
        {
            last.end = end;
            if strength > old {
                last.kind = kind;
            }
            return;
        }
        self.out.push(Token { start, end, kind });
    }

    /// A test that a value stands behind (白细胞 15.6) is a measured value, and no finding.
    fn tested(&mut self, at: usize, end: usize) -> bool {
        let Some(measure) = self.text.get(at..end).and_then(|name| self.lexicon.label(name)) else {
            return false;
        };
        let mut c = Cursor::new(self.text, end, self.text.len());
        match measures::labelled(&mut c, measure, None, false).filter(|_| self.of_blood(at)) {
            Some(values) => {
                self.values(at, c.at, values);
                true
            }
            None => false,
        }
    }

    /// 尿白细胞, 大便白细胞: not of the blood.
    fn of_blood(&self, at: usize) -> bool {
        !self.text.get(..at).is_some_and(|text| text.ends_with(['尿', '便', '液']))
    }

    /// Text between two known words.
    fn gap(&mut self, mut at: usize, to: usize) {
        let mut cue = None;
        let mut more = true;
        while at < to {
            if cue.is_none_or(|(start, _, _)| start < at) && more {
                cue = self.lexicon.next_cue(self.text, at, to);
                more = cue.is_some();
            }
            let Some(c) = self.text.get(at..to).and_then(|rest| rest.chars().next()) else { break };
            let here = cue.filter(|(start, _, _)| *start == at);
            let cue_end = here.map_or(at, |(_, end, _)| end);
            at = if let Some(end) = self.number(c, at, to, cue_end) {
                end
            } else if let Some((_, end, kind)) = here {
                self.cue(at, end, to, kind)
            } else {
                let end = at + c.len_utf8();
                let kind = if self.joins(at, c) { Kind::Cue(Cue::Filler) } else { other(c) };
                self.push(at, end, kind);
                end
            };
        }
    }

    /// A blank between two Latin words separates nothing.
    fn joins(&self, at: usize, c: char) -> bool {
        let latin = |c: char| c.is_ascii_alphabetic();
        c == ' '
            && self.text.get(..at).is_some_and(|before| before.ends_with(latin))
            && self.text.get(at + 1..).is_some_and(|after| after.starts_with(latin))
    }

    /// A number at `at`, where it reaches further than a cue that begins there too.
    fn number(&mut self, c: char, at: usize, to: usize, cue_end: usize) -> Option<usize> {
        if !numbers::begins_number(c) {
            return None;
        }
        let from = Cursor::new(self.text, at, to);
        let mut c = from;
        let number = numbers::quantity(&mut c)?;
        let after = c;
        if let Some(values) =
            measures::unlabelled(&mut c, from.before(), number, self.after_fever())
        {
            return self.values(at, c.at, values);
        }
        c = after;
        if let Some(timed) = numbers::timed(&mut c, from, number) {
            if c.at < cue_end {
                return None;
            }
            let kind = match timed {
                Timed::Span(span) => Kind::Time(span),
                Timed::Later => Kind::Cue(Cue::Resume),
                Timed::Times => Kind::Number { times: true },
                Timed::Other => Kind::Number { times: false },
            };
            self.push(at, c.at, kind);
            return Some(c.at);
        }
        // 一 and 两 without a unit are part of a word, digits are a number.
        if number.digits && after.at >= cue_end {
            self.push(at, after.at, Kind::Number { times: false });
            return Some(after.at);
        }
        None
    }

    /// Whether the last word said fever: 发烧(到)39.
    fn after_fever(&self) -> bool {
        let mut back = self
            .out
            .iter()
            .rev()
            .take(3)
            .skip_while(|token| matches!(token.kind, Kind::Cue(Cue::Filler | Cue::Peak)));
        back.next().is_some_and(|token| match token.kind {
            Kind::Finding { id, .. } => self.lexicon.is_feverish(id),
            Kind::Read
            | Kind::Normal(_)
            | Kind::Composed(_)
            | Kind::Cue(_)
            | Kind::Time(_)
            | Kind::Measured(_)
            | Kind::Number { .. }
            | Kind::Mark { .. }
            | Kind::Break(_)
            | Kind::Content => false,
        })
    }

    #[expect(clippy::unnecessary_wraps, reason = "the end of a number, as its caller returns it")]
    fn values(&mut self, start: usize, end: usize, (one, two): Pair) -> Option<usize> {
        let peak = self
            .out
            .iter()
            .rev()
            .take(3)
            .find(|token| token.kind != Kind::Cue(Cue::Filler))
            .is_some_and(|token| token.kind == Kind::Cue(Cue::Peak));
        for mut value in std::iter::once(one).chain(two) {
            value.peak |= peak;
            self.push(start, end, Kind::Measured(value));
        }
        Some(end)
    }

    /// A cue; returns where it ends, for a label behind its value.
    fn cue(&mut self, at: usize, end: usize, to: usize, cue: Cue) -> usize {
        if let Cue::Label(measure, second) = cue {
            return self.label(at, end, to, (measure, second));
        }
        let kind = if let Cue::Onset(span) = cue { Kind::Time(span) } else { Kind::Cue(cue) };
        self.push(at, end, kind);
        end
    }

    fn label(
        &mut self,
        at: usize,
        end: usize,
        to: usize,
        (measure, second): (Measure, Option<Measure>),
    ) -> usize {
        let latin = |c: char| c.is_ascii_alphanumeric();
        let is_latin = self.text.get(at..end).is_some_and(|label| label.ends_with(latin));
        // T of CT is no temperature, but the P right behind 38.9°C is a pulse.
        let fresh = self.out.last().is_none_or(|last| last.kind != Kind::Content);
        let inside = self.text.get(..at).is_some_and(|text| text.ends_with(latin)) && !fresh;
        let mut c = Cursor::new(self.text, end, to);
        let brief = is_latin && end - at == 1;
        if !(is_latin && inside)
            && (!measure.is_laboratory() || self.of_blood(at))
            && let Some(values) = measures::labelled(&mut c, measure, second, brief)
        {
            return self.values(at, c.at, values).unwrap_or(end);
        }
        self.push(at, end, Kind::Content);
        end
    }
}

/// A character that is neither a known word, a cue nor a number.
fn other(c: char) -> Kind {
    match c {
        '。' | ';' | '!' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}' | '.' => {
            Kind::Break(Break::Sentence)
        }
        '?' => Kind::Break(Break::Question),
        ',' => Kind::Break(Break::Comma),
        '、' | '/' | '\\' | '&' => Kind::Break(Break::List),
        ':' => Kind::Break(Break::Colon),
        '(' | '[' | '{' | '【' | '〔' | '《' => Kind::Break(Break::Open),
        ')' | ']' | '}' | '】' | '〕' | '》' => Kind::Break(Break::Close),
        '"' | '\'' | '“' | '”' | '‘' | '’' | '「' | '」' => Kind::Cue(Cue::Filler),
        '-' | '—' | '–' | '−' => Kind::Mark { negative: true },
        '+' => Kind::Mark { negative: false },
        c if c.is_alphanumeric() => Kind::Content,
        _ => Kind::Break(Break::Space),
    }
}

/// Joins a wording that other words split: 头**有点**痛, 肚子**也不**疼, 发**了三天**烧. The
/// finding takes the place of its second half, behind the words in between, which then speak
/// about it.
pub(super) fn join_split(lexicon: &Lexicon, text: &str, tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let joined = matches!(
            token.kind,
            Kind::Content | Kind::Finding { .. } | Kind::Composed(_) | Kind::Cue(Cue::Filler)
        )
        .then(|| joint(lexicon, text, &out, token))
        .flatten();
        let Some(joint) = joined else {
            out.push(token);
            continue;
        };
        if let Some(head) = out.get_mut(joint.head) {
            head.end = joint.start;
            if head.end <= head.start {
                out.remove(joint.head);
            }
        }
        out.extend(joint.findings.iter().map(|id| Token {
            start: joint.start,
            end: joint.end,
            kind: Kind::finding(*id),
        }));
        if joint.end < token.end {
            out.push(Token { start: joint.end, ..token });
        }
    }
    out
}

struct Joint<'a> {
    /// Index of the token whose end is the first half.
    head: usize,
    findings: &'a [FindingId],
    start: usize,
    end: usize,
}

fn joint<'a>(lexicon: &'a Lexicon, text: &str, before: &[Token], tail: Token) -> Option<Joint<'a>> {
    let between = before
        .iter()
        .rev()
        .take(SPLIT_TOKENS_MAX + 1)
        .take_while(|token| splits(token.kind))
        .count();
    if between == 0 || between > SPLIT_TOKENS_MAX {
        return None;
    }
    let head_at = before.len().checked_sub(between + 1)?;
    let head = before.get(head_at).filter(|token| token.kind == Kind::Content)?;
    let tail_text = text.get(tail.start..tail.end)?;
    let head_text = text.get(head.start..head.end)?;
    let mut key = String::with_capacity(24);
    // The longest wording wins; halves are short, so this looks at a dozen of them at most.
    let starts: Vec<usize> =
        head_text.char_indices().rev().take(HEAD_CHARS_MAX).map(|(at, _)| at).collect();
    for start in starts.iter().rev() {
        for taken in (1..=TAIL_CHARS_MAX).rev() {
            let end = tail_text.char_indices().nth(taken).map_or(tail_text.len(), |(at, _)| at);
            if tail.kind != Kind::Content && end != tail_text.len() {
                continue;
            }
            key.clear();
            key.push_str(head_text.get(*start..)?);
            key.push_str(tail_text.get(..end)?);
            let findings = lexicon.word(&key);
            if !findings.is_empty() {
                let (start, end) = (head.start + start, tail.start + end);
                return Some(Joint { head: head_at, findings, start, end });
            }
        }
    }
    None
}

/// Whether a token can stand between the halves of a wording.
fn splits(kind: Kind) -> bool {
    match kind {
        Kind::Time(span) => !span.word,
        // 阴道**不规则**出血
        Kind::Number { .. } | Kind::Read => true,
        Kind::Cue(Cue::Negation(negation)) => {
            matches!(negation, Negation::Next | Negation::Weak | Negation::Spoken)
        }
        Kind::Cue(cue) => {
            matches!(cue, Cue::Filler | Cue::Degree(_) | Cue::Uncertain | Cue::Positive)
        }
        Kind::Finding { .. }
        | Kind::Composed(_)
        | Kind::Measured(_)
        | Kind::Normal(_)
        | Kind::Mark { .. }
        | Kind::Break(_)
        | Kind::Content => false,
    }
}
