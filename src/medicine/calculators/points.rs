//! Scores that give points for what is present.

use super::Values;

/// What counts, the input that asks for it, and its points.
pub(super) type Item<T> = (T, &'static str, f64);

/// The points of all that is present; what is named twice counts once.
pub(super) fn total<T: PartialEq>(items: &[Item<T>], present: &[T]) -> f64 {
    items.iter().filter(|(sign, ..)| present.contains(sign)).map(|(.., points)| points).sum()
}

/// What was answered with yes.
pub(super) fn answered<T: Copy>(items: &[Item<T>], values: &Values<'_>) -> Vec<T> {
    items.iter().filter(|(_, input, _)| values.yes(input)).map(|(sign, ..)| *sign).collect()
}
