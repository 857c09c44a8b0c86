//! Signing heads with the node's Ed25519 key, and checking signatures.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::ports::Signer;
use crate::app::error::Cause;
use crate::sharing::audit::{Anchor, Mark};

/// Bytes of the seed that a key is made of.
pub const SEED_BYTES: usize = 32;

/// A node's key.
pub struct NodeKey(Ed25519KeyPair);

/// The key is a secret.
impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

impl NodeKey {
    /// Of the first 32 bytes of `seed`, which must have as many.
    pub fn new(seed: &[u8]) -> Result<Self, Cause> {
        let seed = seed.get(..SEED_BYTES).ok_or("the key of the audit trail needs 32 bytes")?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|e| e.to_string())?;
        Ok(Self(pair))
    }

    /// The public key, 32 bytes.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }
}

impl Signer for NodeKey {
    fn sign(&self, mark: Mark) -> Anchor {
        let signature = self.0.sign(&mark.encode()).as_ref().to_vec();
        Anchor { mark, key: self.public(), signature }
    }
}

/// Whether the signature is of the mark and the key that the anchor names.
pub fn is_signed(anchor: &Anchor) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, &anchor.key);
    key.verify(&anchor.mark.encode(), &anchor.signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::audit::Head;

    #[test]
    fn a_signature_is_of_one_mark_and_one_key() {
        let head = Head { number: 7, sha256: [1; 32], sm3: [2; 32] };
        let mark = Mark { node: "村甲".to_owned(), chain: "c".to_owned(), head, at_ms: 5 };
        let key = NodeKey::new(&[3; 32]).unwrap();
        let anchor = key.sign(mark.clone());
        assert!(is_signed(&anchor));
        assert_eq!((anchor.key.len(), anchor.signature.len()), (32, 64));
        let mut other = anchor.clone();
        other.mark.head.number = 8;
        assert!(!is_signed(&other));
        let foreign = Anchor { key: NodeKey::new(&[4; 32]).unwrap().public(), ..anchor };
        assert!(!is_signed(&foreign));
        assert!(NodeKey::new(&[3; 31]).is_err());
        assert_eq!(format!("{key:?}"), "NodeKey(..)");
    }
}
