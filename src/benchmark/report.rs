//! The report of a run, as JSON with a schema of its own (`report.schema.json`). Reading tolerates fields
//! that it does not know and refuses what it would misread; the error names the field.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failure;
use super::latency::{Latencies, intervals};
use super::load::Seen;
use super::machine::Machine;
use super::metrics::{Better, known};
use super::sensors::Weather;

/// What the schema is called, without its number.
const SCHEMA_NAME: &str = "xiangyi-bench";
/// The number of the schema that is written and read here. A new number means that older programs would
/// misread the report; new fields alone are none.
const SCHEMA: u32 = 1;
/// Bytes of a report at most.
pub const BYTES_MAX: u64 = 16 << 20;
/// The schema, for other programs.
pub const JSON_SCHEMA: &str = include_str!("report.schema.json");

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `xiangyi-bench/1`.
    pub schema: String,
    /// The program that measured.
    pub program: Program,
    /// When the run began, RFC 3339, by the machine's clock.
    pub began: String,
    /// How long it took.
    pub seconds: f64,
    /// `quick`, `usual`, or `chosen` where only some sections were asked for.
    pub plan: String,
    /// Whether everything that was asked for was measured.
    pub whole: bool,
    /// What was driven.
    pub node: NodeUnderTest,
    /// The machine that the generator ran on, which is the node's unless the node was a remote one.
    pub machine: Machine,
    /// What went on in it meanwhile.
    pub weather: Weather,
    /// What was asked for, and what became of it.
    pub sections: Vec<Section>,
    /// The figures.
    pub metrics: Vec<Metric>,
    /// Load that rises, one for each kind of calls.
    pub curves: Vec<Curve>,
    /// Runs of models.
    pub models: Vec<ModelRun>,
    /// A long run.
    pub soak: Vec<SoakPart>,
    /// What a reader must know, in sentences.
    pub notes: Vec<String>,
}

/// The program that measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// `release` or `debug`.
    pub build: String,
}

/// What was driven.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeUnderTest {
    /// `child`: a node of this program, started for the run; `remote`: one that was named.
    pub kind: String,
    /// Engine and version of its models.
    #[serde(default)]
    pub engine: String,
    /// Connections that the generator had open.
    #[serde(default)]
    pub connections: u32,
}

/// A part of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Name, as for `--only`.
    pub name: String,
    /// What became of it.
    pub state: SectionState,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// Why it failed, or what was left out.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// What became of a section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SectionState {
    /// All of it was measured.
    Measured,
    /// A part of it could not be measured; the notes say which.
    Partly,
    /// It cannot be measured here; the notes say why.
    #[default]
    Skipped,
    /// It went wrong.
    Failed,
    /// The run was interrupted before or while it was measured.
    Interrupted,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name.
    pub name: String,
    /// Unit; empty for a count.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// The figure, of the whole measurement.
    pub value: f64,
    /// What it lies between with 95 %, by a bootstrap over the blocks; of a knee the last rate that was kept
    /// up and the first that was not.
    #[serde(default)]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(default)]
    pub high: Option<f64>,
    /// The figure for each part of the measurement in time, or each repetition.
    #[serde(default)]
    pub blocks: Vec<f64>,
}

/// Load that rises.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The kind of calls.
    pub name: String,
    /// The bound of the 99th percentile in the definition of the knee, ms.
    pub p99_bound_ms: f64,
    /// The knee, calls a second; none where no rate was kept up.
    #[serde(default)]
    pub knee_per_second: Option<f64>,
    /// Rates, in the order in which they were tried.
    pub steps: Vec<Step>,
    /// At half of the knee: one over the share of calls above, and their latency, ms.
    #[serde(default)]
    pub spectrum: Vec<(f64, f64)>,
}

/// A rate that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Calls that were asked for a second.
    pub asked_per_second: f64,
    /// Good answers a second.
    pub done_per_second: f64,
    /// Calls on their way, on average.
    pub in_flight: f64,
    /// Median latency from when a call was due, ms.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Longest.
    pub max_ms: f64,
    /// Calls that were due.
    pub due: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that could not be sent, because too many were on their way.
    pub unsent: u64,
    /// How late the generator itself was, 99th percentile, ms.
    pub generator_late_p99_ms: f64,
    /// Why the rate was too much; empty where it was kept up.
    #[serde(default)]
    pub missed: String,
}

/// A model, run in one way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRun {
    /// Id of a shipped model, or the name of a file.
    pub id: String,
    /// Engine.
    pub engine: String,
    /// How its weights are stored.
    pub precision: String,
    /// Threads of a run at most.
    pub threads: u32,
    /// Rows of a run.
    pub batch: u32,
    /// Runs that were timed.
    pub runs: u64,
    /// Median of a run, ms.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Rows a second.
    pub rows_per_second: f64,
    /// Energy of the package or board for a row, mJ.
    #[serde(default)]
    pub energy_mj_per_row: Option<f64>,
    /// Why it could not be run; then all figures are 0.
    #[serde(default)]
    pub error: String,
}

/// A part of a long run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SoakPart {
    /// Seconds from the beginning to the end of the part.
    pub until_s: f64,
    /// Good answers a second.
    pub done_per_second: f64,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Resident memory of the node, MiB.
    #[serde(default)]
    pub resident_mib: Option<f64>,
    /// Highest temperature, °C.
    #[serde(default)]
    pub temperature_c: Option<f64>,
}

impl Metric {
    /// A figure whose unit and way are known; none where no report may hold it.
    pub fn new(name: &str, value: f64, blocks: Vec<f64>) -> Option<Self> {
        let known = known(name)?;
        let interval = super::statistics::mean_interval(&blocks);
        Some(Self {
            name: name.to_owned(),
            unit: known.unit.to_owned(),
            better: known.better,
            value,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            blocks,
        })
    }
}

impl Curve {
    /// Steps from the lowest rate to the highest; of two at one rate the one that counts, the last.
    pub fn rising(&self) -> Vec<&Step> {
        let mut steps: Vec<&Step> = Vec::new();
        for step in &self.steps {
            steps.retain(|other| (other.asked_per_second - step.asked_per_second).abs() > 1e-9);
            steps.push(step);
        }
        steps.sort_by(|a, b| a.asked_per_second.total_cmp(&b.asked_per_second));
        steps
    }
}

impl Report {
    /// A report with nothing measured.
    pub fn new(began: String) -> Self {
        Self {
            schema: schema(),
            program: Program {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            },
            began,
            seconds: 0.0,
            plan: String::new(),
            whole: false,
            node: NodeUnderTest::default(),
            machine: Machine::default(),
            weather: Weather::default(),
            sections: Vec::new(),
            metrics: Vec::new(),
            curves: Vec::new(),
            models: Vec::new(),
            soak: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure. One that is no number, or of an unknown name, is left out and said.
    pub fn add(&mut self, name: &str, value: f64, blocks: Vec<f64>) {
        if !value.is_finite() {
            self.notes.push(format!("{name} could not be worked out"));
        } else if let Some(metric) = Metric::new(name, value, blocks) {
            self.metrics.push(metric);
        } else {
            self.notes.push(format!("{name} is no figure of this report"));
        }
    }

    /// Adds figures that are quantiles of one load: name and share.
    pub fn add_quantiles(&mut self, seen: &Seen, figures: &[(String, f64)]) -> Result<(), Failure> {
        let blocks: Vec<&Latencies> = seen.blocks.iter().map(|block| &block.latency).collect();
        self.add_quantiles_of((&seen.latency, blocks.as_slice()), figures)
    }

    /// Likewise, of latencies and their blocks.
    pub fn add_quantiles_of(
        &mut self,
        (all, blocks): (&Latencies, &[&Latencies]),
        figures: &[(String, f64)],
    ) -> Result<(), Failure> {
        let some: Vec<&Latencies> =
            blocks.iter().copied().filter(|block| !block.is_empty()).collect();
        let shares: Vec<f64> = figures.iter().map(|(_, share)| *share).collect();
        let intervals = intervals(&some, &shares)?;
        for (at, (name, share)) in figures.iter().enumerate() {
            self.add(name, all.ms(*share), some.iter().map(|block| block.ms(*share)).collect());
            let Some(metric) = self.metrics.last_mut().filter(|metric| metric.name == *name) else {
                continue;
            };
            // That of the blocks' means would be of something else than the value.
            metric.low = intervals.get(at).map(|interval| interval.low);
            metric.high = intervals.get(at).map(|interval| interval.high);
        }
        Ok(())
    }

    /// A figure by its name.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// As JSON, with a line end.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// Reads a report. The error names the field that is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("is no JSON: {e}"))?;
        let Value::Object(mut fields) = value else {
            return Err("is no report: an object is expected".to_owned());
        };
        check_schema(fields.get("schema"))?;
        let mut take = |name: &str| fields.remove(name);
        let report = Self {
            schema: one("schema", take("schema"))?,
            program: one("program", take("program"))?,
            began: one("began", take("began"))?,
            seconds: one("seconds", take("seconds"))?,
            plan: one("plan", take("plan"))?,
            whole: one("whole", take("whole"))?,
            node: one("node", take("node"))?,
            machine: one("machine", take("machine"))?,
            weather: one("weather", take("weather"))?,
            sections: list("sections", take("sections"))?,
            metrics: list("metrics", take("metrics"))?,
            curves: list("curves", take("curves"))?,
            models: list("models", take("models"))?,
            soak: list("soak", take("soak"))?,
            notes: list("notes", take("notes"))?,
        };
        report.check()?;
        Ok(report)
    }

    /// What types cannot say.
    fn check(&self) -> Result<(), String> {
        for (at, metric) in self.metrics.iter().enumerate() {
            let numbers = metric.blocks.iter().chain([&metric.value]);
            if numbers.into_iter().any(|number| !number.is_finite() || *number < 0.0) {
                return Err(format!("metrics[{at}] ({}): must not be negative", metric.name));
            }
            let twice = self.metrics.iter().take(at).any(|other| other.name == metric.name);
            if twice {
                return Err(format!("metrics[{at}].name: `{}` is there twice", metric.name));
            }
        }
        Ok(())
    }
}

fn schema() -> String {
    format!("{SCHEMA_NAME}/{SCHEMA}")
}

fn check_schema(found: Option<&Value>) -> Result<(), String> {
    let wanted = schema();
    let Some(Value::String(found)) = found else {
        return Err(format!("schema: is missing; `{wanted}` is expected"));
    };
    if *found == wanted {
        return Ok(());
    }
    let number = found.strip_prefix(SCHEMA_NAME).and_then(|rest| rest.strip_prefix('/'));
    match number.and_then(|number| number.parse::<u32>().ok()) {
        Some(number) if number > SCHEMA => Err(format!(
            "schema: `{found}` was written by a newer xiangyi; this one reads up to `{wanted}`"
        )),
        Some(_) | None => Err(format!("schema: `{found}` is unknown; `{wanted}` is expected")),
    }
}

fn one<T: DeserializeOwned>(name: &str, value: Option<Value>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("{name}: is missing"))?;
    serde_json::from_value(value).map_err(|error| format!("{name}: {error}"))
}

/// A list, so that an error names the entry.
fn list<T: DeserializeOwned>(name: &str, value: Option<Value>) -> Result<Vec<T>, String> {
    match value {
        Some(Value::Array(all)) => all
            .into_iter()
            .enumerate()
            .map(|(at, value)| {
                serde_json::from_value(value).map_err(|error| format!("{name}[{at}]: {error}"))
            })
            .collect(),
        Some(_) => Err(format!("{name}: a list is expected")),
        None => Err(format!("{name}: is missing")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A report with figures of several kinds.
    pub(in crate::benchmark) fn report() -> Report {
        let mut report = Report::new("2026-11-30T08:00:00Z".to_owned());
        report.whole = true;
        report.program.build = "debug".to_owned();
        report.plan = "usual".to_owned();
        report.node.kind = "child".to_owned();
        report.machine.cpu.model = "Some <CPU>".to_owned();
        report.machine.cpu.cores = 2;
        report.add("diagnose.knee_per_second", 400.0, Vec::new());
        let blocks = vec![19.0, 20.0, 21.0, 20.0, 20.5];
        report.add("diagnose.half_knee_p99_ms", 20.5, blocks);
        report.add("start.ready_ms", 450.0, vec![440.0, 450.0, 460.0]);
        report.add("model.gp-differential.rten.f32.t1.b1.p50_ms", 0.16, vec![0.16; 10]);
        let step = |rate: f64, p99_ms: f64, missed: &str| Step {
            asked_per_second: rate,
            done_per_second: rate * 0.99,
            in_flight: rate / 100.0,
            p50_ms: 8.0,
            p95_ms: p99_ms / 2.0,
            p99_ms,
            max_ms: p99_ms * 2.0,
            due: 1_000,
            missed: missed.to_owned(),
            ..Step::default()
        };
        report.curves.push(Curve {
            name: "diagnose".to_owned(),
            p99_bound_ms: 250.0,
            knee_per_second: Some(400.0),
            steps: vec![
                step(100.0, 15.0, ""),
                step(400.0, 90.0, ""),
                step(800.0, 1_800.0, "answers were late"),
            ],
            spectrum: vec![(1.0, 2.0), (2.0, 8.0), (10.0, 12.0), (100.0, 20.0)],
        });
        report.models.push(ModelRun {
            id: "gp-differential".to_owned(),
            engine: "rten".to_owned(),
            precision: "f32".to_owned(),
            threads: 1,
            batch: 1,
            runs: 1_000,
            p50_ms: 0.16,
            p95_ms: 0.18,
            p99_ms: 0.2,
            rows_per_second: 6_000.0,
            ..ModelRun::default()
        });
        let name = "diagnose".to_owned();
        report.sections.push(Section {
            name,
            state: SectionState::Measured,
            seconds: 60.0,
            notes: Vec::new(),
        });
        report
    }

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        let report = report();
        assert_eq!(Report::read(&report.to_json().unwrap()).unwrap(), report);
        assert_eq!(report.metric("start.ready_ms").unwrap().blocks.len(), 3);
        let known = report.metric("diagnose.half_knee_p99_ms").unwrap();
        assert!(known.low.unwrap() < 20.1 && 20.1 < known.high.unwrap());
    }

    #[test]
    fn fields_that_are_not_known_are_passed_over() {
        let mut value: Value = serde_json::to_value(report()).unwrap();
        value["later"] = serde_json::json!({"a": 1});
        value["metrics"][0]["later"] = serde_json::json!(1);
        assert_eq!(Report::read(&value.to_string()).unwrap(), report());
    }

    #[test]
    fn a_broken_report_is_refused_with_the_field() {
        let whole = report().to_json().unwrap();
        let said = |change: &dyn Fn(&mut Value)| {
            let mut value: Value = serde_json::from_str(&whole).unwrap();
            change(&mut value);
            Report::read(&value.to_string()).unwrap_err()
        };
        assert!(Report::read(&whole[..300]).unwrap_err().contains("is no JSON"));
        assert!(Report::read("[]").unwrap_err().contains("an object is expected"));
        let error = said(&|v| v["schema"] = "xiangyi-bench/2".into());
        assert!(error.contains("newer xiangyi"), "{error}");
        let error = said(&|v| v["schema"] = "other/1".into());
        assert!(error.contains("`other/1` is unknown"), "{error}");
        let error = said(&|v| drop(v.as_object_mut().unwrap().remove("metrics")));
        assert_eq!(error, "metrics: is missing");
        let error = said(&|v| v["metrics"][1]["value"] = "fast".into());
        assert!(error.starts_with("metrics[1]: ") && error.contains("fast"), "{error}");
        let error = said(&|v| v["metrics"][2]["value"] = (-1.0).into());
        assert!(error.contains("metrics[2] (start.ready_ms): must not be negative"), "{error}");
        let error = said(&|v| v["metrics"][1]["name"] = v["metrics"][0]["name"].clone());
        assert!(error.contains("is there twice"), "{error}");
        let error = said(&|v| v["sections"][0]["state"] = "odd".into());
        assert!(error.starts_with("sections[0]: ") && error.contains("odd"), "{error}");
    }

    #[test]
    fn what_is_no_figure_is_left_out_and_said() {
        let mut report = Report::new(String::new());
        report.add("diagnose.knee_per_second", f64::NAN, Vec::new());
        report.add("no.such", 1.0, Vec::new());
        assert!(report.metrics.is_empty());
        assert_eq!(report.notes.len(), 2);
    }

    /// The schema names every field that is written, and asks for none that is not.
    #[test]
    fn the_schema_has_the_fields_of_a_report() {
        let schema: Value = serde_json::from_str(JSON_SCHEMA).unwrap();
        assert_eq!(schema["properties"]["schema"]["const"], "xiangyi-bench/1");
        let value: Value = serde_json::to_value(report()).unwrap();
        let is_described = |value: &Value, schema: &Value, what: &str| {
            let fields = value.as_object().unwrap();
            let described = schema["properties"].as_object().unwrap();
            for name in fields.keys() {
                assert!(described.contains_key(name), "the schema lacks {what}.{name}");
            }
            for name in schema["required"].as_array().unwrap() {
                assert!(fields.contains_key(name.as_str().unwrap()), "{what} lacks {name}");
            }
        };
        is_described(&value, &schema, "report");
        for (list, one) in [
            ("metrics", "metric"),
            ("curves", "curve"),
            ("models", "model_run"),
            ("sections", "section"),
        ] {
            is_described(&value[list][0], &schema["$defs"][one], one);
        }
        is_described(&value["machine"], &schema["$defs"]["machine"], "machine");
        is_described(&value["curves"][0]["steps"][0], &schema["$defs"]["step"], "step");
        let soak = serde_json::to_value(SoakPart::default()).unwrap();
        is_described(&soak, &schema["$defs"]["soak_part"], "soak_part");
    }
}
