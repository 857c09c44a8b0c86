//! Conversions between numbers that say what happens at the ends.

/// `value` as a size. Nothing here runs where a size has fewer than 32 bits.
pub(super) fn size(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A size as a number of at most 32 bits.
pub(super) fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A size as a real number; exact below 2^53.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "sizes are below 2^53")]
pub(super) fn real(value: usize) -> f64 {
    value as f64
}

/// The nearest byte; what is no number is 0.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and that is what is wanted"
)]
pub(super) fn byte(value: f64) -> u8 {
    (value + 0.5) as u8
}

/// The nearest whole number, ends kept; what is no number is 0.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and that is what is wanted"
)]
pub(super) fn whole(value: f64) -> i64 {
    value.round() as i64
}

/// The nearest single-precision number.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "rounding is what is wanted"
)]
pub(super) fn single(value: f64) -> f32 {
    value as f32
}

/// A whole number in single precision; exact below 2^24.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "rounding is wanted")]
pub(super) fn float(value: i32) -> f32 {
    value as f32
}

/// Cut to a byte.
pub(super) fn clamp_byte(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(0)
}

/// A whole number that is known to be small, cut to 32 bits at the ends.
pub(super) fn small(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}
