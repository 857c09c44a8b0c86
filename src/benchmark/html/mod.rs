//! The report as one page that needs nothing else: to be read in a browser, printed, and handed to who
//! buys. Headings are in Chinese and in English.

mod plot;

use std::fmt::Write as _;

use self::plot::{Axis, Line, Mark, Plot, Point};
use super::metrics::{CALLS, OF_CALLS, OTHERS, title};
use super::report::{Curve, Metric, Report, SectionState, SoakPart, Step};
use super::require::Held;
use super::text::{figure, machine_rows};
use crate::tables::text::markup as escape;

const STYLE: &str = "
@page { size: A4; margin: 12mm; }
* { box-sizing: border-box; }
body { font: 14px/1.5 'Noto Sans CJK SC', 'Source Han Sans SC', 'Microsoft YaHei', 'PingFang SC', SimSun, \
sans-serif; color: #111; background: #fff; margin: 0 auto; padding: 20px; max-width: 1120px; \
-webkit-print-color-adjust: exact; print-color-adjust: exact; }
h1 { font-size: 24px; margin: 0; } h1 small, h2 small, h3 small { color: #555; font-weight: normal; }
h2 { font-size: 18px; margin: 26px 0 8px; border-bottom: 2px solid #0072b2; break-after: avoid; }
h3 { font-size: 15px; margin: 12px 0 4px; break-after: avoid; }
h1 small { font-size: 15px; display: block; } h2 small { font-size: 14px; } h3 small { font-size: 12px; }
p { margin: 4px 0; } .quiet { color: #555; font-size: 12px; }
.warn { border: 2px solid #d55e00; padding: 4px 10px; margin: 8px 0; font-weight: bold; }
table { border-collapse: collapse; width: 100%; margin: 4px 0; }
table.narrow { max-width: 720px; }
th, td { border-bottom: 1px solid #ccc; padding: 3px 8px; text-align: right; vertical-align: top; }
th { background: #f3f6f8; font-weight: 600; }
th.l, td.l { text-align: left; } td small, th small { color: #555; font-weight: normal; }
td small { white-space: nowrap; } td.n { white-space: nowrap; }
tr { break-inside: avoid; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 10px; margin: 12px 0; }
.tile { border: 1px solid #bbb; border-left: 5px solid #0072b2; padding: 6px 10px; }
.tile b { font-size: 24px; line-height: 1.2; } .tile span { color: #555; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 20px; }
.pair > div { break-inside: avoid; min-width: 0; }
svg { width: 100%; height: auto; display: block; font-size: 11px; }
svg .g { stroke: #e2e2e2; } svg .a { stroke: #444; fill: none; }
svg .m { stroke: #000; stroke-dasharray: 3 2; opacity: 0.6; } svg .b { font-weight: bold; }
.met { color: #00664d; } .missed { color: #b03000; font-weight: bold; }
@media (max-width: 760px) { .pair { grid-template-columns: 1fr; } }
@media print { body { padding: 0; font-size: 10px; max-width: none; } h2 { margin: 12px 0 4px; }
  th, td { padding: 1px 5px; } .tile b { font-size: 17px; } }
";

/// Figures that stand at the top, as far as they are there.
const TILES: [&str; 8] = [
    "diagnose.knee_per_second",
    "diagnose.half_knee_p99_ms",
    "check.knee_per_second",
    "plan.knee_per_second",
    "imaging.ingest_4_per_second",
    "disk.fsync_p99_ms",
    "start.ready_ms",
    "start.loaded_mib",
];

/// The page; with what a site asks for, if it was held to the report.
pub fn page(report: &Report, held: &[Held]) -> String {
    let mut out = String::new();
    let cpu = &report.machine.cpu;
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"zh-CN\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>乡医性能报告 {0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>乡医节点性能报告<small>Xiangyi benchmark: {0}</small></h1>\n",
        escape(&cpu.model)
    );
    let _ = writeln!(
        out,
        "<p class=\"quiet\">{}, {:.0} s, xiangyi {} ({}), {}</p>",
        escape(&report.began),
        report.seconds,
        escape(&report.program.version),
        escape(&report.program.build),
        escape(plan(report)),
    );
    warnings(&mut out, report);
    tiles(&mut out, report);
    requirements(&mut out, held);
    machine(&mut out, report);
    calls(&mut out, report);
    curves(&mut out, report);
    others(&mut out, report);
    models(&mut out, report);
    soak(&mut out, report);
    sections(&mut out, report);
    method(&mut out, report);
    out.push_str("</body>\n</html>\n");
    out
}

fn plan(report: &Report) -> &'static str {
    match report.plan.as_str() {
        "quick" => "快速 quick: figures are rough",
        "usual" => "常规 the usual run",
        _ => "部分项目 chosen sections",
    }
}

fn warnings(out: &mut String, report: &Report) {
    let mut warn = |text: &str| {
        let _ = writeln!(out, "<p class=\"warn\">{}</p>", escape(text));
    };
    if !report.whole {
        warn("不完整：有要求的项目未测完。Not whole: something that was asked for is missing.");
    }
    if report.program.build != "release" {
        warn("调试构建，数字不代表性能。A debug build: the figures say nothing of speed.");
    }
    if report.node.kind == "remote" {
        warn(
            "节点在别处，机器一节说的是发起负载的机器。The node is a remote one; the machine is the client's.",
        );
    }
    report.weather.warnings().iter().for_each(|text| warn(text));
}

fn heading(out: &mut String, zh: &str, en: &str) {
    let _ = writeln!(out, "<h2>{} <small>{}</small></h2>", escape(zh), escape(en));
}

fn tiles(out: &mut String, report: &Report) {
    let there: Vec<&Metric> = TILES.iter().filter_map(|name| report.metric(name)).collect();
    if there.is_empty() {
        return;
    }
    out.push_str("<div class=\"tiles\">\n");
    for metric in there {
        let (zh, en) = title(&metric.name);
        let _ = writeln!(
            out,
            "<div class=\"tile\"><b>{}</b> {}<br>{}<br><span class=\"quiet\">{}</span></div>",
            figure(metric.value),
            escape(&metric.unit),
            escape(&zh),
            escape(&en)
        );
    }
    out.push_str("</div>\n");
}

fn requirements(out: &mut String, held: &[Held]) {
    if held.is_empty() {
        return;
    }
    heading(out, "最低要求", "what the site asks for");
    out.push_str("<table><tr><th class=\"l\">指标 figure</th><th>要求 asked</th><th>实测 measured</th><th></th></tr>\n");
    for one in held {
        let bound = |value: Option<f64>, sign: &str| {
            value.map(|value| format!("{sign} {value} ")).unwrap_or_default()
        };
        let (zh, en) = title(&one.name);
        let (class, word) =
            if one.met { ("met", "达标 met") } else { ("missed", "未达 missed") };
        let value = one.value.map_or_else(|| "未测 not measured".to_owned(), figure);
        let _ = writeln!(
            out,
            "<tr><td class=\"l\">{} <small>{}</small></td><td class=\"n\">{}{}{}</td><td>{value}</td>\
             <td class=\"{class}\">{word}</td></tr>",
            escape(&zh),
            escape(&en),
            bound(one.min, "≥"),
            bound(one.max, "≤"),
            escape(&one.unit)
        );
    }
    out.push_str("</table>\n");
}

fn machine(out: &mut String, report: &Report) {
    heading(out, "机器", "machine");
    out.push_str("<table>\n");
    for (name, value) in machine_rows(report) {
        if !value.is_empty() {
            let _ = writeln!(
                out,
                "<tr><th class=\"l\">{}</th><td class=\"l\">{}</td></tr>",
                escape(name),
                escape(&value)
            );
        }
    }
    out.push_str("</table>\n");
}

/// A value with what it lies between below it.
fn cell(metric: &Metric) -> String {
    match (metric.low, metric.high) {
        (Some(low), Some(high)) => {
            format!("{} <small>{}–{}</small>", figure(metric.value), figure(low), figure(high))
        }
        (None, _) | (_, None) => figure(metric.value),
    }
}

fn calls(out: &mut String, report: &Report) {
    let has = |call: &str| {
        OF_CALLS.iter().any(|known| report.metric(&format!("{call}.{}", known.name)).is_some())
    };
    let there: Vec<_> = CALLS.iter().filter(|(call, _, _)| has(call)).collect();
    if there.is_empty() {
        return;
    }
    heading(out, "门诊调用（gRPC）", "calls of a clinic over gRPC");
    out.push_str("<table><tr><th class=\"l\"></th><th></th>");
    for (_, zh, en) in &there {
        let _ = write!(out, "<th>{zh}<br><small>{en}</small></th>");
    }
    out.push_str("</tr>\n");
    for known in OF_CALLS {
        let cells: Vec<Option<String>> = there
            .iter()
            .map(|(call, _, _)| report.metric(&format!("{call}.{}", known.name)).map(cell))
            .collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(
            out,
            "<tr><td class=\"l\">{} <small>{}</small></td><td class=\"n\">{}</td>",
            known.zh, known.en, known.unit
        );
        for cell in cells {
            let _ = write!(out, "<td>{}</td>", cell.unwrap_or_default());
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn axis(title: &str, is_log: bool) -> Axis {
    Axis { title: title.to_owned(), is_log, from_zero: !is_log }
}

fn curves(out: &mut String, report: &Report) {
    let named = |curve: &Curve| {
        let known = CALLS.iter().find(|(call, _, _)| *call == curve.name);
        known.map_or((curve.name.clone(), String::new()), |(_, zh, en)| {
            ((*zh).to_owned(), (*en).to_owned())
        })
    };
    if report.curves.is_empty() {
        return;
    }
    heading(out, "负荷曲线", "load that rises");
    out.push_str(
        "<p class=\"quiet\">空心点：该档未跟上。延迟自应发时刻起算，节点停顿时排队的调用都计入。\
         Rings: rates that were not kept up. Latency counts from when a call was due, so calls that \
         queued while the node paused are in it.</p>\n",
    );
    for curve in &report.curves {
        let (zh, en) = named(curve);
        let _ = writeln!(
            out,
            "<h3>{} <small>{}</small></h3>\n<div class=\"pair\">\n<div>{}</div>\n<div>{}</div>\n</div>",
            escape(&zh),
            escape(&en),
            latency_plot(curve, &zh).svg(),
            throughput_plot(curve, &zh).svg()
        );
    }
    let lines: Vec<Line> = report
        .curves
        .iter()
        .filter(|curve| !curve.spectrum.is_empty())
        .map(|curve| Line {
            name: named(curve).0,
            points: curve.spectrum.iter().map(|&(x, y)| Point { x, y, is_hollow: false }).collect(),
        })
        .collect();
    if !lines.is_empty() {
        out.push_str("<h3>半负荷时的延迟分布 <small>latency at half of the knee</small></h3>\n<div class=\"pair\"><div>");
        let spectrum = Plot {
            label: "半负荷时的延迟分布 latency at half load".to_owned(),
            x: axis("每多少次有一次更慢 one call in so many is slower", true),
            y: axis("延迟 latency, ms", true),
            lines,
            marks: vec![Mark::X(100.0, "p99".to_owned())],
        };
        let _ = writeln!(out, "{}</div></div>", spectrum.svg());
    }
}

fn latency_plot(curve: &Curve, name: &str) -> Plot {
    let steps = curve.rising();
    let line = |label: &str, of: fn(&Step) -> f64| {
        let points = steps.iter().filter(|step| of(step) > 0.0).map(|step| Point {
            x: step.asked_per_second,
            y: of(step),
            is_hollow: !step.missed.is_empty(),
        });
        Line { name: label.to_owned(), points: points.collect() }
    };
    let mut marks = vec![Mark::Y(curve.p99_bound_ms, format!("{} ms", figure(curve.p99_bound_ms)))];
    if let Some(knee) = curve.knee_per_second {
        marks.push(Mark::X(knee, format!("拐点 knee {}", figure(knee))));
    }
    Plot {
        label: format!("{name}：延迟随负荷 latency against rate"),
        x: axis("应发 asked, 1/s", false),
        y: axis("延迟 latency, ms", true),
        lines: vec![
            line("p50", |step| step.p50_ms),
            line("p95", |step| step.p95_ms),
            line("p99", |step| step.p99_ms),
        ],
        marks,
    }
}

fn throughput_plot(curve: &Curve, name: &str) -> Plot {
    let points = curve.rising().into_iter().filter(|step| step.in_flight > 0.0).map(|step| Point {
        x: step.in_flight,
        y: step.done_per_second,
        is_hollow: !step.missed.is_empty(),
    });
    let marks =
        curve.knee_per_second.map(|knee| Mark::Y(knee, format!("拐点 knee {}", figure(knee))));
    Plot {
        label: format!("{name}：吞吐随并发 throughput against concurrency"),
        x: axis("同时在途的调用 calls on their way, mean", true),
        y: axis("答复 answers, 1/s", false),
        lines: vec![Line { name: "吞吐 throughput".to_owned(), points: points.collect() }],
        marks: marks.into_iter().collect(),
    }
}

fn others(out: &mut String, report: &Report) {
    let groups = [
        ("磁盘与启动", "disk and start", &["machine.", "disk.", "start."][..]),
        ("影像", "images", &["imaging."]),
        ("写库与断网补传", "store, and catching up after an outage", &["store.", "sync."]),
    ];
    for (zh, en, prefixes) in groups {
        let there: Vec<&Metric> = OTHERS
            .iter()
            .filter(|known| prefixes.iter().any(|prefix| known.name.starts_with(prefix)))
            .filter_map(|known| report.metric(known.name))
            .collect();
        if there.is_empty() {
            continue;
        }
        heading(out, zh, en);
        out.push_str("<table class=\"narrow\">\n");
        for metric in there {
            let (zh, en) = title(&metric.name);
            let _ = writeln!(
                out,
                "<tr><td class=\"l\">{} <small>{}</small></td><td>{}</td><td class=\"l n\">{}</td></tr>",
                escape(&zh),
                escape(&en),
                cell(metric),
                escape(&metric.unit)
            );
        }
        out.push_str("</table>\n");
    }
}

fn models(out: &mut String, report: &Report) {
    if report.models.is_empty() {
        return;
    }
    heading(out, "模型", "models");
    out.push_str(
        "<table><tr><th class=\"l\">模型 model</th><th class=\"l\">引擎 engine</th>\
         <th class=\"l\">精度 precision</th><th>线程 threads</th><th>批 batch</th><th>p50 ms</th>\
         <th>p95 ms</th><th>p99 ms</th><th>行/秒 rows/s</th><th>mJ/行 row</th></tr>\n",
    );
    for run in &report.models {
        let _ = write!(
            out,
            "<tr><td class=\"l\">{}</td><td class=\"l\">{}</td><td class=\"l\">{}</td><td>{}</td><td>{}</td>",
            escape(&run.id),
            escape(&run.engine),
            escape(&run.precision),
            run.threads,
            run.batch
        );
        if run.error.is_empty() {
            let energy = run.energy_mj_per_row.map_or_else(|| "—".to_owned(), figure);
            let _ = writeln!(
                out,
                "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{energy}</td></tr>",
                figure(run.p50_ms),
                figure(run.p95_ms),
                figure(run.p99_ms),
                figure(run.rows_per_second)
            );
        } else {
            let _ = writeln!(out, "<td class=\"l\" colspan=\"5\">{}</td></tr>", escape(&run.error));
        }
    }
    out.push_str("</table>\n");
}

fn soak(out: &mut String, report: &Report) {
    if report.soak.is_empty() {
        return;
    }
    heading(out, "长跑", "soak");
    let line = |name: &str, of: &dyn Fn(&SoakPart) -> Option<f64>| {
        let points = report.soak.iter().filter_map(|part| {
            Some(Point { x: part.until_s / 60.0, y: of(part)?, is_hollow: false })
        });
        Line { name: name.to_owned(), points: points.collect() }
    };
    let latency = Plot {
        label: "长跑：延迟 latency over time".to_owned(),
        x: axis("分钟 minutes", false),
        y: axis("延迟 latency, ms", true),
        lines: vec![line("p50", &|part| Some(part.p50_ms)), line("p99", &|part| Some(part.p99_ms))],
        marks: Vec::new(),
    };
    let mut lines = vec![line("内存 resident, MiB", &|part| part.resident_mib)];
    if report.soak.iter().any(|part| part.temperature_c.is_some()) {
        lines.push(line("温度 °C", &|part| part.temperature_c));
    }
    let memory = Plot {
        label: "长跑：内存 memory over time".to_owned(),
        x: axis("分钟 minutes", false),
        y: axis("MiB, °C", false),
        lines,
        marks: Vec::new(),
    };
    let _ = writeln!(
        out,
        "<div class=\"pair\"><div>{}</div><div>{}</div></div>\n<table class=\"narrow\">",
        latency.svg(),
        memory.svg()
    );
    for metric in report.metrics.iter().filter(|metric| metric.name.starts_with("soak.")) {
        let (zh, en) = title(&metric.name);
        let _ = writeln!(
            out,
            "<tr><td class=\"l\">{zh} <small>{en}</small></td><td>{}</td><td class=\"l n\">{}</td></tr>",
            cell(metric),
            escape(&metric.unit)
        );
    }
    out.push_str("</table>\n");
}

fn sections(out: &mut String, report: &Report) {
    heading(out, "各项经过", "what became of each part");
    out.push_str("<table>\n");
    for section in &report.sections {
        let state = match section.state {
            SectionState::Measured => "已测 measured",
            SectionState::Partly => "部分 partly",
            SectionState::Skipped => "未测 not measured",
            SectionState::Failed => "出错 failed",
            SectionState::Interrupted => "中断 interrupted",
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"l n\">{}</td><td class=\"l n\">{state}</td><td class=\"n\">{:.0} s</td>\
             <td class=\"l\">{}</td></tr>",
            escape(&section.name),
            section.seconds,
            escape(&section.notes.join("; "))
        );
    }
    out.push_str("</table>\n");
    for note in &report.notes {
        let _ = writeln!(out, "<p>{}</p>", escape(note));
    }
}

fn method(out: &mut String, report: &Report) {
    heading(out, "怎样测的，说明不了什么", "how it was measured, and what it does not say");
    let bound = report.curves.first().map_or(0.0, |curve| curve.p99_bound_ms);
    let bound = figure(bound);
    let _ = writeln!(
        out,
        "<p>开环负载：调用在事先抽定的时刻（泊松到达）发出，不等前面的答复；延迟自应发时刻起算。拐点是满足下列全部条件的最高速率：\
         答复速率不低于应发的 95 %，p99 不超过 {bound} ms，失败或未能发出的不超过千分之一；未跟上的一档重测一次。\
         “半负荷”为拐点的一半。饱和吞吐和“单个调用”是闭环。负载发生器与节点在同一台机器上，占用同样的核；网络、患者和医生的节奏不在其中；\
         请求为固定的若干例，轮流发送。括号或小字为 95 % 区间（按时段自助法），拐点为相邻两档。</p>\n\
         <p>Open loop: calls go out at times drawn before (Poisson arrivals), whatever became of the calls before \
         them, and latency counts from when a call was due. The knee is the highest rate at which answers came at \
         95 % of what was due, the 99th percentile stayed within {bound} ms, and at most one call in a thousand \
         failed or could not be sent; a rate that misses is tried once more. Half load is half of that. Saturated \
         throughput and a call alone are closed loops. The generator shares the machine and its cores with the \
         node; the network, and the pace of patients and doctors, are not in it; requests are a fixed handful, sent \
         in turn. Small figures are 95 % intervals by a bootstrap over blocks of the run, of a knee the rates next \
         to it.</p>"
    );
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::super::require::Requirements;
    use super::*;

    fn made() -> String {
        let mut report = report();
        report.notes.push("a <script>alert(1)</script> & more".to_owned());
        report.soak = (1..=6)
            .map(|at| SoakPart {
                until_s: f64::from(at) * 10.0,
                done_per_second: 50.0,
                p50_ms: 5.0,
                p99_ms: 20.0,
                resident_mib: Some(150.0),
                temperature_c: None,
            })
            .collect();
        let asked = Requirements::read("\"start.ready_ms\" = { max = 100 }").unwrap();
        page(&report, &asked.hold(&report))
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = made();
        for word in ["http://", "https://", "<script", "<link", "<img", "url(", "@import"] {
            assert!(!page.contains(word), "the page has `{word}`");
        }
        assert!(page.contains("&lt;script&gt;") && page.contains("Some &lt;CPU&gt;"));
    }

    #[test]
    fn the_page_is_well_formed_and_has_all_parts() {
        let page = made();
        let start = page.find("<body>").unwrap();
        let end = page.find("</html>").unwrap();
        // A page is no XML: breaks have no end.
        let body = page[start..end].replace("<br>", "<br/>");
        roxmltree::Document::parse(&body).unwrap();
        assert_eq!(page.matches("<svg").count(), 5);
        for words in
            ["负荷曲线", "load that rises", "未达 missed", "调试构建", "长跑", "gp-differential"]
        {
            assert!(page.contains(words), "no `{words}`");
        }
        assert!(!page.contains("NaN"));
    }

    /// Of two tries at one rate the last is drawn, and rates stand in order.
    #[test]
    fn a_rate_that_was_tried_twice_is_drawn_once() {
        let mut curve = report().curves.remove(0);
        let mut again = curve.steps[2].clone();
        again.missed.clear();
        curve.steps.insert(0, curve.steps[2].clone());
        curve.steps[3] = again;
        let drawn = curve.rising();
        let rates: Vec<f64> = drawn.iter().map(|step| step.asked_per_second).collect();
        assert_eq!(rates, [100.0, 400.0, 800.0]);
        assert!(drawn[2].missed.is_empty());
    }
}
