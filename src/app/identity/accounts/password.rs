//! Passwords: which are taken, and how they are hashed.
//!
//! Rules as NIST SP 800-63B (5.1.1.2) has them: length and a list of what everybody tries, no rules on
//! kinds of characters. Hashed with Argon2id (RFC 9106) with the parameters of OWASP's password storage
//! cheat sheet (19 MiB, two passes, one lane), on threads of their own, so many at the same time.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

use crate::app::error::Error;

/// Characters of a password at least.
pub const CHARS_MIN: usize = 12;
/// Bytes of a password at most.
pub const BYTES_MAX: usize = 512;
/// Different characters of a password at least.
const DIFFERENT_MIN: usize = 5;
/// Who may wait for a hash; others are told to come again.
const WAITING_MAX: usize = 32;
/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19_456;
/// Passes over it.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;

/// A password as somebody says it. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A password as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Hashed {
    /// Chance.
    pub salt: [u8; 16],
    /// The hash.
    pub hash: [u8; 32],
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// What everybody tries, folded.
#[derive(Clone, Default)]
pub struct Denied(HashSet<String>);

/// Hashes, so many at the same time.
#[derive(Debug)]
pub struct Hasher {
    places: Arc<Semaphore>,
    waiting: Semaphore,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashed").field("memory_kib", &self.memory_kib).finish_non_exhaustive()
    }
}

impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denied").field("passwords", &self.0.len()).finish()
    }
}

impl Secret {
    /// The same password, however a keyboard writes it (NFKC).
    ///
    /// # Errors
    /// [`Error::Invalid`] about `field` where it is empty or has more than [`BYTES_MAX`] bytes.
    pub fn new(field: &str, text: &str) -> Result<Self, Error> {
        let bad = || Error::field(field, format!("must have 1 to {BYTES_MAX} bytes"));
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err(bad());
        }
        let normal: String = text.nfkc().collect();
        if normal.len() > BYTES_MAX { Err(bad()) } else { Ok(Self(normal)) }
    }
}

impl Denied {
    /// From passwords.
    pub fn new<'a>(passwords: impl IntoIterator<Item = &'a str>) -> Self {
        Self(passwords.into_iter().map(fold).collect())
    }

    /// Whether `password` may become that of the account `name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] about `field`, which says what is allowed.
    pub fn check(&self, field: &str, password: &Secret, name: &str) -> Result<(), Error> {
        let text = &password.0;
        let refuse = |allowed: &str| Err(Error::field(field, allowed));
        if text.chars().count() < CHARS_MIN {
            return refuse("must have at least 12 characters; a sentence is easy to remember");
        }
        if text.chars().any(char::is_control) {
            return refuse("must have no control characters");
        }
        let folded = fold(text);
        let different: HashSet<char> = folded.chars().collect();
        if different.len() < DIFFERENT_MIN {
            return refuse("must have at least 5 different characters");
        }
        if self.0.contains(&folded) || steps(&folded) {
            return refuse("must not be one that everybody tries");
        }
        if name.chars().count() >= 4 && folded.contains(&fold(name)) {
            return refuse("must not contain the account's name");
        }
        Ok(())
    }
}

impl Hasher {
    /// At most `at_once` hashes at the same time, each with 19 MiB.
    pub fn new(at_once: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once.max(1))),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// Hashes a new password with `salt`.
    ///
    /// # Errors
    /// [`Error::Overloaded`] where too many wait.
    pub async fn hash(&self, password: &Secret, salt: [u8; 16]) -> Result<Hashed, Error> {
        let mut hashed =
            Hashed { salt, hash: [0; 32], memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES };
        hashed.hash = self.run(password, &hashed).await?;
        Ok(hashed)
    }

    /// Whether it is that password. Without one to compare with the same time passes.
    ///
    /// # Errors
    /// [`Error::Overloaded`] where too many wait.
    pub async fn verify(&self, password: &Secret, kept: Option<&Hashed>) -> Result<bool, Error> {
        let nobody = Hashed {
            salt: [0; 16],
            hash: [0; 32],
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
        };
        let against = kept.unwrap_or(&nobody);
        let hash = self.run(password, against).await?;
        let same = bool::from(hash.as_slice().ct_eq(against.hash.as_slice()));
        Ok(same && kept.is_some())
    }

    async fn run(&self, password: &Secret, with: &Hashed) -> Result<[u8; 32], Error> {
        let overloaded =
            || Error::Overloaded { what: "sign-in", retry_after: Duration::from_secs(1) };
        let _waiting = self.waiting.try_acquire().map_err(|_| overloaded())?;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| overloaded())?;
        let (password, with) = (password.clone(), with.clone());
        let hashing = move || {
            // Held until the memory is free again, whether or not anybody still waits.
            let _place = place;
            let params = Params::new(with.memory_kib, with.passes, with.lanes, Some(32));
            let params = params.map_err(|e| e.to_string())?;
            let mut hash = [0; 32];
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(password.0.as_bytes(), &with.salt, &mut hash)
                .map_err(|e| e.to_string())?;
            Ok(hash)
        };
        let done: Result<[u8; 32], String> = tokio::task::spawn_blocking(hashing)
            .await
            .map_err(|e| Error::internal("hashing", e))?;
        done.map_err(|e| Error::internal("hashing", e))
    }
}

fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// Whether each character is the next of the one before it, or the one before: `123456789012`.
fn steps(text: &str) -> bool {
    let codes: Vec<u32> = text.chars().map(u32::from).collect();
    let goes = |by: i64| {
        codes.iter().zip(codes.iter().skip(1)).all(|(a, b)| {
            let wide = [*a, *b].iter().all(|c| (48..=57).contains(c));
            let step = i64::from(*b) - i64::from(*a);
            step == by || (wide && step == -9 * by)
        })
    };
    goes(1) || goes(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new("password", text).unwrap()
    }

    #[test]
    fn long_passwords_of_any_kind_are_taken_and_what_everybody_tries_is_not() {
        let denied = Denied::new(["password1234", "woaini520131"]);
        for good in ["correct horse battery", "山上的茶花今年开得特别早啊", "aaaa bbbb cc d"]
        {
            assert!(denied.check("password", &secret(good), "zhang").is_ok(), "{good}");
        }
        for bad in [
            "short",
            "山上的茶花",
            "aaaaaaaaaaaaaaaa",
            "abababababababab",
            "Password1234",
            "ＷＯＡＩＮＩ520131",
            "123456789012",
            "987654321098",
            "abcdefghijklmnop",
            "my zhang is here",
            "line\nbreak\nhere now",
        ] {
            let refused = denied.check("password", &secret(bad), "zhang").unwrap_err();
            assert!(matches!(&refused, Error::Invalid(p) if p[0].field == "password"), "{bad}");
            assert!(!refused.public().contains(bad), "{refused:?}");
        }
        assert!(Secret::new("password", "").is_err());
        assert!(Secret::new("password", &"x".repeat(513)).is_err());
        assert!(!format!("{:?}", secret("correct horse")).contains("horse"));
    }

    #[tokio::test]
    async fn only_the_same_password_fits_and_nobody_has_none() {
        let hasher = Hasher::new(1);
        let kept = hasher.hash(&secret("ﬁve gray herons"), [7; 16]).await.unwrap();
        assert!(hasher.verify(&secret("five gray herons"), Some(&kept)).await.unwrap());
        assert!(!hasher.verify(&secret("five gray heron"), Some(&kept)).await.unwrap());
        assert!(!hasher.verify(&secret("five gray herons"), None).await.unwrap());
        let salted = hasher.hash(&secret("five gray herons"), [8; 16]).await.unwrap();
        assert_ne!(kept.hash, salted.hash);
        assert!(!format!("{kept:?}").contains(&format!("{:?}", kept.hash)));
    }
}
