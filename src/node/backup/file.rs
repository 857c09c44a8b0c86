//! The bytes of a backup: a header, and then a stream in sealed chunks.
//!
//! | bytes | header |
//! | --- | --- |
//! | 8 | `XiangyiB` |
//! | 1 | format version, 1 |
//! | 1 | cipher: 1 AES-256-GCM, 2 SM4-GCM |
//! | 8 | name of the master key |
//! | 32 | salt |
//! | 2 | bytes of the wrapped key, little-endian |
//! | … | the key of this backup, wrapped by the master key |
//!
//! The key that seals is made of the key of the backup, the salt, and the whole header, so that nothing of
//! the header can be altered. Chunks follow as in `sharing/sealing/chunks.rs`.

use std::io::{self, Read, Write};

use crate::sharing::sealing::chunks::{SEALED_CHUNK, Sealing, Unsealing};
use crate::sharing::sealing::cipher::{Cipher, Sealer};
use crate::sharing::sealing::keyring::Master;
use crate::sharing::sealing::{Fault, KEY_ID_BYTES, KeyId, Random, SECRET_BYTES, Secret};

const MAGIC: [u8; 8] = *b"XiangyiB";
const VERSION: u8 = 1;
/// Bytes of a wrapped key at most.
const WRAPPED_BYTES_MAX: usize = 1024;
/// Bytes of the header before the wrapped key.
const FIXED_BYTES: usize = 8 + 1 + 1 + KEY_ID_BYTES + SECRET_BYTES + 2;
/// What keys of backups are made for.
const LABEL: &[u8] = b"xiangyi backup 1";

/// What is wrong with a header.
#[derive(Debug)]
pub enum HeaderError {
    /// The system refuses.
    Io(io::Error),
    /// It is none.
    Foreign,
    /// It does not open.
    Fault(Fault),
}

/// Writes a sealed stream.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    sealing: Sealing,
    sealed: Vec<u8>,
}

/// Reads one.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    unsealing: Unsealing,
    /// The next chunk, read ahead: whether it is the last has to be known.
    ahead: Vec<u8>,
    opened: Vec<u8>,
    at: usize,
    done: bool,
}

/// Which master key a backup needs, and the rest of its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    cipher: Cipher,
    /// Name of the master key.
    pub master: KeyId,
    salt: [u8; SECRET_BYTES],
    wrapped: Vec<u8>,
}

impl Header {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let cipher = match self.cipher {
            Cipher::Aes256Gcm => 1,
            Cipher::Sm4Gcm => 2,
        };
        let length = u16::try_from(self.wrapped.len()).unwrap_or(u16::MAX).to_le_bytes();
        [&MAGIC[..], &[VERSION, cipher], &self.master.0, &self.salt, &length, &self.wrapped]
            .concat()
    }

    /// What begins with these bytes, and how many of them it is.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (fixed, rest) = bytes.split_at_checked(FIXED_BYTES)?;
        let rest_of = fixed.strip_prefix(&MAGIC)?;
        let ([version, cipher], rest_of) = rest_of.split_first_chunk::<2>()?;
        let (master, rest_of) = rest_of.split_first_chunk::<KEY_ID_BYTES>()?;
        let (salt, rest_of) = rest_of.split_first_chunk::<SECRET_BYTES>()?;
        let length = usize::from(u16::from_le_bytes(rest_of.try_into().ok()?));
        let cipher = match cipher {
            1 => Cipher::Aes256Gcm,
            2 => Cipher::Sm4Gcm,
            _ => return None,
        };
        if *version != VERSION || length > WRAPPED_BYTES_MAX {
            return None;
        }
        let wrapped = rest.get(..length)?.to_vec();
        let header = Self { cipher, master: KeyId(*master), salt: *salt, wrapped };
        Some((header, FIXED_BYTES.saturating_add(length)))
    }

    fn sealer(&self, secret: &Secret) -> Result<Sealer, Fault> {
        Sealer::new(self.cipher, secret.expose(), &self.salt, &[LABEL, &self.encode()])
    }
}

impl<W: Write> Writer<W> {
    /// Begins a stream that `master` opens.
    pub fn begin(
        mut out: W,
        (cipher, master): (Cipher, &dyn Master),
        random: Random<'_>,
    ) -> Result<Self, HeaderError> {
        let secret = Secret::random(random).map_err(HeaderError::Fault)?;
        let mut salt = [0; SECRET_BYTES];
        random(&mut salt).map_err(HeaderError::Fault)?;
        let wrapped = master.wrap(secret.expose(), random).map_err(HeaderError::Fault)?;
        let header = Header { cipher, master: master.id(), salt, wrapped };
        out.write_all(&header.encode()).map_err(HeaderError::Io)?;
        let sealer = header.sealer(&secret).map_err(HeaderError::Fault)?;
        Ok(Self { out, sealing: Sealing::new(sealer), sealed: Vec::new() })
    }

    /// Seals the last chunk: without it the stream counts as cut.
    pub fn finish(mut self) -> io::Result<W> {
        let mut last = std::mem::take(&mut self.sealed);
        self.sealing.finish(&mut last).map_err(io::Error::other)?;
        self.out.write_all(&last)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sealing.push(bytes, &mut self.sealed).map_err(io::Error::other)?;
        self.out.write_all(&self.sealed)?;
        self.sealed.clear();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<R: Read> Reader<R> {
    /// Opens a stream with whichever of `masters` it needs.
    pub fn open(mut from: R, masters: &[&dyn Master]) -> Result<Self, HeaderError> {
        let mut bytes = Vec::new();
        let mut take = |most: usize, bytes: &mut Vec<u8>| {
            let limit = u64::try_from(most).unwrap_or(u64::MAX);
            (&mut from).take(limit).read_to_end(bytes).map_err(HeaderError::Io)
        };
        take(FIXED_BYTES, &mut bytes)?;
        let wrapped = bytes.last_chunk::<2>().map(|length| u16::from_le_bytes(*length));
        let wrapped = wrapped.map_or(0, usize::from);
        if bytes.starts_with(&MAGIC) && wrapped <= WRAPPED_BYTES_MAX {
            take(wrapped, &mut bytes)?;
        }
        let (header, _) = Header::decode(&bytes).ok_or(HeaderError::Foreign)?;
        let Some(master) = masters.iter().find(|master| master.id() == header.master) else {
            let given: Vec<_> = masters.iter().map(|master| master.id().to_string()).collect();
            return Err(HeaderError::Fault(Fault::Master {
                needs: header.master.to_string(),
                given: given.join(" or "),
            }));
        };
        let secret = master.unwrap(&header.wrapped).map_err(HeaderError::Fault)?;
        let sealer = header.sealer(&secret).map_err(HeaderError::Fault)?;
        let mut reader = Self {
            from,
            unsealing: Unsealing::new(sealer),
            ahead: Vec::new(),
            opened: Vec::new(),
            at: 0,
            done: false,
        };
        reader.ahead = reader.chunk().map_err(HeaderError::Io)?;
        Ok(reader)
    }

    fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = Vec::new();
        (&mut self.from).take(SEALED_CHUNK).read_to_end(&mut chunk)?;
        Ok(chunk)
    }

    /// Opens what is left, all of which must be good; answers how many bytes it was.
    pub fn drain(&mut self) -> io::Result<u64> {
        io::copy(self, &mut io::sink())
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.opened.len() && !self.done {
            let next = self.chunk()?;
            let mut chunk = std::mem::replace(&mut self.ahead, next);
            self.done = self.ahead.is_empty();
            let altered = |fault: Fault| io::Error::new(io::ErrorKind::InvalidData, fault);
            self.unsealing.next(&mut chunk, self.done).map_err(altered)?;
            (self.opened, self.at) = (chunk, 0);
        }
        let rest = self.opened.get(self.at..).unwrap_or_default();
        let now = rest.len().min(out.len());
        if let (Some(out), Some(rest)) = (out.get_mut(..now), rest.get(..now)) {
            out.copy_from_slice(rest);
        }
        self.at = self.at.saturating_add(now);
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sharing::sealing::keyring::KnownMaster;

    fn random(bytes: &mut [u8]) -> Result<(), Fault> {
        getrandom::fill(bytes).map_err(|_| Fault::Random)
    }

    fn master(byte: u8) -> KnownMaster {
        KnownMaster::new(Cipher::Aes256Gcm, Secret::new(vec![byte; 32])).unwrap()
    }

    fn written(cipher: Cipher, body: &[u8], part: usize) -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new(), (cipher, &master(1)), &random).unwrap();
        for part in body.chunks(part) {
            writer.write_all(part).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Option<Vec<u8>> {
        let master = master(1);
        let mut out = Vec::new();
        Reader::open(bytes, &[&master]).ok()?.read_to_end(&mut out).ok()?;
        Some(out)
    }

    #[test]
    fn a_stream_comes_back_with_its_master_and_no_other() {
        for cipher in [Cipher::Aes256Gcm, Cipher::Sm4Gcm] {
            for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
                let body: Vec<u8> = (0..length).map(|i| u8::try_from(i % 250).unwrap()).collect();
                let bytes = written(cipher, &body, 5_000);
                assert_eq!(read(&bytes).unwrap(), body);
                let other = master(2);
                let Err(HeaderError::Fault(Fault::Master { needs, .. })) =
                    Reader::open(&bytes[..], &[&other])
                else {
                    panic!("another master key was taken")
                };
                assert_eq!(needs, master(1).id().to_string());
            }
        }
        assert!(matches!(Reader::open(&b"no backup"[..], &[]), Err(HeaderError::Foreign)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_was_altered_cut_or_lengthened_is_not_read(
            length in 0_usize..150_000, at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let bytes = written(Cipher::Aes256Gcm, &vec![7; length], 10_000);
            prop_assert!(read(&bytes).is_some());
            let mut altered = bytes.clone();
            let at = at.index(bytes.len());
            altered[at] ^= 1 << bit;
            prop_assert!(read(&altered).is_none(), "byte {at}");
            prop_assert!(read(&bytes[..at]).is_none(), "cut at {at}");
            prop_assert!(read(&[&bytes[..], &[0]].concat()).is_none());
        }

        #[test]
        fn any_bytes_are_a_header_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((header, length)) = Header::decode(&bytes) {
                prop_assert_eq!(header.encode(), &bytes[..length]);
            }
            prop_assert!(read(&bytes).is_none());
        }
    }
}
