-- The record store, version 1. The same tables as in ../postgres/1.sql.
-- Times are milliseconds since 1970. `child` is -1 for a job that is no child of an array job. Where a text is JSON, the program that
-- wrote it may have been older than the one that reads it.

-- What was asked for; all children of an array job share it. With it goes everything of the job.
CREATE TABLE specs (
    job TEXT PRIMARY KEY,
    body TEXT NOT NULL -- JSON
) STRICT;

-- What changes about a job. Only the leader changes what exists here; the gateway adds.
CREATE TABLE jobs (
    job TEXT NOT NULL REFERENCES specs (job) ON DELETE CASCADE,
    child INTEGER NOT NULL,
    -- To be searched by; null for children, who have them from their parent.
    door TEXT, -- api, job
    queue TEXT,
    name TEXT, -- in lower case
    definition TEXT, -- ARN with revision
    definition_name TEXT,
    size INTEGER, -- number of children of an array job
    -- What changes.
    state TEXT NOT NULL,
    reason TEXT,
    created INTEGER NOT NULL,
    started INTEGER,
    stopped INTEGER,
    attempt INTEGER NOT NULL,
    placement INTEGER NOT NULL,
    not_before INTEGER,
    placed TEXT, -- JSON
    stop TEXT, -- JSON
    changed INTEGER NOT NULL, -- when the leader wrote it last
    entries INTEGER NOT NULL, -- number of its rows in history
    PRIMARY KEY (job, child)
) STRICT;

-- What the leader reads when it starts, and in every cycle.
CREATE INDEX jobs_live ON jobs (job, child) WHERE state NOT IN ('SUCCEEDED', 'FAILED');
CREATE INDEX jobs_inbox ON jobs (created, job) WHERE state = 'SUBMITTED' AND child = -1 AND door = 'api';
-- Lists: of a queue, of one state in it, of one name, of one definition.
CREATE INDEX jobs_queue ON jobs (queue, created, job) WHERE child = -1;
CREATE INDEX jobs_queue_state ON jobs (queue, state, created, job) WHERE child = -1;
CREATE INDEX jobs_queue_name ON jobs (queue, name, created, job) WHERE child = -1;
CREATE INDEX jobs_queue_definition ON jobs (queue, definition_name, created, job) WHERE child = -1;
-- What has ended long ago.
CREATE INDEX jobs_ended ON jobs (COALESCE(stopped, changed)) WHERE child = -1 AND state IN ('SUCCEEDED', 'FAILED');

CREATE TABLE attempts (
    job TEXT NOT NULL,
    child INTEGER NOT NULL,
    number INTEGER NOT NULL,
    body TEXT NOT NULL, -- JSON
    PRIMARY KEY (job, child, number),
    FOREIGN KEY (job, child) REFERENCES jobs (job, child) ON DELETE CASCADE
) STRICT;

-- Each change of state or reason after the submission, numbered from 0.
CREATE TABLE history (
    job TEXT NOT NULL,
    child INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (job, child, entry),
    FOREIGN KEY (job, child) REFERENCES jobs (job, child) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Wishes to end jobs that the leader has not taken up yet.
CREATE TABLE requests (
    job TEXT NOT NULL,
    child INTEGER NOT NULL,
    kind TEXT NOT NULL,
    stop TEXT NOT NULL, -- JSON
    asked INTEGER NOT NULL,
    PRIMARY KEY (job, child, kind),
    FOREIGN KEY (job, child) REFERENCES jobs (job, child) ON DELETE CASCADE
) STRICT;
CREATE INDEX requests_asked ON requests (asked);

CREATE TABLE definitions (
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body TEXT NOT NULL, -- JSON
    created INTEGER NOT NULL,
    deregistered INTEGER, -- null: ACTIVE
    PRIMARY KEY (name, revision)
) STRICT;
CREATE INDEX definitions_newest ON definitions (name, revision DESC);

-- The highest revision that was ever given out under a name: it is not used again when the definition is gone.
CREATE TABLE revisions (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;
