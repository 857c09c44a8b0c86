//! Medicines that stand only in the words of a record's orders (出院医嘱): what is read out of them is
//! shown with its sentence and is never more than a hint to look there; what is not read is said.
//!
//! A name counts only where the formulary knows it. What becomes of a medicine counts only where the
//! words say so without a condition: 服至12月1日停用, 如血压升高加用 and 不可自行停药 stop and begin nothing.

use crate::medicine::prescription::{Formulary, read_orders};
use crate::sharing::discharge::DischargeRecord;
use crate::sharing::discharge::model::MedicineChange;

use super::matching::{Fit, Known};

/// Longest text that is looked at, in characters.
const TEXT_CHARS_MAX: usize = 20_000;
/// Medicines read out of it at most.
const MEDICINES_MAX: usize = 60;
/// Sentences that were not read, told at most.
const UNREAD_MAX: usize = 20;
/// Longest sentence that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Titles of sections that are orders too.
const TITLES: [&str; 4] = ["医嘱", "用药", "带药", "药物"];
/// What ends a sentence.
const ENDS: &[char] = &['\n', ';', '；', '。', '！'];
/// What ends a part of it.
const COMMAS: &[char] = &[',', '，'];
/// What separates names in a list.
const LISTS: &[char] = &['、', '+', '＋'];

/// Words of one medicine put in place of another, or with another dose.
const INSTEAD: [&str; 10] =
    ["更换为", "调整为", "替换为", "改服", "改为", "改用", "换为", "换成", "换用", "改成"];
const STOP: [&str; 7] = ["停止服用", "停止使用", "停用", "停服", "停药", "停止", "暂停"];
const BEGIN: [&str; 7] = ["加用", "加服", "新加", "新增", "增加使用", "联用", "开始服用"];
const GO_ON: [&str; 8] =
    ["继续服用", "继续使用", "继续口服", "继续予", "继续", "维持", "照旧", "续服"];
const ALTER: [&str; 10] =
    ["加量至", "增至", "减至", "增加至", "减量至", "加量", "减量", "减为", "增量", "增为"];
/// Words that only hold when something else does, or at another time.
const CONDITIONS: [&str; 12] = [
    "如",
    "若",
    "至",
    "后停",
    "后再停",
    "可停",
    "可加",
    "酌情",
    "必要时",
    "遵医嘱",
    "直到",
    "届时",
];
/// Words that forbid what follows.
const FORBIDDEN: [&str; 12] =
    ["不可", "不要", "不能", "不得", "不宜", "切勿", "请勿", "禁用", "禁止", "避免", "慎用", "勿"];
/// Words that a name may begin or end with, and that are no part of it.
const FILLERS: [&str; 32] = [
    "原用的",
    "原用",
    "原服用",
    "原服",
    "原口服",
    "既往服用",
    "院外服用",
    "入院前服用",
    "长期服用",
    "规律服用",
    "目前",
    "现",
    "已",
    "均",
    "都",
    "将",
    "把",
    "由",
    "给予",
    "予以",
    "予",
    "请",
    "暂",
    "口服",
    "服用",
    "服",
    "使用",
    "用",
    "再",
    "并",
    "同时",
    "出院带药",
];
/// Words behind which a medicine was taken before; whether it goes on is not said by them.
const BEFORE: [&str; 6] = ["原用", "原服", "既往服用", "院外服用", "入院前服用", "原口服"];
/// Advice about taking medicines that is about none of them.
const ADVICE: [&str; 14] = [
    "规律服药",
    "规律用药",
    "按时服药",
    "按时用药",
    "坚持服药",
    "坚持用药",
    "长期服药",
    "遵医嘱服药",
    "遵医嘱用药",
    "按医嘱服药",
    "按医嘱用药",
    "不可自行停药",
    "不要自行停药",
    "勿自行停药",
];
/// What only medicines have.
const SIGNS: [&str; 28] = [
    "mg",
    "ug",
    "μg",
    "毫克",
    "口服",
    "服药",
    "用药",
    "药物",
    "停药",
    "停用",
    "停服",
    "加用",
    "改用",
    "换用",
    "胶囊",
    "缓释片",
    "肠溶片",
    "注射液",
    "颗粒",
    "滴丸",
    "吸入剂",
    "气雾剂",
    "胰岛素",
    "qd",
    "bid",
    "tid",
    "qn",
    "每晚1片",
];

/// A medicine that was read out of words.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// As written.
    pub(super) name: String,
    /// What it is.
    pub(super) known: Known,
    /// What becomes of it; none where the words do not say, or say it under a condition.
    pub(super) change: Option<MedicineChange>,
    /// Where it stands.
    pub(super) sentence: String,
}

/// What a record's orders say in words.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Medicines, in the order of the text.
    pub(super) medicines: Vec<Told>,
    /// Sentences about medicines that were not read, or not for certain.
    pub(super) unread: Vec<String>,
}

/// Reads the orders of a record.
pub(super) fn read(formulary: &Formulary, record: &DischargeRecord) -> Words {
    let mut words = Words::default();
    for text in texts(record) {
        for sentence in sentences(text) {
            words.sentence(formulary, &sentence);
        }
    }
    words
}

/// The sentence of the record's words that has this name in it, if any has.
pub(super) fn mentioned(record: &DischargeRecord, name: &str) -> Option<String> {
    let name = name.trim();
    // One character is in every text.
    name.chars().nth(1)?;
    let narrative = &record.narrative;
    let others = [&narrative.course, &narrative.discharge, &narrative.tcm_usage];
    let all = texts(record).into_iter().chain(others.into_iter().map(String::as_str));
    all.flat_map(sentences).find(|sentence| sentence.contains(name)).map(|s| shown(&s))
}

fn texts(record: &DischargeRecord) -> Vec<&str> {
    let of_orders = |text: &str| TITLES.iter().any(|title| text.contains(title));
    let sections = record.sections.iter().filter(|section| of_orders(&section.coded.text));
    let mut all = vec![record.narrative.orders.as_str()];
    all.extend(sections.map(|section| section.text.as_str()));
    all
}

/// The sentences of a text, without the numbers before them.
fn sentences(text: &str) -> Vec<String> {
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    let mut out = Vec::new();
    for part in text.split(ENDS) {
        // 1. 阿司匹林… 2. 氯吡格雷… without a mark between them.
        let chars: Vec<char> = part.chars().collect();
        let mut current = String::new();
        let mut at = 0;
        while let Some(c) = chars.get(at) {
            let number = item_number(&chars, at);
            if number > 0 {
                out.push(std::mem::take(&mut current));
                at += number;
            } else {
                current.push(*c);
                at += 1;
            }
        }
        out.push(current);
    }
    out.retain(|sentence| !sentence.trim().is_empty());
    for sentence in &mut out {
        *sentence = sentence.trim().to_owned();
    }
    out
}

/// Length of a number of an item (`1.`, `2、`, `（3）`) that begins here.
fn item_number(chars: &[char], at: usize) -> usize {
    let before = at.checked_sub(1).and_then(|at| chars.get(at));
    if before.is_some_and(|c| !c.is_whitespace() && !"，,：:".contains(*c)) {
        return 0;
    }
    let rest = chars.get(at..).unwrap_or_default();
    let open = usize::from(rest.first().is_some_and(|c| "(（".contains(*c)));
    let digits = rest.iter().skip(open).take_while(|c| c.is_ascii_digit()).take(3).count();
    let mark = rest.get(open + digits).copied().unwrap_or_default();
    let behind = rest.get(open + digits + 1).copied().unwrap_or_default();
    let marked = if open == 1 { ")）".contains(mark) } else { ".．、)）".contains(mark) };
    if (1..=2).contains(&digits) && marked && !behind.is_ascii_digit() {
        open + digits + 1
    } else {
        0
    }
}

fn shown(sentence: &str) -> String {
    let mut short: String = sentence.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < sentence.len() {
        short.push('…');
    }
    short
}

/// What a part of a sentence says of the names in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cue {
    Change(MedicineChange),
    /// Conditional, forbidden, or only of the time before: nothing certain.
    Uncertain,
    None,
}

impl Words {
    fn sentence(&mut self, formulary: &Formulary, sentence: &str) {
        let from = self.medicines.len();
        let mut unread = false;
        for part in sentence.split(COMMAS).filter(|part| !part.trim().is_empty()) {
            unread |= !self.part(formulary, part, sentence, from);
        }
        if unread {
            self.tell(sentence);
        }
    }

    fn tell(&mut self, sentence: &str) {
        let sentence = shown(sentence);
        if self.unread.len() < UNREAD_MAX && !self.unread.contains(&sentence) {
            self.unread.push(sentence);
        }
    }

    /// Reads what stands between two commas; false if it is about medicines and was not read.
    fn part(&mut self, formulary: &Formulary, part: &str, sentence: &str, from: usize) -> bool {
        if let Some((old, new)) = INSTEAD.iter().find_map(|word| part.split_once(word)) {
            return self.instead(formulary, (old, new), sentence, from);
        }
        let cue = cue_of(part);
        let mut found = Vec::new();
        let mut complete = true;
        for piece in part.split(LISTS) {
            let names = names(formulary, piece);
            complete &= !names.is_empty() || !about_medicine(piece);
            found.extend(names);
        }
        if found.is_empty() {
            return self.behind(part, cue, from);
        }
        if cue == Cue::Uncertain {
            // Not for certain one of the patient's medicines.
            if FORBIDDEN.iter().chain(&BEFORE).any(|word| part.contains(word))
                || part.trim_start().starts_with(['如', '若'])
            {
                return false;
            }
            complete = false;
        }
        let change = match cue {
            Cue::Change(change) => Some(change),
            Cue::Uncertain | Cue::None => None,
        };
        for (name, known) in found {
            self.add(Told { name, known, change, sentence: shown(sentence) });
        }
        complete
    }

    /// A part without a name: what it says is of the medicine before it, or of none.
    fn behind(&mut self, part: &str, cue: Cue, from: usize) -> bool {
        let before = self.medicines.len().checked_sub(1).filter(|at| *at >= from);
        let is_advice = advice(part);
        match (cue, before.and_then(|at| self.medicines.get_mut(at))) {
            (Cue::Change(change), Some(medicine)) if medicine.change.is_none() && bare(part) => {
                medicine.change = Some(change);
                true
            }
            _ if is_advice => true,
            // 服至12月1日停用: the medicine is known, and goes on until then.
            (Cue::Uncertain, Some(_)) => false,
            (_, Some(_)) => !STOP.iter().any(|word| part.contains(word)),
            (_, None) => !about_medicine(part),
        }
    }

    /// A medicine in place of another, or with another dose.
    fn instead(
        &mut self,
        formulary: &Formulary,
        (old, new): (&str, &str),
        sentence: &str,
        from: usize,
    ) -> bool {
        let certain = cue_of(old) != Cue::Uncertain
            || BEFORE.iter().any(|word| old.contains(word)) && !old.contains(['如', '若']);
        let each = |text: &str| -> Vec<(String, Known)> {
            text.split(LISTS).flat_map(|piece| names(formulary, piece)).collect()
        };
        let (mut olds, news) = (each(old), each(new));
        if olds.is_empty() && bare(old) && self.medicines.len() > from {
            // 原用硝苯地平片，改为…: the one before the comma.
            olds.extend(self.medicines.pop().map(|told| (told.name, told.known)));
        }
        if !certain || (olds.is_empty() && news.is_empty()) {
            return !about_medicine(old) && !about_medicine(new);
        }
        let to_other = !news.is_empty();
        for (name, known) in olds {
            let change = if to_other { MedicineChange::Stopped } else { MedicineChange::Altered };
            self.add(Told { name, known, change: Some(change), sentence: shown(sentence) });
        }
        for (name, known) in news {
            let change = Some(MedicineChange::New);
            self.add(Told { name, known, change, sentence: shown(sentence) });
        }
        true
    }

    fn add(&mut self, told: Told) {
        let again = |other: &&mut Told| other.known.fit(&told.known) == Some(Fit::SameName);
        if let Some(before) = self.medicines.iter_mut().find(again) {
            before.change = before.change.or(told.change);
        } else if self.medicines.len() < MEDICINES_MAX {
            self.medicines.push(told);
        }
    }
}

/// What the words of a part say.
fn cue_of(part: &str) -> Cue {
    let has = |words: &[&str]| words.iter().any(|word| part.contains(word));
    let acts = has(&STOP) || has(&BEGIN) || has(&ALTER);
    if has(&FORBIDDEN) || (acts && has(&CONDITIONS) && !altered_to(part)) {
        Cue::Uncertain
    } else if has(&STOP) {
        Cue::Change(MedicineChange::Stopped)
    } else if has(&BEGIN) {
        Cue::Change(MedicineChange::New)
    } else if has(&ALTER) {
        Cue::Change(MedicineChange::Altered)
    } else if has(&GO_ON) {
        Cue::Change(MedicineChange::Continued)
    } else if has(&BEFORE) {
        Cue::Uncertain
    } else {
        Cue::None
    }
}

/// 增至, 减至 and the like hold the 至 that elsewhere means until.
fn altered_to(part: &str) -> bool {
    let mut rest = part.to_owned();
    for word in ALTER {
        rest = rest.replace(word, "");
    }
    !CONDITIONS.iter().any(|word| rest.contains(word))
}

/// Whether a part says nothing beside what becomes of the medicine before it.
fn bare(part: &str) -> bool {
    let mut rest = part.to_owned();
    for word in STOP.iter().chain(&BEGIN).chain(&GO_ON).chain(&ALTER).chain(&FILLERS) {
        rest = rest.replace(word, "");
    }
    rest.trim_matches(|c: char| c.is_whitespace() || c == '了').is_empty()
}

/// Whether a part is advice that holds for every medicine: 规律服药, 请勿自行停药.
fn advice(part: &str) -> bool {
    let mut rest = part.to_owned();
    for word in ADVICE {
        rest = rest.replace(word, "");
    }
    rest.len() < part.len() && bare(&rest)
}

fn about_medicine(text: &str) -> bool {
    let text = crate::tables::text::fold(text).replace("mmhg", "");
    SIGNS.iter().any(|sign| text.contains(sign))
        || text.ends_with('片') && text.len() > '片'.len_utf8()
}

/// The medicines that a piece of text names: one, or two with 和 or 及 between them.
fn names(formulary: &Formulary, piece: &str) -> Vec<(String, Known)> {
    if let Some(found) = name(formulary, piece) {
        return vec![found];
    }
    for joint in ["和", "及", "与"] {
        if let Some((one, other)) = piece.split_once(joint)
            && let (Some(one), Some(other)) = (name(formulary, one), name(formulary, other))
        {
            return vec![one, other];
        }
    }
    Vec::new()
}

fn name(formulary: &Formulary, piece: &str) -> Option<(String, Known)> {
    // As it stands, and without the words around it.
    [piece.trim().to_owned(), stripped(piece)].iter().find_map(|text| named(formulary, text))
}

fn named(formulary: &Formulary, text: &str) -> Option<(String, Known)> {
    let line = read_orders(text, "").into_iter().next()?;
    let written = stripped(&line.name);
    let written = written.trim();
    // One character, or a number alone, names nothing.
    written.chars().filter(|c| c.is_alphabetic()).nth(1)?;
    let known = Known::of(formulary, written);
    known.is_recognised().then(|| (written.to_owned(), known))
}

/// Without the words around a name.
fn stripped(piece: &str) -> String {
    let around: Vec<&str> = [&STOP[..], &BEGIN, &GO_ON, &ALTER, &FORBIDDEN, &FILLERS].concat();
    let trim = |c: char| c.is_whitespace() || ":：（(\"“”".contains(c);
    let mut text = match piece.rsplit_once(['：', ':']) {
        // 出院带药：阿司匹林肠溶片
        Some((_, behind)) if !behind.trim().is_empty() => behind.trim_matches(trim),
        _ => piece.trim_matches(trim),
    };
    loop {
        let before = text.len();
        for word in &around {
            text = text.strip_prefix(word).unwrap_or(text).trim_matches(trim);
            text = text.strip_suffix(word).unwrap_or(text).trim_matches(trim);
        }
        if text.len() == before {
            return text.to_owned();
        }
    }
}
