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
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    rank           INTEGER,
    owners         TEXT    NOT NULL CHECK (json_valid(owners)),
    types          TEXT    NOT NULL CHECK (json_valid(types)),
    tql            TEXT    NOT NULL,
    sort_field     TEXT    NOT NULL,
    sort_direction TEXT    NOT NULL,
    version        TEXT    NOT NULL,
    -- When what it selects last changed: a job that started before that has not read it.
    changed        INTEGER NOT NULL,
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
    -- The number of its present attempt, 0 before the first.
    attempt                INTEGER NOT NULL DEFAULT 0,
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

-- Attempts at jobs, over all jobs in the order in which they began. A number is never given twice: the ledger refers to it.
CREATE TABLE attempt (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    job     INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    started INTEGER NOT NULL
);
CREATE INDEX attempt_by_job ON attempt (job);

CREATE TABLE job_detail (
    job              INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    query_id         TEXT    NOT NULL,
    type             TEXT    NOT NULL,
    count_downloaded INTEGER NOT NULL,
    count_invalid    INTEGER NOT NULL,
    count_duplicate  INTEGER NOT NULL,
    count_unchanged  INTEGER NOT NULL,
    count_queued     INTEGER NOT NULL,
    count_uploaded   INTEGER NOT NULL,
    count_rejected   INTEGER NOT NULL,
    count_retired    INTEGER NOT NULL,
    PRIMARY KEY (job, query_id, type)
) WITHOUT ROWID;

CREATE TABLE problem (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL: it belongs to no job.
    job       INTEGER REFERENCES job ON DELETE CASCADE,
    -- What it is about; NULL where that is nothing in particular.
    query     INTEGER,
    indicator INTEGER,
    at        INTEGER NOT NULL,
    step      TEXT    NOT NULL,
    code      TEXT    NOT NULL,
    message   TEXT    NOT NULL,
    raw       TEXT    NOT NULL,
    note      INTEGER NOT NULL
);
CREATE INDEX problem_by_job ON problem (job, query, indicator);
CREATE INDEX problem_by_time ON problem (at);

-- The ledger belongs to a workspace and a source name; one destination is current. Departures, that is objects that
-- lose their last candidate, are counted in generations: a question to the operator closes one. What left in a
-- generation up to "kept" stays in Sentinel by the operator's choice, what left up to "asked" waits for an answer.
CREATE TABLE destination (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace  TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    current    INTEGER NOT NULL,
    generation INTEGER NOT NULL DEFAULT 1,
    asked      INTEGER NOT NULL DEFAULT 0,
    kept       INTEGER NOT NULL DEFAULT 0,
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
    -- The first eight bytes of the STIX id, which follows from the pattern.
    key         INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    type        INTEGER NOT NULL,
    pattern     TEXT    NOT NULL,
    -- The winner. Query 0 is ledger.QueryNobody, -1 ledger.QueryVacant, and the indicator then a ledger.Loss: the states are
    -- described in app/ledger.
    query       INTEGER NOT NULL,
    indicator   INTEGER NOT NULL,
    -- The attempt that elected the winner; the generation in which the winner went away.
    elected     INTEGER NOT NULL,
    left_in     INTEGER NOT NULL,
    -- What was last decided to be right for Sentinel: lastModified, hash of the content (NULL: it is to be sent
    -- whatever it is), and the job that queued it.
    modified    INTEGER NOT NULL,
    hash        INTEGER,
    job         INTEGER NOT NULL,
    -- Its newest row in the outbox, 0 for none, and the newest that was answered.
    queued      INTEGER NOT NULL,
    settled     INTEGER NOT NULL DEFAULT 0,
    -- What Sentinel holds (a ledger.State), and with which members.
    state       INTEGER NOT NULL DEFAULT 0,
    name        TEXT,
    created     INTEGER,
    valid_until INTEGER
);
CREATE INDEX object_by_key ON object (key);
-- Held by nobody, or vacant: ledger.QueryNobody and below. TestIndexesAreUsed holds both indexes to the statements.
CREATE INDEX object_without_winner ON object (query, number) WHERE query <= 0;
-- Vacant. A workspace that was left may have left as many as it had.
CREATE INDEX object_vacant ON object (destination, number) WHERE query = -1;

-- Who gives which object: query × indicator × object. Object 0: the query selects the indicator, but it gives no object.
CREATE TABLE candidate (
    query     INTEGER NOT NULL,
    indicator INTEGER NOT NULL,
    object    INTEGER NOT NULL,
    owner     INTEGER NOT NULL,
    -- The attempt that last read it.
    attempt   INTEGER NOT NULL,
    -- Place in the query's order: smaller comes first.
    place     INTEGER NOT NULL,
    PRIMARY KEY (query, indicator, object)
) WITHOUT ROWID;
CREATE INDEX candidate_by_object ON candidate (object) WHERE object <> 0;

-- What waits for Sentinel, in order. Several rows may stand for one object; the last one counts. A retirement has no
-- payload: it is written when it is read.
CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    object      INTEGER NOT NULL,
    -- 0: no job's.
    job         INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    retire      INTEGER NOT NULL,
    query       INTEGER NOT NULL,
    indicator   INTEGER NOT NULL,
    type        INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    valid_until INTEGER NOT NULL,
    payload     BLOB
);
-- How many a job has waiting follows from its counts.
CREATE INDEX outbox_of_no_job ON outbox (job) WHERE job = 0;

-- The last sends of an object.
CREATE TABLE send (
    object    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    job       INTEGER NOT NULL,
    retire    INTEGER NOT NULL,
    query     INTEGER NOT NULL,
    indicator INTEGER NOT NULL,
    PRIMARY KEY (object, at)
) WITHOUT ROWID;

CREATE TABLE daily (
    -- Days since 1970 UTC.
    day      INTEGER NOT NULL,
    type     INTEGER NOT NULL,
    sent     INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    retired  INTEGER NOT NULL DEFAULT 0,
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
