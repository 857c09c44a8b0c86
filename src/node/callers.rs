//! Who may call: the credentials of the configuration, each with what the table of actions gives its
//! role there.

use super::NodeError;
use crate::app::App;
use crate::app::access::{Caller, Place};
use crate::app::credentials::{Authenticator, Token};
use crate::config::{self, Config};

/// The callers of a configuration.
///
/// # Errors
/// [`NodeError::Role`], where a credential's role has no rights where its holder works.
pub(super) fn known(config: &Config, app: &App) -> Result<Authenticator, NodeError> {
    let table = app.authorisation();
    let mut tokens = Vec::with_capacity(config.auth.tokens.len());
    for token in &config.auth.tokens {
        // The configuration was checked: it is one.
        let Some(sha256) = config::parse_sha256(&token.sha256) else { continue };
        let post = config.node.post(token.place, &token.area);
        let places = table.places(token.role);
        if !places.contains(&post.place) {
            return Err(NodeError::Role {
                name: token.name.clone(),
                role: token.role.name(),
                place: post.place.id(),
                places: places.into_iter().map(Place::id).collect::<Vec<_>>().join(", "),
            });
        }
        let caller = Caller::person(token.name.clone(), token.role, post, &table);
        tokens.push(Token { sha256, caller });
    }
    Ok(Authenticator::new(tokens))
}
