//! The public keys of an identity provider: a JSON Web Key Set (RFC 7517) of Ed25519 (RFC 8037),
//! P-256 and RSA keys.
//!
//! A key is found by its id and the algorithm of its kind together, so a token cannot have an RSA key
//! taken for an HMAC secret, nor a key of one kind for another's. Symmetric keys are never taken.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::{Map, Value};

use super::json;

/// Bytes of a key set at most.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Keys in a set at most.
pub const KEYS_MAX: usize = 64;
/// Characters of a key's id at most.
pub const KID_CHARS_MAX: usize = 256;
/// Bits of an RSA modulus: below is too weak (RFC 7518, 3.3), above costs too much to check.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// How a token may be signed. There is no other way: not `none`, and nothing symmetric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037, 3.1).
    EdDSA,
    /// ECDSA with P-256 and SHA-256 (RFC 7518, 3.4).
    ES256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, 3.3).
    RS256,
}

/// Why a key set was refused. No content of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Too many bytes.
    #[error("a key set has at most {KEY_SET_BYTES_MAX} bytes")]
    TooLarge,
    /// Not JSON, or a name stands twice.
    #[error("the key set {0}")]
    Json(&'static str),
    /// No object with a list `keys`.
    #[error("the key set has no list `keys`")]
    NoList,
    /// Too many keys.
    #[error("a key set has at most {KEYS_MAX} keys")]
    TooMany,
    /// Which of two keys signed cannot be told.
    #[error("two keys of one kind have the same kid")]
    SameId,
    /// A private or symmetric key is in what everybody can read.
    #[error("the key set holds a private key")]
    Private,
    /// Nothing in it can check a token.
    #[error("the key set has no Ed25519, P-256 or RSA (2048 to 4096 bits) key for signatures")]
    Empty,
}

/// A public key.
enum Key {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// Keys by id and algorithm.
pub struct KeySet {
    keys: HashMap<(String, Algorithm), Key>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Algorithm {
    /// The name in a token's header, if it is one of those that are ever taken.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "EdDSA" => Some(Self::EdDSA),
            "ES256" => Some(Self::ES256),
            "RS256" => Some(Self::RS256),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::ES256 => "ES256",
            Self::RS256 => "RS256",
        }
    }
}

impl KeySet {
    /// Reads a key set. Keys of kinds that are not taken, or not for signatures, are passed over, as
    /// RFC 7517, section 5, asks.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooLarge);
        }
        let value = json::parse(bytes).map_err(KeySetError::Json)?;
        let list = value.get("keys").and_then(Value::as_array).ok_or(KeySetError::NoList)?;
        if list.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let mut keys = HashMap::new();
        for key in list.iter().filter_map(Value::as_object) {
            let private = ["d", "p", "q", "dp", "dq", "qi", "oth"];
            if private.iter().any(|name| key.contains_key(*name)) {
                return Err(KeySetError::Private);
            }
            let Some((kid, algorithm, key)) = usable(key) else { continue };
            if keys.insert((kid, algorithm), key).is_some() {
                return Err(KeySetError::SameId);
            }
        }
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self { keys }) }
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is a key of this id and algorithm; without an id, exactly one of the algorithm.
    pub(super) fn has(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        self.find(kid, algorithm).is_some()
    }

    /// Whether `signature` over `message` was made with that key.
    pub(super) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let Some(key) = self.find(kid, algorithm) else { return false };
        let outcome = match key {
            Key::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            Key::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Key::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        outcome.is_ok()
    }

    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        if let Some(kid) = kid {
            return self.keys.get(&(kid.to_owned(), algorithm));
        }
        let mut of_kind = self.keys.iter().filter(|((_, of), _)| *of == algorithm);
        let (_, key) = of_kind.next()?;
        of_kind.next().is_none().then_some(key)
    }
}

/// A key that can check signatures, with its id (empty where it has none).
fn usable(key: &Map<String, Value>) -> Option<(String, Algorithm, Key)> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    if key.contains_key("use") && text("use") != Some("sig") {
        return None;
    }
    let verifies = |list: &Vec<Value>| list.iter().any(|one| one == "verify");
    if let Some(operations) = key.get("key_ops")
        && !operations.as_array().is_some_and(verifies)
    {
        return None;
    }
    let kid = match key.get("kid") {
        None => String::new(),
        Some(kid) => kid.as_str().filter(|kid| kid.chars().count() <= KID_CHARS_MAX)?.to_owned(),
    };
    let bytes = |name: &str| text(name).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let exactly = |name: &str, length: usize| bytes(name).filter(|part| part.len() == length);
    let (algorithm, read) = match (text("kty")?, text("crv")) {
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, Key::Ed25519(exactly("x", 32)?)),
        ("EC", Some("P-256")) => {
            // An uncompressed point (SEC 1, 2.3.3).
            let point = [vec![4], exactly("x", 32)?, exactly("y", 32)?].concat();
            (Algorithm::ES256, Key::P256(point))
        }
        ("RSA", _) => {
            let (n, e) = (plain(bytes("n")?), plain(bytes("e")?));
            if !RSA_BYTES.contains(&n.len()) || e.len() > 4 {
                return None;
            }
            (Algorithm::RS256, Key::Rsa { n, e })
        }
        _ => return None,
    };
    if key.contains_key("alg") && text("alg") != Some(algorithm.name()) {
        return None;
    }
    Some((kid, algorithm, read))
}

/// Without the zeros that some providers write in front.
fn plain(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}
