//! Who calls, for every door: bearer tokens from the configuration, those of an identity provider, and
//! those of people who signed in with an account of this node.
//!
//! Configured tokens are kept as SHA-256 only and compared in constant time. With no credentials of any
//! kind the node's doors open on loopback only (the configuration refuses anything else) and every
//! caller is [`Role::Local`](super::access::Role::Local). What a caller may do is not decided here but in
//! [`super::access`], by the role and by where the credentials say that the caller works ([`Placing`]).

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::access::{AuthorisationTable, Caller, Place, Post};
use super::error::Error;
use super::identity::Known;
use super::identity::accounts::{ACCESS_PREFIX, Accounts};
use super::identity::oidc::Oidc;
use super::identity::refusals::{Refusals, Why};

/// A credential.
#[derive(Debug, Clone)]
pub struct Token {
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Whose it is.
    pub caller: Caller,
}

/// Why somebody without credentials is refused who asks for another host.
const OTHER_HOST: &str = "come in: nobody has credentials here, so it answers to its own box alone; ask \
    for localhost, 127.0.0.1 or [::1]";

/// What a request says of who sends it, and to whom.
#[derive(Clone, Copy, Default)]
pub struct Asked<'a> {
    authorization: Option<&'a str>,
    host: Option<&'a str>,
}

/// Where people work whose credentials say it, and what their role may do there.
#[derive(Debug, Clone)]
pub struct Placing {
    /// What each role may do where.
    pub table: Arc<AuthorisationTable>,
    /// Where somebody works of whom nothing is said.
    pub here: Place,
    /// Division code of the node; empty where it is not said.
    pub area: String,
}

/// Knows the credentials. A copy is cheap and knows the same.
#[derive(Debug, Clone)]
pub struct Authenticator {
    tokens: Arc<[Token]>,
    placing: Option<Placing>,
    oidc: Option<Arc<Oidc>>,
    accounts: Option<Arc<Accounts>>,
    refusals: Arc<Refusals>,
}

impl<'a> Asked<'a> {
    /// By the headers `authorization` and `host`, and the authority of the request's address, which HTTP/2
    /// has instead of `host`.
    pub fn new(
        authorization: Option<&'a [u8]>,
        authority: Option<&'a str>,
        host: Option<&'a [u8]>,
    ) -> Self {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).ok();
        // What is no text is no name of this box.
        let host = authority.or_else(|| host.map(|bytes| text(bytes).unwrap_or("?")));
        Self { authorization: authorization.and_then(text), host }
    }
}

/// The token is secret.
impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked(..)")
    }
}

/// Whether `host`, with or without a port, is a name of whatever box it is said on.
fn is_this_box(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Placing {
    /// Where somebody works by a scope: division codes of 2 to 12 digits and names of kinds of place
    /// (`hospital`). No scope: as the node, with all that it has. None where nothing of the scope is
    /// understood, no division of it has to do with the node's, or it names a smaller kind of place than
    /// the node's and not which.
    pub fn post(&self, scope: &[String]) -> Option<Post> {
        if scope.is_empty() {
            return Some(Post { place: self.here, areas: Vec::new() });
        }
        let whole = |place| Post { place, areas: Vec::new() };
        let is_code = |item: &&String| {
            (2..=12).contains(&item.len()) && item.bytes().all(|b| b.is_ascii_digit())
        };
        let said: Vec<&String> = scope.iter().filter(is_code).collect();
        let place = scope.iter().find_map(|item| Place::from_id(item));
        if said.is_empty() {
            return place.filter(|place| !place.is_smaller_than(self.here)).map(whole);
        }
        // One that is as wide as the node or wider is all of it.
        let is_whole = said.iter().any(|area| self.area.starts_with(area.as_str()));
        let within: Vec<String> =
            said.iter().filter(|area| area.starts_with(&self.area)).map(|a| (*a).clone()).collect();
        let widest = if is_whole {
            self.here
        } else {
            Place::of_area(within.iter().min_by_key(|area| area.len())?)
        };
        let place = place.unwrap_or(widest);
        if is_whole {
            return (!place.is_smaller_than(self.here)).then(|| whole(place));
        }
        Some(Post { place, areas: within })
    }

    /// The caller with what the table gives; without rights where the scope is of somewhere else.
    fn placed(&self, known: Known) -> Known {
        let Known { caller, scope, session } = known;
        let caller = match self.post(&scope) {
            Some(post) => Caller::person(caller.name, caller.role, post, &self.table),
            None => caller,
        };
        Known { caller, scope, session }
    }
}

impl Authenticator {
    /// With no `tokens`, and nothing added, everybody is local.
    pub fn new(tokens: Vec<Token>) -> Self {
        let refusals = Arc::default();
        Self { tokens: tokens.into(), placing: None, oidc: None, accounts: None, refusals }
    }

    /// Gives people of a provider or with an account the rights of their role where they work; without it
    /// they have none.
    #[must_use]
    pub fn with_placing(mut self, placing: Placing) -> Self {
        self.placing = Some(placing);
        self
    }

    /// Admits people of an identity provider, too.
    #[must_use]
    pub fn with_oidc(mut self, oidc: Option<Arc<Oidc>>) -> Self {
        self.oidc = oidc;
        self
    }

    /// Admits people with an account of this node, too.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Option<Arc<Accounts>>) -> Self {
        self.accounts = accounts;
        self
    }

    /// Who was refused and is not in the audit trail yet.
    pub fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// The accounts of this node, where people can sign in with one.
    pub fn accounts(&self) -> Option<&Arc<Accounts>> {
        self.accounts.as_ref()
    }

    /// The caller of a request, by its `authorization` header (RFC 6750, 2.1).
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], where it is missing, not `Bearer` or not known; [`Error::Denied`] and
    /// [`Error::Unavailable`] as [`Oidc::identify`] says; [`Error::Denied`], where nobody has credentials
    /// and another host is asked for than this box.
    pub async fn identify(&self, asked: Asked<'_>) -> Result<Known, Error> {
        if self.tokens.is_empty() && self.oidc.is_none() && self.accounts.is_none() {
            // A page of the web has the browser on this box ask under a name of its own that leads here.
            if asked.host.is_some_and(|host| !is_this_box(host)) {
                self.refusals.note(Why::Host);
                return Err(Error::Denied { action: OTHER_HOST });
            }
            return Ok(Known::new(Caller::local("local")));
        }
        let given = asked.authorization.and_then(|value| value.split_once(' '));
        let Some((_, token)) = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        else {
            self.refusals.note(Why::Missing);
            return Err(Error::Unauthenticated);
        };
        let token = token.trim();
        if let Some(known) = self.configured(token) {
            return Ok(Known::new(known.caller.clone()));
        }
        let (known, why) = match (&self.accounts, &self.oidc) {
            (Some(accounts), _) if token.starts_with(ACCESS_PREFIX) => {
                (accounts.identify(token).await, Why::Unknown)
            }
            (_, Some(oidc)) if token.contains('.') => (oidc.identify(token).await, Why::Token),
            _ => (Err(Error::Unauthenticated), Why::Unknown),
        };
        match (known, &self.placing) {
            (Ok(known), Some(placing)) => Ok(placing.placed(known)),
            (Ok(known), None) => Ok(known),
            (Err(error), _) => {
                if matches!(error, Error::Denied { .. }) {
                    self.refusals.note(Why::Role);
                } else if matches!(error, Error::Unauthenticated) {
                    self.refusals.note(why);
                }
                Err(error)
            }
        }
    }

    /// [`Authenticator::identify`] without what is said of scope.
    pub async fn caller(&self, asked: Asked<'_>) -> Result<Caller, Error> {
        Ok(self.identify(asked).await?.caller)
    }

    fn configured(&self, token: &str) -> Option<&Token> {
        let digest = Sha256::digest(token.as_bytes());
        let mut found = None;
        for known in self.tokens.iter() {
            if bool::from(known.sha256.as_slice().ct_eq(digest.as_slice())) {
                found = Some(known);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::access::{Action, Role};

    #[tokio::test]
    async fn only_a_known_bearer_token_is_a_caller() {
        let sha256 = Sha256::digest(b"secret").into();
        let token = Token { sha256, caller: Caller::shipped("clinic", Role::VillageDoctor) };
        let known = Authenticator::new(vec![token]);
        let said = |text: Option<&'static str>| {
            Asked::new(text.map(str::as_bytes), Some("clinic.example"), None)
        };
        for good in ["Bearer secret", "bearer  secret "] {
            assert_eq!(known.caller(said(Some(good))).await.unwrap().name, "clinic", "{good}");
        }
        for bad in [None, Some(""), Some("secret"), Some("Basic secret"), Some("Bearer other")] {
            assert!(
                matches!(known.caller(said(bad)).await, Err(Error::Unauthenticated)),
                "{bad:?}"
            );
        }
    }

    #[tokio::test]
    async fn without_credentials_only_this_box_is_answered_to() {
        let open = Authenticator::new(Vec::new());
        for here in [
            None,
            Some("localhost"),
            Some("LOCALHOST:50051"),
            Some("127.0.0.1:1"),
            Some("127.9.9.9"),
            Some("[::1]:8080"),
            Some("[::1]"),
        ] {
            for asked in
                [Asked::new(None, here, None), Asked::new(None, None, here.map(str::as_bytes))]
            {
                assert_eq!(open.caller(asked).await.unwrap().role, Role::Local, "{here:?}");
            }
        }
        for other in [
            "evil.example:50051",
            "localhost.evil.example",
            "10.0.0.1:80",
            "",
            "[::2]",
            "[::1",
            "?",
        ] {
            let asked = Asked::new(None, Some(other), Some(b"localhost"));
            let refused = open.caller(asked).await;
            assert!(matches!(refused, Err(Error::Denied { .. })), "{other}");
        }
        let noise = Asked::new(None, None, Some(b"\xff"));
        assert!(matches!(open.caller(noise).await, Err(Error::Denied { .. })));
    }

    #[test]
    fn a_scope_places_a_caller_and_one_of_elsewhere_gives_nothing() {
        let table = Arc::new(AuthorisationTable::load(&crate::embedded::files()).unwrap());
        let placing = Placing { table, here: Place::Township, area: "361104204".to_owned() };
        let post = |scope: &[&str]| {
            let scope: Vec<String> = scope.iter().map(|item| (*item).to_owned()).collect();
            placing.post(&scope).map(|post| (post.place, post.areas))
        };
        let at = |place, areas: &[&str]| {
            Some((place, areas.iter().map(|area| (*area).to_owned()).collect::<Vec<_>>()))
        };
        assert_eq!(post(&[]), at(Place::Township, &[]));
        // As wide as the node or wider: all of it.
        for whole in ["361104204", "361104", "36"] {
            assert_eq!(post(&[whole]), at(Place::Township, &[]), "{whole}");
        }
        assert_eq!(post(&["361104204201"]), at(Place::Village, &["361104204201"]));
        let two = ["361104204201", "361102001001", "361104204202"];
        assert_eq!(post(&two), at(Place::Village, &["361104204201", "361104204202"]));
        assert_eq!(post(&["hospital"]), at(Place::Hospital, &[]));
        assert_eq!(post(&["openid", "township", "361104"]), at(Place::Township, &[]));
        // A village, and not said which: nobody's patients, and not everybody's.
        assert_eq!(post(&["village"]), None);
        assert_eq!(post(&["openid", "village", "361104"]), None);
        let which = at(Place::Village, &["361104204201"]);
        assert_eq!(post(&["village", "361104204201"]), which);
        for elsewhere in [&["361102001001"][..], &["openid"], &["3"], &["3611042042011"], &["36１"]]
        {
            assert_eq!(post(elsewhere), None, "{elsewhere:?}");
        }
        let known = |scope: &str| Known {
            caller: Caller::named("account:li", Role::VillageDoctor),
            scope: vec![scope.to_owned()],
            session: None,
        };
        let here = placing.placed(known("361104204201")).caller;
        assert!(here.rights().allow(Action::Diagnose) && !here.has_the_whole_node());
        assert!(here.looks_after("361104204201") && !here.looks_after("361104204202"));
        assert!(!here.looks_after(""), "of whom it is not known where they live");
        let elsewhere = placing.placed(known("361102001001")).caller;
        assert!(!elsewhere.rights().allow(Action::Diagnose));
        assert!(elsewhere.rights().allow(Action::OwnSession));
    }
}
