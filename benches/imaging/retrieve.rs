//! Giving back: stock `getscu` and `movescu` with `storescp`, and DICOMweb.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::lean::{self, Client};
use super::peer::Peer;

/// Objects of the study that is given back.
pub(crate) const OBJECTS: u64 = 200;

/// A study that a peer keeps.
pub(crate) struct Kept {
    pub(crate) study: u64,
    pub(crate) first: u64,
    pixels: usize,
}

/// Stores a study of [`OBJECTS`] objects whose numbers begin with `first`.
pub(crate) fn keep(peer: &Peer, study: u64, first: u64, pixels: usize) -> Kept {
    let mut client = Client::connect(peer.address, peer.title);
    let mut store = client.prepare(study, pixels);
    for number in first..first + OBJECTS {
        client.store(&mut store, number);
    }
    client.release();
    Kept { study, first, pixels }
}

/// Objects a second with `getscu`, from its start to its end.
pub(crate) fn getscu(peer: &Peer, kept: &Kept, folder: &Path) -> f64 {
    let into = folder.join("got");
    std::fs::create_dir(&into).unwrap();
    let began = Instant::now();
    let done = Command::new("getscu")
        .args(["-S", "-aec", peer.title, "-k", "QueryRetrieveLevel=STUDY", "-k"])
        .arg(format!("StudyInstanceUID={}", lean::study_uid(kept.study)))
        .arg("-od")
        .arg(&into)
        .args(["127.0.0.1", &peer.address.port().to_string()])
        .output()
        .unwrap();
    finished(&into, done.status.success(), began)
}

/// DCMTK's `storescp`.
pub(crate) struct StoreScp {
    child: Child,
    into: std::path::PathBuf,
}

impl StoreScp {
    pub(crate) fn start(folder: &Path, port: u16) -> Self {
        let into = folder.join("received");
        std::fs::create_dir(&into).unwrap();
        let child = Command::new("storescp")
            .args(["-aet", "STORESCP", "-od"])
            .arg(&into)
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("DCMTK is not installed");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, into }
    }

    pub(crate) fn stop(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Objects a second moved to it, from the start of `movescu` to its end.
pub(crate) fn movescu(peer: &Peer, kept: &Kept, scp: &StoreScp) -> f64 {
    std::fs::remove_dir_all(&scp.into).unwrap();
    std::fs::create_dir(&scp.into).unwrap();
    let began = Instant::now();
    let done = Command::new("movescu")
        .args(["-S", "-aec", peer.title, "-aem", "STORESCP"])
        .args(["-k", "QueryRetrieveLevel=STUDY", "-k"])
        .arg(format!("StudyInstanceUID={}", lean::study_uid(kept.study)))
        .args(["127.0.0.1", &peer.address.port().to_string()])
        .output()
        .unwrap();
    let rate = finished(&scp.into, done.status.success(), began);
    std::fs::create_dir_all(&scp.into).unwrap();
    rate
}

fn finished(into: &Path, success: bool, began: Instant) -> f64 {
    let seconds = began.elapsed().as_secs_f64();
    let count = std::fs::read_dir(into).unwrap().count();
    assert!(success, "the client failed");
    assert_eq!(count, usize::try_from(OBJECTS).unwrap(), "all of them came");
    std::fs::remove_dir_all(into).unwrap();
    f64::from(u32::try_from(OBJECTS).unwrap()) / seconds
}

/// An HTTP/1.1 connection that stays open, unless the server ends a body by closing it.
pub(crate) struct Http {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How an answer came.
pub(crate) struct Came {
    /// Until the first byte of the body, in milliseconds.
    pub(crate) first_ms: f64,
    /// Until its end.
    pub(crate) whole_ms: f64,
    /// Bytes of the body, chunk heads included.
    pub(crate) bytes: usize,
}

impl Http {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self { address, stream: dial(address), buffer: vec![0; 1 << 20] }
    }

    pub(crate) fn get(&mut self, path: &str, accept: &str) -> Came {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\n\r\n", self.address);
        let began = Instant::now();
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled);
            if let Some(at) = self.buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200"), "{path}: {text}");
        let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
        let length: Option<usize> = length.map(|length| length.trim().parse().unwrap());
        let mut body = filled - head;
        let mut tail = self.buffer[head..filled].to_vec();
        let mut first_ms = None;
        let ms = |began: Instant| began.elapsed().as_secs_f64() * 1000.0;
        loop {
            if body > 0 && first_ms.is_none() {
                first_ms = Some(ms(began));
            }
            // A chunked body ends with an empty chunk.
            let ended = length.map_or(tail.ends_with(b"\r\n0\r\n\r\n"), |length| body >= length);
            if ended {
                let first_ms = first_ms.unwrap_or_default();
                return Came { first_ms, whole_ms: ms(began), bytes: body };
            }
            let more = self.stream.read(&mut self.buffer).unwrap();
            if more == 0 {
                assert!(length.is_none(), "the server closed");
                let first_ms = first_ms.unwrap_or_default();
                let whole_ms = ms(began);
                self.stream = dial(self.address);
                return Came { first_ms, whole_ms, bytes: body };
            }
            body += more;
            let keep = more.min(16);
            tail.extend_from_slice(&self.buffer[more - keep..more]);
            let surplus = tail.len().saturating_sub(16);
            tail.drain(..surplus);
        }
    }

    fn read(&mut self, at: usize) -> usize {
        let read = self.stream.read(&mut self.buffer[at..]).unwrap();
        assert!(read > 0, "the server closed");
        read
    }
}

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Milliseconds: a frame, the metadata of a series, the first byte of a study; and megabytes a second
/// of the whole study.
pub(crate) fn web(peer: &Peer, kept: &Kept) -> [f64; 4] {
    let mut http = Http::connect(peer.web);
    let study = format!("/dicom-web/studies/{}", lean::study_uid(kept.study));
    let series = format!("{study}/series/{}", lean::series_uid(kept.study));
    let octets = "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*";
    let frames = (kept.first..kept.first + 100).map(|number| {
        let path = format!("{series}/instances/{}/frames/1", lean::uid_of(number));
        let came = http.get(&path, octets);
        assert!(came.bytes > kept.pixels, "{}", came.bytes);
        came.whole_ms
    });
    let frame = median(frames.collect());
    let metadata =
        (0..5).map(|_| http.get(&format!("{series}/metadata"), "application/dicom+json").whole_ms);
    let metadata = median(metadata.collect());
    let objects = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
    let whole: Vec<Came> = (0..3).map(|_| http.get(&study, objects)).collect();
    let least = kept.pixels * usize::try_from(OBJECTS).unwrap();
    assert!(whole.iter().all(|came| came.bytes > least));
    let first = median(whole.iter().map(|came| came.first_ms).collect());
    let megabytes = |came: &Came| {
        f64::from(u32::try_from(came.bytes / 1_000).unwrap()) / 1_000.0 / (came.whole_ms / 1_000.0)
    };
    [frame, metadata, first, median(whole.iter().map(megabytes).collect())]
}

/// Times of C-ECHO in milliseconds: the median and the worst but one in a hundred.
pub(crate) fn echoes(peer: &Peer, count: usize) -> (f64, f64) {
    let mut client = Client::connect(peer.address, peer.title);
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let began = Instant::now();
            client.echo();
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    client.release();
    times.sort_by(f64::total_cmp);
    (times[count / 2], times[count * 99 / 100])
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
