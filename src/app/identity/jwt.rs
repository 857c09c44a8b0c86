//! A signed token in its compact form (RFC 7515, 7.1) and its header; claims are read only after the
//! signature has been checked.
//!
//! What RFC 8725 (best practices) asks for is done here and in [`super::oidc`]: the algorithm must be
//! on a list, the key must be of its kind, the type must be one of an access token. Keys that a token
//! brings along (`jwk`, `jku`, `x5u`) are refused, whatever they are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;
use super::keys::{Algorithm, KID_CHARS_MAX, KeySet};

/// Bytes of a token at most.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Parameters of a header that would change how a token is to be read, or bring a key along.
const FOREIGN: [&str; 8] = ["crit", "b64", "jwk", "jku", "x5u", "zip", "enc", "epk"];
/// Types of tokens that are taken, in small letters (RFC 9068, 2.1; RFC 7519, 5.1).
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// Why a token was refused. For the log of an operator; no content of the token is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// More bytes than [`TOKEN_BYTES_MAX`].
    #[error("the token is too long")]
    TooLong,
    /// Not three parts in base64url.
    #[error("the token is not in compact form")]
    Form,
    /// The header is not an object in JSON that says each thing once.
    #[error("the token's header cannot be read")]
    Header,
    /// The algorithm is not on the list.
    #[error("the token's algorithm is not one of auth.oidc.algorithms")]
    Algorithm,
    /// The header asks for something that is not done here.
    #[error("the token's header has a parameter that is not taken")]
    Parameter,
    /// Some other kind of token.
    #[error("the token's type is not that of an access token")]
    Type,
    /// No key of that id and algorithm.
    #[error("no key of the provider has the token's kid and algorithm")]
    Key,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// The claims are not an object in JSON that says each thing once.
    #[error("the token's claims cannot be read")]
    Claims,
    /// `iss` is missing or another.
    #[error("the token's issuer is another")]
    Issuer,
    /// `aud` is missing or does not name this node.
    #[error("the token is for another audience")]
    Audience,
    /// A time is missing where one must be, or is no time.
    #[error("the token's times cannot be read")]
    Times,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is yet to come.
    #[error("the token is not yet valid")]
    NotYet,
    /// It would be valid for longer than allowed.
    #[error("the token is valid for longer than auth.oidc.lifetime_max_s")]
    Lifetime,
    /// The claim that names the caller is missing or cannot stand in the audit trail.
    #[error("the token names nobody")]
    Name,
    /// The claim of scope is no list of short texts.
    #[error("the token's scope cannot be read")]
    Scope,
    /// No role of the token is in the table of roles.
    #[error("no role of the token stands in auth.oidc.roles")]
    Role,
    /// Roles of the token mean different things here.
    #[error("the token's roles mean more than one role here")]
    Roles,
}

/// A token whose header was read. Nothing of it is to be believed yet.
pub(super) struct Unchecked<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    signed: &'a [u8],
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unchecked<'a> {
    /// Takes a token apart; `allowed` are the algorithms that may be used.
    pub(super) fn parse(token: &'a str, allowed: &[Algorithm]) -> Result<Self, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Form)?;
        if claims.contains('.') || claims.is_empty() {
            return Err(Refusal::Form);
        }
        let header = object(header, Refusal::Header)?;
        let named = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
        let algorithm = named.filter(|one| allowed.contains(one)).ok_or(Refusal::Algorithm)?;
        if FOREIGN.iter().any(|name| header.contains_key(*name)) {
            return Err(Refusal::Parameter);
        }
        match header.get("typ").map(Value::as_str) {
            None => {}
            Some(Some(kind)) if TYPES.contains(&kind.to_ascii_lowercase().as_str()) => {}
            Some(_) => return Err(Refusal::Type),
        }
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.chars().count() <= KID_CHARS_MAX => Some(kid.clone()),
            Some(_) => return Err(Refusal::Header),
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refusal::Form)?;
        Ok(Self { algorithm, kid, signed: signed.as_bytes(), claims, signature })
    }

    /// The claims, if the token was signed with one of `keys`.
    pub(super) fn check(self, keys: &KeySet) -> Result<Map<String, Value>, Refusal> {
        let kid = self.kid.as_deref();
        if !keys.has(kid, self.algorithm) {
            return Err(Refusal::Key);
        }
        if !keys.verify(kid, self.algorithm, self.signed, &self.signature) {
            return Err(Refusal::Signature);
        }
        object(self.claims, Refusal::Claims)
    }
}

fn object(part: &str, otherwise: Refusal) -> Result<Map<String, Value>, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Form)?;
    match json::parse(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(otherwise),
    }
}
