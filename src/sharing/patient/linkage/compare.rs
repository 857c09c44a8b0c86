//! Levels of agreement of two texts.

/// The first of `limits` (falling, between 0 and 1) that the Jaro-Winkler similarity of the two
/// reaches, counted from 1; level 0 is equality; past the last is one more level. None where one is
/// empty.
pub fn similarity_level(a: &str, b: &str, limits: &[f64]) -> Option<usize> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    if a == b {
        return Some(0);
    }
    let least = limits.iter().copied().fold(1.0, f64::min);
    if cannot_reach(a.as_bytes(), b.as_bytes(), least) {
        return Some(1 + limits.len());
    }
    let similar = strsim::jaro_winkler(a, b);
    Some(1 + limits.iter().position(|limit| similar >= *limit).unwrap_or(limits.len()))
}

/// Whether two ASCII texts have too few letters in common for a similarity of `limit`: most pairs
/// of a large set are told apart by this alone, at a tenth of the cost.
fn cannot_reach(a: &[u8], b: &[u8], limit: f64) -> bool {
    let mask = |text: &[u8]| text.iter().fold(0_u64, |mask, byte| mask | 1 << (byte & 63));
    let (of_a, of_b) = (mask(a), mask(b));
    if !a.is_ascii() || !b.is_ascii() {
        return false;
    }
    let shared =
        |text: &[u8], mask: u64| text.iter().filter(|byte| mask & (1 << (*byte & 63)) != 0).count();
    let common = counted(shared(a, of_b).min(shared(b, of_a)));
    // Jaro with no transposition, and Winkler's bonus for four equal letters at the beginning.
    let jaro = (common / counted(a.len()) + common / counted(b.len()) + 1.0) / 3.0;
    let best = if a.first() == b.first() { jaro + 0.4 * (1.0 - jaro) } else { jaro };
    best < limit
}

fn counted(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Level 0 is equality, level n at most n slips ([`edits`]), up to `most`; then one more level.
/// None where one is empty.
pub fn edits_level(a: &str, b: &str, most: usize) -> Option<usize> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    if a == b {
        return Some(0);
    }
    if a.len().abs_diff(b.len()) > 4 * most || cannot_be_close(a.as_bytes(), b.as_bytes(), most) {
        return Some(most + 1);
    }
    Some(edits(a, b).min(most + 1))
}

/// Whether two ASCII texts differ in more letters than `most` slips can put right.
fn cannot_be_close(a: &[u8], b: &[u8], most: usize) -> bool {
    if !a.is_ascii() || !b.is_ascii() {
        return false;
    }
    let mut balance = [0_i32; 64];
    let mut count = |text: &[u8], step: i32| {
        for byte in text {
            if let Some(place) = balance.get_mut(usize::from(byte & 63)) {
                *place += step;
            }
        }
    };
    count(a, 1);
    count(b, -1);
    let over: i32 = balance.iter().filter(|n| **n > 0).sum();
    let under: i32 = balance.iter().filter(|n| **n < 0).sum();
    usize::try_from(over.max(-under)).is_ok_and(|slips| slips > most)
}

/// Slips between two texts: characters inserted, left out, replaced, or neighbours that changed
/// places (optimal string alignment).
pub fn edits(a: &str, b: &str) -> usize {
    strsim::osa_distance(a, b)
}
