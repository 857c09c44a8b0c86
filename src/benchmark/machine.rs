//! What a machine is: processor with the features that matter to models, memory, disk, kernel. Read from
//! `/proc` and `/sys` under a root, so that tests can bring machines of their own. What a machine does
//! not tell is left out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::statistics::number;

/// Features of processors that decide how fast models and ciphers are, as `/proc/cpuinfo` writes them.
const FEATURES: [&str; 34] = [
    // x86-64
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "aes",
    "vaes",
    "pclmulqdq",
    "sha_ni",
    // AArch64
    "asimd",
    "asimdhp",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
    "pmull",
    "sha2",
    "sm3",
    "sm4",
    // LoongArch and RISC-V
    "lsx",
    "lasx",
    "rvv",
    "crc32",
];
/// KiB of a MiB.
const KIB: f64 = 1024.0;

/// Where a machine's files are.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

/// A machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor.
    pub cpu: Cpu,
    /// Memory, MiB.
    pub memory_mib: f64,
    /// Swap, MiB.
    #[serde(default)]
    pub swap_mib: f64,
    /// Kernel, for example `Linux 6.12.5`.
    pub kernel: String,
    /// Distribution.
    #[serde(default)]
    pub system: String,
    /// The disk that was measured.
    #[serde(default)]
    pub disk: Option<Disk>,
    /// Engines that can run ONNX models here.
    #[serde(default)]
    pub engines: Vec<EngineThere>,
    /// Where energy was read, or why it could not be.
    #[serde(default)]
    pub energy: String,
}

/// A processor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Its name.
    pub model: String,
    /// Its architecture, for example `x86_64`.
    pub architecture: String,
    /// Cores that a program sees, threads of one core counted each.
    pub cores: u32,
    /// Cores that this process may use, where a container or an affinity leaves fewer.
    #[serde(default)]
    pub usable: u32,
    /// Features that matter here.
    #[serde(default)]
    pub features: Vec<String>,
    /// Highest frequency, MHz.
    #[serde(default)]
    pub mhz_max: Option<f64>,
    /// What decides about the frequency, for example `schedutil`.
    #[serde(default)]
    pub governor: Option<String>,
    /// Whether it is a virtual machine's.
    #[serde(default)]
    pub is_virtual: bool,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// File system, for example `ext4`.
    pub file_system: String,
    /// Device, for example `/dev/mmcblk0p2`.
    #[serde(default)]
    pub device: String,
    /// Name of the model.
    #[serde(default)]
    pub model: Option<String>,
    /// Whether it turns.
    #[serde(default)]
    pub is_rotational: Option<bool>,
    /// What decides about the order of writes.
    #[serde(default)]
    pub scheduler: Option<String>,
    /// Size of the file system, GiB.
    #[serde(default)]
    pub size_gib: f64,
    /// Free, GiB.
    #[serde(default)]
    pub free_gib: f64,
}

/// An engine that is there, or is not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineThere {
    /// `onnxruntime` or `rten`.
    pub name: String,
    /// Its version; empty where it is not there.
    #[serde(default)]
    pub version: String,
    /// Why it is not there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
}

impl Default for Host {
    fn default() -> Self {
        Self { root: PathBuf::from("/") }
    }
}

impl Host {
    /// A machine whose files lie under `root`.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A path of the machine, without its leading `/`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A file's text without the space around; none where it cannot be read.
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file's number.
    pub fn value(&self, path: &str) -> Option<f64> {
        self.text(path)?.parse().ok()
    }

    /// Names in a folder that begin so, in order.
    pub fn names(&self, folder: &str, prefix: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names
    }

    /// Describes the machine; `folder` is where the node keeps its data.
    pub fn machine(&self, folder: &Path) -> Machine {
        let memory = self.text("proc/meminfo").unwrap_or_default();
        let mib = |name: &str| {
            let line = memory.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or(0.0) / KIB
        };
        let release = self.text("proc/sys/kernel/osrelease").unwrap_or_default();
        let kind = self.text("proc/sys/kernel/ostype").unwrap_or_default();
        let system = self.text("etc/os-release").unwrap_or_default();
        let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Machine {
            cpu: self.cpu(),
            memory_mib: mib("MemTotal:"),
            swap_mib: mib("SwapTotal:"),
            kernel: format!("{kind} {release}").trim().to_owned(),
            system: system.unwrap_or_default().trim_matches('"').to_owned(),
            disk: self.disk(folder),
            engines: Vec::new(),
            energy: String::new(),
        }
    }

    fn cpu(&self) -> Cpu {
        let info = self.text("proc/cpuinfo").unwrap_or_default();
        let field = |names: &[&str]| {
            info.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                names.contains(&name.trim()).then(|| value.trim().to_owned())
            })
        };
        let cores = info.lines().filter(|line| {
            line.split_once(':').is_some_and(|(name, _)| name.trim() == "processor")
        });
        let flags = field(&["flags", "Features", "features", "isa"]).unwrap_or_default();
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let known = FEATURES.iter().filter(|feature| flags.contains(feature));
        let usable = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cores = u32::try_from(cores.count()).unwrap_or(0);
        let usable = u32::try_from(usable).unwrap_or(1);
        let policy = "sys/devices/system/cpu/cpu0/cpufreq";
        // Boards tell their name in the device tree, and their processor nowhere.
        let board = || self.text("proc/device-tree/model").map(|t| t.trim_matches('\0').to_owned());
        let model = field(&["model name", "Model Name", "cpu model"]).or_else(board);
        Cpu {
            model: model.unwrap_or_else(|| "unknown".to_owned()),
            architecture: std::env::consts::ARCH.to_owned(),
            cores: if cores > 0 { cores } else { usable },
            usable,
            features: known.map(|feature| (*feature).to_owned()).collect(),
            mhz_max: self.value(&format!("{policy}/cpuinfo_max_freq")).map(|khz| khz / 1_000.0),
            governor: self.text(&format!("{policy}/scaling_governor")),
            is_virtual: flags.contains(&"hypervisor"),
        }
    }

    /// The disk under `folder`: of all mounts that hold it the one with the longest path.
    fn disk(&self, folder: &Path) -> Option<Disk> {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let mounts = self.text("proc/self/mountinfo")?;
        let mount = mounts
            .lines()
            .filter_map(Mount::read)
            .filter(|mount| folder.starts_with(&mount.point))
            // Of two on one place the later one hides the other.
            .enumerate()
            .max_by_key(|(order, mount)| (mount.point.as_os_str().len(), *order))?
            .1;
        // A partition's folder lies in that of its disk.
        let block = format!("sys/dev/block/{}", mount.number);
        let of = |name: &str| {
            self.text(&format!("{block}/{name}"))
                .or_else(|| self.text(&format!("{block}/../{name}")))
        };
        // Blocks of a size, of which so many there are, and so many free.
        let (size, all, free) = rustix::fs::statvfs(&folder)
            .map_or((0, 0, 0), |space| (space.f_frsize, space.f_blocks, space.f_bavail));
        let gib = |blocks: u64| number(blocks) * number(size) / (KIB * KIB * KIB);
        Some(Disk {
            file_system: mount.kind,
            device: mount.source,
            model: of("device/model").or_else(|| of("device/name")),
            is_rotational: of("queue/rotational").map(|text| text == "1"),
            scheduler: of("queue/scheduler"),
            size_gib: gib(all),
            free_gib: gib(free),
        })
    }
}

struct Mount {
    number: String,
    point: PathBuf,
    kind: String,
    source: String,
}

impl Mount {
    /// A line of `/proc/self/mountinfo`: `36 35 98:0 /root /point opts - kind source opts`.
    fn read(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ');
        let number = before.nth(2)?.to_owned();
        // Spaces are written as octal.
        let point = PathBuf::from(before.nth(1)?.replace("\\040", " "));
        let mut after = after.split(' ');
        let (kind, source) = (after.next()?.to_owned(), after.next()?.to_owned());
        Some(Self { number, point, kind, source })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine made of files.
    pub(in crate::benchmark) fn made(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let host = Host::at(root.path());
        (root, host)
    }

    #[test]
    fn a_pc_is_described() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu sse4_2 avx2 \
                       hypervisor sha_ni\n\nprocessor\t: 1\nmodel name\t: Some CPU @ 2.00GHz\n";
        let (_root, host) = made(&[
            ("proc/cpuinfo", cpuinfo),
            ("proc/meminfo", "MemTotal:        8192000 kB\nMemFree: 1 kB\nSwapTotal: 1024 kB\n"),
            ("proc/sys/kernel/osrelease", "6.12.5\n"),
            ("proc/sys/kernel/ostype", "Linux\n"),
            ("etc/os-release", "NAME=x\nPRETTY_NAME=\"Some Linux 12\"\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3400000\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            (
                "proc/self/mountinfo",
                "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:5 / /proc rw - proc proc rw\n",
            ),
            ("sys/dev/block/8:1/queue/rotational", "1\n"),
        ]);
        let machine = host.machine(Path::new("/"));
        assert_eq!((machine.cpu.model.as_str(), machine.cpu.cores), ("Some CPU @ 2.00GHz", 2));
        assert_eq!(machine.cpu.features, ["sse4_2", "avx2", "sha_ni"]);
        assert!(machine.cpu.is_virtual);
        assert_eq!(machine.cpu.mhz_max, Some(3_400.0));
        assert_eq!(machine.cpu.governor.as_deref(), Some("powersave"));
        assert_eq!((machine.memory_mib, machine.swap_mib), (8_000.0, 1.0));
        assert_eq!(machine.kernel, "Linux 6.12.5");
        assert_eq!(machine.system, "Some Linux 12");
        let disk = machine.disk.unwrap();
        assert_eq!((disk.file_system.as_str(), disk.device.as_str()), ("ext4", "/dev/sda1"));
        assert_eq!(disk.is_rotational, Some(true));
        assert!(disk.size_gib > 0.0);
    }

    #[test]
    fn a_board_tells_its_name_in_the_device_tree() {
        let cpuinfo = "processor\t: 0\nFeatures\t: fp asimd asimddp crc32\n\nprocessor\t: 1\n";
        let (_root, host) =
            made(&[("proc/cpuinfo", cpuinfo), ("proc/device-tree/model", "Some Board v2\0")]);
        let machine = host.machine(Path::new("/"));
        assert_eq!((machine.cpu.model.as_str(), machine.cpu.cores), ("Some Board v2", 2));
        assert_eq!(machine.cpu.features, ["asimd", "asimddp", "crc32"]);
        assert_eq!(machine.disk, None, "nothing is made up");
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Host::default().machine(&std::env::temp_dir());
        assert!(machine.cpu.cores >= 1 && machine.memory_mib > 100.0, "{machine:?}");
        assert!(machine.kernel.starts_with("Linux "), "{machine:?}");
    }
}
