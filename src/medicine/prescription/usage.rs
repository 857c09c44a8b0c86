//! What an item says of its use: dose, unit, strength, frequency and days, as far as written.

use super::frequency::Frequency;
use super::order::Line;
use super::quantity::{Quantity, Strength, Unit, amounts};
use crate::tables::text::fold;

/// The use of one medicine.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Usage {
    /// One dose.
    pub(super) dose: Option<Quantity>,
    /// How often.
    pub(super) frequency: Option<Frequency>,
    /// What a piece or a millilitre holds.
    pub(super) strength: Strength,
    /// Days of supply.
    pub(super) days: Option<f64>,
    /// A dose stands without a unit that can be read.
    pub(super) unit_unknown: bool,
}

impl Usage {
    /// Of a line of the prescription. The strength in the name counts where the column is empty.
    pub(super) fn of_line(line: &Line) -> Self {
        let unit =
            if line.dose_unit.is_empty() { None } else { Unit::read(&fold(&line.dose_unit)) };
        let dose = line
            .dose
            .zip(unit)
            .map(|(value, (unit, factor))| Quantity { value: exact(value) * factor, unit });
        let mut strength = Strength::default();
        if !line.strength.is_empty() {
            strength = Strength::read(&fold(&line.strength));
        }
        if strength.is_empty() && line.name.bytes().any(|b| b.is_ascii_digit()) {
            strength = Strength::read(&fold(&line.name));
        }
        let frequency =
            if line.frequency.is_empty() { None } else { Frequency::read(&fold(&line.frequency)) };
        Self {
            dose,
            frequency,
            strength,
            days: line.days.map(exact),
            unit_unknown: line.dose.is_some() && dose.is_none(),
        }
    }

    /// Of a free text such as `氨氯地平片 5mg 口服 qd`.
    pub(super) fn of_text(text: &str) -> Self {
        let folded = fold(text);
        let found = amounts(&folded);
        let mut usage = Self { frequency: Frequency::read(&folded), ..Self::default() };
        let mut masses = found.iter().filter(|(q, _)| !matches!(q.unit, Unit::Piece(_)));
        let pieces = found.iter().find(|(q, range)| {
            matches!(q.unit, Unit::Piece(_))
                && !times_before(&folded, range.start)
                && !is_count_of_times(&folded, range.end)
        });
        let first = masses.next().map(|(q, _)| *q);
        if let Some((count, _)) = pieces {
            // `0.25g 2片 tid`: the mass is the strength, the count the dose.
            usage.dose = Some(*count);
            usage.strength = Strength::read(&folded);
        } else if let Some(mass) = first {
            usage.dose = Some(mass);
        }
        usage
    }

    /// Doses a day where they are certain: neither "when needed" nor once.
    pub(super) fn per_day(&self) -> Option<f64> {
        self.frequency.filter(|f| !f.once && !f.as_needed).map(|f| f.per_day)
    }

    /// One dose in a unit.
    pub(super) fn single(&self, unit: Unit) -> Option<f64> {
        self.dose?.into_unit(unit, self.strength)
    }

    /// The amount of a day in a unit.
    pub(super) fn daily(&self, unit: Unit) -> Option<f64> {
        let frequency = self.frequency.filter(|f| !f.as_needed)?;
        // Of a weekly dose the mean of a day counts, as the tables write it.
        Some(self.single(unit)? * frequency.per_day)
    }
}

/// Single precision of the contract's fields as the decimal that was written: 0.1 and not
/// 0.10000000149.
pub(super) fn exact(value: f32) -> f64 {
    let wide = f64::from(value);
    let scaled = (wide * 1e6).round() / 1e6;
    if (scaled - wide).abs() <= wide.abs() * 1e-6 { scaled } else { wide }
}

/// Whether a count stands behind a multiplication sign (`0.5g×24片`): the size of a pack.
fn times_before(folded: &str, at: usize) -> bool {
    folded.get(..at).is_some_and(|t| t.trim_end().ends_with(['×', '*', 'x']))
}

/// `1次` before 日 is a frequency and no dose.
fn is_count_of_times(folded: &str, end: usize) -> bool {
    folded.get(..end).is_some_and(|t| t.ends_with('次'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::medicine::prescription::quantity::Piece;

    #[test]
    fn a_text_is_read_into_dose_and_frequency() {
        let usage = Usage::of_text("氨氯地平片 5mg 口服 qd");
        assert_eq!(usage.daily(Unit::Mg), Some(5.0));
        let usage = Usage::of_text("二甲双胍片0.5g×60片 2片 每日2次");
        assert_eq!(usage.dose.map(|q| q.unit), Some(Unit::Piece(Piece::Solid)));
        assert_eq!(usage.daily(Unit::Mg), Some(2000.0));
        assert_eq!(Usage::of_text("华法林").dose, None);
    }

    #[test]
    fn single_precision_becomes_the_decimal_that_was_written() {
        assert_eq!(exact(0.1).to_string(), "0.1");
        assert_eq!(exact(12.5).to_string(), "12.5");
    }
}
