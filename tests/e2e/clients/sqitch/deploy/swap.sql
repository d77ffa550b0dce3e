-- Deploy shop:swap to pg
BEGIN;
CREATE TABLE public.orders_new (LIKE public.orders INCLUDING ALL);
INSERT INTO public.orders_new SELECT * FROM public.orders;
DROP TABLE public.orders;
ALTER TABLE public.orders_new RENAME TO orders;
GRANT SELECT ON public.orders TO svc_reader;
COMMIT;
