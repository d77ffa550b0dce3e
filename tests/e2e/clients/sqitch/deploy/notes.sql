-- Deploy shop:notes to pg
BEGIN;
CREATE TABLE public.notes (id int);
COMMIT;
