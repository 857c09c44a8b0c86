//! What is measured, in which order, and for how long.

use std::time::Duration;

use clap::ValueEnum;

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Part {
    /// What the machine is, and how long its disk takes to keep something
    Machine,
    /// How long a node takes to start, and its memory
    Start,
    /// Models by engine, threads and rows
    Models,
    /// How many answers the store keeps a second
    Store,
    /// Diagnose, over gRPC
    Diagnose,
    /// A step of an interview
    Interview,
    /// `CheckPrescription`
    Check,
    /// `RecommendPlan`
    Plan,
    /// Images in and out, over gRPC
    Imaging,
    /// How fast records arrive after an outage
    Sync,
    /// Half of the knee of Diagnose for a long time (--soak)
    Soak,
}

/// Kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Diagnose,
    Interview,
    Check,
    Plan,
}

/// How long things are measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// The disk.
    pub(super) fsync: Duration,
    /// Starts of a node.
    pub(super) starts: usize,
    /// A model in one way.
    pub(super) model: Duration,
    /// Before a kind of calls is measured.
    pub(super) warm_up: Duration,
    /// One client.
    pub(super) alone: Duration,
    /// Clients that saturate the node.
    pub(super) saturated: Duration,
    /// A rate.
    pub(super) step: Duration,
    /// Halvings between the last rate that was kept up and the first that was not.
    pub(super) halvings: usize,
    /// Half of the knee.
    pub(super) half: Duration,
    /// A number of writers.
    pub(super) store: Duration,
    /// Images that each stream brings.
    pub(super) images: usize,
    /// Reading images in one way.
    pub(super) retrieve: Duration,
    /// Records that wait while the line is cut.
    pub(super) records: usize,
    /// Parts in time of a measurement.
    pub(super) blocks: usize,
}

impl Budget {
    /// Five to ten minutes.
    pub(super) const USUAL: Self = Self {
        fsync: Duration::from_secs(6),
        starts: 7,
        model: Duration::from_millis(1_500),
        warm_up: Duration::from_secs(2),
        alone: Duration::from_secs(3),
        saturated: Duration::from_secs(5),
        step: Duration::from_secs(5),
        halvings: 3,
        half: Duration::from_secs(15),
        store: Duration::from_secs(4),
        images: 200,
        retrieve: Duration::from_secs(5),
        records: 1_500,
        blocks: 10,
    };

    /// About a minute.
    pub(super) const QUICK: Self = Self {
        fsync: Duration::from_millis(800),
        starts: 3,
        model: Duration::from_millis(200),
        warm_up: Duration::from_millis(300),
        alone: Duration::from_millis(600),
        saturated: Duration::from_millis(800),
        step: Duration::from_millis(700),
        halvings: 1,
        half: Duration::from_millis(1_500),
        store: Duration::from_millis(600),
        images: 30,
        retrieve: Duration::from_millis(700),
        records: 60,
        blocks: 6,
    };
}

impl Part {
    /// All, in the order in which they are measured.
    pub(super) const ALL: [Self; 11] = [
        Self::Machine,
        Self::Start,
        Self::Models,
        Self::Store,
        Self::Diagnose,
        Self::Interview,
        Self::Check,
        Self::Plan,
        Self::Imaging,
        Self::Sync,
        Self::Soak,
    ];

    /// As in `--only`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Start => "start",
            Self::Models => "models",
            Self::Store => "store",
            Self::Diagnose => "diagnose",
            Self::Interview => "interview",
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Imaging => "imaging",
            Self::Sync => "sync",
            Self::Soak => "soak",
        }
    }

    /// What is told while it is measured.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Machine => "机器与磁盘 machine",
            Self::Start => "启动与内存 start",
            Self::Models => "模型 models",
            Self::Store => "写库 store",
            Self::Diagnose => "鉴别诊断 Diagnose",
            Self::Interview => "问诊 Interview",
            Self::Check => "处方审核 CheckPrescription",
            Self::Plan => "治疗方案 RecommendPlan",
            Self::Imaging => "影像 images",
            Self::Sync => "断网补传 sync",
            Self::Soak => "长跑 soak",
        }
    }

    /// The calls that it measures.
    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            Self::Diagnose => Some(Kind::Diagnose),
            Self::Interview => Some(Kind::Interview),
            Self::Check => Some(Kind::Check),
            Self::Plan => Some(Kind::Plan),
            Self::Machine
            | Self::Start
            | Self::Models
            | Self::Store
            | Self::Imaging
            | Self::Sync
            | Self::Soak => None,
        }
    }

    /// Whether it can be measured of a node elsewhere.
    pub(super) fn is_of_any_node(self) -> bool {
        match self {
            Self::Diagnose
            | Self::Interview
            | Self::Check
            | Self::Plan
            | Self::Imaging
            | Self::Soak => true,
            Self::Machine | Self::Start | Self::Models | Self::Store | Self::Sync => false,
        }
    }

    /// About how long it takes, for the bar: rates until the knee are guessed.
    pub(super) fn planned(self, budget: &Budget, model_runs: usize, soak: Duration) -> Duration {
        let times = |time: Duration, count: usize| time * u32::try_from(count).unwrap_or(1);
        match self {
            Self::Machine => budget.fsync,
            Self::Start => times(Duration::from_secs(1), budget.starts),
            Self::Models => times(budget.model, model_runs) + Duration::from_secs(1),
            Self::Store => times(budget.store, 3),
            Self::Diagnose | Self::Interview | Self::Check | Self::Plan => {
                let rates = times(budget.step, 9 + budget.halvings);
                budget.warm_up + budget.alone + budget.saturated + rates + budget.half
            }
            Self::Imaging => times(budget.retrieve, 5),
            Self::Sync => Duration::from_secs(3) + times(Duration::from_millis(8), budget.records),
            Self::Soak => soak,
        }
    }
}

impl Kind {
    /// As in the names of figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Diagnose => "diagnose",
            Self::Interview => "interview_step",
            Self::Check => "check",
            Self::Plan => "plan",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::metrics;

    #[test]
    fn every_part_has_a_name_that_the_command_line_takes() {
        for part in Part::ALL {
            assert_eq!(Part::from_str(part.name(), false), Ok(part));
            if let Some(kind) = part.kind() {
                assert!(metrics::CALLS.iter().any(|(name, _, _)| *name == kind.name()));
            }
        }
        assert_eq!(Part::value_variants().len(), Part::ALL.len());
    }

    #[test]
    fn the_usual_run_takes_five_to_ten_minutes_and_the_quick_one_about_one() {
        let minutes = |budget: &Budget| {
            let parts = Part::ALL.iter().filter(|part| **part != Part::Soak);
            let all: Duration = parts.map(|p| p.planned(budget, 24, Duration::ZERO)).sum();
            all.as_secs_f64() / 60.0
        };
        assert!((5.0..10.0).contains(&minutes(&Budget::USUAL)), "{}", minutes(&Budget::USUAL));
        assert!((0.5..1.5).contains(&minutes(&Budget::QUICK)), "{}", minutes(&Budget::QUICK));
    }
}
