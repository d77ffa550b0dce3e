CREATE EXTENSION pgagent;
CREATE TABLE public.done (job int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
GRANT SELECT, INSERT ON public.done TO agent;
GRANT USAGE ON SCHEMA pgagent TO agent;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgagent TO agent;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA pgagent TO agent;
-- A job is done when its agent gives it back.
CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY done; RETURN NULL; END $$;
CREATE TRIGGER done AFTER UPDATE OF jobagentid ON pgagent.pga_job FOR EACH ROW
  WHEN (OLD.jobagentid IS NOT NULL AND NEW.jobagentid IS NULL) EXECUTE FUNCTION public.tell();
