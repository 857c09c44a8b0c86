//! The table of what is allowed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Action, Place, Purpose, Rights, Role};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};

const SOURCES: &str = "policy/sources.csv";
const ACTIONS: &str = "policy/actions.csv";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionRow {
    action: String,
    role: String,
    place: String,
    purpose: String,
    note_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

/// What each role may do at each place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorisationTable {
    cells: BTreeMap<(Role, Place), Rights>,
    version: String,
}

impl AuthorisationTable {
    /// Reads and checks the table.
    ///
    /// # Errors
    /// With file and line: a row without a known source or without a note, an unknown action, role, place
    /// or purpose, a purpose for an action that states none or none for one that does, a cell that
    /// stands twice, a system's role with other rights than the program gives it, an action that nobody
    /// may do.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut cells: BTreeMap<(Role, Place), Rights> = BTreeMap::new();
        let mut systems: BTreeMap<Role, Rights> = BTreeMap::new();
        for (line, row) in rows::<ActionRow>(files, ACTIONS)? {
            sources.check(ACTIONS, line, &row.source)?;
            let fault = |message: String| LoadError::line(ACTIONS, line, message);
            if row.note_zh.is_empty() {
                return Err(fault("a row needs a note".to_owned()));
            }
            let action = Action::from_id(&row.action)
                .ok_or_else(|| fault(format!("unknown action `{}`", row.action)))?;
            let purposes = purposes(action, &row.purpose).map_err(fault)?;
            for role in all(&row.role, "role", |name| {
                Role::ALL.into_iter().find(|role| role.name() == name)
            })
            .map_err(fault)?
            {
                if Rights::of_system(role).is_some() {
                    add(systems.entry(role).or_insert(Rights::NONE), action, &purposes)
                        .map_err(fault)?;
                    continue;
                }
                for place in all(&row.place, "place", Place::from_id).map_err(fault)? {
                    add(cells.entry((role, place)).or_insert(Rights::NONE), action, &purposes)
                        .map_err(|twice| fault(format!("{twice} at `{}`", place.id())))?;
                }
            }
        }
        let table = Self { cells, version: files.digest(ACTIONS, "") };
        check_systems(&systems)?;
        for action in Action::ALL {
            let mut all = table.cells.values().chain(systems.values());
            if !all.any(|rights| rights.allow(*action)) {
                let message = format!("nobody may do `{}`", action.name());
                return Err(LoadError::file(ACTIONS, message));
            }
        }
        Ok(table)
    }

    /// What a role may do at a place; nothing where the table does not name both together.
    pub fn rights(&self, role: Role, place: Place) -> Rights {
        Rights::of_system(role)
            .or_else(|| self.cells.get(&(role, place)).copied())
            .unwrap_or(Rights::NONE)
    }

    /// Where a person of this role can be.
    pub fn places(&self, role: Role) -> Vec<Place> {
        self.cells.keys().filter(|cell| cell.0 == role).map(|cell| cell.1).collect()
    }

    /// Twelve hex digits over the table.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// What the roles of systems have is fixed in the program; the table says it, so that it can be
/// read in one place, and may not say something else.
fn check_systems(stated: &BTreeMap<Role, Rights>) -> Result<(), LoadError> {
    for role in Role::ALL {
        // Who is local may do everything; a list of all actions would say no more.
        if role == Role::Local {
            continue;
        }
        if let Some(fixed) = Rights::of_system(role)
            && stated.get(&role) != Some(&fixed)
        {
            let message = format!("the rights of `{}` are fixed: {fixed:?}", role.name());
            return Err(LoadError::file(ACTIONS, message));
        }
    }
    if stated.contains_key(&Role::Local) {
        return Err(LoadError::file(ACTIONS, "`local` may do everything and has no rows"));
    }
    Ok(())
}

/// Notes what a row allows; fails where some of it stands already.
fn add(rights: &mut Rights, action: Action, purposes: &[Option<Purpose>]) -> Result<(), String> {
    for purpose in purposes {
        let before = *rights;
        rights.add(action, *purpose);
        if *rights == before {
            return Err(format!("`{}` stands twice", action.name()));
        }
    }
    Ok(())
}

fn purposes(action: Action, cell: &str) -> Result<Vec<Option<Purpose>>, String> {
    match (action.states_purpose(), cell) {
        (false, "-") => Ok(vec![None]),
        (false, _) => Err(format!("`{}` states no purpose: write `-`", action.name())),
        (true, "-") => Err(format!("`{}` needs purposes", action.name())),
        (true, cell) => Ok(all(cell, "purpose", Purpose::from_id)?.into_iter().map(Some).collect()),
    }
}

fn all<T>(cell: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let found: Result<Vec<T>, String> = list(cell)
        .map(|name| parse(name).ok_or_else(|| format!("unknown {what} `{name}`")))
        .collect();
    let found = found?;
    if found.is_empty() { Err(format!("a row needs a {what}")) } else { Ok(found) }
}
