INSERT INTO pgagent.pga_job (jobid, jobjclid, jobname) VALUES (1, 1, 'nightly');
INSERT INTO pgagent.pga_jobstep (jstjobid, jstname, jstkind, jstdbname, jstcode)
  VALUES (1, 'work', 's', 'app', 'INSERT INTO public.done (job) VALUES (1)');
