//! Section of the accounts of this node.

use serde::{Deserialize, Serialize};

use super::{ConfigError, refuse};

/// Accounts of this node: people sign in with name and password. The section being there turns them on;
/// `xiangyi admin account add` makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountsSection {
    /// Life of an access token, in seconds.
    pub access_s: u64,
    /// Life of a refresh token, in seconds: who does nothing for so long signs in again.
    pub refresh_s: u64,
    /// Life of a session, in seconds, however often it is refreshed.
    pub session_s: u64,
    /// Failed tries one after another that lock a name.
    pub failures_max: u32,
    /// How long it is locked for the first time, in seconds; each further failure doubles it.
    pub lock_s: u64,
    /// How long at most, in seconds.
    pub lock_max_s: u64,
    /// Passwords that are hashed at the same time; each takes 19 MiB of memory.
    pub hashes_max: usize,
}

impl Default for AccountsSection {
    fn default() -> Self {
        Self {
            access_s: 900,
            refresh_s: 43_200,
            session_s: 7 * 86_400,
            failures_max: 5,
            lock_s: 30,
            lock_max_s: 900,
            hashes_max: 2,
        }
    }
}

impl AccountsSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let hashes = u64::try_from(self.hashes_max).unwrap_or(u64::MAX);
        for (key, value, min, max) in [
            ("access_s", self.access_s, 30, 3_600),
            ("refresh_s", self.refresh_s, 60, 30 * 86_400),
            ("session_s", self.session_s, 60, 90 * 86_400),
            ("failures_max", self.failures_max.into(), 3, 100),
            ("lock_s", self.lock_s, 1, 3_600),
            ("lock_max_s", self.lock_max_s, self.lock_s, 86_400),
            ("hashes_max", hashes, 1, 64),
        ] {
            if !(min..=max).contains(&value) {
                return refuse(&format!("auth.accounts.{key} must be from {min} to {max}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("test", text, &BTreeMap::new()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_section_turns_accounts_on_and_its_limits_are_named() {
        assert!(parse("").unwrap().auth.nobody());
        assert!(!parse("[auth.accounts]\n").unwrap().auth.nobody());
        for (key, value) in [
            ("access_s", 29),
            ("refresh_s", 0),
            ("session_s", 7_776_001),
            ("failures_max", 2),
            ("lock_s", 0),
            ("lock_max_s", 29),
            ("hashes_max", 65),
        ] {
            let error = parse(&format!("[auth.accounts]\n{key} = {value}\n")).unwrap_err();
            assert!(error.contains(&format!("auth.accounts.{key} must be from")), "{error}");
        }
        let error = parse("[auth.accounts]\nenabled = true\n").unwrap_err();
        assert!(error.contains("enabled"), "{error}");
    }
}
