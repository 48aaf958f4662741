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
    -- Its settings, see ledger.Settings: 0, NULL, an empty list and an empty text say nothing.
    min_confidence INTEGER NOT NULL,
    ttl_hours      INTEGER,
    labels         TEXT    NOT NULL CHECK (json_valid(labels)),
    tlp            TEXT    NOT NULL,
    version        TEXT    NOT NULL,
    -- When what it gives last changed: a job that started before that has not read it.
    changed        INTEGER NOT NULL,
    -- High-water mark: up to here, not including it, lastModified is in Sentinel or on REPORT. NULL: never read, or
    -- not since its settings changed.
    mark           INTEGER
);

-- The last versions of the list of queries, with what changed against the version before.
CREATE TABLE list_version (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    saved_at INTEGER NOT NULL,
    -- As the platform's request told it; empty where it told nothing.
    saved_by TEXT    NOT NULL,
    -- The mode of the update that was asked for with it.
    next     TEXT    NOT NULL,
    queries  INTEGER NOT NULL,
    added    INTEGER NOT NULL,
    edited   INTEGER NOT NULL,
    deleted  INTEGER NOT NULL,
    moved    INTEGER NOT NULL,
    -- The queries as JSON, compressed by DEFLATE.
    list     BLOB    NOT NULL
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
    -- The window is a range that was asked for.
    ranged                 INTEGER NOT NULL DEFAULT 0,
    window_start           INTEGER,
    window_end             INTEGER,
    failure_count          INTEGER NOT NULL DEFAULT 0,
    -- The number of its present attempt, 0 before the first.
    attempt                INTEGER NOT NULL DEFAULT 0,
    retry_after            INTEGER,
    count_downloaded       INTEGER NOT NULL DEFAULT 0,
    count_below_floor      INTEGER NOT NULL DEFAULT 0,
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
    started INTEGER NOT NULL,
    -- NULL: it runs, or the end of the process cut it off.
    ended   INTEGER,
    -- Why it failed; empty where it did not.
    failure TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX attempt_by_job ON attempt (job);

CREATE TABLE job_detail (
    job               INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
    query_id          TEXT    NOT NULL,
    type              TEXT    NOT NULL,
    count_downloaded  INTEGER NOT NULL,
    count_below_floor INTEGER NOT NULL,
    count_invalid     INTEGER NOT NULL,
    count_duplicate   INTEGER NOT NULL,
    count_unchanged   INTEGER NOT NULL,
    count_queued      INTEGER NOT NULL,
    count_uploaded    INTEGER NOT NULL,
    count_rejected    INTEGER NOT NULL,
    count_retired     INTEGER NOT NULL,
    PRIMARY KEY (job, query_id, type)
) WITHOUT ROWID;

CREATE TABLE problem (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL: it belongs to no job.
    job       INTEGER REFERENCES job ON DELETE CASCADE,
    -- What it is about; NULL where that is nothing in particular.
    query     INTEGER,
    indicator INTEGER,
    -- Empty where it is about no indicator. What people filter by is compared without regard to case.
    type      TEXT    NOT NULL COLLATE NOCASE,
    value     TEXT    NOT NULL,
    owner     TEXT    NOT NULL COLLATE NOCASE,
    at        INTEGER NOT NULL,
    step      TEXT    NOT NULL,
    code      TEXT    NOT NULL COLLATE NOCASE,
    message   TEXT    NOT NULL,
    note      INTEGER NOT NULL,
    -- What a retry takes: 0, it cannot be retried; -1, it can; else the query, as long as that is saved.
    retry     INTEGER NOT NULL
);
-- The objects concerned lie beside the lines, since they are ten times as long: a filter reads 100,000 lines in a tenth of the time.
CREATE TABLE problem_raw (
    id  INTEGER PRIMARY KEY REFERENCES problem ON DELETE CASCADE,
    raw TEXT NOT NULL
);
CREATE INDEX problem_by_job ON problem (job, query, indicator);
-- With the note, so that the errors of a day are counted without reading them.
CREATE INDEX problem_by_time ON problem (at, note);
-- With what REPORT counts and filters by, so that its groups are counted without reading the lines.
CREATE INDEX problem_by_kind ON problem (note, step, code, type, retry, owner, at);
-- The same for who searches for a text. Beside the objects concerned it is small.
CREATE INDEX problem_by_text ON problem (note, step, code, type, retry, owner, message, value, at);
CREATE INDEX problem_by_indicator ON problem (indicator) WHERE indicator IS NOT NULL;

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

-- One row per STIX object. Numbers are given in order of arrival, so that what arrives together stands together.
CREATE TABLE object (
    number      INTEGER PRIMARY KEY,
    -- What the object is found by (see ledger.Key), in six bytes: it follows from the STIX id, as that does from the pattern.
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
    -- Its name, as sentName has it.
    value       TEXT,
    owner       INTEGER,
    created     INTEGER,
    valid_until INTEGER
);
-- Held by nobody, or vacant: ledger.QueryNobody and below. TestIndexesAreUsed holds both indexes to the statements.
CREATE INDEX object_without_winner ON object (query, number) WHERE query <= 0;
-- Vacant. A workspace that was left may have left as many as it had.
CREATE INDEX object_vacant ON object (destination, number) WHERE query = -1;

-- The objects by their keys, but for new ones: see store/keys.go.
CREATE TABLE object_key (
    key    INTEGER NOT NULL,
    object INTEGER NOT NULL,
    PRIMARY KEY (key, object)
) WITHOUT ROWID;

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
    -- Of the indicator as it gave the object, see ledger.Recipe; 0: it is mapped each time.
    fingerprint INTEGER NOT NULL,
    PRIMARY KEY (query, indicator, object)
) WITHOUT ROWID;
CREATE INDEX candidate_by_object ON candidate (object) WHERE object <> 0;

-- What waits for Sentinel, in order. Several rows may stand for one object; the last one counts. The objects that are sent lie
-- in payload_block; that of a retirement is written when the row is read. The newest rows are in memory alone, see outbox_batch.
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
    value       TEXT,
    owner       INTEGER,
    created     INTEGER NOT NULL,
    valid_until INTEGER NOT NULL
);
-- How many a job has waiting follows from its counts.
CREATE INDEX outbox_of_no_job ON outbox (job) WHERE job = 0;

-- What is to be known of rows that a batch queued and that are not in the outbox, should the process end: see store/unwritten.go. The
-- first and the last of them, what they have in common, and the columns in which they differ, as JSON.
CREATE TABLE outbox_batch (
    first       INTEGER PRIMARY KEY,
    last        INTEGER NOT NULL,
    job         INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    query       INTEGER NOT NULL,
    rows        BLOB    NOT NULL
);

-- The objects of the rows that a batch queued, as JSON and one a line, compressed by S2, behind a CRC-32C; the first and the last of the rows.
CREATE TABLE payload_block (
    first    INTEGER PRIMARY KEY,
    last     INTEGER NOT NULL,
    payloads BLOB    NOT NULL
);

-- Indicators that the next update asks for by their ids, whatever else it reads: what was retried on REPORT.
CREATE TABLE recheck (
    query     INTEGER NOT NULL,
    indicator INTEGER NOT NULL,
    PRIMARY KEY (query, indicator)
) WITHOUT ROWID;

-- What is true of objects that Sentinel accepted at once. Later ones have higher numbers, and no number is given twice.
CREATE TABLE delivery (
    number INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    -- 0: no job's.
    job    INTEGER NOT NULL,
    retire INTEGER NOT NULL,
    query  INTEGER NOT NULL
);

-- The last send of each object, and those before it, packed as store/sends.go says. NULL: there was none before.
CREATE TABLE send (
    object    INTEGER PRIMARY KEY,
    delivery  INTEGER NOT NULL,
    indicator INTEGER NOT NULL,
    earlier   BLOB
);

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

-- How long the attempts at updates took that ended on a day: all together, and the longest.
CREATE TABLE daily_update (
    day      INTEGER NOT NULL,
    mode     TEXT    NOT NULL,
    attempts INTEGER NOT NULL,
    millis   INTEGER NOT NULL,
    longest  INTEGER NOT NULL,
    PRIMARY KEY (day, mode)
) WITHOUT ROWID;

-- The runs of tasks that ended on a day: how many, for how long all together, and the longest.
CREATE TABLE daily_task (
    day     INTEGER NOT NULL,
    slug    TEXT    NOT NULL,
    runs    INTEGER NOT NULL,
    millis  INTEGER NOT NULL,
    longest INTEGER NOT NULL,
    PRIMARY KEY (day, slug)
) WITHOUT ROWID;

-- How many objects stood in Sentinel when they were last counted, by type and by the winner's query and owner; both 0: nobody
-- wins it. When that was stands under settings.
CREATE TABLE live_total (
    query   INTEGER NOT NULL,
    type    INTEGER NOT NULL,
    owner   INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    PRIMARY KEY (query, type, owner)
) WITHOUT ROWID;

-- Requests to Sentinel that may still count against its limit.
CREATE TABLE slot (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    started INTEGER NOT NULL,
    ended   INTEGER
);

-- What the last verification found to differ between the ledger and the workspace, and was neither sent again nor retired yet.
CREATE TABLE difference (
    -- A ledger.Verdict, and the sixteen bytes of the STIX id.
    kind           TEXT    NOT NULL,
    id             BLOB    NOT NULL,
    -- The ledger's object, 0 where it has none; when Sentinel last accepted a row of it, 0 for never; its end, 0 for none.
    object         INTEGER NOT NULL,
    sent           INTEGER NOT NULL,
    recorded_until INTEGER NOT NULL,
    -- The newest row of the workspace; standing is 0 where it has none, and pattern and name are then those of the ledger.
    standing       INTEGER NOT NULL,
    pattern        TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    created        INTEGER NOT NULL,
    modified       INTEGER NOT NULL,
    valid_until    INTEGER NOT NULL,
    -- The id is not made of the pattern: this App did not send it, and cannot retire it.
    stranger       INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
