//! Amounts as prescriptions write them: `0.5g`, `40万单位`, `2片`, `10ml:1g`, `5mg/片`.
//!
//! Mass is held in milligrams, activity in international units, volume in millilitres, salts in
//! millimoles; pieces (片, 支 …) have no common measure and need the strength to become one.

/// What an amount counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
pub(super) enum Unit {
    /// Milligrams.
    #[serde(rename = "mg")]
    Mg,
    /// International units.
    #[serde(rename = "iu")]
    Iu,
    /// Millilitres.
    #[serde(rename = "ml")]
    Ml,
    /// Millimoles.
    #[serde(rename = "mmol")]
    Mmol,
    /// Pieces: tablets, ampoules, drops, puffs …
    #[serde(rename = "piece")]
    Piece(Piece),
}

/// Kinds of pieces. Those that doctors use for one another (片 and 粒, 支 and 瓶) compare equal
/// through [`Piece::family`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
pub(super) enum Piece {
    /// 片 粒 丸 枚 of a solid to swallow or insert.
    Solid,
    /// 袋 包
    Sachet,
    /// 支 瓶 安瓿
    Vial,
    /// 滴
    Drop,
    /// 喷 揿 吸
    Puff,
    /// 贴
    Patch,
    /// 次 剂 付
    Time,
}

/// An amount.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantity {
    /// How much.
    pub(super) value: f64,
    /// Of what.
    pub(super) unit: Unit,
}

/// What one piece or one millilitre holds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Strength {
    /// Amount of substance in one piece.
    pub(super) per_piece: Option<Quantity>,
    /// Amount of substance in one millilitre.
    pub(super) per_ml: Option<Quantity>,
    /// Millilitres of one piece.
    pub(super) piece_ml: Option<f64>,
}

/// Unit words, longest first where one begins another, with the factor into the held unit.
const UNITS: &[(&str, Unit, f64)] = &[
    ("万国际单位", Unit::Iu, 10_000.0),
    ("万单位", Unit::Iu, 10_000.0),
    ("国际单位", Unit::Iu, 1.0),
    ("万iu", Unit::Iu, 10_000.0),
    ("万u", Unit::Iu, 10_000.0),
    ("亿", Unit::Iu, 100_000_000.0),
    ("万", Unit::Iu, 10_000.0),
    ("单位", Unit::Iu, 1.0),
    ("毫摩尔", Unit::Mmol, 1.0),
    ("mmol", Unit::Mmol, 1.0),
    ("微克", Unit::Mg, 0.001),
    ("毫克", Unit::Mg, 1.0),
    ("毫升", Unit::Ml, 1.0),
    ("mcg", Unit::Mg, 0.001),
    ("μg", Unit::Mg, 0.001),
    ("µg", Unit::Mg, 0.001),
    ("ug", Unit::Mg, 0.001),
    ("mg", Unit::Mg, 1.0),
    ("kg", Unit::Mg, 1_000_000.0),
    ("ml", Unit::Ml, 1.0),
    ("iu", Unit::Iu, 1.0),
    ("克", Unit::Mg, 1_000.0),
    ("升", Unit::Ml, 1_000.0),
    ("g", Unit::Mg, 1_000.0),
    ("u", Unit::Iu, 1.0),
    ("l", Unit::Ml, 1_000.0),
    ("片", Unit::Piece(Piece::Solid), 1.0),
    ("粒", Unit::Piece(Piece::Solid), 1.0),
    ("丸", Unit::Piece(Piece::Solid), 1.0),
    ("枚", Unit::Piece(Piece::Solid), 1.0),
    ("颗", Unit::Piece(Piece::Solid), 1.0),
    ("袋", Unit::Piece(Piece::Sachet), 1.0),
    ("包", Unit::Piece(Piece::Sachet), 1.0),
    ("安瓿", Unit::Piece(Piece::Vial), 1.0),
    ("支", Unit::Piece(Piece::Vial), 1.0),
    ("瓶", Unit::Piece(Piece::Vial), 1.0),
    ("滴", Unit::Piece(Piece::Drop), 1.0),
    ("喷", Unit::Piece(Piece::Puff), 1.0),
    ("揿", Unit::Piece(Piece::Puff), 1.0),
    ("吸", Unit::Piece(Piece::Puff), 1.0),
    ("贴", Unit::Piece(Piece::Patch), 1.0),
    ("张", Unit::Piece(Piece::Patch), 1.0),
    ("付", Unit::Piece(Piece::Time), 1.0),
    ("剂", Unit::Piece(Piece::Time), 1.0),
    ("次", Unit::Piece(Piece::Time), 1.0),
];

impl Piece {
    /// Pieces that are taken for one another when written: a sachet and a tablet are not.
    pub(super) fn family(self) -> u8 {
        match self {
            Self::Solid => 0,
            Self::Sachet => 1,
            Self::Vial => 2,
            Self::Drop => 3,
            Self::Puff => 4,
            Self::Patch => 5,
            Self::Time => 6,
        }
    }
}

impl Unit {
    /// Whether two amounts can be compared as they are.
    pub(super) fn comparable(self, other: Self) -> bool {
        match (self, other) {
            (Self::Piece(a), Self::Piece(b)) => a.family() == b.family(),
            (a, b) => a == b,
        }
    }

    /// The unit at the beginning of a folded text: unit, factor and length in bytes.
    pub(super) fn at_start(folded: &str) -> Option<(Self, f64, usize)> {
        UNITS.iter().find_map(|(word, unit, factor)| {
            let rest = folded.strip_prefix(word)?;
            let latin = word.ends_with(|c: char| c.is_ascii_alphabetic());
            let cut = latin && rest.starts_with(|c: char| c.is_ascii_alphabetic() && c != 'x');
            (!cut).then_some((*unit, *factor, word.len()))
        })
    }

    /// A unit column (`mg`, `万单位`, `片`).
    pub(super) fn read(folded: &str) -> Option<(Self, f64)> {
        let trimmed = folded.trim().trim_end_matches(['.', '。']);
        let (unit, factor, length) = Self::at_start(trimmed)?;
        let rest = trimmed.get(length..)?;
        // `mg/次`, `g(以阿莫西林计)` say no more about the unit.
        (rest.is_empty() || rest.starts_with(['/', '(', '每', ' '])).then_some((unit, factor))
    }

    /// How the unit is written in answers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mg => "mg",
            Self::Iu => "单位",
            Self::Ml => "ml",
            Self::Mmol => "mmol",
            Self::Piece(Piece::Solid) => "片（粒）",
            Self::Piece(Piece::Sachet) => "袋",
            Self::Piece(Piece::Vial) => "支",
            Self::Piece(Piece::Drop) => "滴",
            Self::Piece(Piece::Puff) => "喷（吸）",
            Self::Piece(Piece::Patch) => "贴",
            Self::Piece(Piece::Time) => "剂",
        }
    }
}

impl Quantity {
    /// The amount as a person reads it: grams from one gram on, 万单位 from ten thousand.
    pub(super) fn show(self) -> String {
        match self.unit {
            Unit::Mg if self.value >= 1_000.0 => format!("{}g", short(self.value / 1_000.0)),
            Unit::Mg if self.value < 0.1 => format!("{}μg", short(self.value * 1_000.0)),
            Unit::Iu if self.value >= 10_000.0 => format!("{}万单位", short(self.value / 10_000.0)),
            Unit::Mg | Unit::Iu | Unit::Ml | Unit::Mmol | Unit::Piece(_) => {
                format!("{}{}", short(self.value), self.unit.name())
            }
        }
    }

    /// The amount in another unit, through the strength where pieces or volumes are counted.
    /// `None` where the strength does not say.
    pub(super) fn into_unit(self, unit: Unit, strength: Strength) -> Option<f64> {
        if self.unit.comparable(unit) {
            return Some(self.value);
        }
        match (self.unit, unit) {
            (Unit::Piece(_), Unit::Mg | Unit::Iu | Unit::Mmol) => {
                let piece = strength.per_piece.filter(|q| q.unit == unit)?;
                Some(self.value * piece.value)
            }
            (Unit::Ml, Unit::Mg | Unit::Iu | Unit::Mmol) => {
                let one = strength.per_ml.filter(|q| q.unit == unit)?;
                Some(self.value * one.value)
            }
            (Unit::Mg | Unit::Iu | Unit::Mmol, Unit::Piece(_)) => {
                let piece = strength.per_piece.filter(|q| q.unit == self.unit && q.value > 0.0)?;
                Some(self.value / piece.value)
            }
            (Unit::Mg | Unit::Iu | Unit::Mmol, Unit::Ml) => {
                let one = strength.per_ml.filter(|q| q.unit == self.unit && q.value > 0.0)?;
                Some(self.value / one.value)
            }
            (Unit::Piece(_), Unit::Ml) => strength.piece_ml.map(|ml| self.value * ml),
            (Unit::Ml, Unit::Piece(_)) => {
                strength.piece_ml.filter(|ml| *ml > 0.0).map(|ml| self.value / ml)
            }
            _ => None,
        }
    }
}

/// At most four significant places, without trailing zeros.
pub(super) fn short(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 1.0 {
        2
    } else {
        4
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A number at the beginning of a folded text and its length in bytes: digits with a point, or
/// 半 一 二 两 三 … 十.
pub(super) fn number_at_start(folded: &str) -> Option<(f64, usize)> {
    let length = folded.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    if length > 0 {
        let digits = folded.get(..length)?.trim_end_matches('.');
        let value: f64 = digits.parse().ok()?;
        return value.is_finite().then_some((value, digits.len()));
    }
    let first = folded.chars().next()?;
    let value = match first {
        '半' => 0.5,
        '一' => 1.0,
        '二' | '两' => 2.0,
        '三' => 3.0,
        '四' => 4.0,
        '五' => 5.0,
        '六' => 6.0,
        '七' => 7.0,
        '八' => 8.0,
        '九' => 9.0,
        '十' => 10.0,
        _ => return None,
    };
    Some((value, first.len_utf8()))
}

/// All amounts of a folded text in their order, with the byte range of each.
pub(super) fn amounts(folded: &str) -> Vec<(Quantity, std::ops::Range<usize>)> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut after_letter = false;
    while let Some(rest) = folded.get(at..).filter(|rest| !rest.is_empty()) {
        // The digit of B12 is no amount.
        let number = if after_letter { None } else { number_at_start(rest) };
        if let Some((value, length)) = number {
            let after = rest.get(length..).unwrap_or_default();
            let spaces = after.len() - after.trim_start_matches(' ').len();
            let unit = Unit::at_start(after.get(spaces..).unwrap_or_default());
            let end = unit.map_or(at + length, |(_, _, width)| at + length + spaces + width);
            if let Some((unit, factor, _)) = unit {
                out.push((Quantity { value: value * factor, unit }, at..end));
            }
            at = end;
            after_letter = false;
        } else {
            let c = rest.chars().next().unwrap_or(' ');
            after_letter = c.is_ascii_alphabetic();
            at += c.len_utf8();
        }
    }
    out
}

impl Strength {
    /// Reads a strength: `0.25g`, `0.5g×24片`, `100ml:0.2g`, `5mg/片`, `10ml:1g(10%)`, `0.9% 250ml`.
    pub(super) fn read(folded: &str) -> Self {
        let mut strength = Self::default();
        let found = amounts(folded);
        let substance = found
            .iter()
            .find(|(q, _)| matches!(q.unit, Unit::Mg | Unit::Iu | Unit::Mmol) && q.value > 0.0);
        let volume = found.iter().find(|(q, _)| q.unit == Unit::Ml && q.value > 0.0);
        let pair = substance.zip(volume).filter(|((_, s), (_, v))| {
            let between = if s.start < v.start { s.end..v.start } else { v.end..s.start };
            let between = folded.get(between).unwrap_or_default();
            // `0.1g×100ml` would be no concentration, `1g:10ml`, `100mg/5ml` and `10ml 1g` are.
            !between.contains(['×', '*', 'x'])
        });
        if let Some(((mass, _), (ml, _))) = pair {
            strength.per_piece = Some(*mass);
            strength.piece_ml = Some(ml.value);
            strength.per_ml = Some(Quantity { value: mass.value / ml.value, unit: mass.unit });
        } else if let Some((mass, _)) = substance {
            strength.per_piece = Some(*mass);
        } else if let Some((ml, _)) = volume {
            strength.piece_ml = Some(ml.value);
        }
        // `10mg/ml` gives the amount of one millilitre.
        if volume.is_none()
            && let Some((mass, range)) = substance
            && folded.get(range.end..).is_some_and(|rest| rest.trim_start().starts_with("/ml"))
        {
            strength.per_ml = Some(*mass);
            strength.per_piece = None;
        }
        if strength.per_ml.is_none()
            && let Some(percent) = percent(folded)
        {
            // Grams in 100 millilitres.
            let per_ml = percent * 10.0;
            strength.per_ml = Some(Quantity { value: per_ml, unit: Unit::Mg });
            let whole = strength.piece_ml.map(|ml| Quantity { value: ml * per_ml, unit: Unit::Mg });
            strength.per_piece = strength.per_piece.or(whole);
        }
        strength
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The first percentage of a text.
fn percent(folded: &str) -> Option<f64> {
    let at = folded.find('%')?;
    let before = folded.get(..at)?;
    let digits =
        before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    before.get(before.len() - digits..)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mass(mg: f64) -> Quantity {
        Quantity { value: mg, unit: Unit::Mg }
    }

    #[test]
    fn strengths_are_read_as_packs_print_them() {
        for (text, piece, ml) in [
            ("0.25g", Some(mass(250.0)), None),
            ("0.5g×24片", Some(mass(500.0)), None),
            ("5mg/片", Some(mass(5.0)), None),
            ("100ml:0.2g", Some(mass(200.0)), Some(100.0)),
            ("10ml:1g(10%)", Some(mass(1000.0)), Some(10.0)),
            ("0.9% 250ml", Some(mass(2250.0)), Some(250.0)),
            ("2ml:8万单位", Some(Quantity { value: 80_000.0, unit: Unit::Iu }), Some(2.0)),
            ("50μg", Some(mass(0.05)), None),
            ("12丸", None, None),
            ("10mg/ml", None, None),
        ] {
            let read = Strength::read(text);
            assert_eq!((read.per_piece, read.piece_ml), (piece, ml), "{text}");
        }
    }

    #[test]
    fn amounts_convert_through_the_strength() {
        let strength = Strength::read("5ml:0.1g");
        let ml = Quantity { value: 2.5, unit: Unit::Ml };
        assert_eq!(ml.into_unit(Unit::Mg, strength), Some(50.0));
        let pieces = Quantity { value: 2.0, unit: Unit::Piece(Piece::Solid) };
        assert_eq!(pieces.into_unit(Unit::Mg, Strength::read("0.25g")), Some(500.0));
        assert_eq!(pieces.into_unit(Unit::Mg, Strength::default()), None);
        let sachets = Quantity { value: 1.0, unit: Unit::Piece(Piece::Sachet) };
        assert_eq!(sachets.into_unit(Unit::Piece(Piece::Solid), Strength::default()), None);
    }

    #[test]
    fn units_are_whole_words() {
        assert_eq!(Unit::read("mg"), Some((Unit::Mg, 1.0)));
        assert_eq!(Unit::read("万单位"), Some((Unit::Iu, 10_000.0)));
        assert_eq!(Unit::read("mg/次"), Some((Unit::Mg, 1.0)));
        assert_eq!(Unit::read("gutt"), None);
        assert_eq!(Unit::read("大勺"), None);
    }

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        assert_eq!(mass(1500.0).show(), "1.5g");
        assert_eq!(mass(0.05).show(), "50μg");
        assert_eq!(Quantity { value: 800_000.0, unit: Unit::Iu }.show(), "80万单位");
    }

    #[test]
    fn digits_of_a_name_are_no_amount() {
        assert_eq!(amounts("维生素b12 0.5mg").len(), 1);
        assert_eq!(amounts("每次半片").first().map(|(q, _)| q.value), Some(0.5));
    }
}
