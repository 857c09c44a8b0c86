//! The prescription that both benchmarks check.

/// A prescription.
pub(crate) const ORDER: [&str; 5] =
    ["阿莫西林胶囊", "布洛芬缓释胶囊", "维C银翘片", "对乙酰氨基酚片", "氨溴索口服溶液"];
/// What the patient takes already.
pub(crate) const CURRENT: [&str; 10] = [
    "氨氯地平片",
    "二甲双胍片",
    "阿司匹林肠溶片",
    "辛伐他汀片",
    "华法林钠片",
    "美托洛尔片",
    "氢氯噻嗪片",
    "奥美拉唑肠溶胶囊",
    "格列齐特片",
    "碳酸钙片",
];
