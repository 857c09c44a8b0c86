//! Addresses that hold a password.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Stands for what is not shown.
const HIDDEN: &str = "***";

/// An address that may hold a password. It is written out whole only where the configuration is put
/// together; `Debug` and what is printed show it without.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretUrl").field(&self.shown()).finish()
    }
}

impl SecretUrl {
    /// The whole address, for whoever connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// With the password hidden; nothing but that where it is no address.
    pub(super) fn redacted(&self) -> Self {
        Self(self.shown())
    }

    fn shown(&self) -> String {
        let hidden = || HIDDEN.to_owned();
        let Some((scheme, rest)) = self.0.split_once("://") else { return hidden() };
        // A password with an `@` that should have been escaped is hidden as well.
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = place.split('/').next().unwrap_or_default();
        let port = authority.rsplit_once(':').map(|(_, port)| port).unwrap_or_default();
        if !port.chars().all(|c| c.is_ascii_digit() || c == ']') && !authority.ends_with(']') {
            return hidden();
        }
        let mut shown = format!("{scheme}://");
        if let Some((name, _)) = user.split_once(':') {
            shown.extend([name, ":", HIDDEN, "@"]);
        } else if !user.is_empty() {
            shown.extend([user, "@"]);
        }
        shown.push_str(place);
        for (at, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            shown.push(if at == 0 { '?' } else { '&' });
            match pair.split_once('=') {
                Some((key, value)) if SHOWN.contains(&key) => shown.extend([key, "=", value]),
                Some((key, _)) => shown.extend([key, "=", HIDDEN]),
                None => shown.push_str(HIDDEN),
            }
        }
        shown
    }
}

/// Parameters that are shown.
const SHOWN: [&str; 8] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user"];

#[cfg(test)]
mod tests {
    use super::SecretUrl;

    #[test]
    fn nothing_shows_the_password() {
        for (url, shown) in [
            ("postgres://u:secret@h:5432/db", "postgres://u:***@h:5432/db"),
            (
                "postgres://u:se@cret/x@h/db?sslmode=require",
                "postgres://u:***@h/db?sslmode=require",
            ),
            ("postgres://u@h/db", "postgres://u@h/db"),
            ("postgres://u:secret@[::1]:5/db", "postgres://u:***@[::1]:5/db"),
            (
                "postgres:///db?host=/run/pg&password=secret",
                "postgres:///db?host=/run/pg&password=***",
            ),
            ("postgres://u:secret", "***"),
            ("host=h password=secret", "***"),
            ("postgres://h/db?secret", "postgres://h/db?***"),
        ] {
            let secret = SecretUrl(url.to_owned());
            assert_eq!(secret.redacted().expose(), shown);
            assert!(!format!("{secret:?}").contains("secret"));
        }
    }
}
