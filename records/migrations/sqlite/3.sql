-- The record store, version 3. The same as in ../postgres/3.sql.

-- What a job of the API counts for until it has ended; null for children, who count for their parent's namespace, and for other jobs.
ALTER TABLE jobs ADD COLUMN namespace TEXT; -- where its pods go; of earlier releases' jobs as far as they said
ALTER TABLE jobs ADD COLUMN bytes INTEGER; -- of its spec

-- How much there is of jobs of the API that have not ended.
CREATE TABLE usage (
    scope TEXT PRIMARY KEY, -- all, namespace/NAME
    jobs INTEGER NOT NULL, -- children counted
    bytes INTEGER NOT NULL
) STRICT;

UPDATE jobs SET (namespace, bytes) =
        (SELECT COALESCE(s.body->>'namespace', 'default'), LENGTH(s.body) FROM specs s WHERE s.job = jobs.job)
    WHERE child = -1 AND door = 'api';
INSERT INTO usage (scope, jobs, bytes)
    SELECT 'namespace/' || p.namespace, COUNT(*), SUM(CASE WHEN j.child = -1 THEN p.bytes ELSE 0 END)
    FROM jobs j JOIN jobs p ON p.job = j.job AND p.child = -1
    WHERE j.state NOT IN ('SUCCEEDED', 'FAILED') AND p.namespace IS NOT NULL GROUP BY p.namespace;
INSERT INTO usage (scope, jobs, bytes) SELECT 'all', COALESCE(SUM(jobs), 0), COALESCE(SUM(bytes), 0) FROM usage;
