//! English names in any order of their words: `pain in the chest` is `chest pain`.
//!
//! Only whole names are matched here, never words inside a text.

/// Words that change nothing in a name.
const EMPTY: [&str; 26] = [
    "a", "an", "the", "of", "in", "on", "at", "to", "with", "for", "from", "is", "are", "has",
    "have", "having", "feeling", "feels", "you", "your", "their", "her", "his", "some", "any",
    "or",
];
/// Words that say more than the name of a finding needs; left out where it is not known otherwise.
const QUALIFIERS: [&str; 31] = [
    "severe",
    "mild",
    "moderate",
    "acute",
    "recent",
    "new",
    "persistent",
    "intermittent",
    "occasional",
    "frequent",
    "recurrent",
    "constant",
    "progressive",
    "marked",
    "slight",
    "left",
    "right",
    "bilateral",
    "unilateral",
    "significant",
    "associated",
    "worsening",
    "ongoing",
    "increased",
    "positive",
    "current",
    "continuous",
    "generalised",
    "generalized",
    "episode",
    "history",
];

/// The words of an English name that count, sorted, joined by blanks; `None` for a name that is
/// not English. `name` is folded.
pub(super) fn key(name: &str) -> Option<String> {
    let words = words(name)?;
    (!words.is_empty()).then(|| joined(words))
}

/// The same without its qualifiers; `None` where it has none or nothing else.
pub(super) fn plain_key(name: &str) -> Option<String> {
    let mut words = words(name)?;
    let before = words.len();
    words.retain(|word| !QUALIFIERS.contains(&word.as_str()));
    (!words.is_empty() && words.len() < before).then(|| joined(words))
}

fn joined(mut words: Vec<String>) -> String {
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

fn words(name: &str) -> Option<Vec<String>> {
    if !name.is_ascii() || !name.contains(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words = parts.filter(|part| !part.is_empty() && !EMPTY.contains(part));
    Some(words.map(singular).collect())
}

/// A word without a plural ending.
fn singular(word: &str) -> String {
    let stem = match word.strip_suffix("ies") {
        Some(stem) if stem.len() > 2 => return format!("{stem}y"),
        Some(_) | None => word.strip_suffix('s'),
    };
    match stem {
        Some(stem) if stem.len() > 2 && !stem.ends_with(['s', 'u', 'i']) => stem.to_owned(),
        Some(_) | None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{key, plain_key};

    #[test]
    fn the_order_of_words_articles_and_plurals_do_not_count() {
        assert_eq!(key("pain in the chest"), key("chest pains"));
        assert_eq!(key("swollen lymph-nodes"), key("swollen lymph node"));
        assert_eq!(key("胸痛"), None);
        assert_eq!(key("the"), None);
        assert_ne!(key("no fever"), key("fever"));
    }

    #[test]
    fn qualifiers_are_left_out_only_where_something_stays() {
        assert_eq!(plain_key("severe left chest pain"), key("chest pain"));
        assert_eq!(plain_key("chest pain"), None);
        assert_eq!(plain_key("acute"), None);
    }
}
