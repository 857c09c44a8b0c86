//! Hours in classes. Counts of many places add up; medians do not, so a median is worked out last, from
//! the sum of the classes, and is as fine as they are.

/// Upper ends of the classes, in hours, included; what is longer is in a last class.
const ENDS: [u32; 12] = [1, 2, 4, 8, 12, 24, 48, 72, 120, 168, 336, 720];
/// Number of classes.
pub const CLASSES: usize = ENDS.len() + 1;
/// Name of the last class.
const MORE: &str = "more";

/// The class of so many milliseconds; what is below 0 by a wrong clock is in the first.
pub fn class_of_ms(ms: i64) -> usize {
    let fits = |end: &u32| ms <= i64::from(*end) * 3_600_000;
    ENDS.iter().position(fits).unwrap_or(ENDS.len())
}

/// The upper end of a class; none of the last.
pub fn end_of(class: usize) -> Option<u32> {
    ENDS.get(class).copied()
}

/// The name of a class on the wire: its upper end.
pub fn class_name(class: usize) -> String {
    end_of(class).map_or_else(|| MORE.to_owned(), |end| end.to_string())
}

/// Where the middle of what the classes count lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Median {
    /// Not above so many hours.
    UpTo(u32),
    /// Above the last end.
    Above(u32),
}

/// The class in which the middle one lies (of an even number the lower of both); none of nothing.
pub fn median(counts: &[u64]) -> Option<Median> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let middle = total.div_ceil(2);
    let mut seen = 0_u64;
    for (class, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= middle {
            return Some(end_of(class).map_or(Median::Above(720), Median::UpTo));
        }
    }
    None
}
