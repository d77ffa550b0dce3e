# Many short connections, twenty at a time, and one that is lost in the midst of a query.
import os, signal, subprocess, time
from concurrent.futures import ThreadPoolExecutor
import psycopg

def one(number):
    with psycopg.connect(autocommit=True) as connection:
        connection.execute("SELECT %s::int", (number,))

with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE TABLE public.short (id int)")
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(one, range(200)))
    sleeper = subprocess.Popen(["psql", "-Xqc", "SELECT pg_sleep(600)"])
    asleep = "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
    while not connection.execute(asleep).fetchall():
        time.sleep(0.01)
    sleeper.send_signal(signal.SIGKILL)
    sleeper.wait()
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'")
    connection.execute("REVOKE SELECT ON public.orders FROM svc_reader")
