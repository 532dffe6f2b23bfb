-- The record store, version 5. The same as in ../sqlite/5.sql.

-- The namespace to which the job definitions of a name belong; NULL: to nobody's.
ALTER TABLE revisions ADD COLUMN namespace TEXT;
