//! The figures that a report can hold: name, unit, which way is better, and what a buyer reads. The names
//! are stable: reports of two machines are compared by them, and a site's minimum names them.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// A figure that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Name.
    pub name: &'static str,
    /// Unit; empty where it is a count.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// In Chinese.
    pub zh: &'static str,
    /// In English.
    pub en: &'static str,
}

/// Kinds of calls, each with the figures of [`OF_CALLS`].
pub const CALLS: [(&str, &str, &str); 4] = [
    ("diagnose", "鉴别诊断", "Diagnose"),
    ("interview_step", "问诊一步", "Interview, a step"),
    ("check", "处方审核", "CheckPrescription"),
    ("plan", "治疗方案", "RecommendPlan"),
];

/// Figures of a kind of calls; the name follows that of the kind and a dot.
pub const OF_CALLS: [Known; 10] = [
    higher("knee_per_second", "1/s", "拐点吞吐", "knee"),
    higher("saturated_per_second", "1/s", "饱和吞吐", "saturated"),
    lower("alone_p50_ms", "ms", "单个调用中位", "alone, median"),
    lower("alone_p99_ms", "ms", "单个调用 p99", "alone, p99"),
    lower("half_knee_p50_ms", "ms", "半负荷中位", "half load, median"),
    lower("half_knee_p95_ms", "ms", "半负荷 p95", "half load, p95"),
    lower("half_knee_p99_ms", "ms", "半负荷 p99", "half load, p99"),
    lower("half_knee_p999_ms", "ms", "半负荷 p99.9", "half load, p99.9"),
    lower("cpu_ms", "ms", "每次调用 CPU", "CPU a call"),
    lower("energy_mj", "mJ", "每次调用能耗", "energy a call"),
];

/// Figures of a model's run; the name follows `model.<id>.<engine>.<precision>.t<threads>.b<batch>.`.
pub const OF_MODELS: [Known; 5] = [
    lower("p50_ms", "ms", "中位", "median"),
    lower("p95_ms", "ms", "p95", "p95"),
    lower("p99_ms", "ms", "p99", "p99"),
    higher("rows_per_second", "1/s", "每秒行数", "rows a second"),
    lower("energy_mj_per_row", "mJ", "每行能耗", "energy a row"),
];

/// All other figures.
pub const OTHERS: [Known; 30] = [
    higher("machine.cores", "", "可用核数", "usable cores"),
    higher("machine.memory_mib", "MiB", "内存", "memory"),
    higher("machine.disk_free_gib", "GiB", "磁盘空余", "free on the disk"),
    lower("disk.fsync_p50_ms", "ms", "落盘中位", "fsync, median"),
    lower("disk.fsync_p99_ms", "ms", "落盘 p99", "fsync, p99"),
    higher("disk.fsyncs_per_second", "1/s", "每秒落盘", "fsyncs"),
    lower("start.ready_ms", "ms", "启动就绪", "ready after start"),
    lower("start.resident_mib", "MiB", "空闲内存", "resident when idle"),
    lower("start.loaded_mib", "MiB", "负载后内存", "resident after load"),
    lower("start.peak_mib", "MiB", "内存峰值", "resident at most"),
    higher("imaging.ingest_1_per_second", "1/s", "影像入库，1 路", "images in, 1 stream"),
    higher("imaging.ingest_4_per_second", "1/s", "影像入库，4 路", "images in, 4 streams"),
    higher("imaging.ingest_4_mib_per_second", "MiB/s", "影像入库带宽，4 路", "in, 4 streams"),
    higher("imaging.retrieve_1_per_second", "1/s", "影像调阅，1 路", "images out, 1 reader"),
    higher("imaging.retrieve_4_per_second", "1/s", "影像调阅，4 路", "images out, 4 readers"),
    higher("imaging.retrieve_4_mib_per_second", "MiB/s", "影像调阅带宽，4 路", "out, 4 readers"),
    lower("imaging.retrieve_half_p50_ms", "ms", "调阅半负荷中位", "out at half load, median"),
    lower("imaging.retrieve_half_p99_ms", "ms", "调阅半负荷 p99", "out at half load, p99"),
    higher("store.commits_1_per_second", "1/s", "写库，1 路", "commits, 1 writer"),
    higher("store.commits_16_per_second", "1/s", "写库，16 路", "commits, 16 writers"),
    higher("store.commits_64_per_second", "1/s", "写库，64 路", "commits, 64 writers"),
    lower("store.commit_p50_ms", "ms", "单次写库中位", "a commit alone, median"),
    lower("store.commit_p99_ms", "ms", "单次写库 p99", "a commit alone, p99"),
    lower("sync.first_s", "s", "断网恢复后首条", "first record after the outage"),
    higher("sync.records_per_second", "1/s", "断网恢复后补传", "records after the outage"),
    higher("soak.per_second", "1/s", "长跑吞吐", "soak, answers"),
    lower("soak.p99_ms", "ms", "长跑 p99", "soak, p99"),
    lower("soak.p50_drift_percent", "%", "长跑中位漂移", "soak, drift of the median"),
    lower("soak.growth_mib", "MiB", "长跑内存增长", "soak, growth of memory"),
    lower("soak.failed_percent", "%", "长跑失败率", "soak, failed"),
];

const fn higher(
    name: &'static str,
    unit: &'static str,
    zh: &'static str,
    en: &'static str,
) -> Known {
    Known { name, unit, better: Better::Higher, zh, en }
}

const fn lower(
    name: &'static str,
    unit: &'static str,
    zh: &'static str,
    en: &'static str,
) -> Known {
    Known { name, unit, better: Better::Lower, zh, en }
}

/// What is known of a figure; none where no report can hold it.
pub fn known(name: &str) -> Option<Known> {
    if let Some(found) = OTHERS.iter().find(|known| known.name == name) {
        return Some(*found);
    }
    let (before, last) = name.rsplit_once('.')?;
    if CALLS.iter().any(|(call, _, _)| *call == before) {
        return OF_CALLS.iter().find(|known| known.name == last).copied();
    }
    is_run(before).then(|| OF_MODELS.iter().find(|known| known.name == last).copied()).flatten()
}

/// What a buyer reads of a figure, in Chinese and in English.
pub fn title(name: &str) -> (String, String) {
    let Some(found) = known(name) else { return (name.to_owned(), name.to_owned()) };
    let call = name.split_once('.').and_then(|(call, _)| {
        CALLS.iter().find(|(known, _, _)| *known == call && found.name != name)
    });
    if let Some((_, zh, en)) = call {
        return (format!("{zh} {}", found.zh), format!("{en}: {}", found.en));
    }
    match name.strip_prefix("model.").and_then(|rest| rest.rsplit_once('.')) {
        Some((run, _)) => (format!("{run} {}", found.zh), format!("{run}: {}", found.en)),
        None => (found.zh.to_owned(), found.en.to_owned()),
    }
}

/// `model.<id>.<engine>.<precision>.t<threads>.b<batch>`.
fn is_run(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &str, letter| {
        part.strip_prefix(letter).is_some_and(|digits| digits.parse::<u32>().is_ok())
    };
    matches!(parts.as_slice(), ["model", id, engine, precision, threads, batch]
        if !id.is_empty() && !engine.is_empty() && !precision.is_empty()
            && number(threads, 't') && number(batch, 'b'))
}

/// Every name that a site's minimum may have, models as a pattern.
pub fn names() -> Vec<String> {
    let calls = CALLS.iter().flat_map(|(call, _, _)| {
        OF_CALLS.iter().map(move |known| format!("{call}.{}", known.name))
    });
    let run = "model.<id>.<engine>.<precision>.t<threads>.b<batch>";
    let models = OF_MODELS.iter().map(|known| format!("{run}.{}", known.name));
    OTHERS.iter().map(|known| known.name.to_owned()).chain(calls).chain(models).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_kind() {
        assert_eq!(known("start.ready_ms").unwrap().better, Better::Lower);
        assert_eq!(known("diagnose.knee_per_second").unwrap().better, Better::Higher);
        assert_eq!(known("plan.half_knee_p99_ms").unwrap().unit, "ms");
        let run = "model.gp-differential.rten.f32.t1.b8";
        assert_eq!(known(&format!("{run}.p99_ms")).unwrap().unit, "ms");
        for name in [
            "diagnose",
            "diagnose.knee",
            "knee_per_second",
            "model.x.rten.f32.t1.p50_ms",
            "model.x.rten.f32.tx.b1.p50_ms",
            "",
        ] {
            assert_eq!(known(name), None, "{name}");
        }
    }

    #[test]
    fn every_name_is_there_once_and_reads_in_two_languages() {
        let mut all = names();
        let count = all.len();
        for name in all.iter().filter(|name| !name.contains('<')) {
            let (zh, en) = title(name);
            assert!(!zh.is_ascii() && en.is_ascii() && zh != *name, "{name}: {zh}, {en}");
        }
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(title("check.cpu_ms").1, "CheckPrescription: CPU a call");
    }
}
