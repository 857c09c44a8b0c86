//! Sealing what lies on a disk: without its key a box that was carried away says nothing, and what
//! was altered on it is not taken for what was written.
//!
//! - [`cipher`]: AES-256-GCM or SM4-GCM, under keys made for one use.
//! - [`chunks`]: long bodies in pieces that can be read one by one, none of which can be left out,
//!   put elsewhere or altered.
//! - [`keyring`]: the keys of a node, wrapped by a master key that lies elsewhere.
//!
//! Deliberately absent: where a master key comes from, files, chance and the time of day.

pub mod chunks;
pub mod cipher;
pub mod keyring;

use std::fmt;

use ring::hmac;
use zeroize::Zeroize as _;

/// Bytes of a key's name.
pub const KEY_ID_BYTES: usize = 8;
/// Bytes of the keys that are made here.
pub const SECRET_BYTES: usize = 32;

/// What is wrong with sealed bytes or their keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// They do not open.
    #[error("was altered, cut, put elsewhere, or sealed with another key")]
    Altered,
    /// The cipher refuses.
    #[error("the cipher refuses")]
    Cipher,
    /// No such key.
    #[error("is sealed with key {0}, which the keyring does not have")]
    NoKey(KeyId),
    /// The text is no keyring.
    #[error("is no keyring: {0}")]
    Form(String),
    /// A master key that is not at hand.
    #[error("needs the master key {needs}, and was given {given}")]
    Master {
        /// The master keys that open it.
        needs: String,
        /// Those that were tried.
        given: String,
    },
    /// A master key cannot be used.
    #[error("the master key cannot be used: {0}")]
    Token(String),
    /// There is no chance to be had.
    #[error("the system gives no random bytes")]
    Random,
}

/// The name of a key: tells two apart and nothing of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; KEY_ID_BYTES]);

/// Bytes that nobody may see; they are overwritten when they are no longer needed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Fills what it is given with chance.
pub type Random<'a> = &'a dyn Fn(&mut [u8]) -> Result<(), Fault>;

impl KeyId {
    /// Of a secret: a keyed digest of nothing.
    pub fn of(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut id = [0; KEY_ID_BYTES];
        for (to, from) in id.iter_mut().zip(hmac::sign(&key, b"xiangyi key id 1").as_ref()) {
            *to = *from;
        }
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Secret {
    /// These bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// New ones of chance.
    pub fn random(random: Random<'_>) -> Result<Self, Fault> {
        let mut secret = Self(vec![0; SECRET_BYTES]);
        random(&mut secret.0)?;
        Ok(secret)
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The bytes are secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
