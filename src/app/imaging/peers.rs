//! DICOM application entities: who may connect, from where, for what.
//!
//! An AE title is no proof of identity. Where a peer can use TLS, its certificate is asked for;
//! where it cannot (old modalities), its address is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::app::access::{Caller, Role};
use crate::sharing::imaging::charset::Encoding;

/// Services of the node that a peer may be allowed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// C-ECHO.
    Echo,
    /// C-STORE to the node, and storage commitment for it.
    Store,
    /// C-FIND over studies.
    Find,
    /// C-MOVE and C-GET.
    Retrieve,
    /// Modality worklist.
    Worklist,
    /// Modality performed procedure step.
    Mpps,
}

/// A set of [`Service`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Services(u8);

/// A DICOM application entity that the node knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// AE title.
    pub ae_title: String,
    /// Host name or address and port where it listens; none: it only calls.
    pub address: Option<String>,
    /// Addresses it may call from; empty: any.
    pub hosts: Vec<IpAddr>,
    /// Whether the node dials it over TLS and takes its calls over TLS only.
    pub tls: bool,
    /// One of which its certificate has; empty: any that the authority signed.
    pub certificates: Vec<Mark>,
    /// What it may ask.
    pub services: Services,
    /// Character set of answers to it.
    pub character_set: Encoding,
}

/// By what a certificate is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// SHA-256 of the whole certificate (DER).
    Sha256([u8; 32]),
    /// A name or address that it is for, in small letters.
    Name(String),
}

/// What a call shows of who it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Nothing: no TLS.
    Plain,
    /// Nothing: TLS without a certificate of the caller.
    Tls,
    /// A certificate that an authority of the node's signed, by all that it is known by.
    Certificate(Vec<Mark>),
}

impl Shown {
    fn has(&self, mark: &Mark) -> bool {
        match self {
            Self::Plain | Self::Tls => false,
            Self::Certificate(marks) => marks.contains(mark),
        }
    }
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The AE title called is none of ours.
    CalledTitle,
    /// The AE title that calls is not in the table.
    CallingTitle,
    /// It is in the table and calls from elsewhere.
    Address,
    /// It is in the table as one that uses TLS, and calls without.
    NeedsTls,
    /// It shows no certificate, or that of somebody else.
    Certificate,
}

/// The table of application entities.
#[derive(Debug, Clone)]
pub struct Peers {
    titles: Vec<String>,
    table: BTreeMap<String, Peer>,
    /// What callers that are not in the table may do; none: nothing, they are refused.
    others: Option<Services>,
}

impl Services {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// All of them.
    pub fn all() -> Self {
        [
            Service::Echo,
            Service::Store,
            Service::Find,
            Service::Retrieve,
            Service::Worklist,
            Service::Mpps,
        ]
        .into_iter()
        .collect()
    }

    /// Whether `service` is in the set.
    pub fn has(self, service: Service) -> bool {
        self.0 & service.bit() != 0
    }
}

impl Service {
    fn bit(self) -> u8 {
        match self {
            Self::Echo => 1,
            Self::Store => 2,
            Self::Find => 4,
            Self::Retrieve => 8,
            Self::Worklist => 16,
            Self::Mpps => 32,
        }
    }
}

impl FromIterator<Service> for Services {
    fn from_iter<I: IntoIterator<Item = Service>>(services: I) -> Self {
        Self(services.into_iter().fold(0, |set, service| set | service.bit()))
    }
}

impl Peer {
    /// The peer as a caller of use cases.
    pub fn caller(&self) -> Caller {
        Caller::system(format!("dicom:{}", self.ae_title), Role::DicomPeer)
    }
}

impl Peers {
    /// A table for a node that is called by `titles`. `others`: what callers may do that are not in
    /// `table`.
    pub fn new(titles: Vec<String>, table: Vec<Peer>, others: Option<Services>) -> Self {
        let table = table.into_iter().map(|peer| (peer.ae_title.clone(), peer)).collect();
        Self { titles, table, others }
    }

    /// The AE title the node calls itself by.
    pub fn own_title(&self) -> &str {
        self.titles.first().map_or("XIANGYI", String::as_str)
    }

    /// Decides whether `calling` may call `called` from `from`.
    pub fn admit(
        &self,
        calling: &str,
        called: &str,
        from: IpAddr,
        shown: &Shown,
    ) -> Result<Peer, Refusal> {
        if !self.titles.iter().any(|title| title == called) {
            return Err(Refusal::CalledTitle);
        }
        match self.table.get(calling) {
            Some(peer) if !peer.hosts.is_empty() && !peer.hosts.contains(&from.to_canonical()) => {
                Err(Refusal::Address)
            }
            Some(peer) if peer.tls && *shown == Shown::Plain => Err(Refusal::NeedsTls),
            Some(Peer { certificates, .. })
                if !certificates.is_empty() && !certificates.iter().any(|one| shown.has(one)) =>
            {
                Err(Refusal::Certificate)
            }
            Some(peer) => Ok(peer.clone()),
            None => self.others.map_or(Err(Refusal::CallingTitle), |services| {
                Ok(Peer {
                    ae_title: calling.to_owned(),
                    address: None,
                    hosts: Vec::new(),
                    tls: false,
                    certificates: Vec::new(),
                    services,
                    character_set: Encoding::Utf8,
                })
            }),
        }
    }

    /// The peer with this AE title, as a place to send to.
    pub fn destination(&self, ae_title: &str) -> Option<&Peer> {
        self.table.get(ae_title).filter(|peer| peer.address.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

    fn table(others: Option<Services>) -> Peers {
        let peer = |title: &str, hosts: Vec<IpAddr>, tls| Peer {
            ae_title: title.to_owned(),
            address: Some("10.0.0.9:104".to_owned()),
            hosts,
            tls,
            certificates: Vec::new(),
            services: [Service::Echo, Service::Store].into_iter().collect(),
            character_set: Encoding::Gb18030,
        };
        let peers = vec![peer("CT01", vec![THERE], false), peer("PACS", Vec::new(), true)];
        Peers::new(vec!["XIANGYI".to_owned(), "ALIAS".to_owned()], peers, others)
    }

    #[test]
    fn a_peer_is_admitted_by_title_address_and_tls() {
        let peers = table(None);
        let ct = peers.admit("CT01", "ALIAS", THERE, &Shown::Plain).unwrap();
        assert!(ct.services.has(Service::Store) && !ct.services.has(Service::Find));
        let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped());
        assert!(peers.admit("CT01", "XIANGYI", mapped, &Shown::Plain).is_ok());
        assert_eq!(peers.admit("CT01", "OTHER", THERE, &Shown::Plain), Err(Refusal::CalledTitle));
        assert_eq!(peers.admit("CT01", "XIANGYI", HERE, &Shown::Plain), Err(Refusal::Address));
        assert_eq!(peers.admit("PACS", "XIANGYI", HERE, &Shown::Plain), Err(Refusal::NeedsTls));
        assert!(peers.admit("PACS", "XIANGYI", HERE, &Shown::Tls).is_ok());
        assert_eq!(peers.admit("WHO", "XIANGYI", HERE, &Shown::Tls), Err(Refusal::CallingTitle));
        assert_eq!(
            peers.admit("ct01", "XIANGYI", THERE, &Shown::Plain),
            Err(Refusal::CallingTitle)
        );
    }

    #[test]
    fn a_peer_with_a_certificate_of_its_own_is_not_another_with_one() {
        let name = |name: &str| Mark::Name(name.to_owned());
        let mut peers = table(Some(Services::all()));
        let pacs = peers.table.get_mut("PACS").unwrap();
        pacs.certificates = vec![name("pacs.county.example"), Mark::Sha256([7; 32])];
        let call = |shown: Shown| peers.admit("PACS", "XIANGYI", HERE, &shown).map(|_| ());
        let shows = |marks: &[Mark]| Shown::Certificate(marks.to_vec());
        assert_eq!(call(shows(&[Mark::Sha256([1; 32]), name("pacs.county.example")])), Ok(()));
        assert_eq!(call(shows(&[Mark::Sha256([7; 32])])), Ok(()));
        for other in [
            shows(&[Mark::Sha256([1; 32]), name("ct01.county.example")]),
            shows(&[name("pacs.county.example.evil")]),
            shows(&[]),
            Shown::Tls,
        ] {
            assert_eq!(call(other), Err(Refusal::Certificate));
        }
        assert_eq!(call(Shown::Plain), Err(Refusal::NeedsTls));
    }

    #[test]
    fn strangers_get_what_is_set_for_them_and_are_no_destination() {
        let peers = table(Some([Service::Echo].into_iter().collect()));
        let stranger = peers.admit("WHO", "XIANGYI", HERE, &Shown::Plain).unwrap();
        assert!(stranger.services.has(Service::Echo) && !stranger.services.has(Service::Store));
        assert!(peers.destination("WHO").is_none());
        assert!(peers.destination("CT01").is_some());
    }
}
