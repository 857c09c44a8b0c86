//! What a caller's TLS certificate is known by.

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use crate::app::imaging::peers::{Mark, Shown};

/// What the caller shows: its certificate is the first of those that it sent and the handshake has held to an
/// authority. It is known by its digest, by the names and addresses that it is for (RFC 5280, 4.2.1.6), and by
/// the common name, which is all that the certificates of many devices have.
pub(super) fn shown(certificates: Option<&[CertificateDer<'_>]>) -> Shown {
    let Some(own) = certificates.and_then(<[_]>::first) else { return Shown::Tls };
    let mut marks = vec![Mark::Sha256(Sha256::digest(own).into())];
    if let Ok((_, read)) = x509_parser::parse_x509_certificate(own) {
        let name = |text: &str| Mark::Name(text.to_ascii_lowercase());
        let others = read.subject_alternative_name().ok().flatten();
        for other in others.iter().flat_map(|extension| &extension.value.general_names) {
            if let GeneralName::DNSName(text) = other {
                marks.push(name(text));
            } else if let GeneralName::IPAddress(bytes) = other {
                marks.extend(address(bytes).map(|ip| name(&ip)));
            }
        }
        marks.extend(read.subject().iter_common_name().filter_map(|cn| cn.as_str().ok()).map(name));
    }
    Shown::Certificate(marks)
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|four| std::net::IpAddr::from(four).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|all| std::net::IpAddr::from(all).to_string()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_digest_names_addresses_and_common_name() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["PACS.county.example".to_owned(), "10.0.0.9".to_owned(), "fd00::9".to_owned()];
        let mut asked = rcgen::CertificateParams::new(names).unwrap();
        asked.distinguished_name.push(rcgen::DnType::CommonName, "CT01");
        let made = asked.self_signed(&key).unwrap();
        let Shown::Certificate(marks) = shown(Some(&[made.der().clone()])) else { panic!() };
        let name = |text: &str| Mark::Name(text.to_owned());
        let digest = Mark::Sha256(Sha256::digest(made.der()).into());
        assert_eq!(
            marks,
            [digest, name("pacs.county.example"), name("10.0.0.9"), name("fd00::9"), name("ct01")]
        );
        assert_eq!((shown(None), shown(Some(&[]))), (Shown::Tls, Shown::Tls));
        let spoiled = CertificateDer::from(vec![0x30, 0x82, 1, 2]);
        let Shown::Certificate(marks) = shown(Some(&[spoiled])) else { panic!() };
        assert_eq!(marks.len(), 1, "by its digest alone");
    }
}
