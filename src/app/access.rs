//! Who calls, what they may do, and the proof of it.
//!
//! Every use case asks [`authorise`] first. Whatever writes takes a [`Permit`], which only
//! [`authorise`] can make, so that no door can write without having asked. What a role may do at a place
//! is the table `models/policy/actions.csv` ([`crate::sharing::authorisation`]); a caller carries its
//! rights from the moment that it is known.

use super::error::Error;
pub use crate::sharing::authorisation::{Action, AuthorisationTable, Place, Rights, Role};
use crate::sharing::consent::Purpose;

/// Digits of the codes of a province, city, county and township.
const DIVISION_DIGITS: [usize; 4] = [2, 4, 6, 9];

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the credential or account, or what part of the node acts.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Division codes of where the caller works, 2 to 12 digits: the patients of those divisions are the
    /// caller's to look after. None: all that the node has.
    areas: Vec<String>,
    rights: Rights,
}

/// Where somebody works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// What kind of place.
    pub place: Place,
    /// Division codes, 2 to 12 digits; none: whatever the node has.
    pub areas: Vec<String>,
}

impl Caller {
    /// A part of the node itself, a peer or another node: one that does not sign in. A person's role has
    /// no rights this way.
    pub fn system(name: impl Into<String>, role: Role) -> Self {
        let rights = Rights::of_system(role).unwrap_or(Rights::NONE);
        Self { name: name.into(), role, areas: Vec::new(), rights }
    }

    /// Who is on the same box.
    pub fn local(name: impl Into<String>) -> Self {
        Self::system(name, Role::Local)
    }

    /// A person, or software that works for one, with what the table gives the role there.
    pub fn person(
        name: impl Into<String>,
        role: Role,
        post: Post,
        table: &AuthorisationTable,
    ) -> Self {
        let rights = table.rights(role, post.place);
        Self { name: name.into(), role, areas: post.areas, rights }
    }

    /// Whom a credential names, before it is known where they work: may look after the session and the
    /// password, and nothing else.
    pub fn named(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, areas: Vec::new(), rights: Rights::own() }
    }

    /// With what the shipped table gives the role in a township.
    #[cfg(test)]
    pub(crate) fn shipped(name: &str, role: Role) -> Self {
        let table = AuthorisationTable::load(&crate::embedded::files()).unwrap();
        Self::person(name, role, Post { place: Place::Township, areas: Vec::new() }, &table)
    }

    /// Somebody who was permitted one thing before, of which the end is still to be entered; may do that
    /// and nothing else.
    pub fn resumed(name: impl Into<String>, role: Role, action: Action) -> Self {
        Self { name: name.into(), role, areas: Vec::new(), rights: Rights::only(action) }
    }

    /// What the caller may do.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Whether the caller has to do with everybody of whom the node knows.
    pub fn has_the_whole_node(&self) -> bool {
        self.areas.is_empty()
    }

    /// Whether a resident of `division` (0, 9 or 12 digits) is of the caller's place. One whose division is
    /// not known, or known more coarsely than the place, is not, unless the caller has the whole node.
    pub fn looks_after(&self, division: &str) -> bool {
        self.areas.is_empty() || self.areas.iter().any(|area| division.starts_with(area))
    }

    /// The smallest division that holds all the places where the caller works, 2 to 12 digits; empty for
    /// the whole node.
    pub fn home(&self) -> &str {
        let Some((first, others)) = self.areas.split_first() else { return "" };
        let in_all = |code: &str| others.iter().all(|other| other.starts_with(code));
        let levels = DIVISION_DIGITS.iter().filter_map(|digits| first.get(..*digits));
        levels.chain([first.as_str()]).rfind(|code| in_all(code)).unwrap_or_default()
    }

    /// Whether the caller may read what `maker` made, whose [`Caller::home`] was `area`: what is the
    /// caller's own, or was made where the caller looks after patients.
    pub fn reads_of(&self, maker: &str, area: &str) -> bool {
        self.name == maker || self.looks_after(area)
    }

    /// Division codes of where the caller works; none: the whole node.
    pub fn areas(&self) -> &[String] {
        &self.areas
    }
}

/// Proof that `caller` may do `action`. Only [`authorise`] makes one.
#[derive(Debug)]
pub struct Permit<'a> {
    caller: &'a Caller,
    action: Action,
}

impl Permit<'_> {
    /// Who was permitted.
    pub fn caller(&self) -> &Caller {
        self.caller
    }

    /// What was permitted.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Whether it is permitted for a purpose.
    pub fn serves(&self, purpose: Purpose) -> bool {
        self.caller.rights.allow_for(self.action, purpose)
    }
}

/// Decides whether `caller` may do `action`.
pub fn authorise(caller: &Caller, action: Action) -> Result<Permit<'_>, Error> {
    if caller.rights.allow(action) {
        Ok(Permit { caller, action })
    } else {
        Err(Error::Denied { action: action.name() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_the_smallest_division_that_holds_all_places() {
        let home = |areas: &[&str]| {
            let areas = areas.iter().map(|&area| area.to_owned()).collect();
            let post = Post { place: Place::Village, areas };
            let table = AuthorisationTable::load(&crate::embedded::files()).unwrap();
            Caller::person("a", Role::VillageDoctor, post, &table).home().to_owned()
        };
        for (areas, at) in [
            (&[][..], ""),
            (&["361121001001"], "361121001001"),
            (&["361121001001", "361121001002"], "361121001"),
            (&["361121001001", "361121001"], "361121001"),
            (&["361121001001", "361121002001"], "361121"),
            (&["361121", "361102001001"], "3611"),
            (&["3611", "360100"], "36"),
            (&["361121", "110000"], ""),
        ] {
            assert_eq!(home(areas), at, "{areas:?}");
        }
    }
}
