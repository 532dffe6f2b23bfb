-- The record store, version 3. The same as in ../sqlite/3.sql.

-- What a job of the API counts for until it has ended; null for children, who count for their parent's namespace, and for other jobs.
ALTER TABLE jobs ADD COLUMN namespace TEXT COLLATE "C"; -- where its pods go; of earlier releases' jobs as far as they said
ALTER TABLE jobs ADD COLUMN bytes BIGINT; -- of its spec

-- How much there is of jobs of the API that have not ended.
CREATE TABLE usage (
    scope TEXT COLLATE "C" PRIMARY KEY, -- all, namespace/NAME
    jobs BIGINT NOT NULL, -- children counted
    bytes BIGINT NOT NULL
);

-- Not read as JSON, which PostgreSQL refuses where a text has a NUL character.
UPDATE jobs SET namespace = COALESCE(SUBSTRING(s.body FROM '"namespace":"([a-z0-9-]+)"'), 'default'), bytes = LENGTH(s.body)
    FROM specs s WHERE s.job = jobs.job AND jobs.child = -1 AND jobs.door = 'api';
INSERT INTO usage (scope, jobs, bytes)
    SELECT 'namespace/' || p.namespace, COUNT(*), SUM(CASE WHEN j.child = -1 THEN p.bytes ELSE 0 END)
    FROM jobs j JOIN jobs p ON p.job = j.job AND p.child = -1
    WHERE j.state NOT IN ('SUCCEEDED', 'FAILED') AND p.namespace IS NOT NULL GROUP BY p.namespace;
INSERT INTO usage (scope, jobs, bytes) SELECT 'all', COALESCE(SUM(jobs), 0), COALESCE(SUM(bytes), 0) FROM usage;
