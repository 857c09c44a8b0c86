//! How the schema of a database stands to the one of this program, whichever back-end it is on.

use super::sqlite::migrator;

/// A released step of a schema: number, name, text.
pub(super) type Step = (i64, &'static str, &'static str);

/// A step as a database has it: number, name, when, whether it ended, checksum of its text.
pub(super) type Taken = (i64, String, String, bool, Vec<u8>);

/// How the schema of a database stands to the one of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Newest step that was taken; 0: none was.
    pub at: i64,
    /// Newest step that this program knows.
    pub known: i64,
    /// What the newest step that was taken is called.
    pub name: String,
    /// When that was, as the database has it.
    pub taken: String,
    /// A step that was begun and not finished.
    pub unfinished: Option<i64>,
    /// A step whose text was another one than this program's.
    pub differs: Option<i64>,
}

impl Schema {
    /// From the steps that a database has taken, in their order, and those that there are.
    pub(super) fn of(taken: &[Taken], steps: &[Step]) -> Self {
        let known = migrator(steps);
        let differs = known.iter().find(|step| {
            let other = |(at, .., checksum): &Taken| {
                *at == step.version && checksum.as_slice() != step.checksum.as_ref()
            };
            taken.iter().any(other)
        });
        let last = taken.last().map(|(at, name, when, ..)| (*at, name.clone(), when.clone()));
        let (at, name, when) = last.unwrap_or_default();
        Self {
            at,
            known: steps.iter().map(|(number, ..)| *number).max().unwrap_or(0),
            name,
            taken: when,
            unfinished: taken.iter().find(|(.., ended, _)| !ended).map(|(at, ..)| *at),
            differs: differs.map(|step| step.version),
        }
    }
}
