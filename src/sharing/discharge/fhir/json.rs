//! JSON as it was sent: every key, twice where it stands twice, and for each value whether it was
//! read into the record. `serde_json` parses; its own `Value` would keep the last of two equal keys
//! and copy every text.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use encoding_rs::GB18030;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{BYTES_MAX, DEPTH_MAX, VALUES_MAX};
use crate::sharing::discharge::problems::Problem;

/// A value, and whether it was read.
pub(super) struct Node<'a> {
    used: Cell<bool>,
    /// What it is.
    pub(super) value: Value<'a>,
}

/// What a value is.
pub(super) enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; whether it was written without fraction and exponent.
    Number { value: f64, whole: bool },
    /// Text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Node<'a>>),
    /// An object, in its order.
    Object(Vec<Field<'a>>),
}

/// A key and its value.
pub(super) struct Field<'a> {
    /// The key.
    pub(super) name: Cow<'a, str>,
    /// The value.
    pub(super) node: Node<'a>,
}

/// Parses a document within the limits; says what is wrong if it cannot.
pub(super) fn parse<'b>(bytes: &'b [u8], problems: &mut Vec<Problem>) -> Option<Node<'b>> {
    match parse_text(bytes, problems) {
        Ok(node) => Some(node),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn parse_text<'b>(bytes: &'b [u8], problems: &mut Vec<Problem>) -> Result<Node<'b>, Problem> {
    let fatal = |code, message: String| Problem::fatal("/", code, message);
    if bytes.len() > BYTES_MAX {
        let message = format!("文件超过 {} MiB 的上限", BYTES_MAX >> 20);
        return Err(fatal("too_large", message));
    }
    let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => {
            let message = "文件以 BOM 开头，JSON 不应带 BOM；已忽略";
            problems.push(Problem::warning("/", "bom", message));
            rest
        }
        None => bytes,
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let message = match GB18030.decode_without_bom_handling_and_without_replacement(bytes) {
            Some(_) => format!("第 {at} 字节起不是 UTF-8，像是 GB18030；FHIR 只允许 UTF-8"),
            None => format!("第 {at} 字节起不是 UTF-8；FHIR 只允许 UTF-8"),
        };
        fatal("not_utf8", message)
    })?;
    measure(text.as_bytes())?;
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        fatal("not_json", format!("第 {line} 行第 {column} 列起不是合法的 JSON"))
    })
}

/// How deep it goes and how many values it may have, before any is made.
fn measure(bytes: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut values, mut text, mut escaped) = (0_usize, 0_usize, false, false);
    for &byte in bytes {
        if text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => text = true,
            b'{' | b'[' => {
                depth += 1;
                values += 1;
                if depth > DEPTH_MAX {
                    let message = format!("嵌套超过 {DEPTH_MAX} 层的上限");
                    return Err(Problem::fatal("/", "too_deep", message));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if values > VALUES_MAX {
            let message = format!("内容超过 {VALUES_MAX} 项的上限");
            return Err(Problem::fatal("/", "too_many", message));
        }
    }
    Ok(())
}

impl<'a> Node<'a> {
    fn new(value: Value<'a>) -> Self {
        Self { used: Cell::new(false), value }
    }

    /// Whether it was read, itself or a part of it.
    pub(super) fn is_used(&self) -> bool {
        self.used.get()
    }

    /// Says that it was read.
    pub(super) fn mark(&self) -> &Self {
        self.used.set(true);
        self
    }

    /// Says that it was read with everything in it.
    pub(super) fn mark_all(&self) {
        self.mark();
        match &self.value {
            Value::List(items) => items.iter().for_each(Self::mark_all),
            Value::Object(fields) => fields.iter().for_each(|field| field.node.mark_all()),
            Value::Null | Value::Bool(_) | Value::Number { .. } | Value::Text(_) => {}
        }
    }

    /// The fields of an object, else none.
    pub(super) fn fields(&self) -> &[Field<'a>] {
        match &self.value {
            Value::Object(fields) => fields,
            Value::Null
            | Value::Bool(_)
            | Value::Number { .. }
            | Value::Text(_)
            | Value::List(_) => &[],
        }
    }

    /// The items of a list, else none.
    pub(super) fn items(&self) -> &[Node<'a>] {
        match &self.value {
            Value::List(items) => items,
            Value::Null
            | Value::Bool(_)
            | Value::Number { .. }
            | Value::Text(_)
            | Value::Object(_) => &[],
        }
    }

    /// A field, without reading it.
    pub(super) fn peek(&self, name: &str) -> Option<&Self> {
        self.fields().iter().find(|field| field.name == name).map(|field| &field.node)
    }

    /// Its text, without reading it; empty if it has none.
    pub(super) fn as_text(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            Value::Null
            | Value::Bool(_)
            | Value::Number { .. }
            | Value::List(_)
            | Value::Object(_) => "",
        }
    }

    /// A field's text, without reading it; empty if it has none.
    pub(super) fn peek_text(&self, name: &str) -> &str {
        self.peek(name).map_or("", Self::as_text)
    }

    /// Whether it is `true`.
    pub(super) fn is_true(&self) -> bool {
        matches!(self.value, Value::Bool(true))
    }

    /// Reads a field.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.peek(name).map(Self::mark)
    }

    /// Reads a field that has text; empty if it has none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).map_or("", Self::as_text)
    }

    /// Reads a field that is a number.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)?.value {
            Value::Number { value, .. } => Some(value),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
                None
            }
        }
    }

    /// Reads a field that is `true` or `false`.
    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        match self.get(name)?.value {
            Value::Bool(value) => Some(value),
            Value::Null
            | Value::Number { .. }
            | Value::Text(_)
            | Value::List(_)
            | Value::Object(_) => None,
        }
    }

    /// The items of a list, unread.
    pub(super) fn peek_list(&self, name: &str) -> &[Node<'a>] {
        self.peek(name).map_or(&[], Self::items)
    }

    /// Reads the items of a list, each as the iterator comes to it.
    pub(super) fn each<'n>(
        &'n self,
        name: &str,
    ) -> impl Iterator<Item = &'n Node<'a>> + use<'n, 'a> {
        self.peek(name).map_or(&[][..], |list| list.items()).iter().map(Self::mark).inspect({
            let list = self.peek(name);
            move |_| {
                if let Some(list) = list {
                    list.mark();
                }
            }
        })
    }

    /// Reads the first item of a list.
    pub(super) fn first<'n>(&'n self, name: &str) -> Option<&'n Node<'a>> {
        self.each(name).next()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor).map(Self::new)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "as FHIR decimals are")]
    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number { value: value as f64, whole: true })
    }

    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "as FHIR decimals are")]
    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number { value: value as f64, whole: true })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number { value, whole: false })
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(node) = from.next_element()? {
            items.push(node);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some((Key(name), node)) = from.next_entry()? {
            fields.push(Field { name, node });
        }
        Ok(Value::Object(fields))
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(KeyVisitor).map(Self)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
