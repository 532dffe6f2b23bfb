-- The record store, version 1. The same tables as in ../sqlite/1.sql.
-- Times are milliseconds since 1970. `child` is -1 for a job that is no child of an array job. Where a text is JSON, the program that
-- wrote it may have been older than the one that reads it.

-- What was asked for; all children of an array job share it. With it goes everything of the job.
CREATE TABLE specs (
    job TEXT COLLATE "C" PRIMARY KEY,
    body TEXT NOT NULL -- JSON
);

-- What changes about a job. Only the leader changes what exists here; the gateway adds.
CREATE TABLE jobs (
    job TEXT COLLATE "C" NOT NULL REFERENCES specs (job) ON DELETE CASCADE,
    child BIGINT NOT NULL,
    -- To be searched by; null for children, who have them from their parent.
    door TEXT COLLATE "C", -- api, job
    queue TEXT COLLATE "C",
    name TEXT COLLATE "C", -- in lower case
    definition TEXT COLLATE "C", -- ARN with revision
    definition_name TEXT COLLATE "C",
    size BIGINT, -- number of children of an array job
    -- What changes.
    state TEXT COLLATE "C" NOT NULL,
    reason TEXT,
    created BIGINT NOT NULL,
    started BIGINT,
    stopped BIGINT,
    attempt BIGINT NOT NULL,
    placement BIGINT NOT NULL,
    not_before BIGINT,
    placed TEXT, -- JSON
    stop TEXT, -- JSON
    changed BIGINT NOT NULL, -- when the leader wrote it last
    entries BIGINT NOT NULL, -- number of its rows in history
    PRIMARY KEY (job, child)
);

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
    job TEXT COLLATE "C" NOT NULL,
    child BIGINT NOT NULL,
    number BIGINT NOT NULL,
    body TEXT NOT NULL, -- JSON
    PRIMARY KEY (job, child, number),
    FOREIGN KEY (job, child) REFERENCES jobs (job, child) ON DELETE CASCADE
);

-- Each change of state or reason after the submission, numbered from 0.
CREATE TABLE history (
    job TEXT COLLATE "C" NOT NULL,
    child BIGINT NOT NULL,
    entry BIGINT NOT NULL,
    at BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    reason TEXT,
    PRIMARY KEY (job, child, entry),
    FOREIGN KEY (job, child) REFERENCES jobs (job, child) ON DELETE CASCADE
);

-- Wishes to end jobs that the leader has not taken up yet.
CREATE TABLE requests (
    job TEXT COLLATE "C" NOT NULL,
    child BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    stop TEXT NOT NULL, -- JSON
    asked BIGINT NOT NULL,
    PRIMARY KEY (job, child, kind),
    FOREIGN KEY (job, child) REFERENCES jobs (job, child) ON DELETE CASCADE
);
CREATE INDEX requests_asked ON requests (asked);

CREATE TABLE definitions (
    name TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    body TEXT NOT NULL, -- JSON
    created BIGINT NOT NULL,
    deregistered BIGINT, -- null: ACTIVE
    PRIMARY KEY (name, revision)
);
CREATE INDEX definitions_newest ON definitions (name, revision DESC);

-- The highest revision that was ever given out under a name: it is not used again when the definition is gone.
CREATE TABLE revisions (
    name TEXT COLLATE "C" PRIMARY KEY,
    last BIGINT NOT NULL
);
