-- No query of this transaction waits for anybody, or works for long.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL jit = off;
