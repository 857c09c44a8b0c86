//! Heads of chains that were signed, as they are kept where the writer of the chain cannot change them.

use std::fmt::Write as _;

use super::{DIGEST_BYTES, Head, text};

/// What the signed bytes begin with.
const DOMAIN: &str = "xiangyi audit head 1";

/// What is signed: that a chain had come to this head at this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Name of the node.
    pub node: String,
    /// Id of the chain.
    pub chain: String,
    /// Where it had come to.
    pub head: Head,
    /// When, in milliseconds since 1970, by the node's clock.
    pub at_ms: i64,
}

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What was signed.
    pub mark: Mark,
    /// Ed25519 public key, 32 bytes.
    pub key: Vec<u8>,
    /// Ed25519 signature, 64 bytes.
    pub signature: Vec<u8>,
}

impl Mark {
    /// The bytes that are signed: a domain, node and chain, each with its length in front, the number,
    /// both digests and the time, numbers in 8 bytes, big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        for part in [DOMAIN, &self.node, &self.chain] {
            text(&mut bytes, part);
        }
        bytes.extend_from_slice(&self.head.number.to_be_bytes());
        bytes.extend_from_slice(&self.head.sha256);
        bytes.extend_from_slice(&self.head.sm3);
        bytes.extend_from_slice(&self.at_ms.to_be_bytes());
        bytes
    }
}

/// Small hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A digest of 64 hex digits.
pub fn digest(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    bytes(text)?.try_into().ok()
}

/// Bytes of an even number of hex digits.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|p| !p.starts_with('+'))?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}
