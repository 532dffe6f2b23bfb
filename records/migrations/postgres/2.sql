-- The record store, version 2. The same as in ../sqlite/2.sql.

-- Changes are numbered by the leader, so that one that is written twice counts once.
ALTER TABLE jobs ADD COLUMN version BIGINT NOT NULL DEFAULT 0; -- number of the last change

-- Who leads, one row. Whoever begins to lead raises the epoch; every transaction of a leader checks it.
CREATE TABLE leadership (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    epoch BIGINT NOT NULL,
    lease TEXT COLLATE "C" NOT NULL, -- UID of the Lease
    turn BIGINT NOT NULL -- how often that had changed hands
);
INSERT INTO leadership (one, epoch, lease, turn) VALUES (1, 0, '', 0);
