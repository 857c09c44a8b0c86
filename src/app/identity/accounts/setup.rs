//! The first account of a node that nobody can sign in to yet: whoever reads a file that only the
//! node's own user can read may make one administrator, once. No password is ever given out.

use std::sync::Mutex;
use std::sync::PoisonError;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Accounts, random};
use crate::app::access::Role;
use crate::app::error::Error;
use crate::tables::text::hex;

/// Wrong codes after which only a restart makes another one.
const FAILURES_MAX: u32 = 10;

/// The code that is good now.
#[derive(Debug, Default)]
pub(super) struct Setup {
    code: Mutex<Option<Code>>,
}

#[derive(Debug, Clone, Copy)]
struct Code {
    sha256: [u8; 32],
    failures: u32,
}

impl Setup {
    fn set(&self, code: Option<Code>) {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = code;
    }

    /// Whether it is the code; a wrong one is counted. `None` where there is no code.
    fn fits(&self, said: &str) -> Option<bool> {
        let digest: [u8; 32] = Sha256::digest(said.trim().as_bytes()).into();
        let mut held = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        let code = held.as_mut()?;
        let same = bool::from(code.sha256.as_slice().ct_eq(digest.as_slice()));
        if !same {
            code.failures += 1;
            if code.failures >= FAILURES_MAX {
                *held = None;
            }
        }
        Some(same)
    }
}

impl Accounts {
    /// A new code for [`Accounts::set_up`], if there is no account yet. It goes into a file and nowhere
    /// else.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn offer_setup(&self) -> Result<Option<String>, Error> {
        if self.store.count().await? > 0 {
            self.setup.set(None);
            return Ok(None);
        }
        let code = hex(&random::<20>()?);
        let sha256 = Sha256::digest(code.as_bytes()).into();
        self.setup.set(Some(Code { sha256, failures: 0 }));
        Ok(Some(code))
    }

    /// Makes the first account, an administrator.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong code, or where there is an account already;
    /// [`Error::Invalid`] about `name` or `password`.
    pub async fn set_up(&self, code: &str, name: &str, password: &str) -> Result<(), Error> {
        match self.setup.fits(code) {
            Some(true) => {}
            Some(false) => {
                self.store.note(self.deed("", "", "set_up", "refused")).await?;
                return Err(Error::Unauthenticated);
            }
            // Nothing can come of it, so nothing fills the trail.
            None => return Err(Error::Unauthenticated),
        }
        let account = self.make((name, password), (Role::Administrator, Vec::new())).await?;
        let mut deed = self.deed(&account.name, account.role.name(), "set_up", "ok");
        account.name.clone_into(&mut deed.entry.record_id);
        let made = self.store.add(&account, true, deed).await?;
        self.setup.set(None);
        if made { Ok(()) } else { Err(Error::Unauthenticated) }
    }
}
