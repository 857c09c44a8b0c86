//! JSON that says each thing once: an object with a name that stands twice is refused, at any depth.
//!
//! Two readers of `{"role":"a","role":"b"}` can understand different things (RFC 8725, 2.4; RFC 7515,
//! section 4, lets a reader refuse it). Depth is bounded by `serde_json` (128).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads `bytes`; the error names no content.
pub fn parse(bytes: &[u8]) -> Result<Value, &'static str> {
    serde_json::from_slice::<Once>(bytes)
        .map(|Once(value)| value)
        .map_err(|e| if e.is_data() { "a name stands twice" } else { "is not JSON" })
}

/// A value in which each name of an object stands once.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Once)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let Once(value) = entries.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_object_that_says_something_twice_is_refused_at_any_depth() {
        for twice in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":[{"c":1,"\u0063":2}]}}"#] {
            assert_eq!(parse(twice.as_bytes()), Err("a name stands twice"), "{twice}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        for bad in ["", "{", "{}{}", "nul", "\"\u{1}\"", &deep] {
            assert_eq!(parse(bad.as_bytes()), Err("is not JSON"), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_says_each_thing_once_is_read_as_it_is(
            names in proptest::collection::btree_map("[a-z]{1,6}", -9.0_f64..9.0, 0..6),
        ) {
            let text = serde_json::to_string(&names).unwrap();
            let plain: serde_json::Value = serde_json::from_str(&text).unwrap();
            proptest::prop_assert_eq!(parse(text.as_bytes()).unwrap(), plain);
        }
    }
}
