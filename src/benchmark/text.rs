//! The report for a terminal: columns that line up, also of Chinese.

use std::fmt::Write as _;

use super::metrics::{CALLS, OF_CALLS, OTHERS, title};
use super::report::{Metric, Report, SectionState};

/// A figure with three or four digits that count.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    let text = if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    };
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Columns that a text takes on a terminal: characters of East Asia take two.
pub fn width(text: &str) -> usize {
    let wide = |c: &char| {
        matches!(u32::from(*c), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x20000..=0x3FFFD)
    };
    text.chars().count() + text.chars().filter(wide).count()
}

/// Lines of cells, each column as wide as its widest cell; the columns of `left` begin at the left.
pub fn table(lines: &[Vec<String>], left: &[usize]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (column, (cell, wide)) in line.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(wide.saturating_sub(width(cell)));
            if column > 0 {
                text.push_str("  ");
            }
            let (before, after) = if left.contains(&column) { ("", &*pad) } else { (&*pad, "") };
            let _ = write!(text, "{before}{cell}{after}");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// A machine in one line.
pub fn machine_line(report: &Report) -> String {
    let machine = &report.machine;
    let disk = machine.disk.as_ref();
    format!(
        "{}, {} × {}, {} MiB, {}, {} (xiangyi {}, {}, {})",
        machine.cpu.model,
        machine.cpu.usable.max(1),
        machine.cpu.architecture,
        figure(machine.memory_mib),
        disk.map_or("?", |disk| disk.file_system.as_str()),
        machine.kernel,
        report.program.version,
        report.plan,
        report.began,
    )
}

/// The whole report.
pub fn report(report: &Report) -> String {
    let mut out = String::new();
    machine(&mut out, report);
    figures(&mut out, report);
    calls(&mut out, report);
    models(&mut out, report);
    notes(&mut out, report);
    out
}

/// What a machine is, as pairs of a title and a value.
pub fn machine_rows(report: &Report) -> Vec<(&'static str, String)> {
    let (machine, weather) = (&report.machine, &report.weather);
    let cpu = &machine.cpu;
    let mut rows = vec![
        (
            "处理器 processor",
            format!(
                "{}, {} cores ({} usable), {}{}",
                cpu.model,
                cpu.cores,
                cpu.usable,
                cpu.architecture,
                if cpu.is_virtual { ", virtual machine" } else { "" }
            ),
        ),
        ("指令集 features", cpu.features.join(" ")),
    ];
    if cpu.mhz_max.is_some() || cpu.governor.is_some() {
        let most = cpu.mhz_max.map(|mhz| format!("{mhz:.0} MHz")).unwrap_or_default();
        let governor = cpu.governor.as_deref().unwrap_or_default();
        rows.push(("频率 frequency", format!("{most} {governor}").trim().to_owned()));
    }
    rows.push((
        "内存 memory",
        format!("{} MiB, swap {} MiB", figure(machine.memory_mib), figure(machine.swap_mib)),
    ));
    if let Some(disk) = &machine.disk {
        let kind = match disk.is_rotational {
            Some(true) => ", rotational",
            Some(false) | None => "",
        };
        rows.push((
            "磁盘 disk",
            format!(
                "{} on {}{kind}{}, {} of {} GiB free",
                disk.file_system,
                disk.device,
                disk.model.as_ref().map(|model| format!(", {model}")).unwrap_or_default(),
                figure(disk.free_gib),
                figure(disk.size_gib),
            ),
        ));
    }
    rows.push(("系统 system", format!("{}, {}", machine.kernel, machine.system)));
    for engine in &machine.engines {
        let text = if engine.missing.is_empty() {
            format!("{} {}", engine.name, engine.version)
        } else {
            format!("{}: {}", engine.name, engine.missing)
        };
        rows.push(("推理引擎 engine", text));
    }
    rows.push(("能耗 energy", machine.energy.clone()));
    let heat = match (weather.temperature_max_c, weather.throttled) {
        _ if !weather.has_sensors => "no sensor and no counter of throttling here".to_owned(),
        (degrees, throttled) => {
            let degrees = degrees.map_or_else(
                || "temperature unknown".to_owned(),
                |degrees| format!("at most {degrees:.0} °C"),
            );
            let throttled = throttled.map_or_else(
                || "throttling is not counted here".to_owned(),
                |times| format!("throttled {times} times"),
            );
            format!("{degrees}, {throttled}")
        }
    };
    rows.push(("温度与降频 heat", heat));
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    rows.push((
        "运行期间 meanwhile",
        format!(
            "processor {} busy, {} taken by the hypervisor",
            share(weather.busy_share),
            share(weather.stolen_share)
        ),
    ));
    rows
}

fn machine(out: &mut String, report: &Report) {
    let _ = writeln!(out, "乡医性能报告 xiangyi bench, {} ({:.0} s)", report.began, report.seconds);
    if !report.whole {
        out.push_str("**不完整：有要求的项目未测完 not whole**\n");
    }
    if report.node.kind == "remote" {
        out.push_str("节点在别处；以下机器为发起负载的机器 The node is a remote one: the machine is the client's\n");
    }
    let rows = machine_rows(report).into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    out.push_str(&table(&rows.collect::<Vec<_>>(), &[0, 1]));
    out.push('\n');
}

/// A figure with what it lies between.
pub fn valued(metric: &Metric) -> String {
    match (metric.low, metric.high) {
        (Some(low), Some(high)) => {
            format!("{} ({}–{})", figure(metric.value), figure(low), figure(high))
        }
        (None, _) | (_, None) => figure(metric.value),
    }
}

fn figures(out: &mut String, report: &Report) {
    let lines: Vec<Vec<String>> = OTHERS
        .iter()
        .filter_map(|known| report.metric(known.name))
        .map(|metric| {
            let (zh, en) = title(&metric.name);
            vec![format!("{zh} {en}"), valued(metric), metric.unit.clone()]
        })
        .collect();
    out.push_str(&table(&lines, &[0, 2]));
    if !lines.is_empty() {
        out.push('\n');
    }
}

fn calls(out: &mut String, report: &Report) {
    let there: Vec<&(&str, &str, &str)> = CALLS
        .iter()
        .filter(|(call, _, _)| {
            report.metrics.iter().any(|m| m.name.strip_prefix(call).is_some_and(is_dotted))
        })
        .collect();
    if there.is_empty() {
        return;
    }
    let mut lines = vec![vec![String::new(), String::new()]];
    if let Some(head) = lines.first_mut() {
        head.extend(there.iter().map(|(_, zh, en)| format!("{zh} {en}")));
    }
    for known in OF_CALLS {
        let cells: Vec<String> = there
            .iter()
            .map(|(call, _, _)| {
                report.metric(&format!("{call}.{}", known.name)).map(valued).unwrap_or_default()
            })
            .collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            let mut line = vec![format!("{} {}", known.zh, known.en), known.unit.to_owned()];
            line.extend(cells);
            lines.push(line);
        }
    }
    out.push_str(&table(&lines, &[0, 1]));
    for curve in &report.curves {
        let steps = curve.rising();
        let last = steps.into_iter().find(|step| !step.missed.is_empty());
        if let Some(step) = last {
            let rate = figure(step.asked_per_second);
            let _ = writeln!(out, "{}: at {rate}/s {}", curve.name, step.missed);
        }
    }
    out.push('\n');
}

fn is_dotted(rest: &str) -> bool {
    rest.starts_with('.')
}

fn models(out: &mut String, report: &Report) {
    if report.models.is_empty() {
        return;
    }
    let head = [
        "模型 model",
        "引擎 engine",
        "精度",
        "线程",
        "批",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "行/s",
        "mJ/行",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    let mut errors = String::new();
    for run in &report.models {
        if !run.error.is_empty() {
            let _ = writeln!(errors, "{} on {}: {}", run.id, run.engine, run.error);
            continue;
        }
        lines.push(vec![
            run.id.clone(),
            run.engine.clone(),
            run.precision.clone(),
            run.threads.to_string(),
            run.batch.to_string(),
            figure(run.p50_ms),
            figure(run.p95_ms),
            figure(run.p99_ms),
            figure(run.rows_per_second),
            run.energy_mj_per_row.map_or_else(|| "—".to_owned(), figure),
        ]);
    }
    out.push_str(&table(&lines, &[0, 1, 2]));
    out.push_str(&errors);
    out.push('\n');
}

fn notes(out: &mut String, report: &Report) {
    for section in &report.sections {
        let state = match section.state {
            SectionState::Measured if section.notes.is_empty() => continue,
            SectionState::Measured => "measured",
            SectionState::Partly => "partly measured",
            SectionState::Skipped => "not measured",
            SectionState::Failed => "FAILED",
            SectionState::Interrupted => "interrupted",
        };
        let _ = writeln!(out, "{}: {state}{}", section.name, because(&section.notes));
    }
    for note in &report.notes {
        let _ = writeln!(out, "注意 note: {note}");
    }
}

fn because(notes: &[String]) -> String {
    if notes.is_empty() { String::new() } else { format!(": {}", notes.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests;
    use super::*;

    #[test]
    fn figures_have_the_digits_that_count() {
        let all = [0.0, 0.1234, 1.0, 1.256, 12.34, 123.4, 98_765.4, 100.0].map(figure);
        assert_eq!(all, ["0", "0.123", "1", "1.26", "12.3", "123", "98765", "100"]);
    }

    #[test]
    fn columns_line_up_also_of_chinese() {
        assert_eq!(width("中位 p50"), 8);
        let lines =
            [vec!["鉴别诊断".to_owned(), "1".to_owned()], vec!["a".to_owned(), "234".to_owned()]];
        assert_eq!(table(&lines, &[0]), "鉴别诊断    1\na         234\n");
    }

    #[test]
    fn a_report_tells_what_it_has_and_what_went_wrong() {
        let mut made = tests::report();
        made.whole = false;
        made.sections[0].state = SectionState::Failed;
        made.sections[0].notes = vec!["the node stopped".to_owned()];
        made.notes.push("the wall clock was set back".to_owned());
        let shown = report(&made);
        for words in [
            "Some <CPU>",
            "not whole",
            "拐点吞吐 knee",
            "at 800/s answers were late",
            "gp-differential",
            "diagnose: FAILED: the node stopped",
            "set back",
            "启动就绪 ready after start",
        ] {
            assert!(shown.contains(words), "no `{words}` in\n{shown}");
        }
    }
}
