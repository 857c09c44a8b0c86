//! The keys of a node, as a file: each is wrapped by the key of the ring, which is made anew with every
//! rotation, and that by the master keys, any one of which opens the ring. So a new master key needs
//! no data to be written again, and an old one can be taken away.
//!
//! The file is JSON, so that a person can see which keys there are. What it says is covered as a whole
//! by a keyed digest over an encoding of its own: nothing in it can be left out or put back from an
//! older one. An older file as a whole is a keyring too; a key that it lacks is then said by name.

use std::collections::BTreeSet;
use std::fmt;

use ring::hmac;
use serde::{Deserialize, Serialize};

use super::cipher::{Cipher, NONCE_BYTES, Sealer, derive};
use super::{Fault, KEY_ID_BYTES, KeyId, Random, SECRET_BYTES, Secret};
use crate::sharing::audit::anchor::bytes;
use crate::tables::text::hex;

/// What a file begins with.
const FORMAT: &str = "xiangyi keyring 1";
/// Bytes of a file that are read at most.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// Keys and master keys at most.
const KEYS_MAX: usize = 10_000;
/// Bytes of a secret at most.
const SECRET_BYTES_MAX: usize = 4096;
/// Bytes of what a key is for, at most.
const PURPOSE_BYTES_MAX: usize = 200;

/// A master key: it wraps and does nothing else, so that it may be in a token.
pub trait Master: fmt::Debug + Send + Sync {
    /// Its name.
    fn id(&self) -> KeyId;
    /// Wraps a secret.
    fn wrap(&self, secret: &[u8], random: Random<'_>) -> Result<Vec<u8>, Fault>;
    /// What was wrapped.
    fn unwrap(&self, wrapped: &[u8]) -> Result<Secret, Fault>;
}

/// A master key whose bytes are known.
#[derive(Debug)]
pub struct KnownMaster {
    id: KeyId,
    cipher: Cipher,
    secret: Secret,
}

/// A key of the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKey {
    /// Its name.
    pub id: KeyId,
    /// What it is for: `database/NAME`, `archive`, `studies`, `secret/NAME`.
    pub purpose: String,
    /// What it seals with.
    pub cipher: Cipher,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// The key itself.
    pub secret: Secret,
}

/// The opened keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    /// How often it was written.
    pub generation: u64,
    /// What new keys seal with.
    pub cipher: Cipher,
    ring: Secret,
    masters: Vec<(KeyId, Vec<u8>)>,
    keys: Vec<DataKey>,
}

/// A keyring as it lies in its file. What it says is not to be believed before it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    format: String,
    generation: u64,
    cipher: Cipher,
    masters: Vec<MasterEntry>,
    keys: Vec<Entry>,
    mac: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MasterEntry {
    id: String,
    wrapped: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    purpose: String,
    cipher: Cipher,
    made_ms: i64,
    wrapped: String,
}

impl KnownMaster {
    /// Of a secret, 32 bytes or more.
    pub fn new(cipher: Cipher, secret: Secret) -> Result<Self, Fault> {
        if secret.expose().len() < SECRET_BYTES {
            return Err(Fault::Token("it has less than 32 bytes".to_owned()));
        }
        Ok(Self { id: KeyId::of(secret.expose()), cipher, secret })
    }

    fn sealer(&self, cipher: Cipher, salt: &[u8]) -> Result<Sealer, Fault> {
        Sealer::new(cipher, self.secret.expose(), salt, &[b"xiangyi master 1"])
    }
}

/// Salt, cipher and sealed secret; the cipher may be another one when it is opened.
impl Master for KnownMaster {
    fn id(&self) -> KeyId {
        self.id
    }

    fn wrap(&self, secret: &[u8], random: Random<'_>) -> Result<Vec<u8>, Fault> {
        let mut salt = [0; SECRET_BYTES];
        random(&mut salt)?;
        let mut out = vec![cipher_number(self.cipher)];
        out.extend_from_slice(&salt);
        let at = out.len();
        out.extend_from_slice(secret);
        let sealed = out.get_mut(at..).unwrap_or_default();
        let tag = self.sealer(self.cipher, &salt)?.seal([0; NONCE_BYTES], &[], sealed)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Secret, Fault> {
        let (number, rest) = wrapped.split_first().ok_or(Fault::Altered)?;
        let (salt, sealed) = rest.split_at_checked(SECRET_BYTES).ok_or(Fault::Altered)?;
        let cipher = [Cipher::Aes256Gcm, Cipher::Sm4Gcm]
            .into_iter()
            .find(|cipher| cipher_number(*cipher) == *number)
            .ok_or(Fault::Altered)?;
        opened(&self.sealer(cipher, salt)?, &[], sealed)
    }
}

fn cipher_number(cipher: Cipher) -> u8 {
    match cipher {
        Cipher::Aes256Gcm => 1,
        Cipher::Sm4Gcm => 2,
    }
}

fn opened(sealer: &Sealer, with: &[u8], wrapped: &[u8]) -> Result<Secret, Fault> {
    let mut bytes = wrapped.to_vec();
    let length = sealer.open([0; NONCE_BYTES], with, &mut bytes, 0)?;
    let secret = Secret::new(bytes.get(..length).unwrap_or_default().to_vec());
    // The buffer still has it.
    drop(Secret::new(bytes));
    Ok(secret)
}

impl DataKey {
    /// A sealer for one use of the key: `salt` is never used twice for the same `label`.
    pub fn sealer(&self, salt: &[u8], label: &[u8]) -> Result<Sealer, Fault> {
        Sealer::new(self.cipher, self.secret.expose(), salt, &[label])
    }

    /// What goes with it when it is wrapped.
    fn said(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, &self.id.0);
        put(&mut out, self.purpose.as_bytes());
        put(&mut out, self.cipher.name().as_bytes());
        put(&mut out, &self.made_ms.to_be_bytes());
        out
    }
}

/// Adds bytes with their length in front.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn form(what: &str) -> Fault {
    Fault::Form(what.to_owned())
}

fn id_of(text: &str) -> Result<KeyId, Fault> {
    let id = bytes(text).and_then(|id| <[u8; KEY_ID_BYTES]>::try_from(id).ok());
    id.map(KeyId).ok_or_else(|| form("a key has no name of 16 hexadecimal digits"))
}

impl Sealed {
    /// From the text of a file. Nothing of it is proven yet.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > FILE_BYTES_MAX {
            return Err(form("it is longer than 4 MiB"));
        }
        // What serde says may quote the file, which holds no secret that is not wrapped.
        let sealed: Self = serde_json::from_str(text).map_err(|e| Fault::Form(e.to_string()))?;
        if sealed.format != FORMAT {
            return Err(form("it is of another version of this program"));
        }
        if sealed.keys.len() > KEYS_MAX || sealed.masters.len() > KEYS_MAX {
            return Err(form("it has too many keys"));
        }
        let mut seen = BTreeSet::new();
        for key in &sealed.keys {
            if !seen.insert(id_of(&key.id)?) || key.purpose.len() > PURPOSE_BYTES_MAX {
                return Err(form("a key is there twice, or its purpose is too long"));
            }
        }
        sealed.master_ids()?;
        Ok(sealed)
    }

    /// As the text of a file.
    pub fn text(&self) -> Result<String, Fault> {
        let mut text =
            serde_json::to_string_pretty(self).map_err(|e| Fault::Form(e.to_string()))?;
        text.push('\n');
        Ok(text)
    }

    /// The master keys that are said to open it.
    pub fn master_ids(&self) -> Result<Vec<KeyId>, Fault> {
        self.masters.iter().map(|master| id_of(&master.id)).collect()
    }

    /// Name, purpose, cipher and time of making of each key, as they are said.
    pub fn listed(&self) -> impl Iterator<Item = (&str, &str, Cipher, i64)> {
        self.keys.iter().map(|key| (key.id.as_str(), key.purpose.as_str(), key.cipher, key.made_ms))
    }

    /// How often it is said to have been written.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Opens it with whichever of `masters` fits.
    pub fn open(&self, masters: &[&dyn Master]) -> Result<Keyring, Fault> {
        let ids = self.master_ids()?;
        let found = masters.iter().find_map(|master| {
            let at = ids.iter().position(|id| *id == master.id())?;
            Some((*master, self.masters.get(at)?))
        });
        let Some((master, entry)) = found else {
            let given: Vec<KeyId> = masters.iter().map(|master| master.id()).collect();
            return Err(Fault::Master { needs: listed(&ids), given: listed(&given) });
        };
        let ring = master.unwrap(&bytes(&entry.wrapped).ok_or(Fault::Altered)?)?;
        if hmac::verify(&mac_key(&ring)?, &self.said(), &bytes(&self.mac).unwrap_or_default())
            .is_err()
        {
            return Err(Fault::Altered);
        }
        let unwrap = |entry: &Entry| {
            let mut key = DataKey {
                id: id_of(&entry.id)?,
                purpose: entry.purpose.clone(),
                cipher: entry.cipher,
                made_ms: entry.made_ms,
                secret: Secret::new(Vec::new()),
            };
            let wrapped = bytes(&entry.wrapped).ok_or(Fault::Altered)?;
            let (salt, rest) = wrapped.split_at_checked(SECRET_BYTES).ok_or(Fault::Altered)?;
            let sealer = Sealer::new(self.cipher, ring.expose(), salt, &[b"xiangyi ring 1"])?;
            key.secret = opened(&sealer, &key.said(), rest)?;
            if KeyId::of(key.secret.expose()) == key.id { Ok(key) } else { Err(Fault::Altered) }
        };
        let keys = self.keys.iter().map(unwrap).collect::<Result<_, _>>()?;
        let wrapped = |m: &MasterEntry| bytes(&m.wrapped).ok_or(Fault::Altered);
        let wrapped: Vec<_> = self.masters.iter().map(wrapped).collect::<Result<_, _>>()?;
        Ok(Keyring {
            generation: self.generation,
            cipher: self.cipher,
            masters: ids.into_iter().zip(wrapped).collect(),
            ring,
            keys,
        })
    }

    /// Everything but the keyed digest, in one way only.
    fn said(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.format.as_bytes());
        put(&mut out, &self.generation.to_be_bytes());
        put(&mut out, self.cipher.name().as_bytes());
        put(&mut out, &u64::try_from(self.masters.len()).unwrap_or(u64::MAX).to_be_bytes());
        for master in &self.masters {
            put(&mut out, master.id.as_bytes());
            put(&mut out, master.wrapped.as_bytes());
        }
        for key in &self.keys {
            put(&mut out, key.id.as_bytes());
            put(&mut out, key.purpose.as_bytes());
            put(&mut out, key.cipher.name().as_bytes());
            put(&mut out, &key.made_ms.to_be_bytes());
            put(&mut out, key.wrapped.as_bytes());
        }
        out
    }
}

fn listed(ids: &[KeyId]) -> String {
    ids.iter().map(KeyId::to_string).collect::<Vec<_>>().join(" or ")
}

fn mac_key(ring: &Secret) -> Result<hmac::Key, Fault> {
    let mut key = [0; SECRET_BYTES];
    derive(ring.expose(), b"", &[b"xiangyi ring mac 1"], &mut key)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

impl Keyring {
    /// An empty one that `masters` open.
    pub fn new(cipher: Cipher, masters: &[&dyn Master], random: Random<'_>) -> Result<Self, Fault> {
        let empty = Self {
            generation: 0,
            cipher,
            ring: Secret::new(Vec::new()),
            masters: Vec::new(),
            keys: Vec::new(),
        };
        empty.rotated(masters, random)
    }

    /// The same keys in a new ring that `masters` open, and nobody else.
    pub fn rotated(mut self, masters: &[&dyn Master], random: Random<'_>) -> Result<Self, Fault> {
        self.ring = Secret::random(random)?;
        let wrap =
            |master: &&dyn Master| Ok((master.id(), master.wrap(self.ring.expose(), random)?));
        self.masters = masters.iter().map(wrap).collect::<Result<_, Fault>>()?;
        Ok(self)
    }

    /// The master keys that open it.
    pub fn masters(&self) -> impl Iterator<Item = KeyId> {
        self.masters.iter().map(|(id, _)| *id)
    }

    /// Every key, the oldest first.
    pub fn keys(&self) -> &[DataKey] {
        &self.keys
    }

    /// The key of that name.
    pub fn key(&self, id: KeyId) -> Option<&DataKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The newest key for a purpose.
    pub fn newest(&self, purpose: &str) -> Option<&DataKey> {
        self.keys.iter().rev().find(|key| key.purpose == purpose)
    }

    /// Adds a key; one that is there already stays.
    pub fn add(&mut self, purpose: &str, secret: Secret, made_ms: i64) -> Result<DataKey, Fault> {
        let id = KeyId::of(secret.expose());
        if let Some(known) = self.key(id) {
            return Ok(known.clone());
        }
        let bytes = secret.expose().len();
        if purpose.len() > PURPOSE_BYTES_MAX
            || !(SECRET_BYTES..=SECRET_BYTES_MAX).contains(&bytes)
            || self.keys.len() >= KEYS_MAX
        {
            return Err(form("a key is too short or too long, or there are too many"));
        }
        let purpose = purpose.to_owned();
        let key = DataKey { id, purpose, cipher: self.cipher, made_ms, secret };
        self.keys.push(key.clone());
        Ok(key)
    }

    /// As it lies in a file, one generation later.
    pub fn seal(&self, random: Random<'_>) -> Result<Sealed, Fault> {
        let wrap = |key: &DataKey| {
            let mut wrapped = vec![0; SECRET_BYTES];
            random(&mut wrapped)?;
            let ring = self.ring.expose();
            let sealer = Sealer::new(self.cipher, ring, &wrapped, &[b"xiangyi ring 1"])?;
            let mut secret = key.secret.expose().to_vec();
            let tag = sealer.seal([0; NONCE_BYTES], &key.said(), &mut secret)?;
            wrapped.append(&mut secret);
            wrapped.extend_from_slice(&tag);
            Ok(Entry {
                id: key.id.to_string(),
                purpose: key.purpose.clone(),
                cipher: key.cipher,
                made_ms: key.made_ms,
                wrapped: hex(&wrapped),
            })
        };
        let master = |(id, wrapped): &(KeyId, Vec<u8>)| MasterEntry {
            id: id.to_string(),
            wrapped: hex(wrapped),
        };
        let mut sealed = Sealed {
            format: FORMAT.to_owned(),
            generation: self.generation.saturating_add(1),
            cipher: self.cipher,
            masters: self.masters.iter().map(master).collect(),
            keys: self.keys.iter().map(wrap).collect::<Result<_, Fault>>()?,
            mac: String::new(),
        };
        sealed.mac = hex(hmac::sign(&mac_key(&self.ring)?, &sealed.said()).as_ref());
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests;
