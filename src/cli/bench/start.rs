//! How long a node takes to start, and what it takes of the memory before anybody calls.

use std::time::Duration;

use super::Failure;
use super::driven::Driven;
use super::run::Bench;
use crate::benchmark::statistics::median;

/// From readiness to the look at the memory.
const SETTLE: Duration = Duration::from_millis(300);

/// Starts nodes one after the other.
pub(super) async fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for number in 1..=bench.budget.starts {
        bench.step(&format!("start: {number}"), Duration::from_secs(1));
        let driven = Driven::start(&bench.data, bench.models_dir.as_deref()).await?;
        tokio::time::sleep(SETTLE).await;
        if let (Some(node), Some(used)) = (&driven.node, driven.used(&bench.host)) {
            ready.push(node.ready().as_secs_f64() * 1_000.0);
            resident.push(used.resident_mib);
        }
    }
    for (name, values) in [("start.ready_ms", ready), ("start.resident_mib", resident)] {
        let Some(middle) = median(&values) else { return Err("no node started".into()) };
        bench.report.add(name, middle, values);
    }
    Ok(())
}
