//! Who may call with a configured token, and where people work.

use super::NodeError;
use crate::app::access::{Caller, Place, Post};
use crate::app::credentials::{Placing, Token};
use crate::app::knowledge::Knowledge;
use crate::config::{self, Config};

/// Where people work of whom their credentials say nothing, and what roles may do.
pub(super) fn placing(config: &Config, knowledge: &Knowledge) -> Placing {
    Placing {
        table: knowledge.authorisation.clone(),
        here: config.node.post(None, "").place,
        area: config.node.area.clone(),
    }
}

/// The configured tokens.
///
/// # Errors
/// [`NodeError::Role`], where a token's role has no rights where its holder works.
pub(super) fn tokens(config: &Config, placing: &Placing) -> Result<Vec<Token>, NodeError> {
    let table = &placing.table;
    let mut tokens = Vec::with_capacity(config.auth.tokens.len());
    for token in &config.auth.tokens {
        // The configuration was checked: it is one.
        let Some(sha256) = config::parse_sha256(&token.sha256) else { continue };
        let post: Post = config.node.post(token.place, &token.area);
        let places = table.places(token.role);
        if !places.contains(&post.place) {
            return Err(NodeError::Role {
                name: token.name.clone(),
                role: token.role.name(),
                place: post.place.id(),
                places: places.into_iter().map(Place::id).collect::<Vec<_>>().join(", "),
            });
        }
        let caller = Caller::person(token.name.clone(), token.role, post, table);
        tokens.push(Token { sha256, caller });
    }
    Ok(tokens)
}
