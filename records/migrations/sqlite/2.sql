-- The record store, version 2. The same as in ../postgres/2.sql.

-- Changes are numbered by the leader, so that one that is written twice counts once.
ALTER TABLE jobs ADD COLUMN version INTEGER NOT NULL DEFAULT 0; -- number of the last change

-- Who leads, one row. Whoever begins to lead raises the epoch; every transaction of a leader checks it.
CREATE TABLE leadership (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    lease TEXT NOT NULL, -- UID of the Lease
    turn INTEGER NOT NULL -- how often that had changed hands
) STRICT;
INSERT INTO leadership (one, epoch, lease, turn) VALUES (1, 0, '', 0);
