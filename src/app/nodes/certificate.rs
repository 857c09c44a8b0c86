//! Certificates of nodes: what the hub's authority signs, and what is read of one.
//!
//! ECDSA over P-256 for everything. Of a request only the key is taken, and only after it was shown that
//! whoever asks holds it: the name is the hub's to give. A node's certificate opens the link as a client
//! and is no server's; the authority signs no other authority.

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
    SubjectPublicKeyInfo,
};
use sha2::{Digest as _, Sha256};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509CertificationRequest};

use crate::app::error::{Cause, Error};
use crate::tables::text::hex;

/// How long an authority is good: nothing renews it.
const AUTHORITY_LIFE: Duration = Duration::from_hours(10 * 365 * 24);
/// Certificates begin so long before they are made, for nodes whose clocks are behind.
const BACKDATED_MS: i64 = 60 * 60 * 1000;
/// Bytes of a request at most.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;

/// The hub's own authority.
pub struct Authority {
    der: Vec<u8>,
    pem: String,
    until_ms: i64,
    issuer: Issuer<'static, KeyPair>,
}

/// A key that somebody has shown to hold.
#[derive(Debug)]
pub struct RequestedKey {
    info: SubjectPublicKeyInfo,
    /// SHA-256 of the key (`SubjectPublicKeyInfo`, DER).
    pub sha256: [u8; 32],
}

/// A signed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// DER.
    pub der: Vec<u8>,
    /// Serial number, in hex.
    pub serial: String,
    /// From when it is good, milliseconds since 1970.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
}

/// A new key pair. Nothing shows it but [`NewKey::pem`].
pub struct NewKey(KeyPair);

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("sha256", &hex(&self.sha256())).finish_non_exhaustive()
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes the authority of the hub of this name: PEM, certificate and key.
    pub fn make(hub: &str, now_ms: i64) -> Result<String, Cause> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Xiangyi {hub}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let life = i64::try_from(AUTHORITY_LIFE.as_millis())?;
        dated(&mut params, now_ms - BACKDATED_MS, now_ms.saturating_add(life));
        params.serial_number = Some(SerialNumber::from_slice(&serial()?));
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// Reads what [`Authority::make`] made.
    pub fn from_pem(text: &[u8]) -> Result<Self, Cause> {
        let (mut certificate, mut key) = (None, None);
        for part in Pem::iter_from_buffer(text) {
            let part = part?;
            match part.label.as_str() {
                "CERTIFICATE" if certificate.is_none() => certificate = Some(part.contents),
                "PRIVATE KEY" if key.is_none() => key = Some(part.contents),
                _ => return Err("it must hold one certificate and one private key".into()),
            }
        }
        let der = certificate.ok_or("it holds no certificate")?;
        let key = KeyPair::try_from(key.ok_or("it holds no private key")?)?;
        let (_, read) = X509Certificate::from_der(&der)?;
        if !read.is_ca() {
            return Err("its certificate is no authority's".into());
        }
        if read.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err("its private key is not that of its certificate".into());
        }
        let until_ms = read.validity().not_after.timestamp().saturating_mul(1000);
        let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key)?;
        let pem = pem(&der);
        Ok(Self { der, pem, until_ms, issuer })
    }

    /// Its certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of its certificate.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Until when it is good, milliseconds since 1970.
    pub fn until_ms(&self) -> i64 {
        self.until_ms
    }

    /// A certificate for a node, good for `life` from `now_ms` but never longer than the authority.
    pub fn issue(
        &self,
        node: &str,
        key: &RequestedKey,
        (now_ms, life): (i64, Duration),
    ) -> Result<Signed, Error> {
        let mut params = self.bounded(now_ms, life);
        params.distinguished_name = named(node);
        params.subject_alt_names =
            vec![SanType::URI(uri(node).try_into().map_err(|e| failed(Box::new(e)))?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let serial = serial().map_err(failed)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let signed = params.signed_by(&key.info, &self.issuer);
        let signed = signed.map_err(|e| failed(Box::new(e)))?;
        read(signed.der()).map_err(failed)
    }

    /// A certificate and its key for the hub's own door, under the names that nodes dial; PEM.
    pub fn for_door(
        &self,
        names: &[String],
        (now_ms, life): (i64, Duration),
    ) -> Result<(String, String), Cause> {
        let fresh = CertificateParams::new(names.to_vec())?;
        let mut params = self.bounded(now_ms, life);
        params.subject_alt_names = fresh.subject_alt_names;
        params.distinguished_name = named(names.first().map_or("hub", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from_slice(&serial()?));
        let key = KeyPair::generate()?;
        let certificate: Certificate = params.signed_by(&key, &self.issuer)?;
        Ok((format!("{}{}", certificate.pem(), self.pem), key.serialize_pem()))
    }

    fn bounded(&self, now_ms: i64, life: Duration) -> CertificateParams {
        let mut params = CertificateParams::default();
        let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        let until_ms = now_ms.saturating_add(life).min(self.until_ms);
        dated(&mut params, now_ms - BACKDATED_MS, until_ms);
        params.use_authority_key_identifier_extension = true;
        params
    }
}

impl NewKey {
    /// Makes one.
    pub fn make() -> Result<Self, Cause> {
        Ok(Self(KeyPair::generate()?))
    }

    /// Reads one, PEM.
    pub fn from_pem(pem: &str) -> Result<Self, Cause> {
        Ok(Self(KeyPair::from_pem(pem)?))
    }

    /// The key, PEM.
    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// A request for a certificate, DER. It names nobody.
    pub fn request(&self) -> Result<Vec<u8>, Cause> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&self.0)?.der().to_vec())
    }

    /// SHA-256 of the public key, as the hub keeps it.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&self.0)).into()
    }
}

/// The key of a request (PKCS #10, DER), after its signature has shown that it is held.
///
/// # Errors
/// [`Error::Invalid`] about `request`.
pub fn requested(der: &[u8]) -> Result<RequestedKey, Error> {
    let wrong = |said: &str| Error::field("request", said.to_owned());
    if der.len() > REQUEST_BYTES_MAX {
        return Err(wrong("must have at most 4096 bytes"));
    }
    let read = X509CertificationRequest::from_der(der);
    let Ok((rest, request)) = read else {
        return Err(wrong("must be a certification request (PKCS #10, DER)"));
    };
    if !rest.is_empty() {
        return Err(wrong("must be a certification request and nothing else"));
    }
    if request.verify_signature().is_err() {
        return Err(wrong("must be signed by the key that it names"));
    }
    let key = request.certification_request_info.subject_pki.raw;
    let info = SubjectPublicKeyInfo::from_der(key)
        .map_err(|_| wrong("must name a key of a kind that is known"))?;
    if *rcgen::PublicKeyData::algorithm(&info) != rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(wrong("must name a key for ECDSA over P-256"));
    }
    Ok(RequestedKey { info, sha256: Sha256::digest(key).into() })
}

/// What a certificate (DER) says of itself; nothing is verified.
pub fn read(der: &[u8]) -> Result<Signed, Cause> {
    let (_, read) = X509Certificate::from_der(der)?;
    let validity = read.validity();
    Ok(Signed {
        der: der.to_vec(),
        serial: hex(read.raw_serial()),
        from_ms: validity.not_before.timestamp().saturating_mul(1000),
        until_ms: validity.not_after.timestamp().saturating_mul(1000),
    })
}

/// SHA-256 of the key of a certificate (DER).
pub fn key_of(der: &[u8]) -> Result<[u8; 32], Cause> {
    let (_, read) = X509Certificate::from_der(der)?;
    Ok(Sha256::digest(read.public_key().raw).into())
}

/// The common name in a certificate (DER).
pub fn name_in(der: &[u8]) -> Option<String> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    let name = read.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

/// Whether the authority (DER) has signed the certificate (DER).
pub fn is_signed_by(der: &[u8], authority: &[u8]) -> bool {
    let (Ok((_, one)), Ok((_, by))) =
        (X509Certificate::from_der(der), X509Certificate::from_der(authority))
    else {
        return false;
    };
    one.issuer().as_raw() == by.subject().as_raw()
        && one.verify_signature(Some(by.public_key())).is_ok()
}

/// PEM of a certificate.
pub fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The node's name as a URI, which holds any name.
pub fn uri(node: &str) -> String {
    let name: String = form_urlencoded::byte_serialize(node.as_bytes()).collect();
    format!("xiangyi:node:{name}")
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

fn dated(params: &mut CertificateParams, from_ms: i64, until_ms: i64) {
    let moment = |ms: i64| {
        let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        rcgen::date_time_ymd(1970, 1, 1) + since
    };
    params.not_before = moment(from_ms);
    params.not_after = moment(until_ms);
}

/// 128 random bits after a byte that keeps the number positive and of one length.
fn serial() -> Result<[u8; 17], Cause> {
    let mut bytes = [1; 17];
    getrandom::fill(&mut bytes[1..])?;
    Ok(bytes)
}

fn failed(cause: Cause) -> Error {
    Error::internal("certificates", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;
    const DAY_MS: i64 = 86_400_000;

    fn authority() -> Authority {
        Authority::from_pem(Authority::make("hub", NOW_MS).unwrap().as_bytes()).unwrap()
    }

    fn issued(authority: &Authority, node: &str) -> Signed {
        let key = requested(&NewKey::make().unwrap().request().unwrap()).unwrap();
        authority.issue(node, &key, (NOW_MS, Duration::from_hours(24 * 90))).unwrap()
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_opens_nothing_else() {
        let authority = authority();
        let signed = issued(&authority, "卫生室 1");
        assert_eq!(name_in(&signed.der).unwrap(), "卫生室 1");
        assert_eq!(signed.serial.len(), 34);
        assert_eq!(signed.until_ms - NOW_MS, 90 * DAY_MS);
        assert_eq!(NOW_MS - signed.from_ms, BACKDATED_MS);
        let (_, read) = X509Certificate::from_der(&signed.der).unwrap();
        assert!(!read.is_ca());
        let usage = read.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        let names = read.subject_alternative_name().unwrap().unwrap();
        let said = format!("{:?}", names.value.general_names);
        assert!(said.contains("xiangyi:node:%E5%8D%AB"), "{said}");
        assert!(is_signed_by(&signed.der, authority.der()));
        let stranger = Authority::make("hub", NOW_MS).unwrap();
        let stranger = Authority::from_pem(stranger.as_bytes()).unwrap();
        assert!(!is_signed_by(&signed.der, stranger.der()));
        assert_ne!(issued(&authority, "a").serial, issued(&authority, "a").serial);
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let authority = authority();
        let key = requested(&NewKey::make().unwrap().request().unwrap()).unwrap();
        let life = Duration::from_hours(24 * 365 * 30);
        let signed = authority.issue("a", &key, (NOW_MS, life)).unwrap();
        assert_eq!(signed.until_ms, authority.until_ms());
    }

    #[test]
    fn of_a_request_only_a_key_is_taken_that_was_shown_to_be_held() {
        let key = NewKey::make().unwrap();
        let good = key.request().unwrap();
        assert_eq!(requested(&good).unwrap().sha256, key.sha256());
        let mut altered = good.clone();
        *altered.last_mut().unwrap() ^= 1;
        let cut = good.get(..good.len() - 1).unwrap();
        let longer = [&good[..], b"x"].concat();
        // A key of another kind.
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let other = CertificateParams::default().serialize_request(&other).unwrap();
        for bad in [&altered[..], cut, &longer, &[0; 5000], b"", other.der()] {
            let error = requested(bad).unwrap_err().public();
            assert!(error.contains("request must"), "{error}");
        }
    }

    #[test]
    fn an_authority_that_is_none_is_refused() {
        let (one, other) =
            (Authority::make("a", NOW_MS).unwrap(), Authority::make("b", NOW_MS).unwrap());
        let key_of = |text: &str| text.split_once("-----BEGIN PRIVATE").unwrap().1.to_owned();
        let mixed = one.replace(&key_of(&one), &key_of(&other));
        let error = Authority::from_pem(mixed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("not that of its certificate"), "{error}");
        for text in ["", "nothing", &one.replace("PRIVATE KEY", "EC PRIVATE KEY")] {
            Authority::from_pem(text.as_bytes()).unwrap_err();
        }
        let (leaf, key) = authority()
            .for_door(&["hub.example".to_owned()], (NOW_MS, Duration::from_hours(1)))
            .unwrap();
        let leaf = leaf.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
        let error = Authority::from_pem(format!("{leaf}{key}").as_bytes()).unwrap_err();
        assert!(error.to_string().contains("no authority"), "{error}");
    }
}
