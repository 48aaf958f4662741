-- Times are milliseconds since 1970 UTC unless a comment says otherwise.

-- One value each: what does not deserve a table.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Pausing a task survives a restart.
CREATE TABLE paused_task (
    slug TEXT PRIMARY KEY
) WITHOUT ROWID;

-- The ledger refers to a query by its number, never by its rank. A query that was deleted stays, without a rank,
-- until a job has taken its candidates out of the ledger.
CREATE TABLE query (
    number         INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    rank           INTEGER,
    owners         TEXT    NOT NULL CHECK (json_valid(owners)),
    types          TEXT    NOT NULL CHECK (json_valid(types)),
    tql            TEXT    NOT NULL,
    sort_field     TEXT    NOT NULL,
    sort_direction TEXT    NOT NULL,
    version        TEXT    NOT NULL,
    -- High-water mark: up to here, not including it, lastModified is in Sentinel or on REPORT. NULL: never read.
    mark           INTEGER
);

CREATE TABLE job (
    number                 INTEGER PRIMARY KEY,
    request_id             TEXT    NOT NULL UNIQUE,
    job_type               TEXT    NOT NULL,
    mode                   TEXT    NOT NULL,
    status                 TEXT    NOT NULL,
    message                TEXT    NOT NULL DEFAULT '',
    date_queued            INTEGER NOT NULL,
    date_started           INTEGER,
    date_download_start    INTEGER,
    date_download_complete INTEGER,
    date_convert_start     INTEGER,
    date_convert_complete  INTEGER,
    date_upload_start      INTEGER,
    date_upload_complete   INTEGER,
    date_completed         INTEGER,
    date_failed            INTEGER,
    window_start           INTEGER,
    window_end             INTEGER,
    failure_count          INTEGER NOT NULL DEFAULT 0,
    retry_after            INTEGER,
    count_downloaded       INTEGER NOT NULL DEFAULT 0,
    count_invalid          INTEGER NOT NULL DEFAULT 0,
    count_duplicate        INTEGER NOT NULL DEFAULT 0,
    count_unchanged        INTEGER NOT NULL DEFAULT 0,
    count_queued           INTEGER NOT NULL DEFAULT 0,
    count_uploaded         INTEGER NOT NULL DEFAULT 0,
    count_rejected         INTEGER NOT NULL DEFAULT 0,
    count_retired          INTEGER NOT NULL DEFAULT 0,
    count_retirement_held  INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX job_by_status ON job (status);

CREATE TABLE job_detail (
    job        INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    query_id   TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    downloaded INTEGER NOT NULL,
    invalid    INTEGER NOT NULL,
    duplicate  INTEGER NOT NULL,
    unchanged  INTEGER NOT NULL,
    queued     INTEGER NOT NULL,
    PRIMARY KEY (job, query_id, type)
) WITHOUT ROWID;

CREATE TABLE problem (
    id      INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    step    TEXT    NOT NULL,
    code    TEXT    NOT NULL,
    message TEXT    NOT NULL,
    raw     TEXT    NOT NULL,
    note    INTEGER NOT NULL
);
CREATE INDEX problem_by_job ON problem (job);
CREATE INDEX problem_by_time ON problem (at);

-- The ledger belongs to a workspace and a source name; one destination is current.
CREATE TABLE destination (
    number    INTEGER PRIMARY KEY,
    workspace TEXT    NOT NULL,
    source    TEXT    NOT NULL,
    current   INTEGER NOT NULL,
    UNIQUE (workspace, source)
);

CREATE TABLE owner (
    number INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE
);

CREATE TABLE type (
    number INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE
);

-- One row per STIX object. Numbers are given in order of arrival, so that what arrives together stands together; the
-- one index on random keys is as narrow as it can be.
CREATE TABLE object (
    number      INTEGER PRIMARY KEY,
    destination INTEGER NOT NULL,
    stix_id     BLOB    NOT NULL,
    type        INTEGER NOT NULL,
    pattern     TEXT    NOT NULL,
    -- The winner; NULL when it went away and no other has been elected.
    query       INTEGER,
    indicator   INTEGER,
    -- The run that elected it.
    elected     INTEGER NOT NULL,
    -- What was last handed to Upload: its lastModified, the hash of its content (NULL: nothing stands), by which job.
    modified    INTEGER,
    hash        INTEGER,
    queued_job  INTEGER,
    -- What Sentinel holds. 0 nothing, 1 live, 2 live and a retirement is queued, 3 retired.
    state       INTEGER NOT NULL DEFAULT 0,
    -- The operator chose to keep it although nothing selects it.
    kept        INTEGER NOT NULL DEFAULT 0,
    name        TEXT,
    created     INTEGER,
    valid_until INTEGER,
    sent_at     INTEGER
);
CREATE UNIQUE INDEX object_by_stix_id ON object (stix_id, destination);
CREATE INDEX object_without_winner ON object (number) WHERE query IS NULL;

-- Who gives which object: query × indicator × object. Object 0: the query selects the indicator, but it gives no object.
CREATE TABLE candidate (
    query     INTEGER NOT NULL,
    indicator INTEGER NOT NULL,
    object    INTEGER NOT NULL,
    owner     INTEGER NOT NULL,
    -- The run that last read it.
    seen      INTEGER NOT NULL,
    -- Place in the query's order: smaller comes first.
    place     INTEGER NOT NULL,
    PRIMARY KEY (query, indicator, object)
) WITHOUT ROWID;
CREATE INDEX candidate_by_object ON candidate (object) WHERE object <> 0;

-- What waits for Sentinel, in order. Several rows may stand for one object; the last one counts.
CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    object      INTEGER NOT NULL,
    job         INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    retire      INTEGER NOT NULL,
    query       INTEGER,
    indicator   INTEGER,
    name        TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    valid_until INTEGER NOT NULL,
    payload     BLOB    NOT NULL
);
CREATE INDEX outbox_by_job ON outbox (job);

-- The last sends of an object.
CREATE TABLE send (
    object    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    job       INTEGER NOT NULL,
    retire    INTEGER NOT NULL,
    query     INTEGER,
    indicator INTEGER,
    PRIMARY KEY (object, at)
) WITHOUT ROWID;

CREATE TABLE daily (
    -- Days since 1970 UTC.
    day     INTEGER NOT NULL,
    type    INTEGER NOT NULL,
    sent    INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    retired INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, type)
) WITHOUT ROWID;

-- Time spent waiting for Sentinel's limit, per day.
CREATE TABLE daily_wait (
    day    INTEGER PRIMARY KEY,
    millis INTEGER NOT NULL
);

-- Requests to Sentinel that may still count against its limit.
CREATE TABLE slot (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    started INTEGER NOT NULL,
    ended   INTEGER
);
