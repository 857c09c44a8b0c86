//! Energy: counters of the processor package (RAPL) where they may be read, else power that a sensor
//! tells (hwmon), added up over time. It is that of the whole package or board, whoever used it.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::machine::Host;

/// Micro of the unit.
const MICRO: f64 = 1e-6;

/// What tells the energy used.
#[derive(Debug)]
pub struct Energy {
    host: Host,
    source: Source,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Source {
    /// Files that count microjoules up to a highest one, and begin again.
    Counters(Vec<(String, f64)>),
    /// Files that tell microwatts.
    Power(Vec<String>),
}

#[derive(Debug)]
struct State {
    joules: f64,
    /// Of each counter.
    last: Vec<f64>,
    /// When power was looked at, and what it was, in watts.
    looked: (Instant, f64),
}

impl Energy {
    /// What this machine has; the error says what it lacks, or what may not be read.
    pub fn open(host: &Host) -> Result<Self, String> {
        let mut refused = Vec::new();
        let source = match counters(host, &mut refused) {
            zones if !zones.is_empty() => Source::Counters(zones),
            _ => match power(host) {
                sensors if !sensors.is_empty() => Source::Power(sensors),
                _ if refused.is_empty() => {
                    return Err("this machine has neither RAPL nor a power sensor".to_owned());
                }
                _ => return Err(refused.join("; ")),
            },
        };
        let last = match &source {
            Source::Counters(zones) => {
                zones.iter().map(|(zone, _)| host.value(zone).unwrap_or(0.0)).collect()
            }
            Source::Power(_) => Vec::new(),
        };
        let state = State { joules: 0.0, last, looked: (Instant::now(), 0.0) };
        let energy = Self { host: host.clone(), source, state: Mutex::new(state) };
        energy.joules();
        Ok(energy)
    }

    /// Where it is read.
    pub fn named(&self) -> String {
        match &self.source {
            Source::Counters(zones) => format!("RAPL, {} package(s)", zones.len()),
            Source::Power(sensors) => format!("hwmon, {} sensor(s)", sensors.len()),
        }
    }

    /// Joules since it was opened. Power is added up from call to call, so a sensor is to be asked often.
    pub fn joules(&self) -> f64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.source {
            Source::Counters(zones) => {
                for (place, (zone, most)) in zones.iter().enumerate() {
                    let Some(now) = self.host.value(zone) else { continue };
                    let Some(last) = state.last.get_mut(place) else { continue };
                    let before = std::mem::replace(last, now);
                    let used = if now >= before { now - before } else { now + most - before };
                    state.joules += used * MICRO;
                }
            }
            Source::Power(sensors) => {
                let watts = sensors.iter().filter_map(|sensor| self.host.value(sensor));
                let watts = watts.sum::<f64>() * MICRO;
                let (at, before) = state.looked;
                if before > 0.0 {
                    state.joules += f64::midpoint(before, watts) * at.elapsed().as_secs_f64();
                }
                state.looked = (Instant::now(), watts);
            }
        }
        state.joules
    }
}

/// Counters of whole packages; parts of a package are in them already.
fn counters(host: &Host, refused: &mut Vec<String>) -> Vec<(String, f64)> {
    let folder = "sys/class/powercap";
    let zones = host.names(folder, "intel-rapl:").into_iter();
    let mut found = Vec::new();
    for zone in zones.filter(|zone| zone.matches(':').count() == 1) {
        let path = format!("{folder}/{zone}/energy_uj");
        match std::fs::read_to_string(host.path(&path)) {
            Ok(_) => {
                let most = host.value(&format!("{folder}/{zone}/max_energy_range_uj"));
                found.push((path, most.unwrap_or(0.0)));
            }
            Err(error) => refused.push(format!(
                "/{path} cannot be read ({error}): run as root, or allow reading it"
            )),
        }
    }
    found
}

fn power(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    for monitor in host.names("sys/class/hwmon", "hwmon") {
        let folder = format!("sys/class/hwmon/{monitor}");
        let inputs = host.names(&folder, "power").into_iter();
        let inputs = inputs.filter(|name| name.ends_with("_input") || name.ends_with("_average"));
        // One sensor of a monitor: its others are parts or means of the same.
        let first = inputs.map(|name| format!("{folder}/{name}")).find(|p| host.value(p).is_some());
        found.extend(first);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::machine::tests::made;
    use super::*;

    #[test]
    fn counters_that_begin_again_are_followed() {
        let zone = "sys/class/powercap/intel-rapl:0";
        let (root, host) = made(&[
            (&format!("{zone}/energy_uj"), "9000000"),
            (&format!("{zone}/max_energy_range_uj"), "10000000"),
            ("sys/class/powercap/intel-rapl:0:0/energy_uj", "1"),
        ]);
        let energy = Energy::open(&host).unwrap();
        assert_eq!(energy.named(), "RAPL, 1 package(s)");
        let write = |text| std::fs::write(root.path().join(zone).join("energy_uj"), text).unwrap();
        write("9500000");
        assert!((energy.joules() - 0.5).abs() < 1e-9);
        write("2000000");
        assert!((energy.joules() - 3.0).abs() < 1e-9, "{}", energy.joules());
    }

    #[tokio::test(start_paused = true)]
    async fn power_is_added_up_over_time() {
        let sensor = "sys/class/hwmon/hwmon1/power1_input";
        let (_root, host) =
            made(&[(sensor, "4000000"), ("sys/class/hwmon/hwmon0/temp1_input", "1")]);
        let energy = Energy::open(&host).unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!((energy.joules() - 12.0).abs() < 1e-6, "{}", energy.joules());
    }

    #[test]
    fn what_may_not_be_read_is_said_and_nothing_is_made_up() {
        let (_root, host) = made(&[]);
        assert!(Energy::open(&host).unwrap_err().contains("neither RAPL nor"));
        // A folder in the place of the counter is refused to everybody, also to root.
        let (root, host) = made(&[]);
        let counter = root.path().join("sys/class/powercap/intel-rapl:0/energy_uj");
        std::fs::create_dir_all(counter).unwrap();
        let error = Energy::open(&host).unwrap_err();
        assert!(error.contains("energy_uj cannot be read") && error.contains("root"), "{error}");
    }
}
