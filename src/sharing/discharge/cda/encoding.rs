//! From the bytes of a document to its text: byte-order mark, XML declaration, and what the bytes
//! really are.
//!
//! Chinese hospital systems are known for writing GB18030 under a declaration that says UTF-8, and
//! the other way round. Either would turn names into other names, so it is refused and said.

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030, GBK, UTF_8, UTF_16BE, UTF_16LE};

use super::super::problems::Problem;

/// Bytes of the beginning in which the XML declaration has to be.
const DECLARATION_BYTES_MAX: usize = 256;

/// The text of `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
    let (marked, body) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (Some(encoding), bytes.get(length..).unwrap_or_default()),
        None => (without_mark(bytes), bytes),
    };
    let declared = declared(body, marked);
    let stated = match declared.as_deref() {
        None => None,
        Some(label) => Some(known(label).ok_or_else(|| {
            refuse(
                "encoding_unsupported",
                "不支持所声明的字符编码；可用UTF-8、UTF-16、GB18030、GBK、GB2312",
            )
        })?),
    };
    match (marked, stated) {
        (Some(mark), Some(label)) if !agree(mark, label) => Err(refuse(
            "encoding_mismatch",
            format!("字节顺序标记表明是{}，但XML声明写的是{}", mark.name(), label.name()),
        )),
        (None, Some(label)) if label == UTF_16LE || label == UTF_16BE => Err(refuse(
            "encoding_mismatch",
            "XML声明写的是UTF-16，但字节不是UTF-16；请按实际编码声明",
        )),
        (Some(encoding), _) if encoding != UTF_8 => strict(encoding, body),
        (None, Some(encoding)) if encoding != UTF_8 => chinese(encoding, body),
        (Some(_) | None, _) => utf8(body),
    }
}

/// UTF-16 without a mark is known by the zeros around the first `<`.
fn without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [b'<', 0, second, 0, ..] if *second != 0 => Some(UTF_16LE),
        [0, b'<', 0, second, ..] if *second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// The label in the XML declaration.
fn declared(body: &[u8], marked: Option<&'static Encoding>) -> Option<String> {
    let start = body.get(..DECLARATION_BYTES_MAX).unwrap_or(body);
    let text = match marked {
        Some(encoding) if encoding != UTF_8 => encoding.decode_without_bom_handling(start).0,
        Some(_) | None => String::from_utf8_lossy(start),
    };
    let declaration = text.strip_prefix("<?xml")?.split_once("?>")?.0;
    let after = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after.get(1..)?.split_once(quote).map(|(label, _)| label.trim().to_owned())
}

fn known(label: &str) -> Option<&'static Encoding> {
    if ["us-ascii", "ascii"].contains(&label.to_ascii_lowercase().as_str()) {
        return Some(UTF_8);
    }
    let encoding = Encoding::for_label(label.as_bytes())?;
    [UTF_8, UTF_16LE, UTF_16BE, GBK, GB18030].contains(&encoding).then_some(encoding)
}

/// The label `UTF-16` is either byte order.
fn agree(mark: &'static Encoding, label: &'static Encoding) -> bool {
    let wide = |encoding| encoding == UTF_16LE || encoding == UTF_16BE;
    mark == label || (wide(mark) && wide(label))
}

fn utf8(body: &[u8]) -> Result<Cow<'_, str>, Problem> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) if looks_like_gb(body) => Err(refuse(
            "encoding_mismatch",
            format!(
                "声明（或默认）为UTF-8，但字节是GB18030/GBK编码（第{}字节起）；请把声明改为GB18030，或按UTF-8保存",
                error.valid_up_to() + 1
            ),
        )),
        Err(error) => Err(refuse(
            "encoding_invalid",
            format!("第{}字节起不是有效的UTF-8", error.valid_up_to() + 1),
        )),
    }
}

/// Whether bytes that are not UTF-8 are Chinese: they decode as GB18030, and more of them are
/// impossible in UTF-8 than possible. A UTF-8 text with one broken byte decodes as well.
fn looks_like_gb(body: &[u8]) -> bool {
    if GB18030.decode_without_bom_handling_and_without_replacement(body).is_none() {
        return false;
    }
    let (mut broken, mut fine) = (0_usize, 0_usize);
    for chunk in body.utf8_chunks() {
        fine += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    broken > fine
}

fn chinese<'b>(encoding: &'static Encoding, body: &'b [u8]) -> Result<Cow<'b, str>, Problem> {
    if let Ok(text) = std::str::from_utf8(body) {
        let (mut han, mut others) = (0_usize, 0_usize);
        for c in text.chars().filter(|c| !c.is_ascii()) {
            match c {
                '\u{3000}'..='\u{303f}' | '\u{4e00}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}' => {
                    han += 1;
                }
                _ => others += 1,
            }
        }
        if han > others {
            return Err(refuse(
                "encoding_mismatch",
                format!("声明为{}，但字节是UTF-8编码；请把声明改为UTF-8", encoding.name()),
            ));
        }
    }
    strict(encoding, body)
}

fn strict<'b>(encoding: &'static Encoding, body: &'b [u8]) -> Result<Cow<'b, str>, Problem> {
    encoding
        .decode_without_bom_handling_and_without_replacement(body)
        .ok_or_else(|| refuse("encoding_invalid", format!("有字节不属于{}编码", encoding.name())))
}

fn refuse(code: &str, message: impl Into<String>) -> Problem {
    Problem::fatal("/", code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "<a>高血压病３级，很高危</a>";

    fn gb(text: &str) -> Vec<u8> {
        GB18030.encode(text).0.into_owned()
    }

    fn code(bytes: &[u8]) -> String {
        decode(bytes).unwrap_err().code
    }

    #[test]
    fn text_in_each_encoding_is_read() {
        for label in ["GB18030", "gbk", "GB2312"] {
            let text = format!("<?xml version=\"1.0\" encoding=\"{label}\"?>{TEXT}");
            assert_eq!(decode(&gb(&text)).unwrap(), text);
        }
        let plain = format!("<?xml version='1.0'?>{TEXT}");
        assert_eq!(decode(plain.as_bytes()).unwrap(), plain);
        let marked = format!("\u{feff}<?xml version='1.0' encoding='utf-8'?>{TEXT}");
        assert_eq!(decode(marked.as_bytes()).unwrap(), marked.trim_start_matches('\u{feff}'));
        let wide = format!("<?xml version='1.0' encoding='UTF-16'?>{TEXT}");
        for mark in [true, false] {
            let mut little = if mark { vec![0xff, 0xfe] } else { vec![] };
            let mut big = if mark { vec![0xfe, 0xff] } else { vec![] };
            for unit in wide.encode_utf16() {
                little.extend(unit.to_le_bytes());
                big.extend(unit.to_be_bytes());
            }
            assert_eq!(decode(&little).unwrap(), wide);
            assert_eq!(decode(&big).unwrap(), wide);
        }
    }

    #[test]
    fn bytes_that_are_not_what_is_declared_are_refused_and_named() {
        let utf8 = format!("<?xml version='1.0' encoding='UTF-8'?>{TEXT}");
        let problem = decode(&gb(&utf8)).unwrap_err();
        assert_eq!(problem.code, "encoding_mismatch");
        assert!(problem.message.contains("GB18030"), "{}", problem.message);
        assert_eq!(code(&gb(TEXT)), "encoding_mismatch");
        let said_gbk = format!("<?xml version='1.0' encoding='GBK'?>{TEXT}");
        assert_eq!(code(said_gbk.as_bytes()), "encoding_mismatch");
        assert_eq!(code(format!("\u{feff}{said_gbk}").as_bytes()), "encoding_mismatch");
        let wide = "<?xml version='1.0' encoding='utf-16'?><a/>";
        assert_eq!(code(wide.as_bytes()), "encoding_mismatch");
        let mut broken = utf8.clone().into_bytes();
        broken.insert(50, 0xff);
        assert_eq!(code(&broken), "encoding_invalid");
        assert_eq!(code(b"<?xml version='1.0' encoding='big5'?><a/>"), "encoding_unsupported");
        assert_eq!(
            code(b"<?xml version='1.0' encoding='GBK'?><a>\x80\xff</a>"),
            "encoding_invalid"
        );
    }
}
