//! The clock: set at all, not behind what was written by it, in step with a source, and with the hub's.

use std::process::{Command, Stdio};

use super::seen::Seen;
use super::{Notes, apart, hub};
use crate::app::exchange::clock::AHEAD_MAX_MS;
use crate::app::ports::Clock as _;
use crate::node::SystemClock;
use crate::store::sqlite::database::Form;
use crate::store::sqlite::looking::{self, Which};

/// Before this no node of this program ran: 2026-11-01, in milliseconds since 1970.
const BEGUN_MS: i64 = 1_793_491_200_000;
/// What to do.
const SET: &str = "set it (`timedatectl set-ntp true`, or `chronyc makestep`; 请对时), and have the \
                   battery of the board looked at if it is wrong again after every start";

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    let now_ms = SystemClock.now_ms();
    let shown = shown_of(now_ms);
    if now_ms < BEGUN_MS {
        notes.fail("clock", (format!("says {shown}, which is over: it is not set"), SET));
    } else {
        notes.ok("clock", format!("says {shown}"));
    }
    newest(seen, notes, now_ms).await;
    if seen.config.link.hub.is_some() {
        match hub::ask(&seen.config).await {
            Ok(answer) => against_hub(notes, (answer.time_ms, answer.trip.as_millis())),
            Err(_) => notes.skip("hub's clock", "the hub does not answer: see `hub`"),
        }
    }
    // Last: it asks other programs, which may hang.
    synchronised(notes).await;
}

/// Against the newest entry of the node's audit trail.
async fn newest(seen: &Seen, notes: &Notes, now_ms: i64) {
    let files = seen.databases().await;
    let Some(file) = files.iter().find(|file| file.which == Which::Node) else { return };
    if !matches!(file.form, Ok(Form::Plain | Form::Sealed)) {
        return;
    }
    let Ok(database) = seen.open(file).await else { return };
    match looking::newest_ms(&database).await {
        Ok(Some(newest_ms)) if newest_ms - now_ms > AHEAD_MAX_MS => {
            let found = format!(
                "is behind the newest entry of the audit trail, which is of {}: it was set back, or was \
                 ahead then",
                shown_of(newest_ms)
            );
            notes.fail("clock", (found, SET));
        }
        Ok(Some(newest_ms)) => {
            let found = format!("is not behind the newest entry, of {}", shown_of(newest_ms));
            notes.ok("audit trail", found);
        }
        Ok(None) => {}
        Err(_) => notes.skip("audit trail", "cannot be read: see `database`"),
    }
}

fn against_hub(notes: &Notes, (hub_ms, trip_ms): (Option<i64>, u128)) {
    let Some(hub_ms) = hub_ms else {
        return notes.skip("hub's clock", "the hub does not say its time");
    };
    let now_ms = SystemClock.now_ms();
    // It was written within the trip, and says whole seconds.
    let trip_ms = i64::try_from(trip_ms).unwrap_or(i64::MAX);
    let ahead_ms = now_ms.saturating_sub(trip_ms / 2).saturating_sub(hub_ms);
    if ahead_ms.saturating_abs() > AHEAD_MAX_MS.saturating_add(trip_ms / 2) {
        let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
        let found = format!("is {} s {way} the hub's", ahead_ms.saturating_abs() / 1000);
        notes.fail("clock", (found, format!("find out which of the two is wrong; {SET}")));
    } else {
        notes.ok("hub's clock", "agrees to within two minutes");
    }
}

/// Whether something keeps the clock in step, as far as the system tells.
async fn synchronised(notes: &Notes) {
    match apart(told).await.ok().flatten() {
        Some((true, by)) => notes.ok("synchronisation", format!("in step, says {by}")),
        Some((false, by)) => notes.warn(
            "synchronisation",
            (
                format!("not in step with any source, says {by}"),
                "install chrony or turn systemd-timesyncd on (`timedatectl set-ntp true`); without the \
                 internet let the hub's network give the time",
            ),
        ),
        None => notes.skip("synchronisation", "neither timedatectl nor chronyc says anything here"),
    }
}

/// Whether the clock is in step, and who says so.
fn told() -> Option<(bool, &'static str)> {
    let said = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        let done = command.output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let arguments = ["show", "--property=NTPSynchronized", "--value"];
    match said("timedatectl", &arguments).as_deref() {
        Some("yes") => return Some((true, "timedatectl")),
        Some("no") => return Some((false, "timedatectl")),
        Some(_) | None => {}
    }
    let tracking = said("chronyc", &["-c", "tracking"])?;
    // The last field is the state of the leap second, or that nothing is followed.
    let state = tracking.rsplit(',').next()?;
    Some((state != "Not synchronised", "chronyc"))
}

/// A time in UTC, to the minute.
fn shown_of(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| format!("{ms} ms"), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::doctor::{Check, Standing};

    #[test]
    fn two_clocks_may_differ_by_two_minutes_and_half_the_trip() {
        let now_ms = SystemClock.now_ms();
        for (off_ms, trip_ms, standing) in [
            (0, 0, Standing::Ok),
            (100_000, 0, Standing::Ok),
            (-100_000, 0, Standing::Ok),
            (140_000, 0, Standing::Failed),
            (-140_000, 0, Standing::Failed),
            (-140_000, 60_000, Standing::Ok),
        ] {
            let notes = Notes::of(Check::Clock);
            against_hub(&notes, (Some(now_ms + off_ms), trip_ms));
            let lines = notes.taken();
            assert_eq!(lines[0].standing, standing, "{off_ms} {trip_ms}: {lines:?}");
        }
        assert_eq!(shown_of(BEGUN_MS), "2026-11-01 00:00 UTC");
    }
}
