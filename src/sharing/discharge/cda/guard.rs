//! A first look at markup, before a tree is built from it: no document type, and no more depth,
//! elements, attributes and namespaces than a record has.
//!
//! The parser behind this is exact about what is well formed, but compares each attribute of an
//! element with the others and copies the namespaces in scope, so that a few megabytes could keep
//! it busy for hours. What is malformed here is left to it to name.

use memchr::memmem;

/// Nesting at most. The deepest of the shared documents has 17.
pub(super) const DEPTH_MAX: usize = 100;
/// Elements at most. The largest of the shared documents has 2,321.
pub(super) const ELEMENTS_MAX: usize = 500_000;
/// Attributes of one element at most.
const ATTRIBUTES_MAX: usize = 64;
/// Declarations of namespaces in the whole document at most.
const NAMESPACES_MAX: usize = 200;

/// Why markup was refused, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) at: usize,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// What was counted.
#[derive(Default)]
struct Counts {
    depth: usize,
    elements: usize,
    namespaces: usize,
}

/// Looks through `text` once.
pub(super) fn check(text: &str) -> Result<(), Refused> {
    let bytes = text.as_bytes();
    let mut counts = Counts::default();
    let mut from = 0;
    while let Some(rest) = bytes.get(from..) {
        let Some(next) = memchr::memchr(b'<', rest) else { break };
        let at = from + next;
        let Some(tag) = bytes.get(at..) else { break };
        let length = if tag.starts_with(b"<!--") {
            past(tag, b"-->")
        } else if tag.starts_with(b"<![CDATA[") {
            past(tag, b"]]>")
        } else if tag.starts_with(b"<?") {
            past(tag, b"?>")
        } else if tag.starts_with(b"<!") {
            let message = "不允许文档类型声明（DTD）和实体定义".to_owned();
            return Err(Refused { at, code: "xml_dtd", message });
        } else if tag.starts_with(b"</") {
            counts.depth = counts.depth.saturating_sub(1);
            past(tag, b">")
        } else {
            counts.start_tag(tag).map_err(|(code, message)| Refused { at, code, message })?
        };
        let Some(length) = length else { break };
        from = at + length;
    }
    Ok(())
}

fn past(tag: &[u8], end: &[u8]) -> Option<usize> {
    memmem::find(tag, end).map(|at| at + end.len())
}

impl Counts {
    /// The length of a start tag, none if it does not end.
    fn start_tag(&mut self, tag: &[u8]) -> Result<Option<usize>, (&'static str, String)> {
        let (mut quote, mut attributes, mut before) = (None, 0, b'<');
        let mut end = None;
        for (at, &byte) in tag.iter().enumerate() {
            match (quote, byte) {
                (Some(open), _) if byte == open => quote = None,
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'=') => attributes += 1,
                (None, b'x') if tag.get(at..).is_some_and(|rest| rest.starts_with(b"xmlns")) => {
                    self.namespaces += 1;
                }
                (None, b'>') => {
                    end = Some(at + 1);
                    break;
                }
                (Some(_) | None, _) => {}
            }
            before = byte;
        }
        self.elements += 1;
        self.depth += usize::from(before != b'/');
        let over = |what: &str, limit: usize| Err(("xml_too_large", format!("{what}超过{limit}")));
        if self.depth > DEPTH_MAX {
            return over("元素嵌套层数", DEPTH_MAX);
        }
        if self.elements > ELEMENTS_MAX {
            return over("元素个数", ELEMENTS_MAX);
        }
        if attributes > ATTRIBUTES_MAX {
            return over("一个元素的属性个数", ATTRIBUTES_MAX);
        }
        if self.namespaces > NAMESPACES_MAX {
            return over("命名空间声明个数", NAMESPACES_MAX);
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_held_and_ordinary_markup_passes() {
        let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
        assert_eq!(check(&nested(DEPTH_MAX + 1)).unwrap_err().code, "xml_too_large");
        assert_eq!(check("<!DOCTYPE a><a/>").unwrap_err().code, "xml_dtd");
        assert_eq!(check("<?xml version='1.0'?><!-- <!DOCTYPE --><a b='<' c=\">\"/>"), Ok(()));
        let many = " a=''".repeat(ATTRIBUTES_MAX + 1);
        assert_eq!(check(&format!("<a{many}/>")).unwrap_err().code, "xml_too_large");
        let spaces = "<a xmlns='b'/>".repeat(NAMESPACES_MAX + 1);
        assert_eq!(check(&spaces).unwrap_err().code, "xml_too_large");
        let flat = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS_MAX));
        assert_eq!(check(&flat).unwrap_err().code, "xml_too_large");
    }
}
