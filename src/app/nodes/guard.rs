//! How often somebody may be wrong. What is guessed has 128 bits; this is so that nobody keeps a hub busy,
//! and so that it is noticed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::app::error::Error;

/// The time that is counted over.
const WINDOW: Duration = Duration::from_mins(10);
/// Wrong codes from one address.
const WRONG_MAX: u32 = 10;
/// Wrong codes from all addresses together.
const WRONG_ALL_MAX: u32 = 200;
/// Certificates that one node renews.
const RENEWED_MAX: u32 = 10;
/// Refusals that the audit trail holds one by one.
pub(super) const ENTERED_MAX: u32 = 30;
/// What is counted at the same time: more, and who is new waits.
const COUNTED_MAX: usize = 10_000;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Wrong(IpAddr),
    WrongAll,
    Renewed(String),
}

/// Counts within a window.
#[derive(Debug, Default)]
pub(super) struct Guard(Mutex<HashMap<What, (Instant, u32)>>);

impl Guard {
    /// Whether somebody at an address may say a code. A code counts as wrong until it is said that it was
    /// not.
    ///
    /// # Errors
    /// [`Error::Overloaded`] with the time to wait.
    pub(super) fn attempt(&self, from: IpAddr) -> Result<(), Error> {
        let what = "number of wrong enrolment codes";
        self.count(What::Wrong(from.to_canonical()), WRONG_MAX, what)?;
        self.count(What::WrongAll, WRONG_ALL_MAX, what)
    }

    /// The code was right.
    pub(super) fn passed(&self, from: IpAddr) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for what in [What::Wrong(from.to_canonical()), What::WrongAll] {
            if let Some((_, count)) = all.get_mut(&what) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// How many were wrong in this window.
    pub(super) fn wrong(&self) -> u32 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&What::WrongAll).map_or(0, |(_, count)| *count)
    }

    /// Whether a node may have another certificate.
    ///
    /// # Errors
    /// As [`Guard::attempt`].
    pub(super) fn renewal(&self, node: &str) -> Result<(), Error> {
        self.count(What::Renewed(node.to_owned()), RENEWED_MAX, "number of renewals of this node")
    }

    fn count(&self, what: What, most: u32, name: &'static str) -> Result<(), Error> {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        if all.len() >= COUNTED_MAX && !all.contains_key(&what) {
            return Err(Error::Overloaded { what: name, retry_after: WINDOW });
        }
        let (since, count) = all.entry(what).or_insert((now, 0));
        if *count >= most {
            let retry_after = WINDOW.saturating_sub(now.duration_since(*since));
            return Err(Error::Overloaded { what: name, retry_after });
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_wrong_again_and_again_waits_and_others_do_not() {
        let guard = Guard::default();
        let (one, other): (IpAddr, IpAddr) =
            ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..WRONG_MAX {
            guard.attempt(one).unwrap();
        }
        // The same address in its longer form is the same.
        for again in [one, "::ffff:10.0.0.1".parse().unwrap()] {
            let Error::Overloaded { retry_after, .. } = guard.attempt(again).unwrap_err() else {
                panic!("another error")
            };
            assert!(retry_after <= WINDOW && retry_after > Duration::from_mins(9));
        }
        guard.attempt(other).unwrap();
        guard.passed(other);
        assert_eq!(guard.wrong(), WRONG_MAX);
        tokio::time::advance(WINDOW).await;
        guard.attempt(one).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_together_are_too_many() {
        let guard = Guard::default();
        let from = |at: u32| IpAddr::from(std::net::Ipv4Addr::from(at));
        let passed = (0..1_000).filter(|at| guard.attempt(from(*at)).is_ok()).count();
        assert_eq!(passed, usize::try_from(WRONG_ALL_MAX).unwrap());
    }
}
