//! What is to be done, as the activities of one care plan, and the goals of each.

use serde_json::{Value, json};

use super::super::terms::FOLLOW_UPS;
use super::object::{Object, absent};
use super::{Writer, line};
use crate::sharing::discharge::model::{DischargeRecord, FollowUp, Target};

/// Adds the plan and its goals.
pub(super) fn write(writer: &mut Writer, record: &DischargeRecord) {
    if record.follow_ups.is_empty() {
        return;
    }
    let (mut activities, mut goals, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for follow_up in &record.follow_ups {
        let mut aims = Vec::new();
        for target in &follow_up.targets {
            aims.push(writer.reference("Goal", goals.len()));
            goals.push(goal(writer, goals.len(), target));
        }
        activities.push(json!({ "detail": detail(follow_up, aims) }));
        lines.push(match follow_up.text.as_str() {
            "" => line(&follow_up.coded),
            text => text.to_owned(),
        });
    }
    let plan = writer
        .about("CarePlan", 0)
        .text("status", "active")
        .text("intent", "plan")
        .list("activity", activities);
    let mut listed = vec![(writer.add(plan), lines.join("；"))];
    for goal in goals {
        listed.push((writer.add(goal), String::new()));
    }
    writer.list(FOLLOW_UPS, listed);
}

fn detail(follow_up: &FollowUp, goals: Vec<Value>) -> Value {
    let by = match follow_up.by.as_str() {
        "" => Vec::new(),
        by => vec![json!({ "display": by })],
    };
    Object::default()
        .coded("code", Some(&follow_up.coded))
        .list("goal", goals)
        .text("status", "scheduled")
        .period("scheduledPeriod", follow_up.from.as_ref(), follow_up.due.as_ref())
        .list("performer", by)
        .text("description", &follow_up.text)
        .build()
}

fn goal(writer: &Writer, index: usize, target: &Target) -> Object {
    let range = Object::default()
        .quantity("low", target.low.as_ref())
        .quantity("high", target.high.as_ref());
    let aim = if range.is_empty() {
        Object::default().coded("measure", Some(&target.coded))
    } else {
        // What a bound is of must be said (gol-1).
        let measure = Object::default().coded_or_absent("measure", &target.coded);
        measure.value("detailRange", range.build())
    };
    let words = Object::default().text("text", &target.text);
    let words = if words.is_empty() { absent() } else { words.build() };
    writer
        .start("Goal", index)
        .text("lifecycleStatus", "active")
        .value("description", words)
        .value("subject", writer.reference("Patient", 0))
        .list("target", [aim.build()])
}
