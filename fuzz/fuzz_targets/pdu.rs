//! Any bytes at the DICOM door of a real node, alone or after an association was accepted: no panic,
//! the peer is answered or dropped, and the next one is served.
#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use xiangyi::config::Config;
use xiangyi::node::Node;

/// How long the node may take to drop a peer that has said all.
const WITHIN: Duration = Duration::from_secs(5);

struct Running {
    _runtime: tokio::runtime::Runtime,
    _node: Node,
    _folder: tempfile::TempDir,
    address: SocketAddr,
}

static NODE: LazyLock<Running> = LazyLock::new(|| {
    // A task that panics does not end the process by itself.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.dicom.listen = Some("127.0.0.1:0".parse().unwrap());
    config.store.dir = folder.path().to_owned();
    config.imaging.free_bytes_min = 0;
    config.imaging.segment_bytes = 16 << 20;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(Node::start(config)).unwrap();
    let address = node.dicom_address().unwrap();
    Running { _runtime: runtime, _node: node, _folder: folder, address }
});

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0];
    out.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// A request for an association (PS3.8, 9.3.2): verification, storage, find, move, get, commitment,
/// each in implicit VR little endian.
fn associate() -> Vec<u8> {
    let classes = [
        "1.2.840.10008.1.1",
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.5.1.4.1.2.2.1",
        "1.2.840.10008.5.1.4.1.2.2.2",
        "1.2.840.10008.5.1.4.1.2.2.3",
        "1.2.840.10008.1.20.1",
    ];
    let mut body = vec![0, 1, 0, 0];
    body.extend_from_slice(b"XIANGYI         FUZZ            ");
    body.extend([0; 32]);
    body.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    for (at, class) in (0_u8..).zip(classes) {
        let mut context = vec![2 * at + 1, 0, 0, 0];
        context.extend(item(0x30, class.as_bytes()));
        context.extend(item(0x40, b"1.2.840.10008.1.2"));
        body.extend(item(0x20, &context));
    }
    let mut user = item(0x51, &65_536_u32.to_be_bytes());
    user.extend(item(0x52, b"1.2.3.4"));
    body.extend(item(0x50, &user));
    let mut pdu = vec![1, 0];
    pdu.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    pdu.extend(body);
    pdu
}

fn say(bytes: &[u8]) {
    let mut peer = TcpStream::connect(NODE.address).unwrap();
    peer.set_read_timeout(Some(WITHIN)).unwrap();
    // The node may have dropped the line before all was said.
    let _ = peer.write_all(bytes);
    let _ = peer.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match peer.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => {
            let slow = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
            assert!(!slow.contains(&error.kind()), "the node keeps a peer that has gone");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((first, rest)) if first % 2 == 1 => {
            let mut all = associate();
            all.extend_from_slice(rest);
            say(&all);
        }
        _ => say(bytes),
    }
});
