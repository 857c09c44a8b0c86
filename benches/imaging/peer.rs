//! What is measured, started with an empty store.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Debian's packages put plugins.
const POSTGRES: &str = "/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so";
const DICOMWEB: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

/// A running peer.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) title: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) web: SocketAddr,
    child: Child,
}

impl Peer {
    /// The node, release build; its index in a fresh schema of the database at `postgres`, or in a
    /// file.
    pub(crate) fn xiangyi(folder: &Path, scp: u16, postgres: Option<&str>) -> Self {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/xiangyi");
        assert!(binary.is_file(), "build it first: cargo build --release");
        let config = folder.join("node.toml");
        let data = folder.join("data");
        let index = postgres.map_or_else(String::new, |url| {
            let schema = format!("bench_{}", std::process::id());
            format!(
                "index = \"postgres\"\npostgres_url = \"{url}\"\npostgres_schema = \"{schema}\"\n"
            )
        });
        fs::write(
            &config,
            format!(
                "[server]\nlisten = \"127.0.0.1:0\"\n[store]\ndir = \"{}\"\n\
                 [models]\nengine = \"rten\"\n[imaging]\nfree_bytes_min = 0\n\
                 {index}[log]\nlevel = \"warn\"\n[web]\nlisten = \"127.0.0.1:0\"\n\
                 [dicom]\nlisten = \"127.0.0.1:0\"\n\
                 strangers = [\"echo\", \"store\", \"find\", \"retrieve\"]\n\
                 [[dicom.peers]]\nae_title = \"STORESCP\"\nservices = []\n\
                 address = \"127.0.0.1:{scp}\"\n",
                data.display()
            ),
        )
        .unwrap();
        let mut child = Command::new(&binary)
            .args(["serve", "--json", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = addresses["dicom"].as_str().unwrap().parse().unwrap();
        let web = addresses["web"].as_str().unwrap().parse().unwrap();
        let version = format!("{} (release)", env!("CARGO_PKG_VERSION"));
        Self { name: "xiangyi", version, title: "XIANGYI", address, web, child }
    }

    /// Orthanc; its index in the database at `postgres` (with the plugin of Debian's
    /// `orthanc-postgresql`, files beside it as by default), or in `SQLite`.
    pub(crate) fn orthanc(folder: &Path, scp: u16, postgres: Option<&str>) -> Self {
        let (dicom, http) = (free_port(), free_port());
        let config = folder.join("orthanc.json");
        let dir = folder.join("orthanc");
        let wanted = [Some(DICOMWEB), postgres.map(|_| POSTGRES)];
        let plugins: Vec<&str> = wanted.into_iter().flatten().collect();
        fs::write(
            &config,
            serde_json::json!({
                "Name": "bench", "StorageDirectory": dir, "IndexDirectory": dir, "Plugins": plugins,
                "PostgreSQL": {
                    "EnableIndex": postgres.is_some(), "EnableStorage": false, "EnableSsl": false,
                    "ConnectionUri": postgres.unwrap_or_default(),
                },
                "HttpPort": http, "DicomAet": "ORTHANC", "DicomPort": dicom,
                "DicomAlwaysAllowStore": true, "DicomAlwaysAllowFind": true,
                "DicomAlwaysAllowGet": true, "DicomAlwaysAllowMove": true,
                "DicomModalities": {"scp": ["STORESCP", "127.0.0.1", scp]},
                "SynchronousCMove": true, "DicomThreadsCount": 32,
                "AuthenticationEnabled": false, "RemoteAccessAllowed": false,
            })
            .to_string(),
        )
        .unwrap();
        let child = Command::new("Orthanc")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Orthanc is not installed");
        let address = SocketAddr::from(([127, 0, 0, 1], dicom));
        for _ in 0..100 {
            if TcpStream::connect(address).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let told = Command::new("Orthanc").arg("--version").output().unwrap().stdout;
        let version = String::from_utf8_lossy(&told).lines().next().unwrap_or_default().to_owned();
        let web = SocketAddr::from(([127, 0, 0, 1], http));
        Self { name: "orthanc", version, title: "ORTHANC", address, web, child }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn stop(mut self) {
        let _ = Command::new("kill").arg(self.process().to_string()).status();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// CPU seconds that a process has used.
pub(crate) fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
