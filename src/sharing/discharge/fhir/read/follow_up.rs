//! What is to be done after discharge: care plans and their activities, goals, requests,
//! appointments and tasks.

use std::collections::HashSet;

use super::super::json::Node;
use super::source::Source;
use super::types::{
    absent, coded, coded_field, moment, notes, quantity, quantity_words, read_concept_if, read_if,
    words,
};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{Coded, FollowUp, Target};

/// Done already, or never to be done.
const OVER: &[&str] =
    &["completed", "cancelled", "stopped", "entered-in-error", "failed", "fulfilled"];

/// What is to be done, in the bundle's order.
pub(super) fn follow_ups(source: &Source<'_, '_>) -> Vec<FollowUp> {
    let mut found = Vec::new();
    let mut goals = HashSet::new();
    for entry in source.entries.iter().filter(|entry| entry.kind == "CarePlan") {
        mention_goals(source, entry.node, &mut goals);
    }
    for entry in source.entries.iter().filter(|entry| entry.refusal.is_none()) {
        let node = entry.node;
        let over = OVER.contains(&node.peek_text("status"));
        match entry.kind {
            "CarePlan" => plan(source, node, &mut found),
            "ServiceRequest" if !over && source.of_stay(node) => found.push(request(source, node)),
            "Appointment" if !over => found.push(appointment(source, node)),
            "Task" if !over && source.of_stay(node) => found.push(task(source, node)),
            "Goal" if !goals.contains(&std::ptr::from_ref(node)) => {
                let mut alone = FollowUp::default();
                goal(source, node, &mut alone);
                found.push(alone);
            }
            _ => {}
        }
    }
    found
}

fn mention_goals<'n, 'a>(
    source: &Source<'n, 'a>,
    plan: &'n Node<'a>,
    goals: &mut HashSet<*const Node<'a>>,
) {
    let details = plan.peek_list("activity").iter().filter_map(|a| a.peek("detail"));
    for holder in std::iter::once(plan).chain(details) {
        for reference in holder.peek_list("goal") {
            let text = reference.peek_text("reference");
            if let super::super::references::Resolved::Found(goal) =
                source.index.resolve(text, Some(plan))
            {
                goals.insert(std::ptr::from_ref(goal));
            }
        }
    }
}

fn plan<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>, found: &mut Vec<FollowUp>) {
    let began = node.peek("period").map_or("", |period| period.peek_text("start"));
    let now = source.of_stay(node)
        || (node.peek_text("status") == "active"
            && source.before_discharge(Moment::iso(began).ok().as_ref()));
    if !now || OVER.contains(&node.peek_text("status")) {
        return;
    }
    source.begin(node);
    read_if(node, "status", &["active"]);
    read_if(node, "intent", &["plan", "order"]);
    let says = ["title", "description", "category", "goal"];
    if says.iter().any(|name| node.peek(name).is_some()) {
        found.push(whole(source, node));
    }
    for activity in node.peek_list("activity") {
        if let Some(reference) = activity.peek("reference")
            && source.follow(reference, node).is_some()
        {
            // What it leads to is read by itself.
            node.get("activity");
            activity.mark();
        }
        let Some(detail) = activity.peek("detail") else { continue };
        if OVER.contains(&detail.peek_text("status"))
            || detail.peek("doNotPerform").is_some_and(Node::is_true)
        {
            continue;
        }
        node.get("activity");
        activity.mark();
        found.push(self::detail(source, detail.mark(), node));
    }
}

/// A plan as a whole: its name, and the goals that no activity has.
fn whole<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>) -> FollowUp {
    let mut follow_up =
        FollowUp { text: node.text("description").to_owned(), ..Default::default() };
    let title = node.text("title");
    if title.is_empty() {
        follow_up.coded = node.first("category").map(coded).unwrap_or_default();
    } else {
        follow_up.coded = Coded::text(title);
    }
    if let Some(period) = node.get("period") {
        follow_up.from = moment(period, "start");
        follow_up.due = moment(period, "end");
    }
    goals(source, node, node, &mut follow_up);
    follow_up
}

fn detail<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>, plan: &'n Node<'a>) -> FollowUp {
    read_if(node, "status", &["scheduled", "not-started"]);
    let mut follow_up = FollowUp {
        coded: node.get("code").map(coded).unwrap_or_default(),
        text: node.text("description").to_owned(),
        ..FollowUp::default()
    };
    if let Some(period) = node.get("scheduledPeriod") {
        follow_up.from = moment(period, "start");
        follow_up.due = moment(period, "end");
    }
    if follow_up.text.is_empty() {
        node.text("scheduledString").clone_into(&mut follow_up.text);
    }
    follow_up.by = names(source, node, "performer", plan);
    goals(source, node, plan, &mut follow_up);
    follow_up
}

/// The names in a list of references.
fn names<'n, 'a>(
    source: &Source<'n, 'a>,
    node: &'n Node<'a>,
    list: &str,
    from: &'n Node<'a>,
) -> String {
    let mut found = Vec::new();
    for reference in node.peek_list(list) {
        let name = source.name_of(reference, from);
        if !name.is_empty() {
            node.get(list);
            found.push(name);
        }
    }
    found.join("、")
}

fn goals<'n, 'a>(
    source: &Source<'n, 'a>,
    node: &'n Node<'a>,
    plan: &'n Node<'a>,
    follow_up: &mut FollowUp,
) {
    for reference in node.peek_list("goal") {
        let Some(found) = source.embed(reference, plan) else { continue };
        node.get("goal");
        if super::source::refusal(found).is_none() {
            goal(source, found, follow_up);
        }
    }
}

fn goal<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>, follow_up: &mut FollowUp) {
    source.begin(node);
    read_if(node, "lifecycleStatus", &["active", "planned", "accepted"]);
    let text = node.get("description").map(words).unwrap_or_default();
    let targets = node.peek_list("target");
    if targets.is_empty() {
        follow_up.targets.push(Target { text, ..Target::default() });
        return;
    }
    node.get("target");
    for target in targets {
        let mut aim = Target {
            coded: target.get("measure").map(coded).unwrap_or_default(),
            text: text.clone(),
            ..Target::default()
        };
        target.mark();
        detail_of(target, &mut aim);
        if follow_up.due.is_none() {
            follow_up.due = moment(target, "dueDate");
        }
        follow_up.targets.push(aim);
    }
}

fn detail_of(target: &Node<'_>, aim: &mut Target) {
    if let Some(range) = target.get("detailRange") {
        aim.low = range.get("low").and_then(quantity);
        aim.high = range.get("high").and_then(quantity);
    } else if let Some(value) = target.peek("detailQuantity") {
        let comparator = value.peek_text("comparator");
        let bound = value.number("value").map(|number| {
            let unit = match value.peek_text("code") {
                "" => value.peek_text("unit"),
                code => code,
            };
            crate::sharing::discharge::model::Quantity { value: number, unit: unit.to_owned() }
        });
        value.mark_all();
        match comparator {
            "<" | "<=" => aim.high = bound,
            ">" | ">=" => aim.low = bound,
            _ => (aim.low, aim.high) = (bound.clone(), bound),
        }
        if matches!(comparator, "<" | ">") {
            // The bound itself is excluded, which the words must say.
            let words = quantity_words(value);
            add_words(aim, &words);
        }
    } else {
        let said = match target.get("detailCodeableConcept") {
            Some(concept) => words(concept),
            None => target.text("detailString").to_owned(),
        };
        if !said.is_empty() {
            add_words(aim, &said);
        }
    }
}

fn add_words(aim: &mut Target, words: &str) {
    if !aim.text.is_empty() {
        aim.text.push(' ');
    }
    aim.text.push_str(words);
}

fn request<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>) -> FollowUp {
    source.begin(node);
    read_if(node, "status", &["active"]);
    read_if(node, "intent", &["order", "plan", "proposal"]);
    let mut follow_up = FollowUp {
        coded: node.get("code").map(coded).unwrap_or_default(),
        by: names(source, node, "performer", node),
        ..FollowUp::default()
    };
    if follow_up.by.is_empty() {
        follow_up.by = node.get("performerType").map(words).unwrap_or_default();
    }
    if let Some(period) = node.get("occurrencePeriod") {
        follow_up.from = moment(period, "start");
        follow_up.due = moment(period, "end");
    } else {
        follow_up.due = moment(node, "occurrenceDateTime");
    }
    let told = [node.text("patientInstruction").to_owned(), notes(node, "note")];
    follow_up.text =
        told.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    follow_up
}

fn appointment<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>) -> FollowUp {
    source.begin(node);
    read_if(node, "status", &["booked", "proposed", "pending"]);
    let mut follow_up = FollowUp {
        coded: coded_field(node, "appointmentType").unwrap_or_default(),
        from: moment(node, "start"),
        due: moment(node, "end"),
        text: node.text("description").to_owned(),
        ..FollowUp::default()
    };
    if let Some(service) = node.first("serviceType") {
        follow_up.coded = coded(service);
    }
    let mut by = Vec::new();
    for participant in node.peek_list("participant") {
        let Some(actor) = participant.peek("actor") else { continue };
        let target = source.peek_field(participant, "actor");
        if target.is_some_and(|target| target.peek_text("resourceType") == "Patient") {
            node.get("participant");
            participant.mark();
            source.follow(actor, node);
            continue;
        }
        let name = source.name_of(actor, node);
        if !name.is_empty() {
            node.get("participant");
            participant.mark();
            by.push(name);
        }
    }
    follow_up.by = by.join("、");
    follow_up
}

fn task<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>) -> FollowUp {
    source.begin(node);
    absent(node, "status");
    read_if(node, "status", &["requested", "ready", "accepted", "received", "in-progress"]);
    read_if(node, "intent", &["order", "plan", "proposal", "unknown"]);
    read_concept_if(node, "priority", &[]);
    let mut follow_up = FollowUp {
        coded: node.get("code").map(coded).unwrap_or_default(),
        text: node.text("description").to_owned(),
        ..FollowUp::default()
    };
    let restriction = node.peek("restriction").and_then(|restriction| {
        let period = restriction.peek("period")?;
        restriction.mark();
        Some(period)
    });
    if let Some(period) = restriction.or_else(|| node.peek("executionPeriod")) {
        period.mark();
        follow_up.from = moment(period, "start");
        follow_up.due = moment(period, "end");
    }
    if let Some(owner) = node.peek("owner") {
        follow_up.by = source.name_of(owner, node);
    }
    follow_up
}
