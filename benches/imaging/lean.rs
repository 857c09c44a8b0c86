//! A DICOM client that costs next to nothing: messages are made before the clock runs, a UID is
//! written into them, and the socket has no delays.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResultReason,
    UserVariableItem, read_pdu, write_pdu,
};

pub(crate) const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
/// Digits of the running number in a UID.
const DIGITS: usize = 20;

/// An established association.
pub(crate) struct Client {
    stream: TcpStream,
    pdu_bytes_max: usize,
}

/// A C-STORE request with places for the SOP instance UID.
pub(crate) struct Store {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, called: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = Pdu::AssociationRQ(AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "LEAN".to_owned(),
            called_ae_title: called.to_owned(),
            application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
            presentation_contexts: [CT, "1.2.840.10008.1.1"]
                .into_iter()
                .zip([1, 3])
                .map(|(class, id)| PresentationContextProposed {
                    id,
                    abstract_syntax: class.to_owned(),
                    transfer_syntaxes: vec![EXPLICIT.to_owned()],
                })
                .collect(),
            user_variables: vec![
                UserVariableItem::MaxLength(131_072),
                UserVariableItem::ImplementationClassUID("2.25.1".to_owned()),
            ],
        });
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, &request).unwrap();
        stream.write_all(&bytes).unwrap();
        let answer = read(&mut stream);
        let Some(Pdu::AssociationAC(answer)) = read_pdu(&answer[..], 1 << 20, false).unwrap()
        else {
            panic!("{called} does not accept");
        };
        let accepted = answer
            .presentation_contexts
            .iter()
            .all(|c| c.reason == PresentationContextResultReason::Acceptance);
        assert!(accepted, "{called} does not accept CT");
        let limit = answer.user_variables.iter().find_map(|item| match item {
            UserVariableItem::MaxLength(limit) if *limit > 0 => usize::try_from(*limit).ok(),
            _ => None,
        });
        Self { stream, pdu_bytes_max: limit.unwrap_or(131_072).min(262_144) }
    }

    /// A request for an object with `pixels` bytes of pixels in the study numbered `study`.
    pub(crate) fn prepare(&self, study: u64, pixels: usize) -> Store {
        let data = data_set(study, pixels);
        let uid = uid_of(0);
        let mut command = Vec::new();
        for (element, value) in [
            (0x0002_u16, padded(CT)),
            (0x0100, 1_u16.to_le_bytes().to_vec()),
            (0x0110, 1_u16.to_le_bytes().to_vec()),
            (0x0700, 0_u16.to_le_bytes().to_vec()),
            (0x0800, 1_u16.to_le_bytes().to_vec()),
            (0x1000, padded(&uid)),
        ] {
            command.extend_from_slice(&[0, 0]);
            command.extend_from_slice(&element.to_le_bytes());
            command.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
            command.extend_from_slice(&value);
        }
        let mut whole = vec![0, 0, 0, 0, 4, 0, 0, 0];
        whole.extend_from_slice(&u32::try_from(command.len()).unwrap().to_le_bytes());
        whole.extend_from_slice(&command);
        let mut bytes = Vec::new();
        fragments(&mut bytes, &whole, true, self.pdu_bytes_max);
        fragments(&mut bytes, &data, false, self.pdu_bytes_max);
        let needle = uid.as_bytes();
        let places: Vec<usize> = bytes
            .windows(needle.len())
            .enumerate()
            .filter(|(_, window)| *window == needle)
            .map(|(at, _)| at + needle.len() - DIGITS)
            .collect();
        assert_eq!(places.len(), 2, "command and data set name the instance");
        Store { bytes, places }
    }

    /// Sends one object and waits for success.
    pub(crate) fn store(&mut self, store: &mut Store, number: u64) {
        let digits = format!("{number:0DIGITS$}");
        for at in &store.places {
            store.bytes[*at..*at + DIGITS].copy_from_slice(digits.as_bytes());
        }
        self.stream.write_all(&store.bytes).unwrap();
        let status = status(&read(&mut self.stream));
        assert_eq!(status, 0, "status {status:04x}");
    }

    /// C-ECHO.
    pub(crate) fn echo(&mut self) {
        let mut whole = vec![0, 0, 0, 0, 4, 0, 0, 0];
        let mut command = Vec::new();
        for (element, value) in [
            (0x0002_u16, padded("1.2.840.10008.1.1")),
            (0x0100, 0x30_u16.to_le_bytes().to_vec()),
            (0x0110, 1_u16.to_le_bytes().to_vec()),
            (0x0800, 0x0101_u16.to_le_bytes().to_vec()),
        ] {
            command.extend_from_slice(&[0, 0]);
            command.extend_from_slice(&element.to_le_bytes());
            command.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
            command.extend_from_slice(&value);
        }
        whole.extend_from_slice(&u32::try_from(command.len()).unwrap().to_le_bytes());
        whole.extend_from_slice(&command);
        let mut bytes = Vec::new();
        fragments(&mut bytes, &whole, true, self.pdu_bytes_max);
        let context = bytes.len() - whole.len() - 2;
        bytes[context] = 3;
        self.stream.write_all(&bytes).unwrap();
        assert_eq!(status(&read(&mut self.stream)), 0);
    }

    pub(crate) fn release(mut self) {
        self.stream.write_all(&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0]).unwrap();
        let _ = read(&mut self.stream);
    }
}

/// A Part 10 file.
pub(crate) fn part10(study: u64, number: u64, pixels: usize) -> Vec<u8> {
    let mut data = data_set(study, pixels);
    let uid = uid_of(number);
    let old = uid_of(0);
    let at = data.windows(old.len()).position(|w| w == old.as_bytes()).unwrap();
    data[at..at + uid.len()].copy_from_slice(uid.as_bytes());
    let mut meta = Vec::new();
    meta.extend_from_slice(&[2, 0, 1, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 0, 1]);
    for (element, value) in [(0x0002, CT), (0x0003, &*uid), (0x0010, EXPLICIT), (0x0012, "2.25.1")]
    {
        put(&mut meta, (2, element), *b"UI", &padded(value));
    }
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    put(&mut file, (2, 0), *b"UL", &u32::try_from(meta.len()).unwrap().to_le_bytes());
    file.extend_from_slice(&meta);
    file.extend_from_slice(&data);
    file
}

fn read(stream: &mut TcpStream) -> Vec<u8> {
    // Otherwise a server that answers in two writes waits 40 ms for our acknowledgement.
    rustix::net::sockopt::set_tcp_quickack(&*stream, true).unwrap();
    let mut pdu = vec![0; 6];
    stream.read_exact(&mut pdu).unwrap();
    rustix::net::sockopt::set_tcp_quickack(&*stream, true).unwrap();
    let length = u32::from_be_bytes(pdu[2..6].try_into().unwrap());
    pdu.resize(6 + usize::try_from(length).unwrap(), 0);
    stream.read_exact(&mut pdu[6..]).unwrap();
    pdu
}

/// The status in a P-DATA that holds a response.
fn status(pdu: &[u8]) -> u16 {
    let needle = [0, 0, 0, 9, 2, 0, 0, 0];
    let at = pdu.windows(8).position(|w| w == needle).expect("a response has a status");
    u16::from_le_bytes([pdu[at + 8], pdu[at + 9]])
}

fn padded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

pub(crate) fn uid_of(number: u64) -> String {
    format!("1.2.826.0.1.3680043.10.1099.{}{number:0DIGITS$}", 7)
}

pub(crate) fn study_uid(study: u64) -> String {
    format!("1.2.826.0.1.3680043.10.1099.1.{study}")
}

pub(crate) fn series_uid(study: u64) -> String {
    format!("1.2.826.0.1.3680043.10.1099.2.{study}")
}

fn fragments(out: &mut Vec<u8>, data: &[u8], command: bool, pdu_bytes_max: usize) {
    let mut parts = data.chunks((pdu_bytes_max - 6) & !1).peekable();
    while let Some(part) = parts.next() {
        let last = u8::from(parts.peek().is_none());
        let pdv = u32::try_from(part.len() + 2).unwrap();
        out.extend_from_slice(&[4, 0]);
        out.extend_from_slice(&(pdv + 4).to_be_bytes());
        out.extend_from_slice(&pdv.to_be_bytes());
        out.extend_from_slice(&[1, u8::from(command) | (last << 1)]);
        out.extend_from_slice(part);
    }
}

/// A CT image, explicit VR little endian.
fn data_set(study: u64, pixels: usize) -> Vec<u8> {
    let side = u16::try_from((pixels / 2).isqrt()).unwrap();
    let mut out = Vec::with_capacity(pixels + 2048);
    let (study_uid, series_uid) = (study_uid(study), series_uid(study));
    let id = format!("P{study:08}");
    let name = format!("Zhang^San{study}");
    let text: [(u16, u16, [u8; 2], &str); 34] = [
        (0x0008, 0x0008, *b"CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        (0x0008, 0x0016, *b"UI", CT),
        (0x0008, 0x0018, *b"UI", &uid_of(0)),
        (0x0008, 0x0020, *b"DA", "20260315"),
        (0x0008, 0x0021, *b"DA", "20260315"),
        (0x0008, 0x0022, *b"DA", "20260315"),
        (0x0008, 0x0023, *b"DA", "20260315"),
        (0x0008, 0x0030, *b"TM", "101112"),
        (0x0008, 0x0031, *b"TM", "101200"),
        (0x0008, 0x0032, *b"TM", "101201"),
        (0x0008, 0x0033, *b"TM", "101202"),
        (0x0008, 0x0050, *b"SH", &id),
        (0x0008, 0x0060, *b"CS", "CT"),
        (0x0008, 0x0070, *b"LO", "ACME"),
        (0x0008, 0x0080, *b"LO", "County Hospital"),
        (0x0008, 0x0090, *b"PN", "Li^Si"),
        (0x0008, 0x1010, *b"SH", "CT01"),
        (0x0008, 0x1030, *b"LO", "CT HEAD PLAIN"),
        (0x0008, 0x103E, *b"LO", "HEAD 5MM"),
        (0x0010, 0x0010, *b"PN", &name),
        (0x0010, 0x0020, *b"LO", &id),
        (0x0010, 0x0030, *b"DA", "19600101"),
        (0x0010, 0x0040, *b"CS", "M"),
        (0x0018, 0x0015, *b"CS", "HEAD"),
        (0x0018, 0x0050, *b"DS", "5.0"),
        (0x0018, 0x0060, *b"DS", "120"),
        (0x0018, 0x1030, *b"LO", "HEAD ROUTINE"),
        (0x0020, 0x000D, *b"UI", &study_uid),
        (0x0020, 0x000E, *b"UI", &series_uid),
        (0x0020, 0x0010, *b"SH", "1"),
        (0x0020, 0x0011, *b"IS", "2"),
        (0x0020, 0x0013, *b"IS", "17"),
        (0x0020, 0x0032, *b"DS", "-120.0\\-120.0\\35.0"),
        (0x0028, 0x0004, *b"CS", "MONOCHROME2"),
    ];
    for (group, element, vr, value) in text {
        let mut value = value.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == *b"UI" { 0 } else { b' ' });
        }
        put(&mut out, (group, element), vr, &value);
    }
    // Sorted: (0028,0004) was the last of the text.
    let photometric = out.split_off(out.len() - 8 - 12);
    put(&mut out, (0x0028, 0x0002), *b"US", &1_u16.to_le_bytes());
    out.extend_from_slice(&photometric);
    for (element, value) in
        [(0x0010, side), (0x0011, side), (0x0100, 16), (0x0101, 12), (0x0102, 11), (0x0103, 0)]
    {
        put(&mut out, (0x0028, element), *b"US", &value.to_le_bytes());
    }
    out.extend_from_slice(&[0xE0, 0x7F, 0x10, 0, b'O', b'W', 0, 0]);
    out.extend_from_slice(&u32::try_from(pixels).unwrap().to_le_bytes());
    let mut state = 0x9E37_79B9_u32 ^ u32::try_from(study & 0xFFFF).unwrap();
    out.extend((0..pixels).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    }));
    out
}

fn put(out: &mut Vec<u8>, (group, element): (u16, u16), vr: [u8; 2], value: &[u8]) {
    out.extend_from_slice(&group.to_le_bytes());
    out.extend_from_slice(&element.to_le_bytes());
    out.extend_from_slice(&vr);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
    out.extend_from_slice(value);
}
