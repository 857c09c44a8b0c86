-- People who sign in with a password, their sessions, and tries that failed.
-- Passwords are kept as Argon2id (RFC 9106), tokens and names that were tried as digests only.
CREATE TABLE account (
    name         TEXT    PRIMARY KEY,
    role         TEXT    NOT NULL,
    -- Where the account may work: a JSON list of texts.
    scope        TEXT    NOT NULL,
    disabled     INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    salt         BLOB    NOT NULL CHECK (length(salt) = 16),
    hash         BLOB    NOT NULL CHECK (length(hash) = 32),
    memory_kib   INTEGER NOT NULL,
    passes       INTEGER NOT NULL,
    lanes        INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    password_ms  INTEGER NOT NULL,
    signed_in_ms INTEGER
) STRICT;

CREATE TABLE account_session (
    id         TEXT    PRIMARY KEY,
    account    TEXT    NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    -- Nothing of the session is good after this.
    until_ms   INTEGER NOT NULL,
    ended_ms   INTEGER
) STRICT;

CREATE INDEX account_session_by_account ON account_session (account);
CREATE INDEX account_session_by_end ON account_session (until_ms);

CREATE TABLE account_token (
    digest   BLOB    PRIMARY KEY CHECK (length(digest) = 32),
    session  TEXT    NOT NULL REFERENCES account_session (id) ON DELETE CASCADE,
    kind     TEXT    NOT NULL CHECK (kind IN ('access', 'refresh')),
    until_ms INTEGER NOT NULL,
    -- A refresh token is used once.
    used_ms  INTEGER
) STRICT;

CREATE INDEX account_token_by_session ON account_token (session);

-- By a digest of the name, whether there is such an account or not.
CREATE TABLE account_attempt (
    name_digest     BLOB    PRIMARY KEY CHECK (length(name_digest) = 32),
    failures        INTEGER NOT NULL,
    locked_until_ms INTEGER NOT NULL,
    -- Tries while locked.
    turned_away     INTEGER NOT NULL,
    last_ms         INTEGER NOT NULL
) STRICT;

CREATE INDEX account_attempt_by_last ON account_attempt (last_ms);
