//! Key sets and tokens on any bytes: no panic, and no token is taken, because nothing here was ever
//! signed. The bytes up to the first zero are a key set; what follows is a token, once as it is and once
//! as header and claims with a signature that is right in form.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use xiangyi::app::access::Role;
use xiangyi::app::identity::keys::{Algorithm, KeySet};
use xiangyi::app::identity::oidc::Rules;

/// Public keys of RFC 8037 (A.2) and RFC 7515 (A.3), whose private keys sign nothing here.
const KEYS: &[u8] = br#"{"keys":[
{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
{"kty":"EC","crv":"P-256","kid":"b","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

struct Fixed {
    rules: Rules,
    keys: KeySet,
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| Fixed {
        rules: Rules {
            issuer: "i".to_owned(),
            audiences: vec!["a".to_owned()],
            algorithms: vec![Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256],
            leeway: Duration::from_secs(60),
            lifetime_max: Duration::from_secs(3600),
            name_claim: "sub".to_owned(),
            role_claim: "/r/s".to_owned(),
            scope_claim: Some("scope".to_owned()),
            roles: [("d".to_owned(), Role::VillageDoctor)].into(),
        },
        keys: KeySet::parse(KEYS).unwrap(),
    })
}

fuzz_target!(|data: &[u8]| {
    let fixed = fixed();
    let split = data.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (set, token) = data.split_at(split);
    let token = String::from_utf8_lossy(token);
    let token = token.trim_start_matches('\0');
    let read = KeySet::parse(set);
    for keys in [Some(&fixed.keys), read.as_ref().ok()].into_iter().flatten() {
        assert!(fixed.rules.admit(keys, token, 1_800_000_000_000).is_err());
        let signed = format!("{token}.{}", "A".repeat(86));
        assert!(fixed.rules.admit(keys, &signed, 1_800_000_000_000).is_err());
    }
});
