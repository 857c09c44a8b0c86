//! What went on in the machine meanwhile: heat and throttling, frequency, and time that others took (other
//! virtual machines, other programs). Looked at again and again during a run.

use serde::{Deserialize, Serialize};

use super::machine::Host;

/// Bits of a Raspberry Pi's `get_throttled` that say what happened since it was switched on: under-voltage,
/// frequency capped, throttled, soft limit of temperature.
const PI_SINCE_START: u64 = 0xF_0000;

/// What was seen of a machine during a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Weather {
    /// Highest temperature of any sensor, °C.
    #[serde(default)]
    pub temperature_max_c: Option<f64>,
    /// Times that cores were slowed down for heat; none where no counter tells.
    #[serde(default)]
    pub throttled: Option<u64>,
    /// Lowest and highest mean frequency of all cores, MHz.
    #[serde(default)]
    pub mhz_min: Option<f64>,
    /// Highest.
    #[serde(default)]
    pub mhz_max: Option<f64>,
    /// Share of the processor's time that the hypervisor gave to others.
    #[serde(default)]
    pub stolen_share: f64,
    /// Share of the processor's time that was used, by anybody.
    #[serde(default)]
    pub busy_share: f64,
    /// Whether there was any sensor of heat or any counter of throttling.
    #[serde(default)]
    pub has_sensors: bool,
}

/// Ticks of all cores since the machine started.
#[derive(Debug, Clone, Copy, Default)]
struct Ticks {
    all: f64,
    idle: f64,
    stolen: f64,
}

/// Looks at the sensors of a machine.
#[derive(Debug)]
pub struct Watch {
    host: Host,
    zones: Vec<String>,
    began: Ticks,
    throttled: Option<u64>,
    weather: Weather,
}

impl Watch {
    /// Begins now.
    pub fn begin(host: &Host) -> Self {
        let mut zones: Vec<String> = host
            .names("sys/class/thermal", "thermal_zone")
            .iter()
            .map(|zone| format!("sys/class/thermal/{zone}/temp"))
            .collect();
        for monitor in host.names("sys/class/hwmon", "hwmon") {
            let folder = format!("sys/class/hwmon/{monitor}");
            let inputs = host.names(&folder, "temp").into_iter();
            let inputs = inputs.filter(|name| name.ends_with("_input"));
            zones.extend(inputs.map(|name| format!("{folder}/{name}")));
        }
        let throttled = throttled(host);
        let weather =
            Weather { has_sensors: !zones.is_empty() || throttled.is_some(), ..Weather::default() };
        let mut watch = Self { host: host.clone(), zones, began: ticks(host), throttled, weather };
        watch.look();
        watch
    }

    /// Looks once.
    pub fn look(&mut self) {
        let degrees = self.zones.iter().filter_map(|zone| self.host.value(zone));
        let hottest = degrees.map(|thousandths| thousandths / 1_000.0).reduce(f64::max);
        let known = &mut self.weather;
        known.temperature_max_c = larger(known.temperature_max_c, hottest);
        let mhz = frequency(&self.host);
        known.mhz_max = larger(known.mhz_max, mhz);
        known.mhz_min = larger(known.mhz_min.map(|mhz| -mhz), mhz.map(|mhz| -mhz)).map(|mhz| -mhz);
    }

    /// What was seen so far.
    pub fn weather(&mut self) -> Weather {
        self.look();
        let now = ticks(&self.host);
        let passed = now.all - self.began.all;
        let share = |now: f64, then: f64| {
            if passed > 0.0 { ((now - then) / passed).clamp(0.0, 1.0) } else { 0.0 }
        };
        let stolen_share = share(now.stolen, self.began.stolen);
        let idle = if passed > 0.0 { share(now.idle, self.began.idle) } else { 1.0 };
        let throttled =
            throttled(&self.host).zip(self.throttled).map(|(now, then)| now.saturating_sub(then));
        Weather {
            stolen_share,
            busy_share: (1.0 - idle - stolen_share).max(0.0),
            throttled,
            ..self.weather.clone()
        }
    }
}

impl Weather {
    /// What a reader of figures must know of it.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(times) = self.throttled.filter(|times| *times > 0) {
            all.push(format!("the processor was slowed down for heat or power {times} times"));
        }
        if self.stolen_share > 0.02 {
            let percent = self.stolen_share * 100.0;
            all.push(format!("the hypervisor gave {percent:.0} % of the processor to others"));
        }
        all
    }
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    [a, b].into_iter().flatten().reduce(f64::max)
}

/// Times that cores were throttled since the machine started: x86 counts them, a Raspberry Pi tells
/// whether they were.
fn throttled(host: &Host) -> Option<u64> {
    let cores = host.names("sys/devices/system/cpu", "cpu");
    let counted = cores.iter().flat_map(|core| {
        ["core_throttle_count", "package_throttle_count"].into_iter().filter_map(move |name| {
            let path = format!("sys/devices/system/cpu/{core}/thermal_throttle/{name}");
            host.text(&path)?.parse::<u64>().ok()
        })
    });
    let counted = counted.reduce(u64::saturating_add);
    counted.or_else(|| {
        let bits = host.text("sys/devices/platform/soc/soc:firmware/get_throttled")?;
        let bits = u64::from_str_radix(bits.trim_start_matches("0x"), 16).ok()?;
        Some(u64::from((bits & PI_SINCE_START).count_ones()))
    })
}

/// Mean frequency of all cores, MHz.
fn frequency(host: &Host) -> Option<f64> {
    let cores = host.names("sys/devices/system/cpu", "cpu");
    let all: Vec<f64> = cores
        .iter()
        .filter_map(|core| {
            host.value(&format!("sys/devices/system/cpu/{core}/cpufreq/scaling_cur_freq"))
        })
        .map(|khz| khz / 1_000.0)
        .collect();
    super::statistics::mean(&all)
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn ticks(host: &Host) -> Ticks {
    let text = host.text("proc/stat").unwrap_or_default();
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    // What follows the eighth is counted in the first two already.
    let all: Vec<f64> = line.split_whitespace().take(8).flat_map(str::parse).collect();
    let at = |place: usize| all.get(place).copied().unwrap_or(0.0);
    Ticks { all: all.iter().sum(), idle: at(3) + at(4), stolen: at(7) }
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::made;
    use super::*;

    #[test]
    fn heat_throttling_and_stolen_time_are_seen() {
        let count = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";
        let speed = "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq";
        let (root, host) = made(&[
            ("sys/class/thermal/thermal_zone0/temp", "45000\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", "47500\n"),
            (count, "3\n"),
            (speed, "2000000\n"),
            ("proc/stat", "cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 1\n"),
        ]);
        let mut watch = Watch::begin(&host);
        let write = |path: &str, text: &str| std::fs::write(root.path().join(path), text).unwrap();
        write("sys/class/thermal/thermal_zone0/temp", "83000");
        write(speed, "1200000");
        watch.look();
        write("sys/class/thermal/thermal_zone0/temp", "50000");
        write(speed, "1800000");
        write(count, "8");
        write("proc/stat", "cpu  150 0 0 925 0 0 0 25 0 0\n");
        let weather = watch.weather();
        assert_eq!(weather.temperature_max_c, Some(83.0));
        assert_eq!((weather.mhz_min, weather.mhz_max), (Some(1_200.0), Some(2_000.0)));
        assert_eq!(weather.throttled, Some(5));
        assert!((weather.stolen_share - 0.25).abs() < 1e-9 && weather.has_sensors);
        assert!((weather.busy_share - 0.5).abs() < 1e-9, "{weather:?}");
        let warnings = weather.warnings().join("\n");
        assert!(warnings.contains("5 times") && warnings.contains("25 %"), "{warnings}");
    }

    #[test]
    fn a_machine_without_sensors_says_so_and_makes_nothing_up() {
        let (_root, host) = made(&[]);
        let weather = Watch::begin(&host).weather();
        assert_eq!(weather, Weather::default());
        assert!(weather.warnings().is_empty());
    }

    #[test]
    fn a_raspberry_pi_tells_it_in_bits() {
        let path = "sys/devices/platform/soc/soc:firmware/get_throttled";
        let (root, host) = made(&[(path, "0x0\n")]);
        let mut watch = Watch::begin(&host);
        std::fs::write(root.path().join(path), "50005\n").unwrap();
        assert_eq!(watch.weather().throttled, Some(2), "under-voltage and throttled");
    }
}
