-- Everything is read in one transaction that can write nothing, whatever the session's defaults are.
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path = '';
