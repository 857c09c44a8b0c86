//! Addresses as they are written, to compare roughly: which pairs of neighbouring characters they
//! hold, in 64 bits.

use super::hash::hash;
use crate::tables::text::fold;

/// Characters at the end of an address that are looked at: village, group and house.
const TAIL_CHARS: usize = 16;
/// Characters of an address that are read.
const WRITTEN_CHARS_MAX: usize = 256;
/// Characters that must be left for a sketch.
const CHARS_MIN: usize = 3;

/// Which pairs of neighbouring characters the end of an address holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressSketch(u64);

impl AddressSketch {
    /// The sketch of an address; none if it is too short to tell anything.
    pub fn of(written: &str) -> Option<Self> {
        let cut: String = written.chars().take(WRITTEN_CHARS_MAX).collect();
        let folded: Vec<char> = fold(&cut).chars().filter(|c| c.is_alphanumeric()).collect();
        // Province, city and county say nothing that the code of the village does not say better.
        let from = folded
            .iter()
            .rposition(|c| matches!(c, '省' | '市' | '县' | '区'))
            .map(|at| at + 1)
            .filter(|from| folded.len() - from > CHARS_MIN)
            .unwrap_or(0);
        let tail = folded.get(from.max(folded.len().saturating_sub(TAIL_CHARS))..)?;
        if tail.len() < CHARS_MIN {
            return None;
        }
        let bits = tail.windows(2).fold(0_u64, |bits, pair| {
            let text: String = pair.iter().collect();
            bits | 1 << (hash(&[text.as_bytes()]) & 63)
        });
        Some(Self(bits))
    }

    /// Share of the pairs of either that both hold, 0 to 1.
    pub fn alike(self, other: Self) -> f64 {
        let both = (self.0 & other.0).count_ones();
        let either = (self.0 | other.0).count_ones();
        f64::from(both) / f64::from(either.max(1))
    }

    /// As it is kept; never zero.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// From [`AddressSketch::bits`]; zero is none.
    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(a: &str, b: &str) -> f64 {
        AddressSketch::of(a).unwrap().alike(AddressSketch::of(b).unwrap())
    }

    #[test]
    fn an_address_is_like_itself_however_it_begins() {
        let whole = "江西省上饶市余干县石口镇湖滨村委会3组12号";
        assert!(alike(whole, "石口镇湖滨村委会３组１２号") > 0.99);
        assert!(alike(whole, "余干县石口镇湖滨村3组") >= 0.5);
        assert!(alike(whole, "江西省上饶市余干县瑞洪镇前山村5组8号") < 0.4);
    }

    #[test]
    fn what_is_too_short_has_no_sketch() {
        assert_eq!(AddressSketch::of(""), None);
        assert_eq!(AddressSketch::of("无"), None);
        assert_eq!(AddressSketch::of("12"), None);
    }
}
