import psycopg
with psycopg.connect(autocommit=True) as one, psycopg.connect() as two:
    one.execute("SELECT count(*) FROM public.orders WHERE total > %s", (3,)).fetchone()
    with two.transaction():
        two.execute("CREATE TABLE public.loaded (id int, body text)")
        with two.cursor().copy("COPY public.loaded FROM STDIN") as copy:
            for at in range(3):
                copy.write_row((at, "x"))
    with two.pipeline():
        two.execute("UPDATE public.loaded SET body = %s WHERE id = %s", ("y", 1))
        two.execute("REVOKE SELECT ON public.orders FROM svc_reader")
        two.execute("SELECT 1")
    two.commit()
    try:
        one.execute("SELECT * FROM public.nothing_there")
    except psycopg.errors.UndefinedTable:
        pass
    one.execute("CREATE TABLE IF NOT EXISTS public.last (id int)")
