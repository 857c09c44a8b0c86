//! Which of the media types that a resource has the caller wants (RFC 9110, 12.5.1; PS3.18, 8.3.3,
//! 8.7.4 and 8.7.5): media ranges with their weights, parts of `multipart/related`, and transfer
//! syntaxes.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::problem::Problem;
pub(super) use crate::web::media::Media;
use crate::web::media::{Wish, split};

/// Media ranges of a request at most.
const RANGES_MAX: usize = 64;
/// What the caller would take.
#[derive(Debug, Clone, Default)]
pub(super) struct Accept(Vec<Wish>);

/// A form that a resource has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// Whether it comes in parts of `multipart/related`.
    pub(super) multipart: bool,
    /// Media type, of the parts if there are.
    pub(super) media: &'static str,
    /// Transfer syntax of the bytes, where there is a choice.
    pub(super) syntax: Option<String>,
    /// Whether it is given only to who says that syntax, or that any will do.
    pub(super) on_demand: bool,
}

impl Offer {
    pub(super) fn single(media: &'static str) -> Self {
        Self { multipart: false, media, syntax: None, on_demand: false }
    }

    pub(super) fn parts(media: &'static str) -> Self {
        Self { multipart: true, media, syntax: None, on_demand: false }
    }

    pub(super) fn in_syntax(self, syntax: &str) -> Self {
        Self { syntax: Some(syntax.to_owned()), ..self }
    }

    pub(super) fn on_demand(self) -> Self {
        Self { on_demand: true, ..self }
    }

    /// As `content-type` and in errors, without a boundary.
    pub(super) fn name(&self) -> String {
        match (self.multipart, &self.syntax) {
            (true, Some(syntax)) => {
                format!("multipart/related; type=\"{}\"; transfer-syntax={syntax}", self.media)
            }
            (true, None) => format!("multipart/related; type=\"{}\"", self.media),
            (false, Some(syntax)) => format!("{}; transfer-syntax={syntax}", self.media),
            (false, None) => self.media.to_owned(),
        }
    }

    fn closeness(&self, media: &Media) -> Option<u8> {
        let closeness = if self.multipart {
            let outer = media.closeness("multipart/related")?;
            match media.parameter("type") {
                Some(part) => Media::parse(part)?.closeness(self.media)?.saturating_add(outer),
                None => outer,
            }
        } else {
            media.closeness(self.media)?
        };
        match (media.parameter("transfer-syntax"), &self.syntax) {
            (None, _) if self.on_demand => None,
            (None | Some("*"), _) | (Some(_), None) => Some(closeness),
            (Some(asked), Some(syntax)) => (asked == syntax).then_some(closeness),
        }
    }
}

impl Accept {
    /// What the request says: parameter `accept` before the header (PS3.18, 8.3.3.1). Nothing said
    /// takes anything.
    pub(super) fn of(
        headers: &HeaderMap,
        parameters: &[(String, String)],
    ) -> Result<Self, Problem> {
        let asked: Vec<&str> = parameters
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("accept"))
            .map(|(_, value)| value.as_str())
            .collect();
        let lines = if asked.is_empty() {
            headers.get_all(ACCEPT).iter().map(|v| v.to_str().unwrap_or("?")).collect()
        } else {
            asked
        };
        let mut wishes = Vec::new();
        for text in lines.iter().flat_map(|line| split(line, ',')) {
            if text.trim().is_empty() {
                continue;
            }
            let wish = Wish::parse(text)
                .filter(|_| wishes.len() < RANGES_MAX)
                .ok_or_else(|| Problem::field("accept", "must be a list of media types"))?;
            wishes.push(wish);
        }
        Ok(Self(wishes))
    }

    /// The offer that is wanted most; among equals, the first. 406 if none is.
    pub(super) fn choose<'a>(&self, offers: &'a [Offer]) -> Result<&'a Offer, Problem> {
        if self.0.is_empty()
            && let Some(first) = offers.first()
        {
            return Ok(first);
        }
        let mut best: Option<((u16, u8), &Offer)> = None;
        for offer in offers {
            // Of the ranges that fit, the closest says the weight (RFC 9110, 12.5.1).
            let fits = self.0.iter().filter_map(|wish| {
                offer.closeness(&wish.media).map(|closeness| (closeness, wish.weight))
            });
            let Some((closeness, weight)) = fits.max() else { continue };
            if weight > 0 && best.is_none_or(|(worth, _)| (weight, closeness) > worth) {
                best = Some(((weight, closeness), offer));
            }
        }
        best.map(|(_, offer)| offer).ok_or_else(|| {
            Problem::not_acceptable(&offers.iter().map(Offer::name).collect::<Vec<_>>())
        })
    }
}

#[cfg(test)]
mod tests;
