"""Tokens that PyJWT signs, good ones and forged ones, against a real node and a real provider.

An implementation of JOSE that is not ours decides what a token is; the node must take the good ones of
each kind and none of the others.
"""

import base64
import http.server
import json
import os
import pathlib
import subprocess
import threading
import time

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ROOT = pathlib.Path(__file__).resolve().parents[2]
ISSUER = "https://id.example"
KEYS = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def public(algorithm):
    """The public key as a JSON Web Key, made by PyJWT."""
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(KEYS[algorithm].public_key())
    return {**json.loads(made), "kid": algorithm, "use": "sig"}


def pem(algorithm):
    return KEYS[algorithm].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Provider(http.server.BaseHTTPRequestHandler):
    """Serves the key set."""

    def do_GET(self):
        body = json.dumps({"keys": [public(algorithm) for algorithm in KEYS]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def door(tmp_path_factory, stubs):
    """A node that takes the provider's tokens; yields its channel and the file of its log."""
    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    binary = pathlib.Path(os.environ.get("XIANGYI_BINARY", ROOT / "target/debug/xiangyi"))
    folder = tmp_path_factory.mktemp("identity")
    config = folder / "node.toml"
    config.write_text(
        '[server]\nlisten = "127.0.0.1:0"\n'
        f'[store]\ndir = "{folder / "data"}"\n'
        '[models]\nengine = "rten"\n[log]\nlevel = "trace"\n'
        f'[auth.oidc]\nissuer = "{ISSUER}"\naudiences = ["xiangyi"]\n'
        f'jwks_url = "http://127.0.0.1:{provider.server_port}/keys"\n'
        'role_claim = "/realm_access/roles"\nunknown_key_interval_s = 1\n'
        '[auth.oidc.roles]\n"village" = "village_doctor"\n', encoding="utf-8")
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen([binary, "serve", "--json", "--config", config],
                                   stdout=subprocess.PIPE, stderr=errors, text=True)
    line = process.stdout.readline()
    assert line, "the node did not start"
    with grpc.insecure_channel(json.loads(line)["grpc"]) as channel:
        yield channel, log
    process.terminate()
    assert process.wait(timeout=20) == 0
    provider.shutdown()


def claims(**changed):
    now = int(time.time())
    made = {"iss": ISSUER, "aud": "xiangyi", "sub": "li.si", "iat": now, "nbf": now,
            "exp": now + 300, "realm_access": {"roles": ["village", "uma_authorization"]}}
    made.update(changed)
    return {name: value for name, value in made.items() if value is not None}


def sign(algorithm, made, **header):
    return jwt.encode(made, KEYS[algorithm], algorithm, headers={"kid": algorithm, **header})


def who(channel, token):
    """The caller's name and role, or the code of the refusal."""
    from xiangyi.identity.v1 import identity_pb2, identity_pb2_grpc

    service = identity_pb2_grpc.IdentityServiceStub(channel)
    try:
        answer = service.WhoAmI(identity_pb2.WhoAmIRequest(), timeout=30,
                                metadata=[("authorization", f"Bearer {token}")])
        return answer.person.name, answer.person.role
    except grpc.RpcError as error:
        return error.code()


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_token_of_each_kind_is_taken(door, algorithm):
    assert who(door[0], sign(algorithm, claims())) == ("oidc:li.si", "village_doctor")


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forged():
    """What an attacker would try, by name."""
    now = int(time.time())
    good = sign("ES256", claims())
    head, body, signature = good.split(".")
    yield "none", jwt.encode(claims(), None, "none", headers={"kid": "RS256"})
    yield "None", f'{part({"alg": "None", "kid": "RS256"})}.{body}.'
    for algorithm in KEYS:
        # PyJWT refuses to sign with a public key as a secret, so the HMAC is made by hand.
        made = jwt.get_algorithm_by_name("HS256")
        start = f'{part({"alg": "HS256", "kid": algorithm})}.{body}'
        tag = base64.urlsafe_b64encode(made.sign(start.encode(), pem(algorithm))).rstrip(b"=").decode()
        yield f"HS256 with the public key of {algorithm}", f"{start}.{tag}"
        other = {"EdDSA": ed25519.Ed25519PrivateKey.generate(),
                 "ES256": ec.generate_private_key(ec.SECP256R1()),
                 "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048)}[algorithm]
        yield f"somebody else's {algorithm}", jwt.encode(
            claims(), other, algorithm, headers={"kid": algorithm})
        yield f"{algorithm} expired", sign(algorithm, claims(exp=now - 90, iat=now - 400, nbf=now - 400))
    yield "RS512", jwt.encode(claims(), KEYS["RS256"], "RS512", headers={"kid": "RS256"})
    yield "PS256", jwt.encode(claims(), KEYS["RS256"], "PS256", headers={"kid": "RS256"})
    yield "key of another kind", sign("ES256", claims(), kid="RS256")
    yield "unknown kid", sign("ES256", claims(), kid="../../keys")
    yield "own key", sign("ES256", claims(), jwk=public("ES256"))
    yield "crit", sign("ES256", claims(), crit=["exp"])
    yield "type", sign("ES256", claims(), typ="logout+jwt")
    yield "audience", sign("ES256", claims(aud="hospital"))
    yield "no audience", sign("ES256", claims(aud=None))
    yield "issuer", sign("ES256", claims(iss="https://id.example.evil.example"))
    yield "no issuer", sign("ES256", claims(iss=None))
    yield "no end", sign("ES256", claims(exp=None))
    yield "not yet", sign("ES256", claims(nbf=now + 600))
    yield "from the future", sign("ES256", claims(iat=now + 600))
    yield "too long a life", sign("ES256", claims(exp=now + 10 * 86_400))
    yield "no name", sign("ES256", claims(sub=None))
    yield "too large", sign("ES256", claims(pad="x" * 7000))
    yield "other claims", f"{head}.{part(claims(sub='admin'))}.{signature}"
    yield "cut", good[:-2]
    yield "doubled", f"{good}.{signature}"


def test_no_forged_token_is_taken_and_none_stands_in_the_log(door):
    channel, log = door
    tried = dict(forged())
    taken = {name: answer for name, token in tried.items()
             if (answer := who(channel, token)) != grpc.StatusCode.UNAUTHENTICATED}
    assert len(tried) >= 30 and not taken
    guest = sign("EdDSA", claims(realm_access={"roles": ["guest"]}))
    assert who(channel, guest) == grpc.StatusCode.PERMISSION_DENIED
    written = log.read_text(encoding="utf-8")
    assert "a token was refused" in written
    for token in [*tried.values(), guest]:
        for piece in token.split("."):
            assert len(piece) < 16 or piece not in written, "a token stands in the log"
