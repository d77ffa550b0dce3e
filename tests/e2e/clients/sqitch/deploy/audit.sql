-- Deploy shop:audit to pg
BEGIN;
CREATE TABLE public.audit (id int);
COMMIT;
