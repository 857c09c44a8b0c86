//! Whether a value is one of its FHIR primitive type.

use super::elements::Primitive;
use super::json::Value;
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::problems::Severity;

/// What is asked of an `id`.
pub(super) const ID_FORM: &str = "id 应为 1 至 64 个字母、数字、“-”或“.”";

/// What is wrong with a value.
pub(super) type Fault = (Severity, &'static str, &'static str);

/// What is wrong with this value as one of this type, if anything is.
pub(super) fn fault(kind: Primitive, value: &Value<'_>) -> Option<Fault> {
    match (kind, value) {
        (Primitive::Boolean, Value::Bool(_)) | (Primitive::Decimal, Value::Number { .. }) => None,
        (Primitive::Boolean, _) => wrong("应为 true 或 false"),
        (Primitive::Decimal, _) => wrong("应为数字"),
        (
            Primitive::Integer | Primitive::Positive | Primitive::Unsigned,
            Value::Number { value, whole: true },
        ) => {
            if kind == Primitive::Positive && *value < 1.0 {
                warn("number_form", "应为正整数")
            } else if kind == Primitive::Unsigned && *value < 0.0 {
                warn("number_form", "应为非负整数")
            } else if value.abs() > f64::from(i32::MAX) {
                warn("number_form", "整数超出 32 位")
            } else {
                None
            }
        }
        (Primitive::Integer | Primitive::Positive | Primitive::Unsigned, _) => wrong("应为整数"),
        (_, Value::Text(text)) => text_fault(kind, text),
        (_, _) => wrong("应为字符串"),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "reads as the answer")]
fn wrong(message: &'static str) -> Option<Fault> {
    Some((Severity::Fatal, "type_wrong", message))
}

#[expect(clippy::unnecessary_wraps, reason = "reads as the answer")]
fn warn(code: &'static str, message: &'static str) -> Option<Fault> {
    Some((Severity::Warning, code, message))
}

fn told_if(wrong: bool, code: &'static str, message: &'static str) -> Option<Fault> {
    wrong.then_some((Severity::Warning, code, message))
}

fn text_fault(kind: Primitive, text: &str) -> Option<Fault> {
    if text.is_empty() {
        return warn("value_empty", "不应为空字符串；没有内容时应省略");
    }
    match kind {
        Primitive::Date | Primitive::DateTime | Primitive::Instant => moment_fault(kind, text),
        Primitive::Time => Moment::iso(&format!("2000-01-01T{text}")).is_err().then_some((
            Severity::Fatal,
            "time_impossible",
            "不是存在的时刻，应为 HH:MM:SS",
        )),
        Primitive::Code => told_if(
            text != text.trim() || text.contains(['\n', '\t']),
            "code_form",
            "代码首尾不应有空格，中间不应有换行或制表符",
        ),
        Primitive::Uri => told_if(text.contains(char::is_whitespace), "uri_form", "URI 不应有空白"),
        Primitive::Id => told_if(!is_id(text), "id_form", ID_FORM),
        Primitive::Base64 => told_if(!text.bytes().all(is_base64), "base64_form", "应为 Base64"),
        Primitive::Xhtml => told_if(
            !text.trim_start().starts_with("<div"),
            "xhtml_form",
            "叙述应为以 <div> 开头的 XHTML",
        ),
        Primitive::Text => told_if(
            text.contains(|c: char| c < ' ' && !"\t\r\n".contains(c)),
            "text_form",
            "不应有控制字符",
        ),
        Primitive::Boolean
        | Primitive::Integer
        | Primitive::Positive
        | Primitive::Unsigned
        | Primitive::Decimal => None,
    }
}

fn moment_fault(kind: Primitive, text: &str) -> Option<Fault> {
    let Ok(moment) = Moment::iso(text) else {
        return Some((
            Severity::Fatal,
            "date_impossible",
            "不是存在的日期时间，应为 YYYY、YYYY-MM、YYYY-MM-DD 或带时区的时刻（1800 至 2200 年）",
        ));
    };
    let time = text.split_once('T').map_or("", |(_, time)| time);
    let (clock, zoned) = match time.find(['Z', '+', '-']) {
        Some(at) => (time.get(..at).unwrap_or_default(), true),
        None => (time, false),
    };
    let whole = zoned && clock.len() > 5;
    if kind == Primitive::Date && moment.has_time() {
        warn("date_form", "此处只应有日期，不应有时刻")
    } else if kind == Primitive::Instant && !whole {
        warn("instant_form", "应精确到秒并带时区")
    } else if kind == Primitive::DateTime && moment.has_time() && !whole {
        warn("datetime_form", "有时刻时应精确到秒并带时区；按原样保留")
    } else {
        None
    }
}

/// Whether it is an `id`.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) || byte.is_ascii_whitespace()
}
