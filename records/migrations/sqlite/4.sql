-- The record store, version 4. The same as in ../postgres/4.sql.

-- Since when a RUNNABLE job has waited for a reason of this code.
ALTER TABLE jobs ADD COLUMN reason_since INTEGER;
