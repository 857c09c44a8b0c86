//! Who somebody is: tokens of an identity provider (OIDC), and accounts of this node. Every door asks [`super::credentials`],
//! which asks here; what a caller may do is decided in [`super::access`] and nowhere here.
//!
//! A name that audit shows says where it comes from (`oidc:…`, `account:…`), so that nobody can choose a name that
//! another kind of caller has.

pub mod accounts;
pub mod json;
pub mod jwt;
pub mod keys;
pub mod oidc;
pub mod refusals;
#[cfg(test)]
mod testing;

use super::access::Caller;

/// Begins the name of a caller whom an identity provider knows.
pub const OIDC_PREFIX: &str = "oidc:";

/// Begins the name of a caller who has an account of this node.
pub const ACCOUNT_PREFIX: &str = "account:";

/// Beginnings of names that no configured token may have.
pub const RESERVED_PREFIXES: [&str; 2] = [OIDC_PREFIX, ACCOUNT_PREFIX];

/// Items of a scope at most.
pub const SCOPE_ITEMS_MAX: usize = 32;
/// Characters of one of them at most.
pub const SCOPE_ITEM_CHARS_MAX: usize = 64;

/// A caller whose credentials were good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Name and role.
    pub caller: Caller,
    /// What the credentials say of where the caller works: division codes and kinds of place
    /// ([`super::credentials::Placing`]).
    pub scope: Vec<String>,
    /// Id of the session, where the caller signed in with an account of this node.
    pub session: Option<String>,
}

impl Known {
    /// A caller without a scope.
    pub fn new(caller: Caller) -> Self {
        Self { caller, scope: Vec::new(), session: None }
    }
}

/// Whether `text` can stand in the audit trail as a name: 1 to `chars_max` characters, none that
/// controls a terminal or breaks a line.
pub fn printable(text: &str, chars_max: usize) -> bool {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    !text.is_empty() && text.chars().count() <= chars_max && !text.chars().any(unseen)
}
