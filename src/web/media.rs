//! Media types as headers write them (RFC 9110, 8.3.1 and 12.5.1).

/// Weight of what is wanted most; weights are thousandths.
const FULL: u16 = 1000;

/// A media type or range with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Media {
    /// Type, lower case; `*` for any.
    pub(super) kind: String,
    /// Subtype, lower case; `*` for any.
    pub(super) sub: String,
    /// Parameters, names in lower case.
    pub(super) parameters: Vec<(String, String)>,
}

/// A media type or range that a caller would take.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Which.
    pub(super) media: Media,
    /// How much, in thousandths; 0: not at all.
    pub(super) weight: u16,
}

impl Media {
    /// Reads one media type.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pieces = split(text, ';').into_iter();
        let (kind, sub) = pieces.next()?.trim().split_once('/')?;
        let token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&b))
        };
        if !token(kind) || !token(sub) {
            return None;
        }
        let mut parameters = Vec::new();
        for piece in pieces {
            if piece.trim().is_empty() {
                continue;
            }
            let (name, value) = piece.split_once('=')?;
            parameters.push((name.trim().to_ascii_lowercase(), unquoted(value.trim())));
        }
        Some(Self { kind: kind.to_ascii_lowercase(), sub: sub.to_ascii_lowercase(), parameters })
    }

    /// A parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How closely it names `media`: 1 for any, 2 for any of the type, 3 for itself.
    pub(super) fn closeness(&self, media: &str) -> Option<u8> {
        let (kind, sub) = media.split_once('/')?;
        match (self.kind.as_str(), self.sub.as_str()) {
            ("*", "*") => Some(1),
            (own, "*") if own == kind => Some(2),
            (own, of) if own == kind && of == sub => Some(3),
            _ => None,
        }
    }
}

impl Wish {
    /// Reads one media type with its weight.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let media = Media::parse(text)?;
        let weight = match media.parameter("q") {
            None => FULL,
            Some(q) => {
                let (whole, part) = q.split_once('.').unwrap_or((q, ""));
                let part = part.get(..3.min(part.len()))?;
                let digits = part.bytes().all(|b| b.is_ascii_digit());
                let whole: u16 = whole.parse().ok()?;
                let thousandths: u16 = format!("{part:0<3}").parse().ok()?;
                Some(whole.checked_mul(FULL)?.checked_add(thousandths)?)
                    .filter(|weight| digits && *weight <= FULL)?
            }
        };
        Some(Self { media, weight })
    }
}

/// Splits at `separator`, except within quotes.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c| {
        if escaped {
            escaped = false;
            return false;
        }
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => escaped = true,
            _ => return c == separator && !quoted,
        }
        false
    })
    .collect()
}

/// A parameter's value without quotes and escapes.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut out = String::new();
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(c);
        }
    }
    out
}
