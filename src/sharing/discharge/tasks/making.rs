//! From rules to tasks.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::civil::Date;

use super::dates::{after, last_day, relative_due};
use super::measured::{Reading, Seen, seen};
use super::tables::{FollowUpTables, Looked, Measure, Rule, Scope, Trigger};
use super::{Task, TaskReason};
use crate::sharing::discharge::model::{
    Coded, DischargeRecord, FollowUp, Medicine, MedicineChange, Target,
};
use crate::sharing::discharge::programmes::{Membership, Programme};
use crate::sharing::discharge::{Moment, outcome};

/// Longest text of the hospital that a wording repeats, in characters.
const QUOTED_CHARS_MAX: usize = 200;
/// Words of 出院医嘱 that ask for coming again.
const COMING_AGAIN: [&str; 5] = ["复查", "复诊", "随访", "随诊", "门诊"];

/// What rules look at.
struct Facts<'a> {
    record: &'a DischargeRecord,
    members: Vec<Programme>,
    discharged: Option<Date>,
    seen: BTreeMap<Measure, Seen>,
    rules: &'a [Rule],
    died: bool,
}

/// One time that a rule holds.
#[derive(Default)]
struct Case {
    /// Which of several, from 1.
    which: Option<usize>,
    earliest: Option<Date>,
    due: Option<Date>,
    /// Placeholder and what stands there.
    fill: Vec<(&'static str, String)>,
    /// More reasons.
    remarks: Vec<String>,
    targets: Vec<Target>,
}

/// Every task, in the order of their ids.
pub(super) fn all(
    record: &DischargeRecord,
    programmes: &[Membership],
    tables: &FollowUpTables,
) -> Vec<Task> {
    let facts = Facts {
        record,
        members: programmes.iter().map(|member| member.programme).collect(),
        discharged: record.stay.discharged.as_ref().and_then(Moment::day),
        seen: seen(record, tables),
        rules: &tables.rules,
        died: outcome::is_dead(record),
    };
    let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
    for rule in &tables.rules {
        let programme = match rule.scope {
            Scope::Programme(programme) if facts.members.contains(&programme) => Some(programme),
            Scope::Any if !facts.members.is_empty() => None,
            Scope::Everybody => None,
            Scope::Programme(_) | Scope::Any => continue,
        };
        if facts.died != (rule.trigger == Trigger::Died) {
            continue;
        }
        for case in facts.cases(rule) {
            add(&mut tasks, rule, programme, case);
        }
    }
    tasks.into_values().collect()
}

fn add(tasks: &mut BTreeMap<String, Task>, rule: &Rule, programme: Option<Programme>, case: Case) {
    let id = match case.which {
        Some(which) => format!("{}#{which}", rule.id),
        None => rule.id.clone(),
    };
    let mut wording_zh = rule.wording_zh.clone();
    for (placeholder, text) in &case.fill {
        wording_zh = wording_zh.replace(placeholder, text);
    }
    let task = tasks.entry(id.clone()).or_insert_with(|| Task {
        id,
        rule: rule.id.clone(),
        programmes: Vec::new(),
        kind: rule.kind,
        basis: rule.trigger.basis(),
        earliest: case.earliest,
        due: case.due,
        wording_zh,
        reasons: Vec::new(),
        targets: case.targets,
    });
    if let Some(programme) = programme
        && !task.programmes.contains(&programme)
    {
        task.programmes.push(programme);
        task.programmes.sort();
    }
    // The earlier day of two rows counts.
    task.earliest = sooner(task.earliest, case.earliest);
    task.due = sooner(task.due, case.due);
    for text_zh in std::iter::once(rule.reason_zh.clone()).chain(case.remarks) {
        let reason = TaskReason { text_zh, row: rule.row.clone(), source: rule.source.clone() };
        if !task.reasons.iter().any(|other| other.text_zh == reason.text_zh) {
            task.reasons.push(reason);
        }
    }
}

fn sooner(one: Option<Date>, other: Option<Date>) -> Option<Date> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Facts<'_> {
    fn cases(&self, rule: &Rule) -> Vec<Case> {
        let one = |holds: bool| if holds { vec![self.dated(rule)] } else { Vec::new() };
        match rule.trigger {
            Trigger::AfterDischarge => vec![self.visit(rule)],
            Trigger::Repeated => self.repeated(rule),
            Trigger::Measured => self.measured(rule),
            Trigger::NotMeasured => one(!self.has(rule.looked)),
            Trigger::Unreadable => one(self.unreadable(rule.looked)),
            Trigger::HospitalRequest => self.requests(),
            Trigger::RequestInOrders => self.in_orders(rule),
            Trigger::MedicineStopped => self.stopped(rule),
            Trigger::MedicineChanged => self.changed(rule),
            Trigger::MedicineChangeUnsaid => {
                let medicines = &self.record.medicines;
                one(!medicines.is_empty() && medicines.iter().all(|m| m.change.is_none()))
            }
            Trigger::NoMedicines => one(self.record.medicines.is_empty()),
            Trigger::NoPhone => self.no_phone(rule),
            Trigger::DischargeDayUnknown => one(self.discharged.is_none()),
            Trigger::Died => one(self.died),
        }
    }

    /// The days of a rule, counted from the day of discharge.
    fn dated(&self, rule: &Rule) -> Case {
        let count = |days: Option<i64>| self.discharged.and_then(|day| after(day, days?));
        let mut case =
            Case { earliest: count(rule.from_days), due: count(rule.due_days), ..Case::default() };
        if rule.due_days.is_some() && self.discharged.is_none() {
            case.remarks.push("出院日期不明，应完成的日期无法推算".to_owned());
        }
        case
    }

    /// The first visit: on the day that the hospital asks for if it is earlier.
    fn visit(&self, rule: &Rule) -> Case {
        let mut case = self.dated(rule);
        let asked = self.record.follow_ups.iter().filter_map(|f| self.requested(f).due);
        let asked = asked.filter(|day| self.discharged.is_none_or(|from| *day >= from)).min();
        if let Some(asked) = asked
            && case.due.is_none_or(|due| asked < due)
        {
            case.due = Some(asked);
            case.remarks.push(format!("医院要求的日期{asked}更早，按医院的日期"));
        }
        case
    }

    fn repeated(&self, rule: &Rule) -> Vec<Case> {
        (1..=rule.times)
            .map(|n| {
                let later = |days: Option<i64>| Some(days? + (n - 1) * rule.every_days);
                let shifted = Rule {
                    from_days: later(rule.from_days),
                    due_days: later(rule.due_days),
                    ..rule.clone()
                };
                Case {
                    which: usize::try_from(n).ok().filter(|_| rule.times > 1),
                    fill: vec![("{n}", n.to_string())],
                    ..self.dated(&shifted)
                }
            })
            .collect()
    }

    fn readings(&self, looked: Option<Looked>) -> impl Iterator<Item = (Measure, &Seen)> {
        let measures = looked.map(Looked::measures).unwrap_or_default();
        measures.iter().filter_map(|measure| Some((*measure, self.seen.get(measure)?)))
    }

    /// Whether each of the measures has a reading that says how high it is.
    fn has(&self, looked: Option<Looked>) -> bool {
        let wanted = looked.map_or(0, |looked| looked.measures().len());
        let usable = |measure: Measure, seen: &Seen| {
            seen.last.iter().any(|reading| self.is_usable(measure, reading))
        };
        self.readings(looked).filter(|(measure, seen)| usable(*measure, seen)).count() == wanted
    }

    /// Whether something could not be read, or says only that it was more or less than a value.
    fn unreadable(&self, looked: Option<Looked>) -> bool {
        self.readings(looked).any(|(measure, seen)| {
            seen.unreadable || seen.last.iter().any(|reading| !self.is_usable(measure, reading))
        })
    }

    /// Whether a reading is a value, or reaches the limit of a rule all the same (`>33.3`).
    fn is_usable(&self, measure: Measure, reading: &Reading) -> bool {
        let holds = |rule: &Rule| {
            let looks = rule.looked.is_some_and(|looked| looked.measures().contains(&measure));
            looks && rule.compared.is_some_and(|(op, limit)| reading.holds(op, limit))
        };
        reading.beyond == Ordering::Equal || self.rules.iter().any(holds)
    }

    fn measured(&self, rule: &Rule) -> Vec<Case> {
        let Some((op, limit)) = rule.compared else { return Vec::new() };
        let fits = self
            .readings(rule.looked)
            .flat_map(|(measure, seen)| seen.last.iter().map(move |reading| (measure, reading)))
            .find(|(_, reading)| reading.holds(op, limit));
        let Some((measure, reading)) = fits else { return Vec::new() };
        let name = match measure {
            Measure::Systolic => "收缩压",
            Measure::Diastolic => "舒张压",
            Measure::Pressure => "血压",
            Measure::Glucose => "血糖",
            Measure::Spo2 => "SpO2",
        };
        let mut case = self.dated(rule);
        let shown = self.pressure().filter(|_| {
            matches!(measure, Measure::Systolic | Measure::Diastolic | Measure::Pressure)
        });
        case.fill.push(("{measured}", shown.unwrap_or_else(|| reading.shown.clone())));
        case.remarks.push(format!("{name} {}", reading.shown));
        vec![case]
    }

    /// Both pressures in one text, if each has one last value.
    fn pressure(&self) -> Option<String> {
        let value = |measure| match self.seen.get(&measure)?.last.as_slice() {
            [one] if one.beyond == Ordering::Equal => Some(one.value),
            _ => None,
        };
        Some(format!("{}/{} mmHg", value(Measure::Systolic)?, value(Measure::Diastolic)?))
    }

    fn requests(&self) -> Vec<Case> {
        let each = self.record.follow_ups.iter().enumerate();
        each.map(|(at, follow_up)| Case { which: Some(at + 1), ..self.requested(follow_up) })
            .collect()
    }

    /// What one request of the hospital says, and when.
    fn requested(&self, follow_up: &FollowUp) -> Case {
        let mut remarks = Vec::new();
        let words =
            if follow_up.text.is_empty() { named(&follow_up.coded) } else { &follow_up.text };
        let mut due = follow_up.due.as_ref().and_then(last_day);
        if due.is_none()
            && let Some(from) = self.discharged
        {
            due = relative_due(words, from);
            if due.is_some() {
                remarks.push("日期由医院的文字从出院日期推算".to_owned());
            }
        }
        if due.is_none() {
            remarks.push("医院没有说明日期".to_owned());
        }
        if let (Some(due), Some(from)) = (due, self.discharged)
            && due < from
        {
            remarks.push("医院写的日期早于出院日期，请核对原文".to_owned());
        }
        let mut request = quoted(if words.is_empty() { "（未写内容）" } else { words });
        if !follow_up.by.is_empty() {
            let by = quoted(&follow_up.by);
            request = format!("{request}（{by}）");
        }
        Case {
            which: None,
            earliest: follow_up.from.as_ref().and_then(Moment::first_day),
            due,
            fill: vec![("{request}", request)],
            remarks,
            targets: follow_up.targets.clone(),
        }
    }

    fn in_orders(&self, rule: &Rule) -> Vec<Case> {
        let orders = &self.record.narrative.orders;
        if !self.record.follow_ups.is_empty() || !COMING_AGAIN.iter().any(|w| orders.contains(w)) {
            return Vec::new();
        }
        let mut case = self.dated(rule);
        if let Some(day) = self.discharged.and_then(|from| relative_due(orders, from)) {
            case.due = Some(day);
            case.remarks.push("日期由医嘱的文字从出院日期推算，请核对".to_owned());
        }
        vec![case]
    }

    fn stopped(&self, rule: &Rule) -> Vec<Case> {
        let stopped = |m: &&Medicine| m.change == Some(MedicineChange::Stopped);
        let each = self.record.medicines.iter().filter(stopped).enumerate();
        each.map(|(at, medicine)| {
            let mut case = Case { which: Some(at + 1), ..self.dated(rule) };
            case.fill.push(("{medicine}", quoted(medicine_name(medicine))));
            if !medicine.change_text.is_empty() {
                case.remarks.push(format!("医院的说明：{}", quoted(&medicine.change_text)));
            }
            case
        })
        .collect()
    }

    fn changed(&self, rule: &Rule) -> Vec<Case> {
        let changed = |m: &&Medicine| match m.change {
            Some(MedicineChange::New | MedicineChange::Altered) => true,
            Some(MedicineChange::Continued | MedicineChange::Stopped) | None => false,
        };
        let medicines = self.record.medicines.iter().filter(changed);
        let names: Vec<String> = medicines.map(|m| quoted(medicine_name(m))).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let mut case = self.dated(rule);
        case.fill.push(("{medicine}", names.join("、")));
        vec![case]
    }

    fn no_phone(&self, rule: &Rule) -> Vec<Case> {
        let patient = &self.record.patient;
        if patient.phones.iter().any(|phone| !phone.trim().is_empty()) {
            return Vec::new();
        }
        let reachable = patient.contacts.iter().any(|c| !c.phone.trim().is_empty());
        let mut case = self.dated(rule);
        let contact = if reachable {
            "，联系人有电话，可先联系"
        } else {
            "，也没有联系人的电话"
        };
        case.fill.push(("{contact}", contact.to_owned()));
        vec![case]
    }
}

fn named(coded: &Coded) -> &str {
    let display = coded.codes.first().map_or("", |code| code.display.as_str());
    if coded.text.is_empty() { display } else { &coded.text }
}

fn medicine_name(medicine: &Medicine) -> &str {
    match named(&medicine.coded) {
        "" => "（名称未写）",
        name => name,
    }
}

/// At most so many characters of what the hospital wrote.
fn quoted(text: &str) -> String {
    let text = text.trim();
    let mut short: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
