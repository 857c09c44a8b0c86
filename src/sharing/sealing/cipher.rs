//! AES-256-GCM (NIST SP 800-38D) and SM4-GCM (GB/T 32907, RFC 8998), under a key that is derived for
//! one use (HKDF-SHA-256, RFC 5869): of a secret, a salt that is never used twice, and what it is for.
//! Nonces can then be counted.

use std::fmt;

use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U12;
use aes_gcm::{AeadInOut as _, AesGcm, KeyInit as _};
use ring::{aead, hkdf};
use serde::{Deserialize, Serialize};
use sm4::Sm4;
use zeroize::Zeroizing;

use super::Fault;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes that sealing adds.
pub const TAG_BYTES: usize = 16;

/// Which cipher seals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cipher {
    /// AES with 256 bits.
    #[default]
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// SM4, for systems that are assessed for commercial cryptography (密评).
    #[serde(rename = "sm4-gcm")]
    Sm4Gcm,
}

/// Seals and opens under one key.
pub struct Sealer(Inner);

enum Inner {
    Aes(Box<aead::LessSafeKey>),
    Sm4(Box<AesGcm<Sm4, U12>>),
}

/// How many bytes a key has.
struct Bytes(usize);

impl hkdf::KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl Cipher {
    /// As the configuration and the keyring name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Sm4Gcm => "sm4-gcm",
        }
    }

    /// The cipher of that name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Aes256Gcm, Self::Sm4Gcm].into_iter().find(|cipher| cipher.name() == name)
    }

    fn key_bytes(self) -> usize {
        match self {
            Self::Aes256Gcm => 32,
            Self::Sm4Gcm => 16,
        }
    }
}

/// `out` filled with a key that is of `secret`, `salt` and `info`.
pub fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), Fault> {
    let pseudorandom = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let expanded = pseudorandom.expand(info, Bytes(out.len())).map_err(|_| Fault::Cipher)?;
    expanded.fill(out).map_err(|_| Fault::Cipher)
}

impl Sealer {
    /// Under the key that is of `secret`, `salt` and `info`.
    pub fn new(cipher: Cipher, secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Result<Self, Fault> {
        let mut key = Zeroizing::new(vec![0; cipher.key_bytes()]);
        let label: [&[u8]; 1] = [cipher.name().as_bytes()];
        let info: Vec<&[u8]> = label.iter().chain(info).copied().collect();
        derive(secret, salt, &info, &mut key)?;
        let refused = |_| Fault::Cipher;
        Ok(Self(match cipher {
            Cipher::Aes256Gcm => {
                let key = aead::UnboundKey::new(&aead::AES_256_GCM, &key).map_err(refused)?;
                Inner::Aes(Box::new(aead::LessSafeKey::new(key)))
            }
            Cipher::Sm4Gcm => {
                let cipher = AesGcm::new_from_slice(&key).map_err(|_| Fault::Cipher)?;
                Inner::Sm4(Box::new(cipher))
            }
        }))
    }

    /// Seals `bytes` where they are; answers the tag. A nonce seals once.
    pub fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        with: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Fault> {
        let mut out = [0; TAG_BYTES];
        match &self.0 {
            Inner::Aes(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::from(with), bytes);
                out.copy_from_slice(tag.map_err(|_| Fault::Cipher)?.as_ref());
            }
            Inner::Sm4(cipher) => {
                let tag = cipher.encrypt_inout_detached(&Array(nonce), with, bytes.into());
                out.copy_from_slice(tag.map_err(|_| Fault::Cipher)?.as_slice());
            }
        }
        Ok(out)
    }

    /// Opens what stands in `bytes` from byte `from`, its tag last, and moves it to the beginning.
    /// Answers how many bytes it is.
    pub fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        with: &[u8],
        bytes: &mut [u8],
        from: usize,
    ) -> Result<usize, Fault> {
        match &self.0 {
            Inner::Aes(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                let opened = key.open_within(nonce, aead::Aad::from(with), bytes, from..);
                Ok(opened.map_err(|_| Fault::Altered)?.len())
            }
            Inner::Sm4(cipher) => {
                let end = bytes.len().checked_sub(TAG_BYTES).ok_or(Fault::Altered)?;
                let (body, tag) = bytes.split_at_mut(end);
                let tag = Array::try_from(&*tag).map_err(|_| Fault::Altered)?;
                let sealed = body.get_mut(from..).ok_or(Fault::Altered)?;
                let opened =
                    cipher.decrypt_inout_detached(&Array(nonce), with, sealed.into(), &tag);
                opened.map_err(|_| Fault::Altered)?;
                body.copy_within(from.., 0);
                Ok(end.saturating_sub(from))
            }
        }
    }
}

/// The key is secret.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_the_same_key_nonce_and_words_only() {
        for cipher in [Cipher::Aes256Gcm, Cipher::Sm4Gcm] {
            let sealer = |secret: &[u8], salt: &[u8], info: &[u8]| {
                Sealer::new(cipher, secret, salt, &[info]).unwrap()
            };
            let good = sealer(&[1; 32], b"salt", b"for");
            let mut bytes = b"..\xE5\xBC\xA0\xE4\xB8\x89".to_vec();
            let tag = good.seal([0; 12], b"with", &mut bytes[2..]).unwrap();
            assert_ne!(&bytes[2..], "张三".as_bytes());
            bytes.extend_from_slice(&tag);
            let open = |sealer: &Sealer, nonce, with: &[u8], change: Option<usize>| {
                let mut bytes = bytes.clone();
                if let Some(at) = change {
                    bytes[at] ^= 1;
                }
                let length = sealer.open(nonce, with, &mut bytes, 2)?;
                Ok::<_, Fault>(bytes[..length].to_vec())
            };
            assert_eq!(open(&good, [0; 12], b"with", None).unwrap(), "张三".as_bytes());
            for at in 2..bytes.len() {
                assert_eq!(open(&good, [0; 12], b"with", Some(at)), Err(Fault::Altered));
            }
            assert_eq!(open(&good, [1; 12], b"with", None), Err(Fault::Altered));
            assert_eq!(open(&good, [0; 12], b"other", None), Err(Fault::Altered));
            for other in [
                sealer(&[2; 32], b"salt", b"for"),
                sealer(&[1; 32], b"pepper", b"for"),
                sealer(&[1; 32], b"salt", b"against"),
            ] {
                assert_eq!(open(&other, [0; 12], b"with", None), Err(Fault::Altered));
            }
            assert_eq!(format!("{good:?}"), "Sealer(..)");
        }
    }

    /// RFC 8998, appendix A.2: that the block cipher and the mode are those of the standard.
    #[test]
    fn sm4_gcm_is_that_of_the_standard() {
        let key = [
            0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54,
            0x32, 0x10,
        ];
        let nonce = [0, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0xAB, 0xCD];
        let with = [
            0xFE, 0xED, 0xFA, 0xCE, 0xDE, 0xAD, 0xBE, 0xEF, 0xFE, 0xED, 0xFA, 0xCE, 0xDE, 0xAD,
            0xBE, 0xEF, 0xAB, 0xAD, 0xDA, 0xD2,
        ];
        let mut bytes: Vec<u8> = Vec::new();
        for byte in [0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0xEE, 0xAA] {
            bytes.extend([byte; 8]);
        }
        let cipher = AesGcm::<Sm4, U12>::new_from_slice(&key).unwrap();
        let sealer = Sealer(Inner::Sm4(Box::new(cipher)));
        let tag = sealer.seal(nonce, &with, &mut bytes).unwrap();
        assert_eq!(bytes[..8], [0x17, 0xF3, 0x99, 0xF0, 0x8C, 0x67, 0xD5, 0xEE]);
        assert_eq!(
            tag,
            [
                0x83, 0xDE, 0x35, 0x41, 0xE4, 0xC2, 0xB5, 0x81, 0x77, 0xE0, 0x65, 0xA9, 0xBF, 0x7B,
                0x62, 0xEC
            ]
        );
    }
}
