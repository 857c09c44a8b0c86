//! Credentials and how long they are good.

use std::path::Path;

use super::Finding;
use crate::app::access::Caller;
use crate::app::chain;
use crate::app::nodes::certificate::read;
use crate::app::nodes::{ENDING_MS, days};
use crate::app::ports::Clock as _;
use crate::config::{Config, NodeRole};
use crate::node::enrolment::Files;
use crate::node::{self, DATABASE, SystemClock};
use crate::tls;

const CREDENTIALS: &str = "credentials";
const CERTIFICATES: &str = "certificates";
const ACCOUNTS: &str = "accounts";
/// An account that nobody signed in with for so long.
const UNUSED_MS: i64 = 90 * 24 * 3_600 * 1000;
/// An authority that ends within so many days is to be replaced.
const AUTHORITY_DAYS: i64 = 365;

/// What the configuration says of who may come in.
pub(super) fn credentials(config: &Config) -> Vec<Finding> {
    let mut all = Vec::new();
    if config.auth.nobody() {
        all.push(Finding::weak(
            CREDENTIALS,
            "auth",
            (
                "there are no credentials: every process on this machine may do everything",
                "add [auth.accounts], [auth.oidc] or [[auth.tokens]]",
            ),
        ));
    }
    for token in &config.auth.tokens {
        let subject = format!("auth.tokens {} ({})", token.name, token.role.name());
        all.push(Finding::weak(
            CREDENTIALS,
            subject,
            (
                "a token has no end, and nobody knows how old it is",
                "use it for software only, make another every year, and let people sign in by \
                 [auth.oidc] or [auth.accounts]",
            ),
        ));
    }
    if let Some(oidc) = &config.auth.oidc {
        let subject = format!("auth.oidc {}", oidc.issuer);
        let means = format!("tokens that end within {} minutes", oidc.lifetime_max_s / 60);
        all.push(Finding::ok(CREDENTIALS, subject, means));
    }
    for member in &config.link.nodes {
        let subject = format!("link.nodes {}", member.name);
        if member.token_sha256.is_some() {
            all.push(Finding::weak(
                CREDENTIALS,
                subject,
                (
                    "the node may come in by a token, which has no end and is taken back only with a \
                     restart",
                    "set link.ca, enrol the node (`xiangyi admin enrol-code`), and take token_sha256 out",
                ),
            ));
        } else if member.certificate_sha256.is_some() {
            all.push(Finding::weak(
                CREDENTIALS,
                subject,
                (
                    "the node is known by the digest of a certificate, which is taken back only with a \
                     restart",
                    "set link.ca, enrol the node, and take certificate_sha256 out",
                ),
            ));
        }
    }
    if let Some(path) = &config.link.token_file {
        all.push(Finding::weak(
            CREDENTIALS,
            format!("link.token_file {}", path.display()),
            (
                "the node shows a token to its hub, which has no end",
                "enrol the node (`xiangyi admin enrol`) and take link.token_file out",
            ),
        ));
    }
    all
}

/// Certificates that the node shows, or trusts, and until when they are good.
pub(in crate::node) fn certificates(config: &Config) -> Vec<Finding> {
    let named = [
        ("server.tls_cert", &config.server.tls_cert),
        ("server.tls_client_ca", &config.server.tls_client_ca),
        ("web.tls_cert", &config.web.tls_cert),
        ("web.tls_client_ca", &config.web.tls_client_ca),
        ("fhir.tls_cert", &config.fhir.tls_cert),
        ("fhir.tls_client_ca", &config.fhir.tls_client_ca),
        ("dicom.tls_cert", &config.dicom.tls_cert),
        ("dicom.tls_client_ca", &config.dicom.tls_client_ca),
        ("dicom.tls_ca", &config.dicom.tls_ca),
        ("link.tls_cert", &config.link.tls_cert),
        ("link.tls_ca", &config.link.tls_ca),
    ];
    let mut all: Vec<_> =
        named.into_iter().filter_map(|(key, path)| Some(file(key, path.as_deref()?))).collect();
    if config.link.is_enrolled() {
        all.push(enrolled(config));
    }
    all
}

fn file(key: &str, path: &Path) -> Finding {
    let subject = format!("{key} {}", path.display());
    let read_all = std::fs::read(path)
        .map_err(|e| e.to_string())
        .and_then(|pem| tls::certificates(&pem).map_err(|e| e.to_string()));
    let ends = match read_all {
        Ok(list) => list.iter().filter_map(|one| Some(read(one).ok()?.until_ms)).min(),
        Err(error) => {
            let said = (format!("cannot be read: {error}"), "name a PEM file with certificates");
            return Finding::bad(CERTIFICATES, subject, said);
        }
    };
    ending(subject, ends, "put a new certificate there and start the node again")
}

fn ending(subject: String, ends: Option<i64>, remedy: &str) -> Finding {
    let Some(until_ms) = ends else {
        let said = ("until when it is good cannot be read", "look at it with openssl x509");
        return Finding::weak(CERTIFICATES, subject, said);
    };
    let left_ms = until_ms - SystemClock.now_ms();
    let left = days(left_ms);
    if left_ms <= 0 {
        Finding::bad(CERTIFICATES, subject, (format!("ended {} days ago", -left), remedy))
    } else if left_ms < ENDING_MS {
        Finding::weak(CERTIFICATES, subject, (format!("ends in {left} days"), remedy))
    } else {
        Finding::ok(CERTIFICATES, subject, format!("good for {left} days"))
    }
}

fn enrolled(config: &Config) -> Finding {
    let files = Files::of(config);
    let subject = files.identity().display().to_string();
    match files.held() {
        Ok(Some(held)) => {
            let remedy =
                "the running node renews it; if it has not, look at its log, or enrol again";
            ending(subject, Some(held.certificate.until_ms), remedy)
        }
        Ok(None) => Finding::weak(
            CERTIFICATES,
            subject,
            (
                "the node has not enrolled: the hub does not know it",
                "have a code made at the hub and run `xiangyi admin enrol`",
            ),
        ),
        Err(error) => {
            let said = (chain(error.as_ref()), "mend the file, or enrol again");
            Finding::bad(CERTIFICATES, subject, said)
        }
    }
}

/// At the hub: its authority. Makes none.
pub(in crate::node) fn authority(config: &Config) -> Vec<Finding> {
    let (Some(ca), NodeRole::Hub) = (&config.link.ca, config.node.role) else { return Vec::new() };
    let path = node::nodes::authority_path(config, ca);
    let subject = format!("authority {}", path.display());
    if !path.try_exists().unwrap_or(false) {
        let said =
            ("the hub has no authority yet", "run `xiangyi admin ca init`, or start the hub");
        return vec![Finding::weak(CERTIFICATES, subject, said)];
    }
    vec![match node::nodes::authority(config, ca) {
        Ok(authority) => {
            let left = days(authority.until_ms() - SystemClock.now_ms());
            if left < AUTHORITY_DAYS {
                let means = format!("ends in {left} days, and every node's certificate with it");
                let remedy = "make another authority and enrol the nodes anew";
                Finding::weak(CERTIFICATES, subject, (means, remedy))
            } else {
                Finding::ok(CERTIFICATES, subject, format!("good for {left} days"))
            }
        }
        Err(error) => Finding::bad(CERTIFICATES, subject, (chain(&error), "mend the file")),
    }]
}

/// At the hub: its authority, and the certificates of nodes.
pub(super) async fn at_hub(config: &Config) -> Vec<Finding> {
    let mut all = authority(config);
    // Without an authority that reads no certificate can be told from another.
    let reads = |finding: &Finding| finding.means.contains(" days");
    if !all.iter().any(reads) {
        return all;
    }
    let nodes = match Box::pin(node::nodes::beside(config)).await {
        Ok(nodes) => nodes.list(&Caller::local("command line")).await.map_err(|e| chain(&e)),
        Err(error) => Err(chain(&error)),
    };
    match nodes {
        Err(error) => {
            let means = format!("which nodes have certificates cannot be looked at: {error}");
            all.push(Finding::weak(
                CERTIFICATES,
                "nodes",
                (means, "run this where the database answers"),
            ));
        }
        Ok((certificates, _)) => {
            let now_ms = SystemClock.now_ms();
            for member in &config.link.nodes {
                let own = certificates.iter().filter(|c| c.node == member.name);
                let good = own.filter(|c| c.revoked.is_none() && c.until_ms > now_ms);
                let Some(until_ms) = good.map(|c| c.until_ms).max() else { continue };
                let remedy = "the node has not renewed it: look whether it runs and is linked";
                all.push(ending(format!("node {}", member.name), Some(until_ms), remedy));
            }
        }
    }
    all
}

/// Accounts of the node.
pub(super) async fn accounts(config: &Config) -> Vec<Finding> {
    let has_store = config.store.dir.join(DATABASE).try_exists().unwrap_or(false);
    if config.auth.accounts.is_none() || !has_store {
        return Vec::new();
    }
    let listed = match node::accounts::beside(config).await {
        Ok(accounts) => accounts.list(&Caller::local("command line")).await.map_err(|e| chain(&e)),
        Err(error) => Err(chain(&error)),
    };
    let lines = match listed {
        Ok(lines) => lines,
        Err(error) => {
            let said = (format!("cannot be looked at: {error}"), "run this as the node's user");
            return vec![Finding::weak(ACCOUNTS, "accounts", said)];
        }
    };
    if lines.is_empty() {
        let means = "nobody has an account: whoever reads the setup code makes the first";
        let remedy = "add an administrator with `xiangyi admin account add`";
        return vec![Finding::weak(ACCOUNTS, "accounts", (means, remedy))];
    }
    let now_ms = SystemClock.now_ms();
    let mut all = Vec::new();
    for line in lines.iter().filter(|line| !line.disabled) {
        let last = line.signed_in_ms.unwrap_or(line.created_ms);
        if now_ms.saturating_sub(last) > UNUSED_MS {
            let means = format!("nobody signed in for {} days", days(now_ms - last));
            let remedy = format!("xiangyi admin account disable --name {}", line.name);
            all.push(Finding::weak(ACCOUNTS, line.name.clone(), (means, remedy)));
        }
    }
    let open = lines.iter().filter(|line| !line.disabled).count();
    let means = format!("{open} may sign in, {} are disabled", lines.len() - open);
    all.push(Finding::ok(ACCOUNTS, "accounts", means));
    all
}
