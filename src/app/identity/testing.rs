//! An identity provider for tests: keys, key sets and tokens, good ones and forged ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

/// A key of tests and nothing else.
const RSA: &[u8] = include_bytes!("../../../tests/fixtures/identity/rsa-2048-test.pk8");

/// A private key with its id.
pub(crate) struct Signer {
    pub(crate) kid: &'static str,
    key: Private,
}

enum Private {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Signer {
    pub(crate) fn ed25519(kid: &'static str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { kid, key: Private::Ed25519(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap()) }
    }

    pub(crate) fn p256(kid: &'static str) -> Self {
        let (curve, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        Self {
            kid,
            key: Private::P256(EcdsaKeyPair::from_pkcs8(curve, made.as_ref(), &random).unwrap()),
        }
    }

    pub(crate) fn rsa(kid: &'static str) -> Self {
        Self { kid, key: Private::Rsa(Box::new(RsaKeyPair::from_pkcs8(RSA).unwrap())) }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.key {
            Private::Ed25519(_) => "EdDSA",
            Private::P256(_) => "ES256",
            Private::Rsa(_) => "RS256",
        }
    }

    /// The public key, as a JSON Web Key.
    pub(crate) fn public(&self) -> Value {
        match &self.key {
            Private::Ed25519(pair) => json!({
                "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig",
                "x": base64url(pair.public_key().as_ref()),
            }),
            Private::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({
                    "kty": "EC", "crv": "P-256", "kid": self.kid, "alg": "ES256",
                    "x": base64url(&point[1..33]), "y": base64url(&point[33..]),
                })
            }
            Private::Rsa(pair) => {
                let of = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({
                    "kty": "RSA", "kid": self.kid, "key_ops": ["verify"],
                    "n": base64url(&of.n),
                    "e": base64url(&of.e),
                })
            }
        }
    }

    /// What a provider with keys of ours would put into a header.
    pub(crate) fn header(&self) -> Value {
        json!({ "alg": self.algorithm(), "kid": self.kid, "typ": "at+jwt" })
    }

    /// A token of these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.raw(&self.header().to_string(), &claims.to_string())
    }

    /// A token of these very texts.
    pub(crate) fn raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", base64url(&signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Private::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Private::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// The key set with these keys.
pub(crate) fn key_set(signers: &[&Signer]) -> Vec<u8> {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.public()).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
