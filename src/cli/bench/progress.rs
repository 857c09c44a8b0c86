//! A bar with what is being measured and how long it will take; silent where standard error is no
//! terminal, and beside JSON.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the bar is drawn by itself.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// How far a run is.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// Where the part under way ends, in milliseconds of the plan.
    end: u64,
}

impl Progress {
    /// For what is planned to take `all`.
    pub(super) fn new(all: Duration, is_silent: bool) -> Self {
        let bar = if is_silent { ProgressBar::hidden() } else { ProgressBar::new(millis(all)) };
        let form = "{bar:30} {percent:>3}%  {elapsed} 剩余约 left {eta}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        if !is_silent {
            bar.enable_steady_tick(DRAW_EVERY);
        }
        Self { bar, end: 0 }
    }

    /// A part begins that is planned to take so long.
    pub(super) fn begin(&mut self, title: &str, planned: Duration) {
        self.bar.set_position(self.end);
        self.end = self.end.saturating_add(millis(planned));
        self.bar.set_message(title.to_owned());
    }

    /// What is done within the part, and for how long. The part's end is not passed.
    pub(super) fn step(&self, message: String, took: Duration) {
        self.bar.set_message(message);
        self.bar.set_position(self.bar.position().saturating_add(millis(took)).min(self.end));
    }

    /// The bar goes.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_does_not_pass_its_end() {
        let mut progress = Progress::new(Duration::from_secs(10), true);
        progress.begin("a", Duration::from_secs(4));
        progress.step("more".to_owned(), Duration::from_secs(9));
        assert_eq!(progress.bar.position(), 4_000);
        progress.begin("b", Duration::from_secs(6));
        progress.step("more".to_owned(), Duration::from_secs(1));
        assert_eq!(progress.bar.position(), 5_000);
    }
}
