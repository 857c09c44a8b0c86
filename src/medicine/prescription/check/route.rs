//! Forms and routes that do not go together: a tablet into a vein, an eye drop swallowed, a
//! medicine given in a way in which it does not exist.

use super::ROUTED;
use super::case::{Case, Draft, Item, Outcome};
use crate::medicine::prescription::report::{Action, Kind, Severity};
use crate::medicine::prescription::route::Route;
use crate::tables::text::fold;

/// Forms that are ruined by crushing or chewing.
const WHOLE: &[&str] = &["缓释", "控释", "肠溶"];
/// Words of a route that break a form.
const BROKEN: &[&str] = &["嚼", "研", "碾", "鼻饲", "掰"];

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    for (at, item) in case.known_lines() {
        if let Some((action, severity, why)) = problem(case, item) {
            out.findings.push(case.finding(Draft {
                kind: Kind::Route,
                action,
                severity,
                items: &[at],
                subjects: vec![case.subject_name(item)],
                origin: case.known.items.origin(ROUTED),
                reason_zh: format!("{}：{why}。", case.labels(&[at], None)),
                instead_zh: "核对剂型和用法，改为该剂型的给药途径。".to_owned(),
                review_code: Some(ROUTED),
            }));
        }
    }
}

fn problem(case: &Case<'_>, item: &Item<'_>) -> Option<(Action, Severity, String)> {
    const STOP: (Action, Severity) = (Action::Stop, Severity::Contraindicated);
    const REASON: (Action, Severity) = (Action::NeedsReason, Severity::Serious);
    const NOTICE: (Action, Severity) = (Action::Notice, Severity::Moderate);
    let line = case.line(item)?;
    let name = fold(&line.name);
    let written = fold(&line.route);
    if WHOLE.iter().any(|form| name.contains(form)) && BROKEN.iter().any(|w| written.contains(w)) {
        let (action, severity) = NOTICE;
        return Some((
            action,
            severity,
            format!("缓释、控释、肠溶剂型不能嚼碎或研碎（写为{}）", line.route),
        ));
    }
    let stated = item.stated?;
    let say = |(action, severity): (Action, Severity), why: String| Some((action, severity, why));
    // What the name itself says of the form.
    if let Some(form) = item.form.filter(|form| *form != stated && *form != Route::Other) {
        if stated.is_injected() && (form.is_local() || form == Route::Oral) {
            return say(STOP, format!("{}剂型不能注射（写为{}）", form_zh(form), line.route));
        }
        let apart =
            form.is_local() || matches!(form, Route::Inhaled | Route::Nasal | Route::Rectal);
        if apart && matches!(stated, Route::Oral | Route::Sublingual) {
            return say(STOP, format!("{}剂型不能口服", form_zh(form)));
        }
    }
    if item.form.is_some_and(|form| form == stated) {
        return None;
    }
    if stated == Route::Inhaled && name.contains("注射") {
        return say(NOTICE, "注射剂不宜作雾化吸入".to_owned());
    }
    let routes = &item.medicine?.routes;
    if routes.contains(&stated) || routes.contains(&Route::Other) || stated == Route::Other {
        return None;
    }
    let listed: Vec<&str> = routes.iter().map(|route| route.name_zh()).collect();
    let listed = listed.join("、");
    let injectable = routes.iter().any(|route| route.is_injected());
    let local_only = routes.iter().all(|route| route.is_local());
    let why = format!("目录剂型只供{listed}，写为{}", line.route);
    match stated {
        Route::Iv if injectable => say(REASON, why),
        Route::Iv | Route::Im | Route::Sc | Route::Intrathecal if !injectable => {
            // The list may lack a form that exists; what is only ever put on the skin is sure.
            say(if local_only { STOP } else { REASON }, why)
        }
        Route::Intrathecal => say(REASON, why),
        // Another product of the same substance may be swallowed (利福平): only the form is sure.
        Route::Oral | Route::Sublingual if local_only => say(NOTICE, why),
        Route::Oral if injectable && name.contains("注射") => say(NOTICE, why),
        Route::Inhaled if injectable || routes.contains(&Route::Oral) => {
            say(NOTICE, format!("不是吸入制剂，{why}"))
        }
        Route::Ophthalmic if routes.contains(&Route::Topical) && !injectable => say(REASON, why),
        Route::Oral
        | Route::Iv
        | Route::Im
        | Route::Sc
        | Route::Topical
        | Route::Inhaled
        | Route::Rectal
        | Route::Vaginal
        | Route::Ophthalmic
        | Route::Otic
        | Route::Nasal
        | Route::Sublingual
        | Route::Other => None,
    }
}

fn form_zh(route: Route) -> &'static str {
    match route {
        Route::Oral => "口服",
        Route::Ophthalmic => "眼用",
        Route::Otic => "耳用",
        Route::Vaginal => "阴道用",
        Route::Inhaled => "吸入",
        Route::Nasal => "鼻用",
        Route::Rectal => "直肠用",
        Route::Iv
        | Route::Im
        | Route::Sc
        | Route::Topical
        | Route::Sublingual
        | Route::Intrathecal
        | Route::Other => "外用",
    }
}
