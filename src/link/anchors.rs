//! Signed heads of audit trails in the words of the link.

use super::pb;
use crate::app::audit::ports::Taken;
use crate::app::error::Error;
use crate::sharing::audit::{Anchor, Head, Mark};

impl From<Anchor> for pb::AnchorTrailRequest {
    fn from(Anchor { mark, key, signature }: Anchor) -> Self {
        Self {
            node: mark.node,
            chain: mark.chain,
            number: mark.head.number,
            sha256: mark.head.sha256.to_vec().into(),
            sm3: mark.head.sm3.to_vec().into(),
            at_ms: mark.at_ms,
            key: key.into(),
            signature: signature.into(),
        }
    }
}

impl TryFrom<pb::AnchorTrailRequest> for Anchor {
    type Error = Error;
    fn try_from(said: pb::AnchorTrailRequest) -> Result<Self, Error> {
        let digest = |field: &str, bytes: &[u8]| {
            bytes.try_into().map_err(|_| Error::field(field, "must have 32 bytes"))
        };
        if said.key.len() != 32 {
            return Err(Error::field("anchor.key", "must have 32 bytes"));
        }
        let head = Head {
            number: said.number,
            sha256: digest("anchor.sha256", &said.sha256)?,
            sm3: digest("anchor.sm3", &said.sm3)?,
        };
        let mark = Mark { node: said.node, chain: said.chain, head, at_ms: said.at_ms };
        Ok(Self { mark, key: said.key.to_vec(), signature: said.signature.to_vec() })
    }
}

impl From<Taken> for pb::AnchorTrailResponse {
    fn from(taken: Taken) -> Self {
        let standing = match taken {
            Taken::Fits => pb::AnchorStanding::Fits,
            Taken::Other => pb::AnchorStanding::OtherChain,
            Taken::Lower => pb::AnchorStanding::Lower,
            Taken::Differs => pb::AnchorStanding::Differs,
        };
        Self { standing: standing.into() }
    }
}
