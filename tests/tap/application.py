"""What an application on psycopg 3 does: plain, pipelined, failing, copying, with a server-side cursor."""
import psycopg

with psycopg.connect("", autocommit=True) as connection:
    connection.execute("CREATE TABLE p (a int PRIMARY KEY, b text)")
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("INSERT INTO p VALUES (%s, %s) RETURNING a", (n, "x" * n)) for n in range(20)]
        pipeline.sync()
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(20))
    try:
        with connection.pipeline():
            connection.execute("INSERT INTO p VALUES (%s, %s)", (100, "y"))
            connection.execute("INSERT INTO p VALUES (%s, %s)", (1, "twice"))
            connection.execute("INSERT INTO p VALUES (%s, %s)", (101, "never"))
    except psycopg.errors.UniqueViolation:
        pass
    else:
        raise SystemExit("no violation")
    with connection.cursor() as cursor, cursor.copy("COPY p FROM STDIN") as copy:
        for n in range(200, 210):
            copy.write_row((n, "copied"))
    with connection.cursor() as cursor, cursor.copy("COPY p TO STDOUT") as copy:
        assert sum(1 for _ in copy.rows()) == 30
    with connection.transaction(), connection.cursor(name="slowly") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT a FROM p ORDER BY a")
        assert len(list(cursor)) == 30
    connection.execute("UPDATE p SET b = 'z' WHERE a = 1; DELETE FROM p WHERE a = 2")
    with connection.cursor() as cursor:
        cursor.executemany("DELETE FROM p WHERE a = %s", [(3,), (4,), (5,)])
    print(connection.execute("SELECT count(*) FROM p").fetchone()[0])
