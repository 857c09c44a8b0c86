//! The hub's key: what documents are sealed with, and what people are looked up by.
//!
//! From one secret two keys are made. Bodies are sealed by AES-256-GCM (NIST SP 800-38D) with what names
//! the document as additional data, so that one cannot be put in another's place. The nonce is a keyed
//! digest of both: it repeats only where the very same document is sealed again, which gives the same
//! bytes and tells nothing. Digests of people are HMAC-SHA-256 (RFC 2104), cut to 16 bytes.
//!
//! Rotation, and other ciphers, come with the issue on trust; the first byte says which key sealed.

use std::fmt;

use bytes::Bytes;
use ring::{aead, hmac};
use sha2::{Digest as _, Sha256};

use super::ports::PersonKey;
use crate::app::error::Error;
use crate::sharing::exchange::Document;
use crate::sharing::patient::{IdentifierKind, Keyer, ResidentId};
use crate::tables::text;

/// Kind of identifier whose forms are known.
pub(super) const RESIDENT_ID: &str = "resident_id";
/// Says that the first key sealed, by the way described above.
const SEALED_1: u8 = 1;

/// Bytes that sealing adds: which key, the nonce and the tag.
pub(super) const SEAL_BYTES: u64 = 29;

/// See the module.
pub struct HubKey {
    seal: aead::LessSafeKey,
    nonce: hmac::Key,
    people: hmac::Key,
}

impl HubKey {
    /// From a secret, at least 32 bytes.
    pub fn new(secret: &[u8]) -> Self {
        let derive = |label: &str| -> [u8; 32] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let mut out = [0; 32];
            for (byte, of) in out.iter_mut().zip(hmac::sign(&key, label.as_bytes()).as_ref()) {
                *byte = *of;
            }
            out
        };
        let seal = aead::UnboundKey::new(&aead::AES_256_GCM, &derive("xiangyi hub seal 1"));
        #[expect(clippy::expect_used, reason = "a key of 32 bytes fits the cipher")]
        let seal = aead::LessSafeKey::new(seal.expect("32 bytes"));
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, &derive(label));
        Self { seal, nonce: key("xiangyi hub nonce 1"), people: key("xiangyi hub people 1") }
    }

    /// The document with its body sealed; its digest stays that of the body as it came.
    pub fn seal(&self, mut document: Document) -> Result<Document, Error> {
        let name = named(&document);
        document.body = self.sealed(name, &document.sha256, &document.body)?.into();
        Ok(document)
    }

    /// The document with its body as it came. Fails if anything of it was changed.
    pub fn open(&self, mut document: Document) -> Result<Document, Error> {
        document.body = Bytes::from(self.opened(named(&document), &document.body)?);
        let digest: [u8; 32] = Sha256::digest(&document.body).into();
        if digest == document.sha256 { Ok(document) } else { Err(changed()) }
    }

    /// Bytes that are no document, sealed so that they open only under the same `label` and `name`.
    pub(in crate::app) fn seal_bytes(
        &self,
        label: &str,
        name: &[u8],
        bytes: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.sealed(labelled(label, name), &Sha256::digest(bytes), bytes)
    }

    /// What [`HubKey::seal_bytes`] sealed.
    pub(in crate::app) fn open_bytes(
        &self,
        label: &str,
        name: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.opened(labelled(label, name), sealed)
    }

    fn sealed(&self, name: Vec<u8>, digest: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::internal("sealing", "cipher");
        let mut nonce = [0; aead::NONCE_LEN];
        let mut signed = hmac::Context::with_key(&self.nonce);
        signed.update(&name);
        signed.update(digest);
        for (byte, of) in nonce.iter_mut().zip(signed.sign().as_ref()) {
            *byte = *of;
        }
        let mut sealed = Vec::with_capacity(bytes.len() + 1 + nonce.len() + 16);
        sealed.push(SEALED_1);
        sealed.extend_from_slice(&nonce);
        let mut body = bytes.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let with = aead::Aad::from(name);
        self.seal.seal_in_place_append_tag(nonce, with, &mut body).map_err(failed)?;
        sealed.append(&mut body);
        Ok(sealed)
    }

    fn opened(&self, name: Vec<u8>, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (kind, rest) = sealed.split_first().ok_or_else(changed)?;
        let (nonce, sealed) = rest.split_at_checked(aead::NONCE_LEN).ok_or_else(changed)?;
        if *kind != SEALED_1 {
            return Err(changed());
        }
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).map_err(|_| changed())?;
        let mut body = sealed.to_vec();
        let with = aead::Aad::from(name);
        let length = self.seal.open_in_place(nonce, with, &mut body).map_err(|_| changed())?.len();
        body.truncate(length);
        Ok(body)
    }

    /// A keyed digest of what was stated of a person. Not the key of a person: those are of a number
    /// with a name.
    pub(in crate::app) fn stated(&self, label: &str, parts: &[&[u8]]) -> [u8; 16] {
        let mut signed = hmac::Context::with_key(&self.people);
        signed.update(label.as_bytes());
        for part in parts {
            signed.update(&[0]);
            signed.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            signed.update(part);
        }
        cut(&signed.sign())
    }

    /// Keys of a person: each identifier together with the name.
    pub fn people(&self, name: &str, identifiers: &[(&str, &str)]) -> Vec<PersonKey> {
        let name = folded(name);
        if name.is_empty() {
            return Vec::new();
        }
        let mut keys = Vec::new();
        for (kind, value) in identifiers {
            // An old number of 15 digits is the person's number of 18.
            let known = (*kind == RESIDENT_ID).then(|| ResidentId::parse(value).ok()).flatten();
            let value = match &known {
                Some(id) => id.number().to_owned(),
                None => folded(value).to_uppercase(),
            };
            if value.is_empty() {
                continue;
            }
            let mut signed = hmac::Context::with_key(&self.people);
            for part in [kind, value.as_str(), name.as_str()] {
                signed.update(part.as_bytes());
                signed.update(&[0]);
            }
            keys.push(cut(&signed.sign()));
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl fmt::Debug for HubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubKey(..)")
    }
}

/// Numbers that are matched, as keyed digests: without the key nobody can tell one from its digest.
impl Keyer for HubKey {
    fn digest(&self, kind: IdentifierKind, number: &str) -> PersonKey {
        let kind: &[u8] = match kind {
            IdentifierKind::ResidentId => b"resident_id",
            IdentifierKind::HealthCard => b"health_card",
            IdentifierKind::Phone => b"phone",
        };
        self.stated("number", &[kind, number.as_bytes()])
    }
}

fn changed() -> Error {
    Error::internal("opening", "what was sealed was changed, or the key is another")
}

/// The first 16 bytes.
fn cut(tag: &hmac::Tag) -> PersonKey {
    let mut key = PersonKey::default();
    for (byte, of) in key.iter_mut().zip(tag.as_ref()) {
        *byte = *of;
    }
    key
}

/// What names bytes that are no document. The kinds of documents are words without a dot.
fn labelled(label: &str, name: &[u8]) -> Vec<u8> {
    let mut all = format!("bytes.{label}").into_bytes();
    all.push(0);
    all.extend_from_slice(name);
    all
}

/// What names a document, unambiguously.
fn named(document: &Document) -> Vec<u8> {
    let mut name = document.kind.name().as_bytes().to_vec();
    name.push(0);
    name.extend_from_slice(&document.version.to_be_bytes());
    name.extend_from_slice(document.name.as_bytes());
    name
}

/// Width, case and simplified form as everywhere; spaces and dots between names left out.
fn folded(name: &str) -> String {
    text::fold(name).chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::exchange::Kind;

    fn document(body: &'static str) -> Document {
        Document {
            kind: Kind::Record,
            name: "a".to_owned(),
            version: 1,
            media_type: String::new(),
            sha256: Sha256::digest(body).into(),
            body: Bytes::from(body),
        }
    }

    #[test]
    fn a_sealed_document_opens_as_it_was_and_not_if_anything_was_changed() {
        let key = HubKey::new(&[7; 32]);
        let whole = document("饶建国");
        let sealed = key.seal(whole.clone()).unwrap();
        assert_eq!(sealed.body.len() - whole.body.len(), usize::try_from(SEAL_BYTES).unwrap());
        assert!(!sealed.body.windows(3).any(|w| w == "饶".as_bytes()));
        assert_eq!(key.open(sealed.clone()).unwrap(), whole);
        for at in 0..sealed.body.len() {
            let mut bytes = sealed.body.to_vec();
            bytes[at] ^= 1;
            assert!(key.open(Document { body: bytes.into(), ..sealed.clone() }).is_err(), "{at}");
        }
        for end in 0..sealed.body.len() {
            let body = sealed.body.slice(..end);
            assert!(key.open(Document { body, ..sealed.clone() }).is_err(), "{end}");
        }
        for other in [
            Document { name: "b".to_owned(), ..sealed.clone() },
            Document { version: 2, ..sealed.clone() },
            Document { kind: Kind::Task, ..sealed.clone() },
        ] {
            assert!(key.open(other).is_err());
        }
        assert!(HubKey::new(&[8; 32]).open(sealed).is_err());
    }

    #[test]
    fn other_bytes_open_only_under_their_own_name() {
        let key = HubKey::new(&[7; 32]);
        let sealed = key.seal_bytes("person", b"1", "饶建国".as_bytes()).unwrap();
        assert!(!sealed.windows(3).any(|w| w == "饶".as_bytes()));
        assert_eq!(key.open_bytes("person", b"1", &sealed).unwrap(), "饶建国".as_bytes());
        assert!(key.open_bytes("person", b"2", &sealed).is_err());
        assert!(key.open_bytes("particulars", b"1", &sealed).is_err());
        assert_ne!(sealed, key.seal_bytes("person", b"2", "饶建国".as_bytes()).unwrap());
        let stated = |parts: &[&[u8]]| key.stated("all", parts);
        assert_ne!(stated(&[b"ab", b"c"]), stated(&[b"a", b"bc"]));
        let phone = key.digest(IdentifierKind::Phone, "1");
        assert_ne!(phone, key.digest(IdentifierKind::HealthCard, "1"));
    }

    #[test]
    fn people_are_found_by_identifier_and_name_together() {
        let key = HubKey::new(&[7; 32]);
        let of = |name, id| key.people(name, &[("resident_id", id)]);
        assert_eq!(
            of("饶建国", "36112119570317051X"),
            of(" 饶建国 ", "３６１１２１１９５７０３１７０５１ｘ")
        );
        assert_ne!(of("饶建国", "36112119570317051X"), of("饶建中", "36112119570317051X"));
        assert_ne!(of("饶建国", "36112119570317051X"), of("饶建国", "361121195703170510"));
        assert_eq!(of("饶建国", "361121570317051"), of("饶建国", "36112119570317051X"));
        assert!(of("", "36112119570317051X").is_empty() && of("饶建国", "").is_empty());
        assert_ne!(
            of("饶建国", "1"),
            HubKey::new(&[8; 32]).people("饶建国", &[("resident_id", "1")])
        );
    }
}
